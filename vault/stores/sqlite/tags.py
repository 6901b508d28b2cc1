"""Blind-index tags in SQLite (``vault.ports.TaggedStore`` says what each method promises)."""

import sqlite3
from collections.abc import Iterable, Sequence

from vault.ports import Claimed, Collision
from vault.records import SealedRow, Tag
from vault.stores.sqlite.database import Database


class TagTable:
    """A table of tags. ``owner`` is the column that names a row, in it and in the table of the rows.

    ``living`` says of a row whether it is alive at ``:now``.
    """

    def __init__(self, table: str, owner: str, rows: str, living: str) -> None:
        self._names = {"TAGS": table, "OWNER": owner, "ROWS": rows, "LIVING": living}
        self._insert = self.sql(
            "INSERT INTO TAGS (digest, field, version, OWNER) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )
        self._is_held = self.sql(
            "SELECT 1 FROM TAGS JOIN ROWS USING (OWNER) WHERE version = :version AND digest = :digest"
            " AND OWNER <> :name AND LIVING"
        )
        self._take = self.sql("DELETE FROM TAGS WHERE version = ? AND digest = ?")

    def sql(self, text: str) -> str:
        """Put the table's own names into a statement; values are always bound."""
        for word, name in self._names.items():
            text = text.replace(word, name)
        return text

    def claim(self, connection: sqlite3.Connection, tags: Iterable[Tag], name: str, now: int) -> str | None:
        """Claim tags; return the field of the first that another living row holds, having taken nothing over.

        The tags of a field come newest version first, and where that is held the older are not claimed before it:
        the fence (migrations 0002 and 0009) would refuse them.
        """
        held: list[Tag] = []
        for tag in tags:
            if any(tag.field == other.field for other in held) or not self._claim(connection, tag, name):
                held.append(tag)
        for tag in held:
            # The holder may be dead and merely not swept yet: then its tag is free.
            asked = {"version": tag.version, "digest": tag.digest, "name": name, "now": now}
            if connection.execute(self._is_held, asked).fetchone():
                return tag.field
        for tag in held:
            connection.execute(self._take, (tag.version, tag.digest))
            self._claim(connection, tag, name)
        return None

    def _claim(self, connection: sqlite3.Connection, tag: Tag, name: str) -> bool:
        inserted = connection.execute(self._insert, (tag.digest, tag.field, tag.version, name))
        return inserted.rowcount == 1


class SqliteTagged:
    """The tags of one table in ``vault.db``: a part of the store of their rows."""

    _database: Database
    _tags: TagTable

    async def add_tags(self, rows: Sequence[tuple[SealedRow, Sequence[Tag]]], now: int) -> Claimed:
        """Compare each box, then claim."""
        unchanged = self._tags.sql("SELECT 1 FROM ROWS WHERE id = :id AND box = :box AND LIVING")

        def work(connection: sqlite3.Connection) -> Claimed:
            added, collisions = 0, []
            for row, tags in rows:
                asked = {"id": row.cursor, "box": row.box, "now": now}
                for tag in tags if connection.execute(unchanged, asked).fetchone() else ():
                    if self._tags.claim(connection, [tag], row.name, now):
                        collisions.append(Collision(row.name, tag.field))
                    else:
                        added += 1
            return Claimed(added, collisions)

        return await self._database.writer.run(work)

    async def tags_of(self, names: Sequence[str]) -> dict[str, set[Tag]]:
        """Read by the index on the rows' names."""
        marks = ",".join("?" * len(names))
        rows = await self._database.all(
            self._tags.sql(f"SELECT OWNER, field, version, digest FROM TAGS WHERE OWNER IN ({marks})"),  # noqa: S608 - question marks
            tuple(names),
        )
        found: dict[str, set[Tag]] = {}
        for name, field, version, digest in rows:
            found.setdefault(name, set()).add(Tag(field, version, digest))
        return found

    async def orphan_tags(self, limit: int) -> list[str]:
        """Read along the index on the rows' names."""
        rows = await self._database.all(
            self._tags.sql(
                "SELECT DISTINCT OWNER FROM TAGS WHERE OWNER NOT IN (SELECT OWNER FROM ROWS) LIMIT ?"
            ),
            (limit,),
        )
        return [name for (name,) in rows]

    async def tag_census(self) -> dict[int, int]:
        """Count along the primary key."""
        return dict(
            await self._database.all(self._tags.sql("SELECT version, count(*) FROM TAGS GROUP BY version"))
        )

    async def drop_tags(self, version: int, limit: int) -> int:
        """Delete along the primary key."""
        delete = self._tags.sql(
            "DELETE FROM TAGS WHERE version = :version AND digest IN"
            " (SELECT digest FROM TAGS WHERE version = :version ORDER BY digest LIMIT :limit)"
        )
        return await self._database.writer.run(
            lambda connection: connection.execute(delete, {"version": version, "limit": limit}).rowcount
        )
