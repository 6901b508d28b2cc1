"""The boxes of one registered table in SQLite (``vault.ports.SealedStore`` says what each method promises)."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from vault.records import Quarantined, SealedRow
from vault.stores.sqlite.database import Database
from vault.stores.sqlite.registry import Table


class SqliteSealed:
    """One table of the registry. ``changed`` is told the cursor of each row whose box is replaced."""

    def __init__(
        self, table: Table, database: Database, changed: Callable[[Any], None] = lambda _: None
    ) -> None:
        self._database = database
        self._changed = changed
        self._table = table
        self.name = table.store
        self.purpose = table.purpose

    async def census(self) -> dict[int, int]:
        """Count by the index on key version."""
        return dict(await self._all("SELECT key_version, count(*) FROM TABLE GROUP BY key_version"))

    async def page(
        self, after: int | bytes | None, limit: int, key_version: int | None = None
    ) -> list[SealedRow]:
        """Walk along the primary key, or along the index on key version."""
        if after is None:
            after = b"" if self._table.cursor == "digest" else -1
        chosen, version = ("AND key_version = ?", (key_version,)) if key_version is not None else ("", ())
        rows = await self._all(
            f"SELECT NAME, CURSOR, box, key_version FROM TABLE WHERE CURSOR > ? {chosen} ORDER BY CURSOR LIMIT ?",  # noqa: S608 - our own words
            (after, *version, limit),
        )
        return [self._row(row) for row in rows]

    async def get(self, name: str) -> SealedRow | None:
        """Read by the unique index on the name."""
        value = self._value(name)
        rows = await self._all("SELECT NAME, CURSOR, box, key_version FROM TABLE WHERE NAME = ?", (value,))
        return self._row(rows[0]) if rows else None

    async def swap(self, swaps: Sequence[tuple[SealedRow, bytes, int]]) -> int:
        """Compare each box and swap it."""
        sql = self._sql("UPDATE TABLE SET box = ?, key_version = ? WHERE CURSOR = ? AND box = ?")

        def work(connection: sqlite3.Connection) -> int:
            swapped = 0
            for row, box, key_version in swaps:
                self._changed(row.cursor)
                swapped += connection.execute(sql, (box, key_version, row.cursor, row.box)).rowcount
            return swapped

        return await self._database.writer.run(work)

    async def set_aside(self, row: SealedRow, cause: str, now: int) -> None:
        """Note the row, if its box is unchanged."""
        sql = self._sql(
            "INSERT INTO quarantine (store, name, key_version, cause, noted_at)"
            " SELECT ?, ?, key_version, ?, ? FROM TABLE WHERE CURSOR = ? AND box = ?"
            " ON CONFLICT (store, name) DO NOTHING"
        )
        await self._database.writer.run(
            lambda connection: (
                connection.execute(sql, (self.name, row.name, cause, now, row.cursor, row.box)).rowcount
            )
        )

    async def set_aside_rows(self, limit: int) -> list[Quarantined]:
        """Read the notes."""
        rows = await self._all(
            "SELECT name, key_version, cause, noted_at FROM quarantine WHERE store = ? ORDER BY name LIMIT ?",
            (self.name, limit),
        )
        return [Quarantined(*row) for row in rows]

    async def set_aside_census(self) -> dict[tuple[int, str], int]:
        """Count the notes."""
        rows = await self._all(
            "SELECT key_version, cause, count(*) FROM quarantine WHERE store = ? GROUP BY key_version, cause",
            (self.name,),
        )
        return {(version, cause): count for version, cause, count in rows}

    async def take_back(self, name: str) -> None:
        """Delete the note."""
        await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "DELETE FROM quarantine WHERE store = ? AND name = ?", (self.name, name)
                ).rowcount
            )
        )

    async def discard(self, name: str) -> bool:
        """Delete the row, if there is a note about it; the note goes with it."""
        sql = self._sql(
            "DELETE FROM TABLE WHERE NAME = ? AND EXISTS (SELECT 1 FROM quarantine WHERE store = ? AND name = ?)"
        )

        def work(connection: sqlite3.Connection) -> bool:
            row = connection.execute(
                self._sql("SELECT CURSOR FROM TABLE WHERE NAME = ?"), (value,)
            ).fetchone()
            if row is None or not connection.execute(sql, (value, self.name, name)).rowcount:
                return False
            self._changed(row[0])
            return True

        value = self._value(name)
        return await self._database.writer.run(work)

    async def _all(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        return await self._database.all(self._sql(sql), parameters)

    def _sql(self, sql: str) -> str:
        """Put the registry's own names into a statement; values are always bound."""
        return (
            sql.replace("TABLE", self._table.table)
            .replace("NAME", self._table.name)
            .replace("CURSOR", self._table.cursor)
        )

    def _row(self, row: tuple[Any, ...]) -> SealedRow:
        name, cursor, box, key_version = row
        return SealedRow(name.hex() if isinstance(name, bytes) else str(name), cursor, box, key_version)

    def _value(self, name: str) -> str | bytes:
        if self._table.name != "digest":
            return name
        try:
            return bytes.fromhex(name)
        except ValueError:
            return b""  # no row has this digest
