"""Leave to read in bulk, in SQLite (``vault.ports.UnlockStore`` says what each method promises)."""

import sqlite3
from collections.abc import Sequence

from msgspec.structs import astuple

from vault.ports import Entry
from vault.records import UnlockRow
from vault.stores.sqlite.audit import append
from vault.stores.sqlite.database import Database


class SqliteUnlocks:
    """Unlocks, in ``vault.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, row: UnlockRow, entries: Sequence[Entry]) -> None:
        """Insert one."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO unlocks (digest, key_id, reason, expires_at) VALUES (?, ?, ?, ?)", astuple(row)
            )
            append(connection, entries)

        await self._database.writer.run(work)

    async def find(self, digest: bytes) -> UnlockRow | None:
        """Read one row, in the loop."""
        row = self._database.one(
            "SELECT digest, key_id, reason, expires_at FROM unlocks WHERE digest = ?", (digest,)
        )
        return UnlockRow(*row) if row else None

    async def purge(self, now: int, limit: int) -> int:
        """Delete by the index on end."""
        return await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "DELETE FROM unlocks WHERE digest IN"
                    " (SELECT digest FROM unlocks WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
                    (now, limit),
                ).rowcount
            )
        )
