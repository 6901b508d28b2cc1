"""Access keys in SQLite (``vault.ports.AccessStore`` says what each method promises)."""

import builtins
import sqlite3
from collections.abc import Sequence
from typing import Any

from msgspec.structs import astuple

from vault.ports import Entry
from vault.records import AccessKeyRow
from vault.stores.sqlite.audit import append
from vault.stores.sqlite.database import Database


class SqliteAccess:
    """Access keys, in ``vault.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, row: AccessKeyRow, entries: Sequence[Entry] = ()) -> None:
        """Insert one key."""
        sql = "INSERT INTO access_keys (id, box, key_version) VALUES (?, ?, ?)"
        await self._change(sql, astuple(row), entries)

    async def find(self, key_id: str) -> AccessKeyRow | None:
        """Read one key, in the loop."""
        row = self._database.one("SELECT id, box, key_version FROM access_keys WHERE id = ?", (key_id,))
        return AccessKeyRow(*row) if row else None

    async def list(self) -> builtins.list[AccessKeyRow]:
        """Read all keys."""
        rows = await self._database.all("SELECT id, box, key_version FROM access_keys ORDER BY rowid")
        return [AccessKeyRow(*row) for row in rows]

    async def swap(self, old: AccessKeyRow, new: AccessKeyRow, entries: Sequence[Entry] = ()) -> bool:
        """Compare the box and swap it."""
        sql = "UPDATE access_keys SET box = ?, key_version = ? WHERE id = ? AND box = ?"
        return await self._change(sql, (new.box, new.key_version, old.id, old.box), entries)

    async def _change(self, sql: str, parameters: tuple[Any, ...], entries: Sequence[Entry]) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            if not connection.execute(sql, parameters).rowcount:
                return False
            append(connection, entries)
            return True

        return await self._database.writer.run(work)
