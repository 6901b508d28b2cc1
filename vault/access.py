"""Access keys: who may call, and for what."""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

import msgspec
import structlog

from vault import config
from vault.clock import Clock
from vault.errors import (
    AccessKeyNotFound,
    Invalid,
    NetworkRefused,
    RateLimited,
    TooManyFailures,
    Unauthenticated,
    VaultError,
)
from vault.masking import Content, project, shown
from vault.ports import AccessStore
from vault.rails import Network, checked, networks_of
from vault.rates import Rates
from vault.records import AccessKeyRow, Rails
from vault.tokens import AccessKeyParts, new_access_key, parse_access_key

#: What each scope allows.
SCOPES = {
    "profiles:read": "open profiles and export what is held about a person",
    "profiles:write": "create and change profiles",
    "profiles:erase": "erase a person for good",
    "profiles:lookup": "find a user token by e-mail, login, phone or custom value",
    "sessions:read": "look sessions up and list them",
    "sessions:write": "open, change and rotate sessions",
    "sessions:revoke": "end sessions",
    "profiles:bulk": "open many profiles at once, after an unlock with a reason",
    "audit:read": "read the audit trail",
    "admin": "everything",
}

#: The key of ``tokenvault demo``: known to everybody, and accepted there alone.
DEMO_KEY = "DEMO"

#: For how many milliseconds a verdict on a key is reused: a revocation takes effect within this time.
VERDICT_LIFETIME = 500

#: The longest that a refusal is held, in milliseconds, and after how many of them it doubles.
MOST_HOLD, DOUBLED_AFTER = 2000, 10

Address = IPv4Address | IPv6Address

_NAME = re.compile(r"[\w .:@/-]{1,64}")
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated access key, with its rails (``vault.records.Rails``).

    ``pepper`` is secret bytes of its holder's that no store has.
    """

    key_id: str
    scopes: frozenset[str]
    claims: frozenset[str] | None
    pepper: bytes = field(repr=False)
    fields: tuple[str, ...] | None = None
    masked: tuple[str, ...] = ()
    networks: tuple[Network, ...] | None = None
    per_minute: int | None = None
    reveals_per_hour: int | None = None
    reveals_per_day: int | None = None

    @property
    def is_guarded(self) -> bool:
        """Whether each request of its has to pass ``Access.guard``."""
        return self.networks is not None or self.per_minute is not None

    def view(self, text: bytes, wanted: Sequence[str] | None = None) -> Content | msgspec.Raw:
        """Return what this caller may be shown of a profile, given as JSON; of that, only the ``wanted`` paths.

        Every face shows profiles through this alone.
        """
        if wanted is None and self.fields is None and not self.masked:
            return msgspec.Raw(text)
        content = shown(msgspec.json.decode(text), self.fields, self.masked)
        return content if wanted is None else project(content, wanted)

    def may(self, scope: str) -> bool:
        """Whether the key has the scope; ``admin`` includes every other."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class _Verdict:
    caller: Caller
    until: int


class Access:
    """The access keys of one vault. ``demo`` lets ``DEMO`` in, for everything."""

    def __init__(
        self, store: AccessStore, clock: Clock, settings: config.Access, *, demo: bool = False
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._requests = Rates()
        self._failures = Rates()
        self._demo = Caller("demo", frozenset({"admin"}), None, bytes(32)) if demo else None
        # Verdicts on valid keys only, so there are never more than keys. By digest: no key stays in memory.
        self._verdicts: dict[bytes, _Verdict] = {}

    def remembered(self, presented: str) -> Caller | None:
        """Return who presents this key, if it was found valid less than ``VERDICT_LIFETIME`` ago."""
        verdict = self._verdicts.get(_digest(presented))
        return verdict.caller if verdict is not None and self._clock.now() < verdict.until else None

    async def admit(self, presented: str, address: Address | None) -> Caller:
        """Return who presents this key, from this address. Raises as ``authenticate``, but slowly.

        A refusal takes as long whatever was wrong, and longer the more there are from the address. Where there are too
        many it is ``TooManyFailures`` at once; a valid key is let in from there all the same.
        """
        arrived = asyncio.get_running_loop().time()
        try:
            return await self.authenticate(presented)
        except Unauthenticated:
            await self._hold(arrived, address)
            raise

    async def guard(self, caller: Caller, address: Address | None) -> None:
        """Hold a caller to its networks and its requests a minute. Raises ``NetworkRefused``, ``RateLimited``."""
        if caller.networks is not None and (
            address is None or not any(address in network for network in caller.networks)
        ):
            raise NetworkRefused
        if caller.per_minute is not None:
            taken = self._requests.take(caller.key_id, caller.per_minute, self._clock.now())
            if taken.wait:
                refusal = RateLimited(_seconds(taken.wait))
                if taken.first:
                    await self.overran(refusal, caller)
                raise refusal

    async def overran(self, refusal: VaultError, caller: Caller | None) -> None:
        """Note that a bound was hit: called for the first refusal of a minute, before it is answered.

        ``caller`` is None where an address has presented too many keys that are none.
        """
        key_id = None if caller is None else caller.key_id
        structlog.get_logger().warning("access.overran", code=refusal.code, key_id=key_id)

    async def authenticate(self, presented: str) -> Caller:
        """Return who presents this key, from wherever.

        Raises ``Unauthenticated``: one answer for unknown, wrong, expired, revoked and suspended.
        """
        known = self.remembered(presented)
        if known is not None:
            return known
        digest, now = _digest(presented), self._clock.now()
        self._verdicts.pop(digest, None)
        if self._demo is not None and presented == DEMO_KEY:
            return self._demo
        parts = parse_access_key(presented)
        if parts is None:
            raise Unauthenticated
        row = await self._store.find(parts.id)
        if not _matches(row, parts) or row is None or not row.is_alive(now):
            raise Unauthenticated
        caller = Caller(
            row.id,
            frozenset(row.scopes),
            None if row.claims is None else frozenset(row.claims),
            hashlib.blake2b(presented.encode(), person=b"tokenvault.pep.1", digest_size=32).digest(),
            row.rails.fields,
            row.rails.masked,
            networks_of(row.rails),
            row.rails.per_minute,
            row.rails.reveals_per_hour,
            row.rails.reveals_per_day,
        )
        until = now + VERDICT_LIFETIME
        self._verdicts[digest] = _Verdict(
            caller, until if row.expires_at is None else min(until, row.expires_at)
        )
        return caller

    async def create(
        self,
        name: str,
        scopes: Collection[str],
        expires_in: int | None = None,
        claims: Collection[str] | None = None,
        rails: Rails = Rails(),
    ) -> tuple[str, AccessKeyRow]:
        """Make a key; return it as its holder sees it, once, with what is stored. ``expires_in`` in seconds.

        Raises ``Invalid`` for a bad name, an unknown scope, or none, and for rails that cannot be or cannot hold.
        """
        rails, wrong = checked(rails, scopes)
        if not _NAME.fullmatch(name):
            wrong["name"] = "must be 1 to 64 letters, digits, spaces or any of _ . : @ / -"
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            wrong["scopes"] = f"must be some of: {', '.join(SCOPES)}"
        if expires_in is not None and expires_in < 1:
            wrong["expires_in"] = "must be at least 1 second"
        if wrong:
            raise Invalid(fields=wrong)
        text, parts = new_access_key()
        now = self._clock.now()
        row = AccessKeyRow(
            parts.id,
            name,
            parts.secret_digest,
            tuple(scope for scope in SCOPES if scope in scopes),
            None if claims is None else tuple(sorted(claims)),
            now,
            None if expires_in is None else now + expires_in * 1000,
            rails=rails,
        )
        await self._store.insert(row)
        structlog.get_logger().info("access.created", key_id=row.id)
        return text, row

    async def list(self) -> list[AccessKeyRow]:
        """Return all keys, the oldest first, revoked ones too."""
        return await self._store.list()

    async def revoke(self, key_id: str) -> None:
        """End a key, within ``VERDICT_LIFETIME`` in every process. Raises ``AccessKeyNotFound``."""
        if not await self._store.revoke(key_id, self._clock.now()):
            raise AccessKeyNotFound
        self._verdicts.clear()
        structlog.get_logger().info("access.revoked", key_id=key_id)

    async def suspend(self, key_id: str) -> None:
        """Stop a key until it is resumed; heeded as a revocation. Raises ``AccessKeyNotFound``."""
        if not await self._store.suspend(key_id, self._clock.now()):
            raise AccessKeyNotFound
        self._verdicts.clear()
        structlog.get_logger().info("access.suspended", key_id=key_id)

    async def resume(self, key_id: str) -> None:
        """Let a suspended key in again; a revoked one stays dead. Raises ``AccessKeyNotFound``."""
        if not await self._store.resume(key_id):
            raise AccessKeyNotFound
        structlog.get_logger().info("access.resumed", key_id=key_id)

    async def _hold(self, arrived: float, address: Address | None) -> None:
        """Count a refusal, and return when its time to be answered has come. Raises ``TooManyFailures``."""
        taken = self._failures.take(_place(address), self._settings.failures_per_minute, self._clock.now())
        if taken.wait:
            refusal = TooManyFailures(_seconds(taken.wait))
            if taken.first:
                await self.overran(refusal, None)
            raise refusal
        doublings = min(taken.held // DOUBLED_AFTER, MOST_HOLD.bit_length())
        hold = min(self._settings.failure_hold << doublings, MOST_HOLD)
        await asyncio.sleep(arrived + hold / 1000 - asyncio.get_running_loop().time())


def _matches(row: AccessKeyRow | None, parts: AccessKeyParts) -> bool:
    """Compare in constant time, and for an unknown id too, so that timing does not tell which ids exist."""
    return hmac.compare_digest(_NOBODY if row is None else row.secret_digest, parts.secret_digest)


def _digest(presented: str) -> bytes:
    return hashlib.sha256(presented.encode(errors="replace")).digest()


def _place(address: Address | None) -> tuple[int, int] | None:
    """Return what failures are counted by: an IPv4 address, or the /64 that one IPv6 subscriber has (RFC 6177)."""
    if address is None:
        return None
    return address.version, int(address) >> (64 if address.version == 6 else 0)


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)
