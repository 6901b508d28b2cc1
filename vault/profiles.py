"""Profiles: a person's data in, an opaque user token out."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog
from msgspec.structs import replace

from vault import config
from vault.acting import acting, by_itself
from vault.alarms import Alarms
from vault.audit import Audit
from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.crypto.sealer import Sealed, Sealer
from vault.erasure import Erasures
from vault.errors import (
    Conflict,
    Duplicate,
    Invalid,
    KeyringError,
    PatchFailed,
    ProfileNotFound,
    RevisionMismatch,
    VaultError,
)
from vault.idempotency import Answers, Attempt, Outcomes
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.masking import Content
from vault.personal_data import personal_strings
from vault.ports import AnswerKeeper, Entry, NewProfile, ProfileStore
from vault.profile_views import BatchEntry, NewContent, Profile, ProfileHead, entry_of, head_of
from vault.records import Person, ProfileRow, Tag
from vault.tokens import is_user_token, new_user_token

Change = Callable[[Content], Content]

#: How often a change without If-Match is tried again when another writer was faster: one of those who race for a
#: profile wins each time, so this many may.
TRIES = 100

#: Profiles of a batch that are sealed between two breaths of the event loop: about two milliseconds.
ENTRIES_A_BREATH = 64


class Profiles:
    """The profiles of one vault. ``most_bytes`` bounds a profile's JSON text, however it came or grew."""

    def __init__(
        self,
        store: ProfileStore,
        erasures: Erasures,
        sealer: Sealer,
        index: BlindIndex,
        answers: Answers,
        audit: Audit,
        alarms: Alarms,
        clock: Clock,
        watch: KeyWatch,
        settings: config.Profiles,
        most_bytes: int,
    ) -> None:
        self._store = store
        self._erasures = erasures
        self._sealer = sealer
        self._index = index
        self._answers = answers
        self._audit = audit
        self._alarms = alarms
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
            return None if outcomes[0] else head_of(new.row)

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
                entry_of(entry, next(taken) if isinstance(entry, NewProfile) else None) for entry in entries
            ]

        return (
            await self._answers.once(
                self._store,
                attempt,
                list[BatchEntry],
                lambda keeper: self._store.insert(news, now, keeper, self._creation_told()),
                result,
            )
            or []
        )

    @with_fresh_keys
    async def get(
        self, token: str, fields: Sequence[str] | None = None, action: str = "profile.revealed"
    ) -> Profile:
        """Open a profile, once that is recorded. ``fields`` is what will be shown of it, for the record.

        Raises ``ProfileNotFound`` for unknown, expired and erased alike, ``PurposeMissing``, ``BudgetSpent``, and
        ``AuditUnavailable`` where it cannot be recorded: then nothing is shown.
        """
        self._audit.require_purpose()
        row = await self._living(token)
        profile = self._open(row)
        await self._audit.reveal(self._revealed(profile, action, fields))
        await self._alarms.touched(token)
        return profile

    @with_fresh_keys
    async def get_many(self, tokens: Sequence[str]) -> list[Profile]:
        """Open profiles, once that is recorded of each; those that are unknown are left out. Raises as ``get``."""
        self._audit.require_purpose()
        now, opened = self._clock.now(), []
        for number, token in enumerate(dict.fromkeys(tokens)):
            if number % ENTRIES_A_BREATH == 0:
                await asyncio.sleep(0)
            row = await self._store.find(token) if is_user_token(token) else None
            if row is not None and row.is_alive(now):
                opened.append(self._open(row))
        await self._audit.reveal(*(self._revealed(profile, "profile.revealed", None) for profile in opened))
        for profile in opened:
            await self._alarms.touched(profile.head.token)
        return opened

    async def tokens(self, after: str, limit: int) -> list[str]:
        """Return up to ``limit`` tokens of living profiles behind ``after`` ("": from the first), in their order."""
        return await self._store.tokens(after, limit, self._clock.now())

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
            try:
                content = change(self._open(row).content)
            except (
                PatchFailed
            ) as failed:  # a "test" that fails tells of a value: it is a reveal, and counts as one
                await self._audit.reveal(self._audit.event("profile.changed", token, outcome=failed.code))
                raise
            sealed = self._seal(token, content)
            changed = replace(
                row, box=sealed.box, key_version=sealed.key_version, revision=row.revision + 1, updated_at=now
            )
            event = self._audit.event("profile.changed", token)
            if await self._store.replace(changed, self._index.profile_tags(content), row.revision, [event]):
                await self._alarms.touched(token)
                return head_of(changed)
        raise Conflict

    @with_fresh_keys
    async def erase(self, token: str) -> str:
        """End the person's sessions for good, delete box and tags; return the receipt. Raises ``ProfileNotFound``."""
        row = await self._store.find(token) if is_user_token(token) else None
        if row is None:
            raise ProfileNotFound
        await self._alarms.touched(token)
        now = self._clock.now()
        receipt = await self._erasures.erase(token)
        if receipt is None or (row.expires_at is not None and row.expires_at <= now):
            raise ProfileNotFound  # it had expired: gone now, and answered as unknown
        return receipt

    @with_fresh_keys
    async def lookup(self, field_name: str, value: str | int) -> str:
        """Return the token of the profile with this login, email, phone or custom value, once that is recorded.

        A tag is a row like any other, so the profile that it leads to is opened and has to have the value itself.
        Raises ``ProfileNotFound``, ``AuditUnavailable``, and ``BoxError`` for one that does not open.
        """
        tags = self._index.tags(field_name, value)
        row = await self._store.find_by_tag(tags)
        if row is None:
            with suppress(KeyringError):  # the watch tells of it; the keys that are loaded go on
                if await self._watch.refresh():  # slept through a rotation, and looked for tags that are gone
                    tags = self._index.tags(field_name, value)
                    row = await self._store.find_by_tag(tags)
        if row is None or not row.is_alive(self._clock.now()) or not self._has(row, field_name, tags):
            # Recorded too: whoever tries values one after the other leaves a trace.
            await self._audit.record(self._looked_up(field_name, None, ProfileNotFound.code))
            raise ProfileNotFound
        await self._audit.record(self._looked_up(field_name, row.token))
        await self._alarms.touched(row.token)
        return row.token

    @with_fresh_keys
    async def person(self, token: str) -> Person | None:
        """Return what the sessions need to know of a person: until when, and what a claim must not equal."""
        row = await self._store.find(token)
        if row is None or not row.is_alive(self._clock.now()):
            return None
        return Person(row.expires_at, personal_strings(self._open(row).content))

    @with_fresh_keys
    async def sweep(self, limit: int) -> int:
        """Finish erasures, erase expired profiles, drop old answers: up to ``limit`` of each; return how many."""
        with by_itself():
            erased = await self._erasures.sweep(limit)
        return erased + await self._store.purge_answers(self._clock.now(), limit)

    @with_fresh_keys
    async def erase_again(self, limit: int) -> int:
        """Erase again whom a backup of the profiles brought back; return how many."""
        return await self._erasures.erase_again(limit)

    def _creation_told(self) -> Callable[[ProfileRow, str | None], Entry]:
        by = acting.get()  # it is called in the transaction, and so not in this request's context

        def tell(row: ProfileRow, taken: str | None) -> Entry:
            token, details = (None, {"field": taken}) if taken else (row.token, None)
            outcome = Duplicate.code if taken else "ok"
            return self._audit.event("profile.created", token, details, outcome=outcome, by=by)

        return tell

    def _revealed(self, profile: Profile, action: str, fields: Sequence[str] | None) -> Entry:
        head, details = profile.head, None if fields is None else {"fields": list(fields)}
        return self._audit.event(action, head.token, details, revealed_version=head.key_version)

    def _looked_up(self, field_name: str, token: str | None, outcome: str = "ok") -> Entry:
        return self._audit.event("profile.looked_up", token, {"field": field_name}, outcome=outcome)

    async def _insert_or_raise(self, new: NewProfile, now: int, keeper: AnswerKeeper | None) -> Outcomes:
        outcomes = await self._store.insert([new], now, keeper, self._creation_told())
        if outcomes[0]:
            raise Duplicate(outcomes[0])
        return outcomes

    async def _living(self, token: str) -> ProfileRow:
        row = await self._store.find(token) if is_user_token(token) else None
        if row is None or not row.is_alive(self._clock.now()):
            raise ProfileNotFound
        return row

    def _has(self, row: ProfileRow, field_name: str, tags: Sequence[Tag]) -> bool:
        found = self._index.tags(field_name, self._open(row).content.get(field_name))
        if not (has := not set(found).isdisjoint(tags)):
            structlog.get_logger().error("tag.misleads")
        return has

    def _open(self, row: ProfileRow) -> Profile:
        return Profile(head_of(row), self._sealer.open("profile", row.token, row.box))

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
