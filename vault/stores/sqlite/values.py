"""Single values in SQLite (``vault.ports.ValueStore`` says what each method promises)."""

import sqlite3
from collections.abc import Generator, Sequence

from vault.ports import DocumentRow, Entry, NewValue, RenewedValue
from vault.records import Tag
from vault.stores.sqlite.audit import ROWS_A_BREATH, append_many
from vault.stores.sqlite.database import Database
from vault.stores.sqlite.documents import insert_document
from vault.stores.sqlite.tags import SqliteTagged, TagTable


class _NotWritten(Exception):
    """Something was another's, or another by now: it undoes this job whole."""


class SqliteValues(SqliteTagged):
    """The tags of documents, in ``vault.db``."""

    _tags = TagTable("value_tags", "name", "documents", "(expires_at IS NULL OR expires_at > :now)")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(
        self,
        news: Sequence[NewValue],
        renewed: Sequence[RenewedValue],
        now: int,
        entries: Sequence[Entry] = (),
    ) -> bool:
        """Insert and swap, or undo."""

        def work(connection: sqlite3.Connection) -> Generator[None, None, bool]:
            for number, new in enumerate(news):
                if number % ROWS_A_BREATH == ROWS_A_BREATH - 1:
                    yield
                row = insert_document(connection, new.sealing, now)
                if self._tags.claim(connection, new.tags, row.name, now):
                    raise _NotWritten
            for number, (old, changed) in enumerate(renewed):
                if number % ROWS_A_BREATH == ROWS_A_BREATH - 1:
                    yield
                if not _swap(connection, old, changed):
                    raise _NotWritten
            yield from append_many(connection, entries)
            return True

        try:
            return await self._database.writer.run(work)
        except _NotWritten:
            return False

    async def find_by_tag(self, tags: Sequence[Tag]) -> DocumentRow | None:
        """Read in the loop."""
        for tag in tags:
            row = self._database.one(
                "SELECT name, owner, box, key_version, created_at, updated_at, expires_at, id"
                " FROM value_tags JOIN documents USING (name) WHERE version = ? AND digest = ?",
                (tag.version, tag.digest),
            )
            if row:
                return DocumentRow(*row)
        return None


def _swap(connection: sqlite3.Connection, old: DocumentRow, new: DocumentRow) -> bool:
    swapped = connection.execute(
        "UPDATE documents SET box = ?, key_version = ?, updated_at = ?, expires_at = ? WHERE id = ? AND box = ?",
        (new.box, new.key_version, new.updated_at, new.expires_at, old.id, old.box),
    )
    return swapped.rowcount == 1
