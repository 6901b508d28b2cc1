"""Profiles: a person's data in, an opaque user token out."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vault import config
from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.crypto.sealer import Sealed, Sealer
from vault.erasure import Erasures
from vault.errors import (
    Conflict,
    Duplicate,
    Invalid,
    KeyringError,
    ProfileNotFound,
    RevisionMismatch,
    VaultError,
)
from vault.idempotency import Answers, Attempt, Outcomes
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.personal_data import personal_strings
from vault.ports import AnswerKeeper, NewProfile, ProfileStore, SessionStore
from vault.records import Person, ProfileRow
from vault.tokens import is_user_token, new_user_token

Content = dict[str, Any]
Change = Callable[[Content], Content]

#: How often a change without If-Match is tried again when another writer was faster: one of those who race for a
#: profile wins each time, so this many may.
TRIES = 100

#: Profiles of a batch that are sealed between two breaths of the event loop: about two milliseconds.
ENTRIES_A_BREATH = 64


@dataclass(frozen=True, slots=True)
class ProfileHead:
    """What there is to say of a profile without opening it. Times in milliseconds."""

    token: str
    revision: int
    key_version: int
    created_at: int
    updated_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Profile:
    """An opened profile; ``text`` is its content as JSON, as it was sealed."""

    head: ProfileHead
    text: bytes = field(repr=False)

    @property
    def content(self) -> Content:
        """The content, decoded anew."""
        content: Content = msgspec.json.decode(self.text)
        return content


@dataclass(frozen=True, slots=True)
class NewContent:
    """One profile of a batch: its content, and for how many seconds it may live."""

    content: Content = field(repr=False)
    expires_in: int | None = None


class BatchEntry(msgspec.Struct, frozen=True):
    """What became of one profile of a batch: its token, or the code and fields of its refusal."""

    token: str | None = None
    code: str | None = None
    fields: dict[str, str] = {}


class Profiles:
    """The profiles of one vault. ``most_bytes`` bounds a profile's JSON text, however it came or grew."""

    def __init__(
        self,
        store: ProfileStore,
        sessions: SessionStore,
        sealer: Sealer,
        index: BlindIndex,
        answers: Answers,
        clock: Clock,
        watch: KeyWatch,
        settings: config.Profiles,
        most_bytes: int,
    ) -> None:
        self._store = store
        self._erasures = Erasures(store, sessions, clock)
        self._sealer = sealer
        self._index = index
        self._answers = answers
        self._clock = clock
        self._watch = watch
        self._settings = settings
        self._most_bytes = most_bytes

    @with_fresh_keys
    async def create(
        self, content: Content, expires_in: int | None = None, attempt: Attempt | None = None
    ) -> ProfileHead:
        """Seal a profile under a new token. ``expires_in`` in seconds.

        Raises ``Duplicate`` naming the indexed field that another profile has, ``Invalid``,
        ``IdempotencyKeyReused``.
        """
        now = self._clock.now()
        new = self._new(NewContent(content, expires_in), now)

        def result(outcomes: Outcomes) -> ProfileHead | None:
            return None if outcomes[0] else _head(new.row)

        head = await self._answers.once(
            self._store,
            attempt,
            ProfileHead,
            lambda keeper: self._insert_or_raise(new, now, keeper),
            result,
        )
        assert head is not None  # noqa: S101 - _insert_or_raise has raised for any other outcome
        return head

    @with_fresh_keys
    async def create_many(
        self, batch: Sequence[NewContent | VaultError], attempt: Attempt | None = None
    ) -> list[BatchEntry]:
        """Seal many profiles in one transaction; those that cannot be are reported in their place.

        An entry that is an error already (the border refused it) is reported as such.
        """
        now = self._clock.now()
        entries: list[NewProfile | VaultError] = []
        for number, entry in enumerate(batch):
            if number % ENTRIES_A_BREATH == 0:
                await asyncio.sleep(0)
            try:
                entries.append(entry if isinstance(entry, VaultError) else self._new(entry, now))
            except Invalid as error:
                entries.append(error)
        news = [entry for entry in entries if isinstance(entry, NewProfile)]

        def result(outcomes: Outcomes) -> list[BatchEntry]:
            taken = iter(outcomes)
            return [
                _entry(entry, next(taken) if isinstance(entry, NewProfile) else None) for entry in entries
            ]

        return (
            await self._answers.once(
                self._store,
                attempt,
                list[BatchEntry],
                lambda keeper: self._store.insert(news, now, keeper),
                result,
            )
            or []
        )

    @with_fresh_keys
    async def get(self, token: str) -> Profile:
        """Open a profile. Raises ``ProfileNotFound`` for unknown, expired and erased alike."""
        row = await self._living(token)
        return self._open(row)

    async def replace(self, token: str, content: Content, if_match: Sequence[int] | None) -> ProfileHead:
        """Put new content in place of all of the old. Errors as ``change``."""
        return await self.change(token, lambda _: content, if_match)

    @with_fresh_keys
    async def change(self, token: str, change: Change, if_match: Sequence[int] | None) -> ProfileHead:
        """Apply a pure function to the content and store what it returns as the next revision.

        ``if_match`` lists the revisions the caller has seen: ``RevisionMismatch`` if it is none of them, now
        or at the moment of writing. Without it the change is applied anew on whatever came in between. Raises
        ``ProfileNotFound``, ``Duplicate``, and whatever ``change`` raises; then nothing was changed.
        """
        for _ in range(TRIES):
            row = await self._living(token)
            if if_match is not None and row.revision not in if_match:
                raise RevisionMismatch
            now = self._clock.now()
            content = change(self._open(row).content)
            sealed = self._seal(token, content)
            changed = ProfileRow(
                token,
                sealed.box,
                sealed.key_version,
                row.revision + 1,
                row.created_at,
                now,
                row.expires_at,
            )
            if await self._store.replace(changed, self._index.profile_tags(content), row.revision):
                return _head(changed)
        raise Conflict

    async def erase(self, token: str) -> None:
        """End the person's sessions for good and delete box and tags. Raises ``ProfileNotFound``."""
        row = await self._store.find(token) if is_user_token(token) else None
        now = self._clock.now()
        if row is None or not await self._erasures.erase(token):
            raise ProfileNotFound
        if row.expires_at is not None and row.expires_at <= now:
            raise ProfileNotFound  # it had expired: gone now, and answered as unknown

    @with_fresh_keys
    async def lookup(self, field_name: str, value: str | int) -> str:
        """Return the token of the profile with this login, email, phone or custom value.

        Raises ``ProfileNotFound``.
        """
        row = await self._store.find_by_tag(self._index.tags(field_name, value))
        if row is None:
            with suppress(KeyringError):  # the watch tells of it; the keys that are loaded go on
                if await self._watch.refresh():  # slept through a rotation, and looked for tags that are gone
                    row = await self._store.find_by_tag(self._index.tags(field_name, value))
        if row is None or not row.is_alive(self._clock.now()):
            raise ProfileNotFound
        return row.token

    @with_fresh_keys
    async def person(self, token: str) -> Person | None:
        """Return what the sessions need to know of a person: until when, and what a claim must not equal."""
        row = await self._store.find(token)
        if row is None or not row.is_alive(self._clock.now()):
            return None
        return Person(row.expires_at, personal_strings(self._open(row).content))

    async def sweep(self, limit: int) -> int:
        """Finish interrupted erasures, erase expired profiles, drop old kept answers: up to ``limit`` of each.

        Returns how many.
        """
        return await self._erasures.sweep(limit) + await self._store.purge_answers(self._clock.now(), limit)

    async def _insert_or_raise(self, new: NewProfile, now: int, keeper: AnswerKeeper | None) -> Outcomes:
        outcomes = await self._store.insert([new], now, keeper)
        if outcomes[0]:
            raise Duplicate(outcomes[0])
        return outcomes

    async def _living(self, token: str) -> ProfileRow:
        row = await self._store.find(token) if is_user_token(token) else None
        if row is None or not row.is_alive(self._clock.now()):
            raise ProfileNotFound
        return row

    def _open(self, row: ProfileRow) -> Profile:
        return Profile(_head(row), self._sealer.open("profile", row.token, row.box))

    def _new(self, new: NewContent, now: int) -> NewProfile:
        token = new_user_token()
        tags = self._index.profile_tags(new.content)
        expires_at = None if new.expires_in is None else self._end(new.expires_in, now)
        sealed = self._seal(token, new.content)
        return NewProfile(ProfileRow(token, sealed.box, sealed.key_version, 1, now, now, expires_at), tags)

    def _seal(self, token: str, content: Content) -> Sealed:
        text = msgspec.json.encode(content)
        if len(text) > self._most_bytes:
            raise Invalid(fields={"profile": f"must be at most {self._most_bytes} bytes of JSON"})
        return self._sealer.seal("profile", token, text)

    def _end(self, expires_in: int, now: int) -> int:
        most = self._settings.max_expires_in
        if most and expires_in > most:
            raise Invalid(fields={"expires_in": f"must be at most {most} seconds"})
        return now + expires_in * 1000


def project(content: Mapping[str, Any], paths: Sequence[str]) -> Content:
    """Return only the named fields, in their places: "address.city" gives {"address": {"city": …}}.

    A path that leads nowhere is left out.
    """
    chosen: Content = {}
    for path in paths:
        found: Any = content
        *parents, last = path.split(".")
        place = chosen
        for name in [*parents, last]:
            if not isinstance(found, dict) or name not in found:
                break
            found = found[name]
        else:
            for name in parents:
                place = place.setdefault(name, {})
            place[last] = found
    return chosen


def _head(row: ProfileRow) -> ProfileHead:
    return ProfileHead(
        row.token, row.revision, row.key_version, row.created_at, row.updated_at, row.expires_at
    )


def _entry(entry: NewProfile | VaultError, taken: str | None) -> BatchEntry:
    error = Duplicate(taken) if taken else entry
    if isinstance(error, VaultError):
        return BatchEntry(code=error.code, fields=dict(error.fields))
    return BatchEntry(token=error.row.token)
