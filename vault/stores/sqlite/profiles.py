"""Profiles in SQLite (``vault.ports.ProfileStore`` says what each method promises)."""

import sqlite3
from collections.abc import Callable, Generator, Sequence

from msgspec.structs import astuple

from vault.errors import Duplicate
from vault.ports import AnswerKeeper, Entry, Former, NewProfile
from vault.records import ProfileRow, Tag
from vault.stores.sqlite.answers import SqliteAnswers, keep, refuse_if_answered
from vault.stores.sqlite.audit import append, forget_details
from vault.stores.sqlite.documents import forget_owned, keep_former
from vault.stores.sqlite.tags import SqliteTagged, TagTable

#: Rows of a bulk insert between two breaths of the event loop: about a millisecond.
ROWS_A_BREATH = 64

_FIND = (
    "SELECT token, box, key_version, revision, created_at, updated_at, expires_at, erasing_at, sliding, ends_at"
    " FROM profiles WHERE token = ?"
)


_TAGS = TagTable(
    "tags", "token", "profiles", "erasing_at IS NULL AND (expires_at IS NULL OR expires_at > :now)"
)


class SqliteProfiles(SqliteAnswers, SqliteTagged):
    """Profiles, their tags, and the answers kept with them, in ``vault.db``."""

    _tags = _TAGS

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
        self,
        row: ProfileRow,
        tags: Sequence[Tag],
        expected_revision: int,
        entries: Sequence[Entry] = (),
        former: Former | None = None,
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
            taken = _TAGS.claim(connection, tags, row.token, row.updated_at)
            if taken:
                raise Duplicate(taken)  # undoes this job whole
            if former:
                keep_former(connection, former)
            append(connection, entries)
            return True

        return await self._database.writer.run(work)

    async def put_off(self, token: str, expires_at: int, now: int) -> None:
        """Compare the end, and move it."""
        await self._database.writer.run(
            lambda connection: connection.execute(
                "UPDATE profiles SET expires_at = :end"
                " WHERE token = :token AND erasing_at IS NULL AND expires_at > :now AND expires_at < :end",
                {"token": token, "end": expires_at, "now": now},
            )
        )

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
        """Delete row, tags, documents and the details of events together."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM tags WHERE token = ?", (token,))
            connection.execute("DELETE FROM profiles WHERE token = ?", (token,))
            forget_details(connection, token)
            forget_owned(connection, token)

        await self._database.writer.run(work)

    async def expired(self, now: int, limit: int) -> list[str]:
        """Read expired tokens by the index on expiry."""
        rows = await self._database.all(
            "SELECT token FROM profiles WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", (now, limit)
        )
        return [token for (token,) in rows]

    async def tokens(self, after: str, limit: int, now: int, offset: int = 0) -> list[str]:
        """Read along the unique index on token."""
        rows = await self._database.all(
            "SELECT token FROM profiles WHERE token > ? AND erasing_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > ?) ORDER BY token LIMIT ? OFFSET ?",
            (after, now, limit, offset),
        )
        return [token for (token,) in rows]

    async def count(self, now: int) -> int:
        """Scan for the living."""
        [(count,)] = await self._database.all(
            "SELECT count(*) FROM profiles WHERE erasing_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
            (now,),
        )
        return int(count)


def _insert(connection: sqlite3.Connection, new: NewProfile, now: int) -> str | None:
    """Insert one profile with its tags, or nothing; return the field that is taken."""
    if connection.execute("SELECT 1 FROM profiles WHERE token = ?", (new.row.token,)).fetchone():
        return "token"
    taken = _TAGS.claim(connection, new.tags, new.row.token, now)
    if taken:
        connection.execute("DELETE FROM tags WHERE token = ?", (new.row.token,))
        return taken
    connection.execute(
        "INSERT INTO profiles (token, box, key_version, revision, created_at, updated_at, expires_at, erasing_at,"
        " sliding, ends_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        astuple(new.row),
    )
    return None
