"""Profiles in SQLite (``vault.ports.ProfileStore`` says what each method promises)."""

import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence

from msgspec.structs import astuple

from vault.errors import Duplicate
from vault.ports import AnswerKeeper, Claimed, Collision, Entry, NewProfile
from vault.records import ProfileRow, SealedRow, Tag
from vault.stores.sqlite.answers import SqliteAnswers, keep, refuse_if_answered
from vault.stores.sqlite.audit import append, forget_details

#: Rows of a bulk insert between two breaths of the event loop: about a millisecond.
ROWS_A_BREATH = 64

_FIND = (
    "SELECT token, box, key_version, revision, created_at, updated_at, expires_at, erasing_at"
    " FROM profiles WHERE token = ?"
)


class SqliteProfiles(SqliteAnswers):
    """Profiles, their tags, and the answers kept with them, in ``vault.db``."""

    async def insert(
        self,
        batch: Sequence[NewProfile],
        now: int,
        keeper: AnswerKeeper | None = None,
        tell: Callable[[ProfileRow, str | None], Entry] | None = None,
    ) -> list[str | None]:
        """Insert each profile whose tags are free."""

        def work(connection: sqlite3.Connection) -> Generator[None, None, list[str | None]]:
            if keeper:
                refuse_if_answered(connection, keeper.digest, now)
            outcomes: list[str | None] = []
            for new in batch:
                if len(outcomes) % ROWS_A_BREATH == ROWS_A_BREATH - 1:
                    yield
                outcomes.append(_insert(connection, new, now))
                if tell:
                    append(connection, [tell(new.row, outcomes[-1])])
            if keeper:
                keep(connection, keeper.keep(outcomes))
            return outcomes

        return await self._database.writer.run(work)

    async def find(self, token: str) -> ProfileRow | None:
        """Read one row, in the loop."""
        row = self._database.one(_FIND, (token,))
        return ProfileRow(*row) if row else None

    async def find_by_tag(self, tags: Sequence[Tag]) -> ProfileRow | None:
        """Read the owner of any of the tags."""
        for tag in tags:
            owner = self._database.one(
                "SELECT token FROM tags WHERE version = ? AND digest = ?", (tag.version, tag.digest)
            )
            if owner:
                return await self.find(owner[0])
        return None

    async def replace(
        self, row: ProfileRow, tags: Sequence[Tag], expected_revision: int, entries: Sequence[Entry] = ()
    ) -> bool:
        """Compare the revision and swap the row."""

        def work(connection: sqlite3.Connection) -> bool:
            updated = connection.execute(
                "UPDATE profiles SET box = ?, key_version = ?, revision = ?, updated_at = ?, expires_at = ?"
                " WHERE token = ? AND revision = ? AND erasing_at IS NULL",
                (
                    row.box,
                    row.key_version,
                    row.revision,
                    row.updated_at,
                    row.expires_at,
                    row.token,
                    expected_revision,
                ),
            )
            if updated.rowcount == 0:
                return False
            connection.execute("DELETE FROM tags WHERE token = ?", (row.token,))
            taken = _claim(connection, tags, row.token, row.updated_at)
            if taken:
                raise Duplicate(taken)  # undoes this job whole
            append(connection, entries)
            return True

        return await self._database.writer.run(work)

    async def note_erasure(self, token: str, now: int, entries: Sequence[Entry] = ()) -> bool:
        """Set the mark, keeping the time of an earlier one."""

        def work(connection: sqlite3.Connection) -> bool:
            marked = connection.execute(
                "UPDATE profiles SET erasing_at = ? WHERE token = ? AND erasing_at IS NULL", (now, token)
            )
            if marked.rowcount:
                append(connection, entries)
                return True
            return (
                connection.execute("SELECT 1 FROM profiles WHERE token = ?", (token,)).fetchone() is not None
            )

        return await self._database.writer.run(work)

    async def unfinished_erasures(self, limit: int) -> list[str]:
        """Read the marks."""
        rows = await self._database.all(
            "SELECT token FROM profiles WHERE erasing_at IS NOT NULL ORDER BY erasing_at LIMIT ?", (limit,)
        )
        return [token for (token,) in rows]

    async def delete(self, token: str) -> None:
        """Delete row, tags and the details of events together."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM tags WHERE token = ?", (token,))
            connection.execute("DELETE FROM profiles WHERE token = ?", (token,))
            forget_details(connection, token)

        await self._database.writer.run(work)

    async def expired(self, now: int, limit: int) -> list[str]:
        """Read expired tokens by the index on expiry."""
        rows = await self._database.all(
            "SELECT token FROM profiles WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", (now, limit)
        )
        return [token for (token,) in rows]

    async def tokens(self, after: str, limit: int, now: int) -> list[str]:
        """Read along the unique index on token."""
        rows = await self._database.all(
            "SELECT token FROM profiles WHERE token > ? AND erasing_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > ?) ORDER BY token LIMIT ?",
            (after, now, limit),
        )
        return [token for (token,) in rows]

    async def add_tags(self, rows: Sequence[tuple[SealedRow, Sequence[Tag]]], now: int) -> Claimed:
        """Compare each box, then claim."""

        def work(connection: sqlite3.Connection) -> Claimed:
            added, collisions = 0, []
            for row, tags in rows:
                unchanged = connection.execute(
                    "SELECT 1 FROM profiles WHERE id = ? AND box = ? AND erasing_at IS NULL"
                    " AND (expires_at IS NULL OR expires_at > ?)",
                    (row.cursor, row.box, now),
                ).fetchone()
                for tag in tags if unchanged else ():
                    if _claim(connection, [tag], row.name, now):
                        collisions.append(Collision(row.name, tag.field))
                    else:
                        added += 1
            return Claimed(added, collisions)

        return await self._database.writer.run(work)

    async def tags_of(self, tokens: Sequence[str]) -> dict[str, set[Tag]]:
        """Read by the index on token."""
        marks = ",".join("?" * len(tokens))
        rows = await self._database.all(
            f"SELECT token, field, version, digest FROM tags WHERE token IN ({marks})",  # noqa: S608 - question marks
            tuple(tokens),
        )
        found: dict[str, set[Tag]] = {}
        for token, field, version, digest in rows:
            found.setdefault(token, set()).add(Tag(field, version, digest))
        return found

    async def orphan_tags(self, limit: int) -> list[str]:
        """Read along the index on token."""
        rows = await self._database.all(
            "SELECT DISTINCT token FROM tags WHERE token NOT IN (SELECT token FROM profiles) LIMIT ?",
            (limit,),
        )
        return [token for (token,) in rows]

    async def tag_census(self) -> dict[int, int]:
        """Count along the primary key."""
        return dict(await self._database.all("SELECT version, count(*) FROM tags GROUP BY version"))

    async def drop_tags(self, version: int, limit: int) -> int:
        """Delete along the primary key."""
        return await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "DELETE FROM tags WHERE version = :version AND digest IN"
                    " (SELECT digest FROM tags WHERE version = :version ORDER BY digest LIMIT :limit)",
                    {"version": version, "limit": limit},
                ).rowcount
            )
        )


def _insert(connection: sqlite3.Connection, new: NewProfile, now: int) -> str | None:
    """Insert one profile with its tags, or nothing; return the field that is taken."""
    taken = _claim(connection, new.tags, new.row.token, now)
    if taken:
        connection.execute("DELETE FROM tags WHERE token = ?", (new.row.token,))
        return taken
    connection.execute(
        "INSERT INTO profiles (token, box, key_version, revision, created_at, updated_at, expires_at, erasing_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        astuple(new.row),
    )
    return None


def _claim(connection: sqlite3.Connection, tags: Iterable[Tag], token: str, now: int) -> str | None:
    """Claim tags; return the field of the first that a living profile holds, having taken nothing over.

    The tags of a field come newest version first, and where that is held the older are not claimed before it:
    the fence (migration 0002) would refuse them.
    """
    held: list[Tag] = []
    for tag in tags:
        if any(tag.field == other.field for other in held) or not _claim_one(connection, tag, token):
            held.append(tag)
    for tag in held:
        # The holder may be dead and merely not swept yet: then its tag is free.
        living = connection.execute(
            "SELECT 1 FROM tags JOIN profiles USING (token) WHERE version = ? AND digest = ? AND token <> ?"
            " AND erasing_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
            (tag.version, tag.digest, token, now),
        ).fetchone()
        if living:
            return tag.field
    for tag in held:
        connection.execute("DELETE FROM tags WHERE version = ? AND digest = ?", (tag.version, tag.digest))
        _claim_one(connection, tag, token)
    return None


def _claim_one(connection: sqlite3.Connection, tag: Tag, token: str) -> bool:
    return (
        connection.execute(
            "INSERT INTO tags (digest, field, version, token) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (tag.digest, tag.field, tag.version, token),
        ).rowcount
        == 1
    )
