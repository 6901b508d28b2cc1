"""Access keys: who may call, and for what."""

import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass, field

import structlog

from vault.clock import Clock
from vault.errors import AccessKeyNotFound, Invalid, Unauthenticated
from vault.ports import AccessStore
from vault.records import AccessKeyRow
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
    "admin": "everything",
}

#: The key of ``tokenvault demo``: known to everybody, and accepted there alone.
DEMO_KEY = "DEMO"

#: For how many milliseconds a verdict on a key is reused: a revocation takes effect within this time.
VERDICT_LIFETIME = 500

_NAME = re.compile(r"[\w .:@/-]{1,64}")
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated access key. ``pepper`` is secret bytes of its holder's that no store has."""

    key_id: str
    scopes: frozenset[str]
    claims: frozenset[str] | None
    pepper: bytes = field(repr=False)

    def may(self, scope: str) -> bool:
        """Whether the key has the scope; ``admin`` includes every other."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class _Verdict:
    caller: Caller
    until: int


class Access:
    """The access keys of one vault. ``demo`` lets ``DEMO`` in, for everything."""

    def __init__(self, store: AccessStore, clock: Clock, *, demo: bool = False) -> None:
        self._store = store
        self._clock = clock
        self._demo = Caller("demo", frozenset({"admin"}), None, bytes(32)) if demo else None
        # Verdicts on valid keys only, so there are never more than keys. By digest: no key stays in memory.
        self._verdicts: dict[bytes, _Verdict] = {}

    async def authenticate(self, presented: str) -> Caller:
        """Return who presents this key. Raises ``Unauthenticated``: one answer for unknown, wrong, expired, revoked."""
        digest = hashlib.sha256(presented.encode(errors="replace")).digest()
        now = self._clock.now()
        verdict = self._verdicts.get(digest)
        if verdict is not None and now < verdict.until:
            return verdict.caller
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
    ) -> tuple[str, AccessKeyRow]:
        """Make a key; return it as its holder sees it, once, with what is stored. ``expires_in`` in seconds.

        Raises ``Invalid`` for a bad name, an unknown scope, or none.
        """
        wrong = {}
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


def _matches(row: AccessKeyRow | None, parts: AccessKeyParts) -> bool:
    """Compare in constant time, and for an unknown id too, so that timing does not tell which ids exist."""
    return hmac.compare_digest(_NOBODY if row is None else row.secret_digest, parts.secret_digest)
