"""Serving processes in SQLite (``vault.ports.ProcessStore`` says what each method promises)."""

import builtins

from msgspec.structs import astuple

from vault.records import ServingProcess
from vault.stores.sqlite.database import Database


class SqliteProcesses:
    """Serving processes, in ``vault.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, process: ServingProcess) -> None:
        """Insert or replace one."""
        await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "INSERT OR REPLACE INTO processes (id, host, pid, started_at, seen_at, generation, versions)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    astuple(process),
                ).rowcount
            )
        )

    async def forget(self, process_id: str) -> None:
        """Delete one."""
        await self._database.writer.run(
            lambda connection: (
                connection.execute("DELETE FROM processes WHERE id = ?", (process_id,)).rowcount
            )
        )

    async def list(self) -> builtins.list[ServingProcess]:
        """Read all."""
        rows = await self._database.all(
            "SELECT id, host, pid, started_at, seen_at, generation, versions FROM processes ORDER BY started_at, id"
        )
        return [ServingProcess(*row) for row in rows]
