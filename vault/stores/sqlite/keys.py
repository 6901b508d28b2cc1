"""Known key versions in SQLite (``vault.ports.KeyStore`` says what each method promises)."""

import sqlite3
from collections.abc import Sequence

from msgspec.structs import asdict, astuple

from vault.ports import Entry
from vault.records import KeyRecord
from vault.stores.sqlite.audit import append
from vault.stores.sqlite.database import Database
from vault.stores.sqlite.registry import REGISTRY


class SqliteKeys:
    """Key versions known to ``vault.db``; the rows that use them lie in both files."""

    def __init__(self, database: Database, sessions: Database) -> None:
        self._database = database
        self._sessions = sessions

    async def known(self) -> list[KeyRecord]:
        """Read all."""
        rows = await self._database.all(
            "SELECT line, version, fingerprint, canary, created_at, activated_at, compromised_at, empty_since,"
            " destroyed_at, certificate, public_key FROM key_versions ORDER BY line, version"
        )
        return [KeyRecord(*row) for row in rows]

    async def insert(self, record: KeyRecord, entries: Sequence[Entry] = ()) -> None:
        """Insert one, unless it is there."""

        def work(connection: sqlite3.Connection) -> None:
            inserted = connection.execute(
                "INSERT INTO key_versions (line, version, fingerprint, canary, created_at, activated_at,"
                " compromised_at, empty_since, destroyed_at, certificate, public_key)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                astuple(record),
            )
            if inserted.rowcount:
                append(connection, entries)

        await self._database.writer.run(work)

    async def update(self, record: KeyRecord, entries: Sequence[Entry] = ()) -> None:
        """Update the dates and the certificate of one."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE key_versions SET activated_at = :activated_at, compromised_at = :compromised_at,"
                " empty_since = :empty_since, destroyed_at = :destroyed_at, certificate = :certificate"
                " WHERE line = :line AND version = :version",
                asdict(record),
            )
            append(connection, entries)

        await self._database.writer.run(work)

    async def versions_in_use(self) -> dict[str, set[int]]:
        """Read the distinct versions of every table that holds a box or a tag."""
        files = {"vault": self._database, "sessions": self._sessions}
        data: set[int] = set()
        for one in REGISTRY:
            data |= await _distinct(files[one.schema], one.table, "key_version")
        return {
            "data": data,
            "index": await _distinct(self._database, "tags", "version")
            | await _distinct(self._database, "value_tags", "version"),
            "audit": await _distinct(self._database, "audit_events", "mac_version"),
        }

    async def close(self, line: str, version: int) -> None:
        """Put the fence up in each file, one after the other: each binds the tables of its own file."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO closed_versions (line, version) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (line, version),
            )

        def in_vault(connection: sqlite3.Connection) -> None:
            work(connection)
            if line == "index":
                connection.execute("DELETE FROM required_versions WHERE version = ?", (version,))

        await self._database.writer.run(in_vault)
        await self._sessions.writer.run(work)

    async def reopen(self, line: str, version: int) -> None:
        """Take the fence down in each file."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM closed_versions WHERE line = ? AND version = ?", (line, version))

        await self._database.writer.run(work)
        await self._sessions.writer.run(work)

    async def closed(self) -> set[tuple[str, int]]:
        """Read what is closed in both files: what an interrupted ``close`` left in one alone is not."""
        sql = "SELECT line, version FROM closed_versions"
        return {tuple(row) for row in await self._database.all(sql)} & {
            tuple(row) for row in await self._sessions.all(sql)
        }

    async def require(self, version: int) -> None:
        """Insert the version."""
        await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "INSERT INTO required_versions (version) VALUES (?) ON CONFLICT DO NOTHING", (version,)
                ).rowcount
            )
        )


#: Each version is one jump in an index, where DISTINCT would read every row's entry: a million at each start.
_JUMPS = (
    "WITH RECURSIVE found(n) AS (SELECT min(COLUMN) FROM TABLE UNION ALL"
    " SELECT (SELECT min(COLUMN) FROM TABLE WHERE COLUMN > n) FROM found WHERE n IS NOT NULL)"
    " SELECT n FROM found WHERE n IS NOT NULL"
)


async def _distinct(database: Database, table: str, column: str) -> set[int]:
    sql = _JUMPS.replace("TABLE", table).replace("COLUMN", column)  # names of ours, never a value
    return {version for (version,) in await database.all(sql)}
