"""Access keys: who may call, and for what."""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NoReturn

import msgspec
import structlog
from msgspec.structs import replace

from vault import config
from vault.access_keys import AccessKeys, Listed
from vault.audit import Audit
from vault.clock import Clock
from vault.errors import (
    AccessKeyNotFound,
    BoxError,
    Invalid,
    NetworkRefused,
    RateLimited,
    TooManyFailures,
    Unauthenticated,
    UnknownKey,
    VaultError,
)
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.masking import Content, project, shown
from vault.ports import Entry
from vault.rails import Network, checked, networks_of
from vault.rates import Rates
from vault.records import AccessKey, Rails
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
        self,
        keys: AccessKeys,
        audit: Audit,
        clock: Clock,
        watch: KeyWatch,
        settings: config.Access,
        *,
        demo: bool = False,
    ) -> None:
        self._keys = keys
        self._audit = audit
        self._watch = watch
        self._clock = clock
        self._settings = settings
        self._requests = Rates()
        self._refusals = Rates()
        self._failures = Rates()
        self._demo = Caller("demo", frozenset({"admin"}), None, bytes(32)) if demo else None
        # Verdicts on valid keys only, so there are never more than keys. By digest: no key stays in memory.
        self._verdicts: dict[bytes, _Verdict] = {}

    def remembered(self, presented: str) -> Caller | None:
        """Return who presents this key, if it was found valid less than ``VERDICT_LIFETIME`` ago."""
        verdict = self._verdicts.get(_digest(presented))
        # One that ends later than that is from before the clock stepped back.
        if verdict is not None and 0 < verdict.until - self._clock.now() <= VERDICT_LIFETIME:
            return verdict.caller
        return None

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
            await self.refuse(caller.key_id, NetworkRefused())
        if caller.per_minute is not None:
            taken = self._requests.take(caller.key_id, caller.per_minute, self._clock.now())
            if taken.wait:
                await self.refuse(caller.key_id, RateLimited(_seconds(taken.wait)))

    async def refuse(self, actor: str, refusal: VaultError) -> NoReturn:
        """Refuse what an actor asks for, once that is recorded; one event a minute for each kind of refusal."""
        if not self._refusals.take((actor, refusal.code), 1, self._clock.now()).wait:
            structlog.get_logger().warning("access.refused", code=refusal.code)
            await self._audit.record(self._audit.event("access.refused", outcome=refusal.code))
        raise refusal

    async def authenticate(self, presented: str) -> Caller:
        """Return who presents this key, from wherever.

        Raises ``Unauthenticated``: one answer for unknown, wrong, expired, revoked, suspended, and sealed by others.
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
        key = await self._opened(parts.id)
        if not _matches(key, parts) or key is None or not key.is_alive(now):
            raise Unauthenticated
        rails, claims = key.rails, key.claims
        pepper = hashlib.blake2b(presented.encode(), person=b"tokenvault.pep.1", digest_size=32).digest()
        caller = Caller(
            key.id, frozenset(key.scopes), None if claims is None else frozenset(claims), pepper, rails.fields,
            rails.masked, networks_of(rails), rails.per_minute, rails.reveals_per_hour, rails.reveals_per_day,
        )  # fmt: skip
        until = now + VERDICT_LIFETIME
        self._verdicts[digest] = _Verdict(
            caller, until if key.expires_at is None else min(until, key.expires_at)
        )
        return caller

    @with_fresh_keys
    async def create(
        self,
        name: str,
        scopes: Collection[str],
        expires_in: int | None = None,
        claims: Collection[str] | None = None,
        rails: Rails = Rails(),
    ) -> tuple[str, AccessKey]:
        """Make a key; return it as its holder sees it, once, with what is kept. ``expires_in`` in seconds.

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
        key = AccessKey(
            parts.id, name, parts.secret_digest, tuple(scope for scope in SCOPES if scope in scopes),
            None if claims is None else tuple(sorted(claims)), now,
            None if expires_in is None else now + expires_in * 1000, rails=rails,
        )  # fmt: skip
        await self._keys.insert(key, [self._event("access.created", key.id, name=name, scopes=key.scopes)])
        structlog.get_logger().info("access.created", key_id=key.id)
        return text, key

    async def list(self) -> Listed:
        """Return all keys, the oldest first, revoked ones too, and apart those whose rows do not open."""
        listed = await self._keys.list()
        behind = UnknownKey.code in listed.unreadable.values() and await self._watch.refresh()
        return await self._keys.list() if behind else listed

    async def revoke(self, key_id: str) -> None:
        """End a key, within ``VERDICT_LIFETIME`` in every process. Raises ``AccessKeyNotFound``, ``BoxError``."""
        await self._change(key_id, "access.revoked", lambda key: key.revoked(self._clock.now()))

    async def suspend(self, key_id: str, honey_token: str | None = None) -> None:
        """Stop a key until it is resumed; heeded as a revocation. ``honey_token`` is why. Raises as ``revoke``."""
        await self._change(
            key_id, "access.suspended", lambda key: key.suspended(self._clock.now()), honey_token
        )

    async def resume(self, key_id: str) -> None:
        """Let a suspended key in again; a revoked one stays dead. Raises as ``revoke``."""
        await self._change(key_id, "access.resumed", lambda key: replace(key, suspended_at=None))

    @with_fresh_keys
    async def _change(
        self, key_id: str, action: str, change: Callable[[AccessKey], AccessKey], honey: str | None = None
    ) -> None:
        event = self._event(action, key_id)
        if honey is not None:  # the event is of that profile; its actor is the key
            event = self._audit.event(action, honey, outcome="honey_token")
        if not await self._keys.change(key_id, change, [event]):
            raise AccessKeyNotFound
        self._verdicts.clear()
        structlog.get_logger().info(action, key_id=key_id)

    async def _opened(self, key_id: str) -> AccessKey | None:
        """Return the key, None also where its row does not open: then somebody has been at the file."""
        try:
            return await self._found(key_id)
        except BoxError as error:
            if not self._refusals.take((key_id, error.code), 1, self._clock.now()).wait:
                structlog.get_logger().error("access.unreadable", code=error.code, key_id=key_id)
            return None

    @with_fresh_keys
    async def _found(self, key_id: str) -> AccessKey | None:
        return await self._keys.find(key_id)

    def _event(self, action: str, key_id: str, **details: Any) -> Entry:
        return self._audit.event(action, None, {"access_key": key_id, **details})

    async def _hold(self, arrived: float, address: Address | None) -> None:
        """Count a refusal, and return when its time to be answered has come. Raises ``TooManyFailures``."""
        taken = self._failures.take(_place(address), self._settings.failures_per_minute, self._clock.now())
        if taken.wait:
            refusal = TooManyFailures(_seconds(taken.wait))
            if taken.first:  # a metric and a line; whoever has no key does not write to the trail
                structlog.get_logger().warning("access.overran", code=refusal.code)
            raise refusal
        doublings = min(taken.held // DOUBLED_AFTER, MOST_HOLD.bit_length())
        hold = min(self._settings.failure_hold << doublings, MOST_HOLD)
        await asyncio.sleep(arrived + hold / 1000 - asyncio.get_running_loop().time())


def _matches(key: AccessKey | None, parts: AccessKeyParts) -> bool:
    """Compare in constant time, and for an unknown id too, so that timing does not tell which ids exist."""
    return hmac.compare_digest(_NOBODY if key is None else key.secret_digest, parts.secret_digest)


def _digest(presented: str) -> bytes:
    return hashlib.sha256(presented.encode(errors="replace")).digest()


def _place(address: Address | None) -> tuple[int, int] | None:
    """Return what failures are counted by: an IPv4 address, or the /64 that one IPv6 subscriber has (RFC 6177)."""
    if address is None:
        return None
    return address.version, int(address) >> (64 if address.version == 6 else 0)


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)
