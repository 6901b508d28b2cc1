"""Profiles: a person's data in, an opaque user token out."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec.structs import replace

from vault.acting import acting, by_itself
from vault.alarms import Alarms
from vault.audit import Audit
from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.erasure import Erasures
from vault.errors import (
    Conflict,
    Duplicate,
    Invalid,
    PatchFailed,
    ProfileNotFound,
    RevisionMismatch,
    StoreUnavailable,
    VaultError,
)
from vault.idempotency import Answers, Attempt, Outcomes
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.lookups import Lookups
from vault.masking import Content
from vault.personal_data import personal_strings
from vault.ports import AnswerKeeper, Entry, NewProfile, ProfileStore
from vault.profile_views import BatchEntry, NewContent, Profile, ProfileHead, entry_of, head_of
from vault.records import Person, ProfileRow
from vault.sealed_profiles import SealedProfiles, slid
from vault.tokens import is_user_token
from vault.versions import Versions

Change = Callable[[Content], Content]

#: How often a change without If-Match is tried again when another writer was faster: one of those who race for a
#: profile wins each time, so this many may.
TRIES = 100

#: Profiles of a batch that are sealed between two breaths of the event loop: about two milliseconds.
ENTRIES_A_BREATH = 64


class Profiles:
    """The profiles of one vault."""

    def __init__(
        self,
        store: ProfileStore,
        boxes: SealedProfiles,
        lookups: Lookups,
        versions: Versions,
        erasures: Erasures,
        index: BlindIndex,
        answers: Answers,
        audit: Audit,
        alarms: Alarms,
        clock: Clock,
        watch: KeyWatch,
    ) -> None:
        self._store = store
        self._boxes = boxes
        self._lookups = lookups
        self._versions = versions
        self._erasures = erasures
        self._index = index
        self._answers = answers
        self._audit = audit
        self._alarms = alarms
        self._clock = clock
        self._watch = watch

    @with_fresh_keys
    async def create(
        self,
        content: Content,
        expires_in: int | None = None,
        attempt: Attempt | None = None,
        sliding: int | None = None,
        token: str | None = None,
    ) -> ProfileHead:
        """Seal a profile. It ends ``expires_in`` seconds from now, or unused for ``sliding``.

        ``token`` is what a person who moves in from elsewhere is called; None: a new one. Raises ``Duplicate`` naming
        the indexed field that another profile has ("token" also for one that was erased), ``Invalid``,
        ``IdempotencyKeyReused``.
        """
        if token is not None and await self._erasures.was_erased(token):
            raise Duplicate("token")
        now = self._clock.now()
        new = self._new(NewContent(content, expires_in, sliding, token), now)

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
        self,
        token: str,
        fields: Sequence[str] | None = None,
        action: str = "profile.revealed",
        version: int | None = None,
    ) -> Profile:
        """Open a profile, or a former version of it, once that is recorded; one that slides lives on.

        ``fields`` is what will be shown of it, for the record. Raises ``ProfileNotFound`` for unknown, expired and
        erased alike, ``RecordNotFound`` for a version that is not there, ``PurposeMissing``, ``BudgetSpent``, and
        ``AuditUnavailable`` where it cannot be recorded: then nothing is shown.
        """
        self._audit.require_purpose()
        row = await self._boxes.living(token)
        profile = self._boxes.open(row)
        if version is not None:
            profile = await self._versions.open(profile, version)
        await self._audit.reveal(self._revealed(profile, action, fields, version))
        await self._alarms.touched(token)
        with suppress(StoreUnavailable):  # it was open to be seen; not sliding can only shorten its life
            touched = await self._boxes.touch(row)
            profile = Profile(dataclasses.replace(profile.head, expires_at=touched.expires_at), profile.text)
        return profile

    @with_fresh_keys
    async def versions(self, token: str) -> list[Profile]:
        """Open all versions of a profile, the first first, once that is recorded. Raises as ``get``."""
        self._audit.require_purpose()
        versions = await self._versions.of(self._boxes.open(await self._boxes.living(token)))
        by_key = {
            one.head.key_version: one for one in versions
        }.values()  # an event for each key they were under
        await self._audit.reveal(*(self._revealed(one, "profile.versions_listed", None) for one in by_key))
        await self._alarms.touched(token)
        return versions

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
                opened.append(self._boxes.open(row))
        await self._audit.reveal(*(self._revealed(profile, "profile.revealed", None) for profile in opened))
        for profile in opened:
            await self._alarms.touched(profile.head.token)
        return opened

    async def tokens(self, after: str, limit: int, offset: int = 0) -> list[str]:
        """Return up to ``limit`` tokens of living profiles behind ``after`` ("": from the first), in their order."""
        return await self._store.tokens(after, limit, self._clock.now(), offset)

    async def count(self) -> int:
        """Count living profiles."""
        return await self._store.count(self._clock.now())

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
            row = await self._boxes.living(token)
            if if_match is not None and row.revision not in if_match:
                raise RevisionMismatch
            now, held = self._clock.now(), self._boxes.open(row)
            try:
                content = change(held.content)
            except PatchFailed as failed:
                # A "test" that fails tells of a value: it is a reveal, and counts as one.
                await self._audit.reveal(self._audit.event("profile.changed", token, outcome=failed.code))
                raise
            sealed = self._boxes.seal(token, content)
            changed = replace(
                slid(row, now),
                box=sealed.box,
                key_version=sealed.key_version,
                revision=row.revision + 1,
                updated_at=now,
            )
            tags, event = self._index.profile_tags(content), self._audit.event("profile.changed", token)
            former = self._versions.after(held, now)
            if await self._store.replace(changed, tags, row.revision, [event], former):
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

    async def lookup(self, field_name: str, value: str | int) -> str:
        """Return whose login, email, phone or custom value it is. Raises as ``Lookups.token``."""
        return await self._lookups.token(field_name, value)

    async def has(self, token: str, field_name: str, value: str | int) -> bool:
        """Whether this very profile has the value in an indexed field. Raises as ``Lookups.has``."""
        return await self._lookups.has(token, field_name, value)

    @with_fresh_keys
    async def person(self, token: str) -> Person | None:
        """Return what the sessions need to know of a person: until when, and what a claim must not equal."""
        row = await self._store.find(token)
        if row is None or not row.is_alive(self._clock.now()):
            return None
        return Person(row.expires_at, personal_strings(self._boxes.open(row).content))

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

    def _revealed(
        self, profile: Profile, action: str, fields: Sequence[str] | None, version: int | None = None
    ) -> Entry:
        head = profile.head
        details = {"fields": None if fields is None else list(fields), "version": version}
        said = {name: value for name, value in details.items() if value is not None}
        return self._audit.event(action, head.token, said or None, revealed_version=head.key_version)

    async def _insert_or_raise(self, new: NewProfile, now: int, keeper: AnswerKeeper | None) -> Outcomes:
        outcomes = await self._store.insert([new], now, keeper, self._creation_told())
        if outcomes[0]:
            raise Duplicate(outcomes[0])
        return outcomes

    def _new(self, new: NewContent, now: int) -> NewProfile:
        return NewProfile(self._boxes.new(new, now), self._index.profile_tags(new.content))
