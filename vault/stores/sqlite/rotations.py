"""Rotations in SQLite (``vault.ports.RotationStore`` says what each method promises)."""

import sqlite3

from msgspec.structs import asdict, astuple, replace

from vault.records import Claim, Rotation
from vault.stores.sqlite.database import Database

_HOLDER = "SELECT holder, host, pid, what, taken_at, seen_at FROM rotation_claim"


class SqliteRotations:
    """The claim and the journal, in ``vault.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, claim: Claim, lapsed_before: int) -> Claim:
        """Compare and take it in one transaction."""

        def work(connection: sqlite3.Connection) -> Claim:
            row = connection.execute(_HOLDER).fetchone()
            held = Claim(*row) if row else None
            if held and held.holder != claim.holder and held.seen_at >= lapsed_before:
                return held
            connection.execute(
                "INSERT OR REPLACE INTO rotation_claim (one, holder, host, pid, what, taken_at, seen_at)"
                " VALUES (1, ?, ?, ?, ?, ?, ?)",
                astuple(claim),
            )
            return claim

        return await self._database.writer.run(work)

    async def release(self, holder: str) -> None:
        """Delete it, if it is the holder's."""
        await self._database.writer.run(
            lambda connection: (
                connection.execute("DELETE FROM rotation_claim WHERE holder = ?", (holder,)).rowcount
            )
        )

    async def holder(self) -> Claim | None:
        """Read it."""
        rows = await self._database.all(_HOLDER)
        return Claim(*rows[0]) if rows else None

    async def write(self, rotation: Rotation) -> Rotation:
        """Insert under the next number, or replace."""

        def work(connection: sqlite3.Connection) -> Rotation:
            values = asdict(rotation) | {"id": rotation.id or None}
            number = connection.execute(
                'INSERT OR REPLACE INTO rotations (id, line, "by", began_at, from_versions, to_version, finished_at,'
                " outcome, counts, digest) VALUES (:id, :line, :by, :began_at, :from_versions, :to_version,"
                " :finished_at, :outcome, :counts, :digest)",
                values,
            ).lastrowid
            return replace(rotation, id=number)

        return await self._database.writer.run(work)

    async def journal(self, limit: int) -> list[Rotation]:
        """Read from the newest."""
        rows = await self._database.all(
            'SELECT id, line, "by", began_at, from_versions, to_version, finished_at, outcome, counts, digest'
            " FROM rotations ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [Rotation(*row) for row in rows]
