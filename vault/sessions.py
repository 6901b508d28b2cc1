"""Sessions: a token and minimal claims under an id that only its holder knows.

The rules that keep a session from being resurrected, stolen or filled with personal data are listed in
docs/sessions.md with their reasons; the atomic ones are promises of ``vault.ports.SessionStore``.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from vault import config
from vault.audit import Audit
from vault.claims import ClaimsPolicy
from vault.clock import Clock
from vault.crypto.sealer import Sealer
from vault.errors import (
    BoxError,
    ClaimRefused,
    Conflict,
    Invalid,
    ProfileNotFound,
    SessionNotFound,
)
from vault.idempotency import Answers, Attempt, Outcomes
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.ports import AnswerKeeper, SessionStore
from vault.records import Person, SessionRow
from vault.session_life import MOST_LISTED, TRIES, SessionLife, no_later
from vault.session_views import OpenedSession, SessionView, SessionViews
from vault.tokens import is_handle, is_session_id, is_user_token, new_handle, new_session_id, session_digest

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks a new session to be. Durations in seconds; None takes the setting's default."""

    user_token: str | None = None
    claims: Claims = field(default_factory=dict, repr=False)
    expires_in: int | None = None
    idle_timeout: int | None = None


class Sessions:
    """The sessions of one vault. ``person`` tells of the person behind a user token, or None."""

    def __init__(
        self,
        store: SessionStore,
        person: Callable[[str], Awaitable[Person | None]],
        sealer: Sealer,
        policy: ClaimsPolicy,
        answers: Answers,
        audit: Audit,
        clock: Clock,
        watch: KeyWatch,
        settings: config.Sessions,
    ) -> None:
        self._store = store
        self._person = person
        self._views = SessionViews(sealer, settings.cache_for)
        #: For the sessions under ids of callers' own: they are kept in the same store.
        self.life = SessionLife(store, self._views, audit, clock)
        self._policy = policy
        self._answers = answers
        self._clock = clock
        self._watch = watch
        self._settings = settings
        watch.on_change.append(self._views.forget_all)

    @with_fresh_keys
    async def open(self, wanted: Wanted, attempt: Attempt | None = None) -> OpenedSession:
        """Open a session under a fresh id; it is recorded before the id is given out, and so is a refusal.

        Raises ``ProfileNotFound`` for a person who is unknown, expired, erased or being erased, ``ClaimRefused``,
        ``Invalid`` for a duration over its cap, ``SessionLimit``, ``IdempotencyKeyReused``, ``AuditUnavailable``.
        """
        async with self.life.refusals_told(wanted.user_token):
            opened = await self._open(wanted, attempt)
        replayed = {"reason": "replayed"} if attempt and attempt.replayed else {}
        await self.life.tell("session.opened", opened.view.user_token, opened.view.handle, **replayed)
        return opened

    async def _open(self, wanted: Wanted, attempt: Attempt | None) -> OpenedSession:
        lifetime = _duration(
            "expires_in", wanted.expires_in, self._settings.lifetime, self._settings.max_lifetime
        )
        idle = _duration(
            "idle_timeout", wanted.idle_timeout, self._settings.idle_timeout, self._settings.max_idle_timeout
        )
        # The epoch is read first: whoever revokes or erases after this line makes the insert below fail.
        epoch = 0 if wanted.user_token is None else await self._epoch(wanted.user_token)
        person = None if wanted.user_token is None else await self._living(wanted.user_token)
        self._check(wanted.claims, person)
        now = self._clock.now()
        session_id, handle = new_session_id(), new_handle()
        expires_at = no_later(now + lifetime, person)
        unsealed = SessionRow(
            session_digest(session_id), handle, wanted.user_token, b"", 0, epoch, lifetime, idle,
            created_at=now, authenticated_at=now, last_seen_at=now,
            expires_at=expires_at, idle_expires_at=min(now + idle, expires_at),
        )  # fmt: skip
        row = self._views.seal(unsealed, msgspec.json.encode(wanted.claims))
        opened = OpenedSession(session_id, self._views.of(row, now))

        async def insert(keeper: AnswerKeeper | None) -> Outcomes:
            try:
                ended = await self._store.insert(
                    row, self._settings.max_per_person, self._settings.at_limit, now, keeper
                )
            except SessionNotFound:  # revoked or erased in between
                raise ProfileNotFound from None
            if ended:
                await self.life.tell("session.revoked", wanted.user_token, None, reason="limit", count=ended)
            return [None]

        result = await self._answers.once(self._store, attempt, OpenedSession, insert, lambda _: opened)
        return result or opened

    @with_fresh_keys
    async def current(self, session_id: str) -> SessionView:
        """Return a live session and slide its idle window: the hot path.

        Raises ``SessionNotFound``: the same for malformed, unknown, expired and revoked.
        """
        now = self._clock.now()
        row = await self._living_session(session_id, now)
        return self._views.of(await self.life.used(row, now), now)

    @with_fresh_keys
    async def change_claims(self, session_id: str, changes: Claims) -> SessionView:
        """Set the given claims and drop those given as None; the others stay.

        Raises ``SessionNotFound``, ``ClaimRefused``.
        """
        for _ in range(TRIES):
            now = self._clock.now()
            row = await self._living_session(session_id, now)
            claims = {**msgspec.json.decode(self._views.claims(row)), **changes}
            claims = {name: value for name, value in claims.items() if value is not None}
            async with self.life.refusals_told(row.user_token):
                await self._check_for(row, claims)
            changed = self._views.seal(row, msgspec.json.encode(claims))
            if await self._store.change_box(row, changed.box, changed.key_version, now):
                await self.life.tell("session.changed", row.user_token, row.handle)
                return self._views.of(changed, now)
        raise Conflict

    @with_fresh_keys
    async def rotate(
        self, session_id: str, claims: Claims | None = None, *, reauthenticated: bool = False
    ) -> OpenedSession:
        """Give the session a new id; the old one is dead at once, with no grace (ASVS 7.2.4).

        ``claims`` replaces all claims. ``reauthenticated`` says that the person has just proved who they are
        again: only this restarts the absolute lifetime. Of concurrent calls with one id exactly one wins.
        Raises ``SessionNotFound``, ``ClaimRefused``.
        """
        for _ in range(TRIES):
            now = self._clock.now()
            old = await self._living_session(session_id, now)
            kept = self._views.claims(old)  # opened in any case: an altered row is not carried on
            plaintext = kept if claims is None else msgspec.json.encode(claims)
            async with self.life.refusals_told(old.user_token):
                person = await self._check_for(old, claims or {})
            new_id = new_session_id()
            expires_at = no_later(now + old.lifetime, person) if reauthenticated else old.expires_at
            unsealed = replace(
                old,
                digest=session_digest(new_id),
                authenticated_at=now if reauthenticated else old.authenticated_at,
                last_seen_at=now,
                expires_at=expires_at,
                idle_expires_at=min(now + old.idle_timeout, expires_at),
            )
            new = self._views.seal(unsealed, plaintext)
            if await self._store.rotate(old, new, now):
                reason = "reauthenticated" if reauthenticated else "asked"
                await self.life.tell("session.rotated", new.user_token, new.handle, reason=reason)
                return OpenedSession(new_id, self._views.of(new, now))
        raise Conflict

    async def end(self, session_id: str) -> None:
        """Revoke the session of this id. There being none is fine: logout is idempotent."""
        if is_session_id(session_id):
            await self.life.end(session_digest(session_id))

    async def end_handle(self, handle: str) -> None:
        """Revoke the session with this public handle. There being none is fine."""
        row = await self._store.revoke_handle(handle) if is_handle(handle) else None
        if row is not None:
            await self.life.tell("session.revoked", row.user_token, handle, reason="by_handle")

    async def end_all(self, user_token: str, keep: str | None = None) -> None:
        """Revoke every session of a person, also those being opened now, but for the one with handle ``keep``."""
        if is_user_token(user_token):
            await self._store.revoke_all(user_token, keep, self._clock.now())
            await self.life.tell("session.revoked", user_token, keep, reason="all_of_person")

    async def of_person(self, user_token: str, *, whole: bool = False) -> list[SessionView]:
        """Return the person's live sessions, the newest first; none for an unknown person.

        One whose claims do not open, or whose row was altered, is listed with null in their place: a bad row must
        not hide the others, and a session whose id was exchanged can be ended by its handle. Null is there also for
        the data of a session under an id of the caller's own, unless the ``whole`` is to be told.
        """
        if not is_user_token(user_token):
            return []
        now = self._clock.now()
        rows = await self._store.live_of(user_token, now, MOST_LISTED)
        try:
            return [self._views.listed(row, now, unopened=False, whole=whole) for row in rows]
        except BoxError:
            await self._watch.refresh()  # perhaps only this process does not know the key yet
        rows = await self._store.live_of(user_token, now, MOST_LISTED)
        return [self._views.listed(row, now, unopened=True, whole=whole) for row in rows]

    async def sweep(self, limit: int) -> int:
        """Delete up to ``limit`` dead sessions and old kept answers; return how many. Housekeeping only."""
        now = self._clock.now()
        return await self._store.purge(now, limit) + await self._store.purge_answers(now, limit)

    async def _living_session(self, session_id: str, now: int) -> SessionRow:
        # The shape is checked before any digest or query: what cannot be an id costs nothing.
        return await self.life.living(session_digest(session_id) if is_session_id(session_id) else None, now)

    async def _epoch(self, user_token: str) -> int:
        epoch = await self._store.epoch(user_token) if is_user_token(user_token) else None
        if epoch is None:
            raise ProfileNotFound
        return epoch

    async def _living(self, user_token: str) -> Person:
        person = await self._person(user_token)
        if person is None:
            raise ProfileNotFound
        return person

    async def _check_for(self, row: SessionRow, claims: Claims) -> Person | None:
        """Check claims for the session's own person; a person who is gone has no sessions."""
        person = None if row.user_token is None else await self._person(row.user_token)
        if row.user_token is not None and person is None:
            raise SessionNotFound
        self._check(claims, person)
        return person

    def _check(self, claims: Claims, person: Person | None) -> None:
        try:
            self._policy.check(claims, person.strings if person else ())
        except ClaimRefused as refused:
            rules = sorted({sentence.split(":")[0] for sentence in refused.fields.values()})
            structlog.get_logger().info("session.claims_refused", rules=rules)
            raise


def _duration(name: str, wanted: int | None, default: int, most: int) -> int:
    """Return milliseconds; raise ``Invalid`` for more than the cap."""
    if wanted is not None and wanted > most:
        raise Invalid(fields={name: f"must be at most {most} seconds"})
    return (default if wanted is None else wanted) * 1000
