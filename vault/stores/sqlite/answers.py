"""Kept answers in SQLite: written in the transaction of the write they answer, in either file."""

import sqlite3

from vault.ports import AlreadyAnswered
from vault.records import KeptAnswer
from vault.stores.sqlite.database import Database


class SqliteAnswers:
    """The ``AnswerStore`` half of a store that owns a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def kept_answer(self, digest: bytes, now: int) -> KeptAnswer | None:
        """See ``vault.ports.AnswerStore``."""
        row = self._database.one(
            "SELECT digest, box, key_version, expires_at FROM answers WHERE digest = ? AND expires_at > ?",
            (digest, now),
        )
        return KeptAnswer(*row) if row else None

    async def purge_answers(self, now: int, limit: int) -> int:
        """See ``vault.ports.AnswerStore``."""
        return await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "DELETE FROM answers WHERE digest IN"
                    " (SELECT digest FROM answers WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
                    (now, limit),
                ).rowcount
            )
        )


def refuse_if_answered(connection: sqlite3.Connection, digest: bytes, now: int) -> None:
    """Raise ``AlreadyAnswered`` if the digest has an unexpired answer. Inside the write's transaction."""
    row = connection.execute(
        "SELECT digest, box, key_version, expires_at FROM answers WHERE digest = ? AND expires_at > ?",
        (digest, now),
    ).fetchone()
    if row:
        raise AlreadyAnswered(KeptAnswer(*row))


def keep(connection: sqlite3.Connection, answer: KeptAnswer | None) -> None:
    """Store an answer, in place of an expired one. Inside the write's transaction."""
    if answer is None:
        return
    connection.execute(
        # Not OR REPLACE: that fires no trigger for the row it deletes, so a note about the old box would stay.
        "INSERT INTO answers (digest, box, key_version, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT (digest)"
        " DO UPDATE SET box = excluded.box, key_version = excluded.key_version, expires_at = excluded.expires_at",
        (answer.digest, answer.box, answer.key_version, answer.expires_at),
    )
