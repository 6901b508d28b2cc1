"""Documents: whatever is kept sealed beside profiles and sessions, as JSON objects under names that are no secret.

What the row says of the document (its number, whose it is, how long it lives) is in the box as well, so that whoever
can write to the file but has no key cannot give anything a longer life, another owner or another's number.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from vault.clock import Clock
from vault.crypto.sealer import Sealer
from vault.errors import BoxError, Conflict, RecordNotFound, UnknownKey
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.ports import DocumentRow, DocumentStore, Entry, Former, Sealing

Content = Mapping[str, Any]

#: How often a change is tried again when another writer was faster: one of those who race wins each time.
TRIES = 100

#: What a kind looks like. Of a row whose name was altered, what stands there may be anything, and is not logged.
_KIND = re.compile(r"[a-z-]{1,16}")


@dataclass(frozen=True, slots=True)
class Document:
    """An opened document. ``key`` is its name without the kind; times in milliseconds."""

    id: int
    kind: str
    key: str
    owner: str | None
    content: dict[str, Any] = field(repr=False)
    created_at: int
    updated_at: int
    expires_at: int | None
    #: Of the data key that its box was under when it was opened: no part of what it says.
    key_version: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to keep. ``owner`` is the user token of whose end is its end, ``expires_at`` in milliseconds."""

    kind: str
    key: str
    content: Content = field(repr=False)
    owner: str | None = None
    expires_at: int | None = None


class _Sealed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The plaintext of a document's box, JSON (docs/format.md, "Documents")."""

    id: int
    owner: str | None
    created_at: int
    expires_at: int | None
    content: dict[str, Any]


class Documents:
    """The documents of one vault."""

    def __init__(self, store: DocumentStore, sealer: Sealer, clock: Clock, watch: KeyWatch) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._watch = watch

    async def add(self, new: NewDocument, entries: Sequence[Entry] = ()) -> Document:
        """Keep one document, and record the events. Raises as ``add_all``."""
        [document] = await self.add_all([new], entries)
        return document

    @with_fresh_keys
    async def add_all(self, news: Sequence[NewDocument], entries: Sequence[Entry] = ()) -> list[Document]:
        """Keep all of these in one transaction, or none.

        Raises ``NameTaken`` where a living document has the name, ``ProfileNotFound`` for an owner who is not there.
        """
        now = self._clock.now()
        sealings = [
            self.sealing(
                DocumentRow(f"{new.kind}/{new.key}", new.owner, b"", 0, now, now, new.expires_at), new.content
            )
            for new in news
        ]
        return [self.opened(row) for row in await self._store.insert(sealings, now, entries)]

    @with_fresh_keys
    async def get(self, kind: str, key: str) -> Document:
        """Open a document. Raises ``RecordNotFound`` for unknown, expired and altered alike, ``BoxError``."""
        return self.opened(await self._living(kind, key))

    @with_fresh_keys
    async def get_by_id(self, kind: str, document_id: int) -> Document:
        """Open the document of this kind that has this number. Raises as ``get``."""
        row = await self._store.find_by_id(document_id) if 0 < document_id < 2**63 else None
        if row is None or not row.name.startswith(f"{kind}/") or not row.is_alive(self._clock.now()):
            raise RecordNotFound
        return self.opened(row)

    @with_fresh_keys
    async def change(
        self,
        document: Document,
        change: Callable[[dict[str, Any]], Content],
        entries: Sequence[Entry] = (),
        *,
        key: str | None = None,
        lives_until: Callable[[Document], int | None] | None = None,
        former: Callable[[Document], Former] | None = None,
    ) -> Document:
        """Apply a pure function to the content; on whatever came in between, anew. ``key`` renames.

        ``lives_until`` sets another end; ``former`` says of the document as it was which former versions the change
        leaves. Raises ``RecordNotFound``, ``NameTaken``, ``Conflict``, and as ``change``.
        """
        name = f"{document.kind}/{document.key}"
        for _ in range(TRIES):
            row = await self._living(document.kind, document.key)
            held, now = self.opened(row), self._clock.now()
            changed = replace(
                row,
                name=name if key is None else f"{document.kind}/{key}",
                updated_at=now,
                expires_at=row.expires_at if lives_until is None else lives_until(held),
            )
            new = self.sealed(changed, change(held.content))
            if await self._store.swap(row, new, entries, former(held) if former else None):
                return self.opened(new)
        raise Conflict

    async def remove(self, kind: str, key: str, entries: Sequence[Entry] = (), under: str = "") -> None:
        """Delete a document, with it all whose name (``kind/key``) begins with ``under``, and record the events.

        Raises ``RecordNotFound`` for unknown and expired alike.
        """
        await self._living(kind, key)
        if not await self._store.delete([f"{kind}/{key}"], entries, under):
            raise RecordNotFound

    async def remove_all(self, kind: str, keys: Sequence[str], entries: Sequence[Entry] = ()) -> int:
        """Delete these, and record the events if there was any; return how many there were."""
        return await self._store.delete([f"{kind}/{key}" for key in keys], entries)

    async def page(self, kind: str, under: str = "", offset: int = 0, limit: int = -1) -> list[Document]:
        """Open the documents of a kind whose key begins with ``under``, in the order in which they came.

        ``limit`` -1: all. One that was altered or does not open is left out: it must not hide the others.
        """
        return await self._listed(
            lambda: self._store.page(f"{kind}/{under}", self._clock.now(), offset, limit)
        )

    async def count(self, kind: str, under: str = "") -> int:
        """Count the documents of a kind whose key begins with ``under``; also those that ``page`` leaves out."""
        return await self._store.count(f"{kind}/{under}", self._clock.now())

    async def of_person(self, user_token: str) -> list[Document]:
        """Open all documents of a person but those that ``page`` would leave out."""
        return await self._listed(lambda: self._store.of_owner(user_token, self._clock.now()))

    async def sweep(self, limit: int) -> int:
        """Delete up to ``limit`` documents that have ended; return how many."""
        return await self._store.purge(self._clock.now(), limit)

    def sealing(self, row: DocumentRow, content: Content) -> Sealing:
        """Return what seals a new document when its id is known: in the transaction that keeps it."""
        return lambda number: self.sealed(replace(row, id=number), content)

    def sealed(self, row: DocumentRow, content: Content) -> DocumentRow:
        """Return the row with a box of this content, and of what the row says now."""
        said = _Sealed(row.id, row.owner, row.created_at, row.expires_at, dict(content))
        box, key_version = self._sealer.seal("document", row.name, msgspec.json.encode(said))
        return replace(row, box=box, key_version=key_version)

    async def _living(self, kind: str, key: str) -> DocumentRow:
        row = await self._store.find(f"{kind}/{key}")
        if row is None or not row.is_alive(self._clock.now()):
            raise RecordNotFound
        return row

    async def _listed(self, read: Callable[[], Awaitable[Sequence[DocumentRow]]]) -> list[Document]:
        """Open the rows that open, and log the others."""
        rows = await read()
        outcomes = [self._outcome(row) for row in rows]
        if any(isinstance(one, UnknownKey) for one in outcomes):
            await self._watch.refresh()  # perhaps only this process does not know the key yet
            rows = await read()
            outcomes = [self._outcome(row) for row in rows]
        for row, outcome in zip(rows, outcomes, strict=True):
            if not isinstance(outcome, Document):
                structlog.get_logger().error("document.left_out", where=_kind(row), code=outcome.code)
        return [one for one in outcomes if isinstance(one, Document)]

    def _outcome(self, row: DocumentRow) -> Document | RecordNotFound | BoxError:
        try:
            return self._open(row)
        except (RecordNotFound, BoxError) as error:
            return error

    def opened(self, row: DocumentRow) -> Document:
        """Open a row. Raises ``RecordNotFound`` for one that was altered, ``BoxError``."""
        try:
            return self._open(row)
        except RecordNotFound:
            structlog.get_logger().error("document.row_altered", where=_kind(row))
            raise

    def _open(self, row: DocumentRow) -> Document:
        said = msgspec.json.decode(self._sealer.open("document", row.name, row.box), type=_Sealed)
        columns = (row.id, row.owner, row.created_at, row.expires_at)
        if (said.id, said.owner, said.created_at, said.expires_at) != columns:
            raise RecordNotFound
        kind, _, key = row.name.partition("/")
        return Document(
            row.id, kind, key, row.owner, said.content, row.created_at, row.updated_at, row.expires_at,
            row.key_version,
        )  # fmt: skip


def _kind(row: DocumentRow) -> str | None:
    """Return the kind for a line of the log, if it looks like one."""
    kind = row.name.partition("/")[0]
    return kind if _KIND.fullmatch(kind) else None


def content_in(plaintext: bytes) -> dict[str, Any]:
    """Return the content of a document whose box was opened."""
    return msgspec.json.decode(plaintext, type=_Sealed).content
