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
        data = await _distinct(self._database, "profiles", "answers")
        data |= await _distinct(self._sessions, "sessions", "answers")
        return {"data": data, "index": await _distinct(self._database, "tags")}


#: Each version is one jump in an index, where DISTINCT would read every row's entry: a million at each start.
_JUMPS = (
    "WITH RECURSIVE found(n) AS (SELECT min(COLUMN) FROM TABLE UNION ALL"
    " SELECT (SELECT min(COLUMN) FROM TABLE WHERE COLUMN > n) FROM found WHERE n IS NOT NULL)"
    " SELECT n FROM found WHERE n IS NOT NULL"
)


async def _distinct(database: Database, *tables: str) -> set[int]:
    found: set[int] = set()
    for table in tables:
        column = "version" if table == "tags" else "key_version"
        sql = _JUMPS.replace("TABLE", table).replace("COLUMN", column)  # names of ours, never a value
        found |= {version for (version,) in await database.all(sql)}
    return found
