"""Single values: a card's number, an e-mail address or a text goes in, a token that tells nothing of it comes out.

A card has a second token that looks like a card's number. Values are documents; those that have to be found otherwise
than by name (by that second token, or to be unique) have blind-index tags.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import structlog
from msgspec.structs import replace

from vault.audit import Audit
from vault.card_tokens import LENGTHS, is_card_number, new_card_token
from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.documents import Document, Documents
from vault.errors import Conflict, Invalid, KeyringError, RecordNotFound, VaultError
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.ports import DocumentRow, DocumentStore, Entry, NewValue, RenewedValue, ValueStore
from vault.records import Tag
from vault.tokens import is_user_token, new_user_token

KIND = "value"
CARD = "creditcard"
TYPES = (CARD, "email", "text")

#: Names of tags; no field of a profile is called so. What is tagged by VALUE is the type and the value.
VALUE, BASE = "value", "tokenbase"

#: How often a write is tried again when another was faster: one of those who race wins each time.
TRIES = 100

#: Values of a batch that are sealed between two breaths of the event loop: about two milliseconds.
ENTRIES_A_BREATH = 64

#: Milliseconds by which the end of a value that slides is moved at least, or by a tenth of its window: as sessions.
STEP = 60_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be kept, as it was sent."""

    tokentype: Any
    record: Any = field(repr=False)


class Lifetime(NamedTuple):
    """How long a value lives, in seconds from now: at most, and unused. None: for ever."""

    final: int | None = None
    sliding: int | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """An opened value. ``base`` is the token of a card that looks like a card's number."""

    token: str
    base: str | None
    tokentype: str
    record: str | int = field(repr=False)


class Kept(NamedTuple):
    """What became of one record."""

    value: Value
    is_new: bool


class Values:
    """The values of one vault. ``most_bytes`` bounds each, ``most_seconds`` what it may ask to live."""

    def __init__(
        self,
        store: ValueStore,
        rows: DocumentStore,
        documents: Documents,
        index: BlindIndex,
        audit: Audit,
        clock: Clock,
        watch: KeyWatch,
        most_bytes: int,
        most_seconds: int,
    ) -> None:
        self._store = store
        self._rows = rows
        self._documents = documents
        self._index = index
        self._audit = audit
        self._clock = clock
        self._watch = watch
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds

    async def create(self, wanted: Wanted, lifetime: Lifetime, *, unique: bool) -> Value:
        """Keep one value. Raises ``Invalid``, and as ``create_many``."""
        [kept] = await self.create_many([wanted], lifetime, unique=unique)
        if isinstance(kept, VaultError):
            raise kept
        return kept.value

    @with_fresh_keys
    async def create_many(
        self, wanted: Sequence[Wanted], lifetime: Lifetime, *, unique: bool
    ) -> list[Kept | VaultError]:
        """Keep all that can be in one transaction; the others are reported in their place.

        With ``unique`` a value that is here under that word already keeps its tokens, and lives as if it came now.
        Raises ``Conflict`` where others keep writing the same.
        """
        checked = [self._checked(one) for one in wanted]
        for _ in range(TRIES):
            plan = await self._plan(checked, lifetime, unique=unique)
            if await self._store.write(plan.news, plan.renewed, self._clock.now(), plan.entries):
                return plan.kept
        raise Conflict

    async def get(self, token: str) -> Value:
        """Open a value by either token, once that is recorded. Raises ``RecordNotFound``, and as ``Profiles.get``."""
        self._audit.require_purpose()
        document = await self._find(token)
        if document is None:
            raise RecordNotFound
        await self._audit.reveal(self._event("value.revealed", document))
        await self._slide(document)
        return _value_of(document.key, document.content)

    async def get_many(self, tokens: Sequence[str]) -> list[Value]:
        """Open values, once that is recorded of each; those that are unknown are left out. Raises as ``get``."""
        self._audit.require_purpose()
        found = await self._find_all(tokens)
        await self._audit.reveal(*(self._event("value.revealed", document) for document in found))
        await asyncio.gather(*(self._slide(document) for document in found))
        return [_value_of(document.key, document.content) for document in found]

    async def erase(self, token: str) -> None:
        """Delete a value: neither token leads anywhere. Raises ``RecordNotFound``."""
        if not await self.erase_many([token]):
            raise RecordNotFound

    async def erase_many(self, tokens: Sequence[str]) -> int:
        """Delete values in one transaction; return how many there were."""
        found = await self._find_all(tokens)
        events = [self._event("value.erased", document) for document in found]
        return await self._documents.remove_all(KIND, [document.key for document in found], events)

    # --- what is written ---

    def _checked(self, wanted: Wanted) -> Wanted | Invalid:
        tokentype, record = wanted.tokentype, wanted.record
        if tokentype not in TYPES:
            return Invalid(fields={"tokentype": f"must be one of {', '.join(TYPES)}"})
        if isinstance(record, bool) or not isinstance(record, str | int) or record == "":
            return Invalid(fields={"record": "must be text or a whole number"})
        if tokentype == CARD and not is_card_number(str(record)):
            return Invalid(fields={"record": f"must be {LENGTHS.start} to {LENGTHS.stop - 1} digits"})
        if len(str(record).encode()) > self._most_bytes:
            return Invalid(fields={"record": f"must be at most {self._most_bytes} bytes"})
        return wanted

    async def _plan(
        self, checked: Sequence[Wanted | Invalid], lifetime: Lifetime, *, unique: bool
    ) -> "_Plan":
        """Seal what is new, and anew what is here."""
        plan, now = _Plan(), self._clock.now()
        lives = {
            "sliding": self._milliseconds(lifetime.sliding),
            "ends_at": None if lifetime.final is None else now + (self._milliseconds(lifetime.final) or 0),
        }
        seen: dict[Sequence[Tag], Value] = {}
        for number, one in enumerate(checked):
            if number % ENTRIES_A_BREATH == 0:
                await asyncio.sleep(0)
            if isinstance(one, Invalid):
                plan.kept.append(one)
                continue
            tags = tags_of(self._index, {**asdict(one), "unique": unique})
            if tags and tags in seen:
                plan.kept.append(Kept(seen[tags], is_new=False))
                continue
            row = await self._living_by_tag(tags) if tags else None
            content = self._content(one, row, tags) | lives | {"unique": unique}
            token = row.name.removeprefix(f"{KIND}/") if row else new_user_token()
            old = row or DocumentRow(f"{KIND}/{token}", None, b"", 0, now, now)
            new = replace(old, updated_at=now, expires_at=_end(content, now))
            if row:
                plan.renewed.append(RenewedValue(row, self._documents.sealed(new, content)))
            else:
                sealing = self._documents.sealing(new, content)
                plan.news.append(NewValue(sealing, tags_of(self._index, content)))
            value = _value_of(token, content)
            plan.entries.append(self._audit.event("value.renewed" if row else "value.created", token))
            plan.kept.append(Kept(value, is_new=row is None))
            if tags:
                seen[tags] = value
        return plan

    def _content(self, wanted: Wanted, row: DocumentRow | None, tags: Sequence[Tag]) -> dict[str, Any]:
        """Return what is kept of a value but for how long it lives.

        A tag is a row like any other, so the value that it leads to is opened and has to be the wanted one: else
        ``Conflict``.
        """
        if row is None:
            base = new_card_token(str(wanted.record)) if wanted.tokentype == CARD else None
            return {**asdict(wanted), "tokenbase": base}
        content = self._documents.opened(row).content
        if not set(tags_of(self._index, content)).issuperset(tags):
            structlog.get_logger().error("tag.misleads")
            raise Conflict
        return content

    def _milliseconds(self, seconds: int | None) -> int | None:
        return None if seconds is None else min(seconds, self._most_seconds) * 1000

    # --- what is found ---

    async def _find_all(self, tokens: Sequence[str]) -> list[Document]:
        found: dict[str, Document] = {}
        for number, token in enumerate(tokens):
            if number % ENTRIES_A_BREATH == 0:
                await asyncio.sleep(0)
            if document := await self._find(token):
                found.setdefault(document.key, document)
        return list(found.values())

    @with_fresh_keys
    async def _find(self, token: str) -> Document | None:
        """Open the value that a token leads to, if it is alive and has the token itself."""
        row = None
        if is_user_token(token.lower()):
            row = await self._rows.find(f"{KIND}/{token.lower()}")
        elif is_card_number(token):
            row = await self._living_by_tag(self._index.exact_tags(BASE, token))
            if row is None:
                # Slept through a rotation, and looked for tags that are gone? Of a keyring in trouble the watch tells.
                with suppress(KeyringError):
                    if await self._watch.refresh():
                        row = await self._living_by_tag(self._index.exact_tags(BASE, token))
        if row is None or not row.is_alive(self._clock.now()):
            return None
        with suppress(RecordNotFound):  # the row was altered
            document = self._documents.opened(row)
            if token.lower() in (document.key, document.content["tokenbase"]):
                return document
            structlog.get_logger().error("tag.misleads")
        return None

    async def _living_by_tag(self, tags: Sequence[Tag]) -> DocumentRow | None:
        row = await self._store.find_by_tag(tags)
        return row if row and row.is_alive(self._clock.now()) else None

    async def _slide(self, document: Document) -> None:
        """Put the end of a value off that was used, if it slides."""
        now, sliding = self._clock.now(), document.content["sliding"]
        end = _end(document.content, now)
        if sliding is None or end is None or document.expires_at is None:
            return
        if end - document.expires_at >= min(STEP, sliding // 10):
            with suppress(RecordNotFound, Conflict):  # deleted meanwhile, or put off by others
                await self._documents.change(
                    document, lambda content: content, lives_until=lambda held: _end(held.content, now)
                )

    def _event(self, action: str, document: Document) -> Entry:
        version = document.key_version if action == "value.revealed" else None
        return self._audit.event(action, document.key, revealed_version=version)


@dataclass(slots=True)
class _Plan:
    """What a call writes, and what it answers."""

    kept: list[Kept | VaultError] = field(default_factory=list)
    news: list[NewValue] = field(default_factory=list)
    renewed: list[RenewedValue] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def tags_of(index: BlindIndex, content: Mapping[str, Any]) -> tuple[Tag, ...]:
    """Return the tags by which a value is found under every live index version."""
    tags: tuple[Tag, ...] = ()
    if content["unique"]:
        tags += index.exact_tags(VALUE, f"{content['tokentype']}:{content['record']}")
    if content.get("tokenbase"):
        tags += index.exact_tags(BASE, content["tokenbase"])
    return tags


def _value_of(token: str, content: Mapping[str, Any]) -> Value:
    return Value(token, content["tokenbase"], content["tokentype"], content["record"])


def _end(content: Mapping[str, Any], now: int) -> int | None:
    """Return when a value ends that is used now."""
    slid = None if content["sliding"] is None else now + content["sliding"]
    return min((end for end in (slid, content["ends_at"]) if end is not None), default=None)
