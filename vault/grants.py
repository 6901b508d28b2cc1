"""Grants: who calls on Databunker's wire, and what for. A root token is an access key with the scope admin; the others
are short-lived tokens for a role or for one person, kept as documents under their digests.
"""

import hashlib
import re
import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vault.access import Access, Address
from vault.acting import Budget
from vault.audit import Audit
from vault.clock import Clock
from vault.documents import Document, Documents, NewDocument
from vault.errors import Denied, RecordNotFound, StoreUnavailable

KIND = "xtoken"

#: Told of each token that a tenant issues: its digest, and the last moment that it can live to, in milliseconds.
Remember = Callable[[str, int | None], Awaitable[None]]

#: Seconds that a token lives unless it is asked to live shorter or longer.
DEFAULT_LIFETIME = 600

#: A token's window slides in steps of this many milliseconds, or of a tenth of it if that is less: so one in steady
#: use costs a write a minute. It may therefore end up to one step early, never late.
STEP = 60_000

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grant:
    """Whoever calls. ``actor`` is its name in the audit trail; ``role`` and ``user_token`` are of their kind alone."""

    kind: Literal["root", "role", "user", "public"]
    actor: str
    role: str | None = None
    user_token: str | None = None
    budget: Budget | None = None


class Grants:
    """The tokens of one vault's callers."""

    def __init__(
        self,
        documents: Documents,
        access: Access,
        audit: Audit,
        clock: Clock,
        most_lifetime: int,
        remember: Remember | None = None,
    ) -> None:
        self._documents = documents
        self._access = access
        self._audit = audit
        self._clock = clock
        self._most_lifetime = most_lifetime
        self._remember = remember

    async def admit(self, presented: str, address: Address | None) -> Grant:
        """Return who presents this token.

        Raises ``Unauthenticated`` for unknown, expired and revoked alike, as slowly as for access keys; ``Denied`` for
        an access key without the scope admin, ``NetworkRefused``, ``RateLimited``, ``TooManyFailures``.
        """
        if is_xtoken(presented):
            try:
                document = await self._slid(await self._documents.get(KIND, digest(presented)))
            except RecordNotFound:
                pass
            else:
                said = document.content
                return Grant(
                    said["kind"], f"xtoken-{document.key[:16]}", said.get("role"), said.get("user_token")
                )
        caller = self._access.remembered(presented) or await self._access.admit(presented, address)
        if caller.is_guarded:
            await self._access.guard(caller, address)
        if not caller.may("admin"):
            raise Denied
        bounded = caller.reveals_per_hour is not None or caller.reveals_per_day is not None
        budget = Budget(caller.reveals_per_hour, caller.reveals_per_day) if bounded else None
        return Grant("root", caller.key_id, budget=budget)

    async def issue(
        self,
        kind: Literal["root", "role", "user"],
        *,
        role: str | None = None,
        user_token: str | None = None,
        expires_in: int | None = None,
        slides: int | None = None,
        forever: bool = False,
    ) -> str:
        """Make a token and return it, once. ``role`` is a role's number. Times are cut at the most of the settings.

        ``expires_in``: seconds to its end. ``slides``: seconds without use after which it ends before that; then the
        end, unless it is given, is the most of the settings.

        Raises ``ProfileNotFound`` for a person who is not there.
        """
        text = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        now, unasked = self._clock.now(), DEFAULT_LIFETIME if slides is None else self._most_lifetime
        final = now + min(expires_in or unasked, self._most_lifetime) * 1000
        said: dict[str, Any] = {"kind": kind, "role": role, "user_token": user_token}
        if slides is not None and not forever:
            said |= {"window": slides * 1000, "final": final}
        new = NewDocument(KIND, digest(text), said, user_token, None if forever else _end(said, now, final))
        details = {"access_key": f"xtoken-{digest(text)[:16]}", "kind": kind, "role": role}
        await self._documents.add(new, [self._audit.event("access.created", user_token, details)])
        if self._remember is not None:
            await self._remember(new.key, None if forever else final)
        return text

    async def _slid(self, document: Document) -> Document:
        """Move the end of a token that slides, since it is used; up to its final end."""
        said, now = document.content, self._clock.now()
        if "window" not in said or document.expires_at is None:
            return document
        end = _end(said, now, said["final"])
        gain = end - document.expires_at
        if gain <= 0 or (gain < min(STEP, said["window"] // 10) and end != said["final"]):
            return document
        try:
            return await self._documents.change(document, lambda held: held, lives_until=lambda _: end)
        except StoreUnavailable:
            return document  # it was alive a moment ago; not sliding it can only shorten its life


def _end(said: Mapping[str, Any], now: int, final: int) -> int:
    """Return when a token ends that is used now."""
    window: int = said.get("window", final)
    return min(now + window, final)


def is_xtoken(text: str) -> bool:
    """Whether the text has the shape of a token that ``Grants.issue`` makes."""
    return _UUID.fullmatch(text) is not None


def digest(text: str) -> str:
    """Return what is kept of a token: SHA-256, in hex. 122 random bits have no dictionary to try."""
    return hashlib.sha256(text.lower().encode()).hexdigest()
