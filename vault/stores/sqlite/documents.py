"""Documents in SQLite (``vault.ports.DocumentStore`` says what each method promises)."""

import sqlite3
from collections.abc import Generator, Sequence

from msgspec.structs import astuple

from vault.errors import NameTaken, ProfileNotFound
from vault.ports import DocumentRow, Entry, Former, Sealing
from vault.stores.sqlite.audit import ROWS_A_BREATH, append, append_many
from vault.stores.sqlite.database import Database

_SELECT = "SELECT name, owner, box, key_version, created_at, updated_at, expires_at, id FROM documents"

#: What has a prefix lies between it and what a prefix with the highest code point would be: the index is walked.
_PREFIX = " WHERE name >= ? AND name < ? || char(1114111)"
_UNDER = _PREFIX + " AND (expires_at IS NULL OR expires_at > ?)"

#: The id that AUTOINCREMENT would give: higher than any that there is, and than any that there was.
_NEXT_ID = (
    "SELECT 1 + max(coalesce((SELECT max(id) FROM documents), 0),"
    " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'documents'), 0))"
)


class SqliteDocuments:
    """Documents, in ``vault.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(
        self, news: Sequence[Sealing], now: int, entries: Sequence[Entry] = ()
    ) -> list[DocumentRow]:
        """Insert each, in place of one that has ended."""

        def work(connection: sqlite3.Connection) -> Generator[None, None, list[DocumentRow]]:
            rows: list[DocumentRow] = []
            for sealing in news:
                if len(rows) % ROWS_A_BREATH == ROWS_A_BREATH - 1:
                    yield
                rows.append(insert_document(connection, sealing, now))
            yield from append_many(connection, entries)
            return rows

        return await self._database.writer.run(work)

    async def find(self, name: str) -> DocumentRow | None:
        """Read one row, in the loop."""
        row = self._database.one(_SELECT + " WHERE name = ?", (name,))
        return DocumentRow(*row) if row else None

    async def find_by_id(self, document_id: int) -> DocumentRow | None:
        """Read one row, in the loop."""
        row = self._database.one(_SELECT + " WHERE id = ?", (document_id,))
        return DocumentRow(*row) if row else None

    async def swap(
        self,
        old: DocumentRow,
        new: DocumentRow,
        entries: Sequence[Entry] = (),
        former: Former | None = None,
    ) -> bool:
        """Compare the box and swap the row."""

        def work(connection: sqlite3.Connection) -> bool:
            same = "SELECT 1 FROM documents WHERE id = ? AND box = ?"
            if connection.execute(same, (old.id, old.box)).fetchone() is None:
                return False
            if new.name != old.name:
                _free(connection, new.name, new.updated_at)
            connection.execute(
                "UPDATE documents SET name = ?, box = ?, key_version = ?, updated_at = ?, expires_at = ? WHERE id = ?",
                (new.name, new.box, new.key_version, new.updated_at, new.expires_at, old.id),
            )
            if former:
                keep_former(connection, former)
            append(connection, entries)
            return True

        return await self._database.writer.run(work)

    async def delete(self, names: Sequence[str], entries: Sequence[Entry] = (), under: str = "") -> int:
        """Delete by the index on name."""

        def work(connection: sqlite3.Connection) -> Generator[None, None, int]:
            deleted = 0
            for number, name in enumerate(names):
                if number % ROWS_A_BREATH == ROWS_A_BREATH - 1:
                    yield
                deleted += connection.execute("DELETE FROM documents WHERE name = ?", (name,)).rowcount
            if deleted and under:
                connection.execute(f"DELETE FROM documents{_PREFIX}", (under, under))  # noqa: S608 - our own words
            if deleted:
                yield from append_many(connection, entries)
            return deleted

        return await self._database.writer.run(work)

    async def page(self, under: str, now: int, offset: int, limit: int) -> list[DocumentRow]:
        """Read along the index on name."""
        rows = await self._database.all(
            f"{_SELECT}{_UNDER} ORDER BY id LIMIT ? OFFSET ?", (under, under, now, limit, offset)
        )
        return [DocumentRow(*row) for row in rows]

    async def count(self, under: str, now: int) -> int:
        """Count along the index on name."""
        [(count,)] = await self._database.all(
            f"SELECT count(*) FROM documents{_UNDER}",  # noqa: S608 - our own words
            (under, under, now),
        )
        return int(count)

    async def of_owner(self, owner: str, now: int) -> list[DocumentRow]:
        """Read by the index on owner."""
        rows = await self._database.all(
            f"{_SELECT} WHERE owner = ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY id", (owner, now)
        )
        return [DocumentRow(*row) for row in rows]

    async def purge(self, now: int, limit: int) -> int:
        """Delete by the index on end."""
        return await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "DELETE FROM documents WHERE id IN"
                    " (SELECT id FROM documents WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
                    (now, limit),
                ).rowcount
            )
        )


def forget_owned(connection: sqlite3.Connection, owner: str) -> None:
    """Delete all documents of a person. Inside the transaction of the erasure."""
    connection.execute("DELETE FROM documents WHERE owner = ?", (owner,))


def keep_former(connection: sqlite3.Connection, former: Former) -> None:
    """Keep a former version, and no more of them than may be. Inside the transaction of the change."""
    if former.sealing:
        _put(connection, former.sealing(_next_id(connection)))
    connection.execute(
        "DELETE FROM documents WHERE id IN (SELECT id FROM documents WHERE name >= :under"
        " AND name < :under || char(1114111) ORDER BY id DESC LIMIT -1 OFFSET :most)",
        {"under": former.under, "most": former.most},
    )


def insert_document(connection: sqlite3.Connection, sealing: Sealing, now: int) -> DocumentRow:
    """Insert a document in place of one that has ended; return its row. Raises as ``DocumentStore.insert``."""
    row = sealing(_next_id(connection))
    if row.owner is not None and not _is_alive(connection, row.owner, now):
        raise ProfileNotFound  # undoes this job whole
    _free(connection, row.name, now)
    _put(connection, row)
    return row


def _next_id(connection: sqlite3.Connection) -> int:
    return int(connection.execute(_NEXT_ID).fetchone()[0])


def _free(connection: sqlite3.Connection, name: str, now: int) -> None:
    """Delete the document of this name if it has ended; raise ``NameTaken`` if it has not."""
    connection.execute("DELETE FROM documents WHERE name = ? AND expires_at <= ?", (name, now))
    if connection.execute("SELECT 1 FROM documents WHERE name = ?", (name,)).fetchone():
        raise NameTaken


def _put(connection: sqlite3.Connection, row: DocumentRow) -> None:
    connection.execute(
        "INSERT INTO documents (name, owner, box, key_version, created_at, updated_at, expires_at, id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        astuple(row),
    )


def _is_alive(connection: sqlite3.Connection, token: str, now: int) -> bool:
    found = connection.execute(
        "SELECT 1 FROM profiles WHERE token = ? AND erasing_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
        (token, now),
    ).fetchone()
    return found is not None
