"""Sessions under ids of a caller's own, and with data of its own: what Databunker's clients keep.

They live among the other sessions and by the same rules; only, their id is the caller's, and so may come back. Then it
is a new session: what was revoked or has expired is never continued. A writer that had read a session before it ended,
and writes it back afterwards, makes such a new one too: on this wire nothing tells the two apart (docs/sessions.md).
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec
import structlog

from vault import config
from vault.claims import personal_in
from vault.clock import Clock
from vault.errors import (
    BoxError,
    ClaimRefused,
    Conflict,
    Invalid,
    ProfileNotFound,
    SessionNotFound,
)
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.ports import SessionStore
from vault.records import Person, SessionRow
from vault.session_life import MOST_LISTED, TRIES, SessionLife, no_later
from vault.session_views import SessionContent
from vault.tokens import is_user_token, named_session_digest, new_handle

Data = Mapping[str, Any]

#: Members of the data that say whose session it is: the first that leads to a living profile does.
BY_TOKEN = ("token", "userToken")
BY_VALUE = ("login", "email", "phone", "custom")

#: What express-session stamps anew at each request. A change of this alone is a use and no change: not for the trail.
STAMP = "cookie"


@dataclass(frozen=True, slots=True)
class NamedSession:
    """A living session. ``data`` is JSON text; ``last_seen_at`` in milliseconds, to a touch step."""

    id: str = field(repr=False)
    data: msgspec.Raw = field(repr=False)
    last_seen_at: int


class _Owner(NamedTuple):
    """The person that a session belongs to, and the person's epoch from before that was asked."""

    token: str
    epoch: int
    person: Person


class NamedSessions:
    """The sessions of one vault that have ids of callers' own. ``named`` below is as ``tokens.named_session_id`` says.

    ``person`` tells of the person behind a user token, ``lookup`` the token of who has a value. ``personal_data`` is
    what is done about data that looks personal.
    """

    def __init__(
        self,
        store: SessionStore,
        life: SessionLife,
        person: Callable[[str], Awaitable[Person | None]],
        lookup: Callable[[str, str | int], Awaitable[str]],
        clock: Clock,
        watch: KeyWatch,
        settings: config.Sessions,
        personal_data: Literal["warn", "refuse"],
    ) -> None:
        self._store = store
        self._life = life
        self._views = life.views
        self._person = person
        self._lookup = lookup
        self._clock = clock
        self._watch = watch
        self._settings = settings
        self._personal_data = personal_data
        #: How often data was kept that looks personal, by the rule that says so.
        self.warnings: Counter[str] = Counter()

    @with_fresh_keys
    async def put(
        self, named: str, data: Data, lifetime: int | None = None, idle_timeout: int | None = None
    ) -> frozenset[str]:
        """Keep data as the session ``named``; return the rules by which it looks personal, if that is let pass.

        Durations in seconds, cut at the settings' caps; None takes the default, or leaves what a living session has.
        A living one is used, takes the data, and ends no later than the longest lifetime after it was opened; what
        changes its person proves somebody anew, and is told as an opening. If it is ended meanwhile, it stays ended.
        Raises ``ClaimRefused`` for data that looks personal where that is refused, ``SessionLimit``, ``Conflict``.
        """
        digest, was_alive = named_session_digest(named), False
        for _ in range(TRIES):
            now = self._clock.now()
            found = await self._store.find(digest)
            old, kept = self._kept(found, now)
            if was_alive and old is None:
                return frozenset()  # as if this had come just before the end
            was_alive = old is not None
            owner = await self._owner(data, old, kept)
            text = msgspec.json.encode(data)
            is_same = kept is not None and bytes(kept.claims) == text
            rules = frozenset() if is_same else await self._judged(data, owner)
            new = self._renewed(digest, old, owner, lifetime, idle_timeout, now)
            if old is None or old.user_token != new.user_token:
                if not await self._open(found, old, self._views.seal(new, text, named), now):
                    continue
            elif is_same and (new.idle_timeout, new.expires_at) == (old.idle_timeout, old.expires_at):
                try:
                    await self._life.used(old, now)
                except SessionNotFound:
                    continue
            elif await self._store.rotate(old, self._views.seal(new, text, named), now):
                if _without_stamp(msgspec.json.decode(kept.claims) if kept else {}) != _without_stamp(data):
                    await self._life.tell("session.changed", new.user_token, new.handle)
            else:
                continue
            return rules
        raise Conflict

    @with_fresh_keys
    async def get(self, named: str) -> NamedSession:
        """Return a living session and slide its idle window. Raises ``SessionNotFound``."""
        now = self._clock.now()
        row = await self._life.living(named_session_digest(named), now)
        row = await self._life.used(row, now)
        return _shown(row, self._views.content(row))

    async def end(self, named: str) -> None:
        """Revoke a session. There being none is fine."""
        await self._life.end(named_session_digest(named))

    async def of_person(self, user_token: str) -> list[NamedSession]:
        """Return a person's living sessions that have ids of callers' own, the newest first, up to ``MOST_LISTED``.

        One whose row was altered, or whose box does not open, is left out. Raises ``ProfileNotFound``.
        """
        if not is_user_token(user_token) or await self._person(user_token) is None:
            raise ProfileNotFound
        try:
            return await self._listed(user_token, unopened=False)
        except BoxError:
            await self._watch.refresh()  # perhaps only this process does not know the key yet
        return await self._listed(user_token, unopened=True)

    async def _listed(self, user_token: str, *, unopened: bool) -> list[NamedSession]:
        listed = []
        for row in await self._store.live_of(user_token, self._clock.now(), MOST_LISTED):
            try:
                content = self._views.content(row)
            except (SessionNotFound, BoxError) as error:
                if isinstance(error, BoxError) and not unopened:
                    raise
            else:
                if content.named is not None:
                    listed.append(_shown(row, content))
        return listed

    def _kept(self, found: SessionRow | None, now: int) -> tuple[SessionRow | None, SessionContent | None]:
        """Return a living session and what it holds. One that was altered is as dead as one that has expired."""
        if found is None or not found.is_alive(now):
            return None, None
        try:
            return found, self._views.content(found)
        except SessionNotFound:
            return None, None

    async def _owner(self, data: Data, old: SessionRow | None, kept: SessionContent | None) -> _Owner | None:
        """Return whom the data names; a session that goes on naming the same stays with its person unasked."""
        names = _naming(data)
        if old and old.user_token and kept and names == _naming(msgspec.json.decode(kept.claims)):
            return await self._behind(old.user_token)
        for name, value in names.items():
            try:
                token = str(value).lower() if name in BY_TOKEN else await self._lookup(name, value)
            except (ProfileNotFound, Invalid):
                continue
            if owner := await self._behind(token):
                return owner
        return None

    async def _behind(self, token: str) -> _Owner | None:
        # The epoch is read first: whoever revokes or erases after this line makes the insert fail.
        epoch = await self._store.epoch(token) if is_user_token(token) else None
        person = None if epoch is None else await self._person(token)
        return None if epoch is None or person is None else _Owner(token, epoch, person)

    async def _judged(self, data: Data, owner: _Owner | None) -> frozenset[str]:
        rules = personal_in(_judgeable(data), owner.person.strings if owner else ())
        if rules and self._personal_data == "refuse":
            async with self._life.refusals_told(owner.token if owner else None):
                structlog.get_logger().info("session.claims_refused", rules=sorted(rules))
                raise ClaimRefused(f"The session's data looks personal: {', '.join(sorted(rules))}")
        if rules:
            structlog.get_logger().warning("session.data_looks_personal", rules=sorted(rules))
        return rules

    def _renewed(
        self,
        digest: bytes,
        old: SessionRow | None,
        owner: _Owner | None,
        lifetime: int | None,
        idle_timeout: int | None,
        now: int,
    ) -> SessionRow:
        """Return the row, not yet sealed, of a session that is used now: ``old`` going on, or a new one."""
        most = self._settings.max_lifetime * 1000
        token = owner.token if owner else None
        lives = min((lifetime or self._settings.lifetime) * 1000, most)
        idle = min((idle_timeout or self._settings.idle_timeout), self._settings.max_idle_timeout) * 1000
        created_at, ends, authenticated_at = now, now + lives, now
        if old is not None:
            created_at = old.created_at
            ends = old.expires_at if lifetime is None else ends
            lives = old.lifetime if lifetime is None else lives
            idle = old.idle_timeout if idle_timeout is None else idle
            authenticated_at = old.authenticated_at if old.user_token == token else now
        ends = no_later(min(ends, created_at + most), owner.person if owner else None)
        return SessionRow(
            digest, old.handle if old else new_handle(), token, b"", 0, owner.epoch if owner else 0, lives, idle,
            created_at, authenticated_at, last_seen_at=now, expires_at=ends, idle_expires_at=min(now + idle, ends),
        )  # fmt: skip

    async def _open(
        self, found: SessionRow | None, old: SessionRow | None, row: SessionRow, now: int
    ) -> bool:
        """Put a row in the place of ``found``, which is dead or another person's; False if that has changed."""
        limit, at_limit = self._settings.max_per_person, self._settings.at_limit
        try:
            async with self._life.refusals_told(row.user_token):
                ended = await self._store.insert(
                    row, limit, at_limit, now, replacing=found.handle if found else None
                )
        except (Conflict, SessionNotFound):  # another was faster; revoked or erased in between
            return False
        if found is not None:
            self._views.forget(found)
        if ended:
            await self._life.tell("session.revoked", row.user_token, None, reason="limit", count=ended)
        if old is not None and old.user_token is not None:
            await self._life.tell("session.revoked", old.user_token, old.handle, reason="other_person")
        await self._life.tell("session.opened", row.user_token, row.handle)
        return True


def _shown(row: SessionRow, content: SessionContent) -> NamedSession:
    return NamedSession(content.named or "", content.claims, row.last_seen_at)


def _naming(data: Data) -> dict[str, str | int]:
    """Return the members that may say whose session it is, in the order in which they are asked."""
    named = {name: data.get(name) for name in (*BY_TOKEN, *BY_VALUE)}
    return {name: value for name, value in named.items() if isinstance(value, str | int)}


def _judgeable(data: Data) -> Data:
    """Return the data without the names in the stamp, which are Express's own: ``originalMaxAge`` is nobody's age."""
    stamp = data.get(STAMP)
    return {**data, STAMP: list(stamp.values())} if isinstance(stamp, dict) else data


def _without_stamp(data: Data) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != STAMP}
