"""Honey tokens and alarms in SQLite (``vault.ports.AlarmStore`` says what each method promises)."""

import builtins
import sqlite3
from collections.abc import Sequence

from msgspec.structs import astuple

from vault.ports import Entry
from vault.records import HoneyToken
from vault.stores.sqlite.audit import append
from vault.stores.sqlite.database import Database


class SqliteAlarms:
    """Honey tokens and alarms, in ``vault.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def plant(self, honey: HoneyToken, entries: Sequence[Entry]) -> None:
        """Insert or replace one."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO honey_tokens (token, suspends, planted_at) VALUES (?, ?, ?)",
                astuple(honey),
            )
            append(connection, entries)

        await self._database.writer.run(work)

    async def remove(self, token: str, entries: Sequence[Entry]) -> bool:
        """Delete one."""

        def work(connection: sqlite3.Connection) -> bool:
            if not connection.execute("DELETE FROM honey_tokens WHERE token = ?", (token,)).rowcount:
                return False
            append(connection, entries)
            return True

        return await self._database.writer.run(work)

    async def planted(self, token: str) -> HoneyToken | None:
        """Read one row, in the loop."""
        row = self._database.one(
            "SELECT token, suspends, planted_at FROM honey_tokens WHERE token = ?", (token,)
        )
        return _honey(row) if row else None

    async def list(self) -> builtins.list[HoneyToken]:
        """Read all."""
        rows = await self._database.all(
            "SELECT token, suspends, planted_at FROM honey_tokens ORDER BY planted_at, token"
        )
        return [_honey(row) for row in rows]

    async def ring(self, alarm: Entry) -> None:
        """Append and note."""

        def work(connection: sqlite3.Connection) -> None:
            append(connection, [alarm])
            connection.execute("INSERT INTO alarms (sequence) SELECT sequence FROM audit_end")

        await self._database.writer.run(work)

    async def undelivered(self, limit: int) -> builtins.list[int]:
        """Read by the index on what is undelivered."""
        rows = await self._database.all(
            "SELECT sequence FROM alarms WHERE delivered_at IS NULL ORDER BY sequence LIMIT ?", (limit,)
        )
        return [sequence for (sequence,) in rows]

    async def delivered(self, sequence: int, now: int) -> None:
        """Set the time."""
        await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "UPDATE alarms SET delivered_at = ? WHERE sequence = ?", (now, sequence)
                ).rowcount
            )
        )


def _honey(row: tuple[str, int, int]) -> HoneyToken:
    token, suspends, planted_at = row
    return HoneyToken(token, bool(suspends), planted_at)
