"""Known key versions in SQLite (``vault.ports.KeyStore`` says what each method promises)."""

from vault.records import KeyRecord
from vault.stores.sqlite.database import Database


class SqliteKeys:
    """Key versions known to ``vault.db``; the rows that use them lie in both files."""

    def __init__(self, database: Database, sessions: Database) -> None:
        self._database = database
        self._sessions = sessions

    async def known(self) -> list[KeyRecord]:
        """Read all."""
        rows = await self._database.all(
            "SELECT line, version, fingerprint, canary, created_at FROM key_versions ORDER BY line, version"
        )
        return [KeyRecord(*row) for row in rows]

    async def insert(self, record: KeyRecord) -> None:
        """Insert one, unless it is there."""
        await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "INSERT INTO key_versions (line, version, fingerprint, canary, created_at)"
                    " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (record.line, record.version, record.fingerprint, record.canary, record.created_at),
                ).rowcount
            )
        )

    async def versions_in_use(self) -> dict[str, set[int]]:
        """Read the distinct versions of every table that holds a box or a tag."""
        data = await self._database.all(
            "SELECT DISTINCT key_version FROM profiles UNION SELECT DISTINCT key_version FROM answers"
        )
        data += await self._sessions.all(
            "SELECT DISTINCT key_version FROM sessions UNION SELECT DISTINCT key_version FROM answers"
        )
        index = await self._database.all("SELECT DISTINCT version FROM tags")
        return {"data": {version for (version,) in data}, "index": {version for (version,) in index}}
