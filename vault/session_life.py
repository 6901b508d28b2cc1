"""What sessions have in common, whoever chose their id: they are alive, are used, end, and all of it is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from vault.audit import Audit
from vault.clock import Clock
from vault.errors import ClaimRefused, ProfileNotFound, SessionLimit, SessionNotFound, StoreUnavailable
from vault.ports import SessionStore
from vault.records import Person, SessionRow
from vault.session_views import SessionViews

#: The idle window slides in steps of at most this many milliseconds, or a tenth of the window if that is less,
#: so that a busy session costs one write a minute. A session may therefore end up to one step early, never late.
TOUCH_STEP = 60_000

#: How often a change of a session is tried again when another one was faster: this many may race for a session.
TRIES = 100

#: The most sessions that one list shows.
MOST_LISTED = 1000


class SessionLife:
    """The life of one vault's sessions."""

    def __init__(self, store: SessionStore, views: SessionViews, audit: Audit, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self.views = views

    async def living(self, digest: bytes | None, now: int) -> SessionRow:
        """Return the live session of this digest. Raises ``SessionNotFound``."""
        row = await self._store.find(digest) if digest else None
        if row is not None and row.is_alive(now):
            return row
        # For the operator; callers see one answer. What was revoked or rotated away is unknown, for good.
        structlog.get_logger().info("session.refused", reason="unknown" if row is None else "expired")
        raise SessionNotFound

    async def used(self, row: SessionRow, now: int) -> SessionRow:
        """Slide the idle window of a session that was just read as alive, once a step.

        Raises ``SessionNotFound`` if it has ended since, or was altered.
        """
        # A last_seen in the future (the clock stepped back) is corrected at once.
        if 0 <= now - row.last_seen_at < min(TOUCH_STEP, row.idle_timeout // 10):
            return row
        self.views.prove(row)  # first: a touch would set right what somebody has put off
        try:
            touched = await self._store.touch(row.digest, now)
        except StoreUnavailable:
            return row  # read as alive a moment ago; not sliding it can only shorten its life
        if touched is None:  # ended between the read and here
            raise SessionNotFound
        return touched

    async def end(self, digest: bytes) -> None:
        """Revoke the session of this digest. There being none is fine: logout is idempotent."""
        row = await self._store.revoke(digest)
        if row is not None:
            self.views.forget(row)
            await self.tell("session.revoked", row.user_token, row.handle, reason="by_id")

    async def tell(self, action: str, user_token: str | None, handle: str | None, **said: str | int) -> None:
        """Log and record an act that was done; it is answered only after that."""
        structlog.get_logger().info(action, **said)
        details = {**({"handle": handle} if handle else {}), **said}
        await self._audit.record(self._audit.event(action, user_token, details or None))

    @asynccontextmanager
    async def refusals_told(self, user_token: str | None) -> AsyncIterator[None]:
        """Record that a session was refused inside."""
        try:
            yield
        except (ProfileNotFound, ClaimRefused, SessionLimit) as refused:
            await self._audit.record(self._audit.event("session.refused", user_token, outcome=refused.code))
            raise


def no_later(end: int, person: Person | None) -> int:
    """Cut a session's end at the end of its person's profile."""
    return end if person is None or person.expires_at is None else min(end, person.expires_at)
