"""Sessions in SQLite (``vault.ports.SessionStore`` says what each method promises).

Only ``insert`` adds a row. Everything else is a conditional UPDATE or a DELETE, whose row count is the
verdict: a request that runs beside a logout cannot bring the session back.
"""

import sqlite3
from typing import Literal

from msgspec.structs import asdict

from vault.errors import Conflict, SessionLimit, SessionNotFound
from vault.ports import AnswerKeeper
from vault.records import SessionRow
from vault.stores.sqlite.answers import SqliteAnswers, keep, refuse_if_answered
from vault.stores.sqlite.database import Database
from vault.stores.sqlite.generations import Generations

_SELECT = (
    "SELECT digest, handle, user_token, box, key_version, epoch, lifetime, idle_timeout, created_at,"
    " authenticated_at, last_seen_at, expires_at, idle_expires_at FROM sessions"
)
_FIND = f"{_SELECT} WHERE digest = ?"

#: Rows that are kept in memory, about 900 bytes each.
MOST_KEPT = 20_000


class SqliteSessions(SqliteAnswers):
    """Sessions, epochs, and the answers kept with them, in ``sessions.db``.

    Every job that changes or deletes a row says so to ``generations``, so that no process goes on with a kept one.
    """

    def __init__(self, database: Database, generations: Generations) -> None:
        super().__init__(database)
        self._generations = generations
        self._kept: dict[bytes, tuple[int, SessionRow]] = {}

    async def epoch(self, user_token: str) -> int | None:
        """Read the epoch, in the loop."""
        row = self._database.one("SELECT epoch, closed_at FROM epochs WHERE user_token = ?", (user_token,))
        if row is None:
            return 0
        epoch, closed_at = row
        return None if closed_at is not None else int(epoch)

    async def insert(
        self,
        row: SessionRow,
        limit: int,
        at_limit: Literal["end_oldest", "refuse"],
        now: int,
        keeper: AnswerKeeper | None = None,
        replacing: str | None = None,
    ) -> int:
        """Insert, if the epoch has not moved since it was read."""

        def work(connection: sqlite3.Connection) -> int:
            if keeper:
                refuse_if_answered(connection, keeper.digest, now)
            if replacing is not None and not self._delete(
                connection, "DELETE FROM sessions WHERE handle = ? RETURNING digest", replacing
            ):
                raise Conflict
            inserted = connection.execute(
                "INSERT INTO sessions (digest, handle, user_token, box, key_version, epoch, lifetime,"
                " idle_timeout, created_at, authenticated_at, last_seen_at, expires_at, idle_expires_at)"
                " SELECT :digest, :handle, :user_token, :box, :key_version, :epoch, :lifetime, :idle_timeout,"
                " :created_at, :authenticated_at, :last_seen_at, :expires_at, :idle_expires_at"
                " WHERE :epoch >= 0 AND :epoch = coalesce((SELECT CASE WHEN closed_at IS NOT NULL THEN -1"
                " ELSE epoch END FROM epochs WHERE user_token = :user_token), 0)"
                " ON CONFLICT (digest) DO NOTHING",
                asdict(row),
            )
            if inserted.rowcount == 0:
                raise Conflict if connection.execute(_FIND, (row.digest,)).fetchone() else SessionNotFound
            ended = 0
            if limit and row.user_token is not None:
                ended = self._make_room(connection, row, limit, at_limit, now)
            if keeper:
                keep(connection, keeper.keep([None]))
            return ended

        return await self._database.writer.run(work)

    async def find(self, digest: bytes) -> SessionRow | None:
        """Return the kept row if nothing has changed it, else read it, in the loop: the hot path."""
        kept = self._kept.get(digest)
        if kept is not None and self._generations.is_current(digest, kept[0]):
            return kept[1]
        generation = self._generations.note(digest)  # before the row is read
        row = self._database.one(_FIND, (digest,))
        if row is None:
            self._kept.pop(digest, None)
            return None
        session = SessionRow(*row)
        if generation is not None:
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[digest] = generation, session
        return session

    async def touch(self, digest: bytes, now: int) -> SessionRow | None:
        """Slide the idle window."""

        def work(connection: sqlite3.Connection) -> SessionRow | None:
            self._generations.change(digest)
            connection.execute(
                "UPDATE sessions SET last_seen_at = :now, idle_expires_at = min(:now + idle_timeout, expires_at)"
                " WHERE digest = :digest AND idle_expires_at > :now",
                {"digest": digest, "now": now},
            )
            row = connection.execute(_FIND, (digest,)).fetchone()
            session = SessionRow(*row) if row else None
            return session if session and session.is_alive(now) else None

        return await self._database.writer.run(work)

    async def change_box(self, row: SessionRow, box: bytes, key_version: int, now: int) -> bool:
        """Compare the box and swap it."""

        def work(connection: sqlite3.Connection) -> bool:
            self._generations.change(row.digest)
            updated = connection.execute(
                "UPDATE sessions SET box = ?, key_version = ? WHERE digest = ? AND box = ? AND idle_expires_at > ?",
                (box, key_version, row.digest, row.box, now),
            )
            return updated.rowcount == 1

        return await self._database.writer.run(work)

    async def rotate(self, old: SessionRow, new: SessionRow, now: int) -> bool:
        """Compare digest and box, and swap digest, box, durations and times."""

        def work(connection: sqlite3.Connection) -> bool:
            self._generations.change(old.digest)
            updated = connection.execute(
                "UPDATE sessions SET digest = ?, box = ?, key_version = ?, lifetime = ?, idle_timeout = ?,"
                " authenticated_at = ?, last_seen_at = ?, expires_at = ?, idle_expires_at = ?"
                " WHERE digest = ? AND box = ? AND idle_expires_at > ?",
                (
                    new.digest,
                    new.box,
                    new.key_version,
                    new.lifetime,
                    new.idle_timeout,
                    new.authenticated_at,
                    new.last_seen_at,
                    new.expires_at,
                    new.idle_expires_at,
                    old.digest,
                    old.box,
                    now,
                ),
            )
            return updated.rowcount == 1

        return await self._database.writer.run(work)

    async def revoke(self, digest: bytes) -> SessionRow | None:
        """Delete by digest."""

        def work(connection: sqlite3.Connection) -> SessionRow | None:
            row = connection.execute(_FIND, (digest,)).fetchone()
            self._delete(connection, "DELETE FROM sessions WHERE digest = ? RETURNING digest", digest)
            return SessionRow(*row) if row else None

        return await self._database.writer.run(work)

    async def revoke_handle(self, handle: str, user_token: str | None = None) -> SessionRow | None:
        """Delete by public handle."""

        def work(connection: sqlite3.Connection) -> SessionRow | None:
            row = connection.execute(
                f"{_SELECT} WHERE handle = ? AND user_token IS coalesce(?, user_token)", (handle, user_token)
            ).fetchone()
            if row is None:
                return None
            session = SessionRow(*row)
            self._delete(connection, "DELETE FROM sessions WHERE digest = ? RETURNING digest", session.digest)
            return session

        return await self._database.writer.run(work)

    async def revoke_all(self, user_token: str, keep_handle: str | None, now: int) -> None:
        """Bump the epoch, and delete all but the kept one."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO epochs (user_token, epoch) VALUES (?, 1)"
                " ON CONFLICT (user_token) DO UPDATE SET epoch = epoch + 1",
                (user_token,),
            )
            self._delete(
                connection,
                "DELETE FROM sessions WHERE user_token = ? AND (handle IS NOT ? OR idle_expires_at <= ?)"
                " RETURNING digest",
                user_token,
                keep_handle,
                now,
            )
            kept = connection.execute(
                "UPDATE sessions SET epoch = (SELECT epoch FROM epochs AS e WHERE e.user_token = sessions.user_token)"
                " WHERE user_token = ? RETURNING digest",
                (user_token,),
            )
            for (digest,) in kept.fetchall():
                self._generations.change(digest)

        await self._database.writer.run(work)

    async def close(self, user_token: str, now: int) -> None:
        """Close the epoch for good."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO epochs (user_token, epoch, closed_at) VALUES (?, 1, ?)"
                " ON CONFLICT (user_token) DO UPDATE SET closed_at = coalesce(closed_at, excluded.closed_at)",
                (user_token, now),
            )
            self._delete(connection, "DELETE FROM sessions WHERE user_token = ? RETURNING digest", user_token)

        await self._database.writer.run(work)

    async def closed(self, after: str, limit: int) -> list[str]:
        """Read along the primary key."""
        rows = await self._database.all(
            "SELECT user_token FROM epochs WHERE closed_at IS NOT NULL AND user_token > ?"
            " ORDER BY user_token LIMIT ?",
            (after, limit),
        )
        return [token for (token,) in rows]

    async def persons(self, after: str, now: int, limit: int) -> list[str]:
        """Read along the index on person."""
        rows = await self._database.all(
            "SELECT DISTINCT user_token FROM sessions WHERE user_token > ? AND idle_expires_at > ?"
            " ORDER BY user_token LIMIT ?",
            (after, now, limit),
        )
        return [token for (token,) in rows]

    async def live_of(self, user_token: str, now: int, limit: int) -> list[SessionRow]:
        """Read by the index on person."""
        rows = await self._database.all(
            f"{_SELECT} WHERE user_token = ? AND idle_expires_at > ? ORDER BY created_at DESC, handle LIMIT ?",
            (user_token, now, limit),
        )
        return [SessionRow(*row) for row in rows]

    async def count_live(self, now: int) -> int:
        """Count by the index on end."""
        rows = await self._database.all("SELECT count(*) FROM sessions WHERE idle_expires_at > ?", (now,))
        return int(rows[0][0])

    async def purge(self, now: int, limit: int) -> int:
        """Delete the expired by the index on end."""
        sql = (
            "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE idle_expires_at <= ?"
            " ORDER BY idle_expires_at LIMIT ?) RETURNING digest"
        )
        return await self._database.writer.run(lambda connection: self._delete(connection, sql, now, limit))

    def _make_room(
        self,
        connection: sqlite3.Connection,
        new: SessionRow,
        limit: int,
        at_limit: Literal["end_oldest", "refuse"],
        now: int,
    ) -> int:
        """Keep the person's live sessions within the limit: end those seen longest ago, or refuse the new one."""
        others = connection.execute(
            "SELECT digest FROM sessions WHERE user_token = ? AND digest <> ? AND idle_expires_at > ?"
            " ORDER BY last_seen_at DESC, created_at DESC",
            (new.user_token, new.digest, now),
        ).fetchall()
        if len(others) >= limit and at_limit == "refuse":
            raise SessionLimit  # undoes the insert
        sql = "DELETE FROM sessions WHERE digest = ? RETURNING digest"
        return sum(self._delete(connection, sql, digest) for (digest,) in others[limit - 1 :])

    def _delete(self, connection: sqlite3.Connection, sql: str, *parameters: object) -> int:
        """Run a DELETE that returns digests, and tell of each; return how many."""
        digests = connection.execute(sql, parameters).fetchall()
        for (digest,) in digests:
            self._generations.change(digest)
        return len(digests)
