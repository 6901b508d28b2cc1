"""Access keys in SQLite (``vault.ports.AccessStore`` says what each method promises)."""

import builtins
from typing import Any

import msgspec

from vault.records import AccessKeyRow, Rails
from vault.stores.sqlite.database import Database

#: A rail that this program does not know is refused: the key must not pass without it.
_rails = msgspec.json.Decoder(Rails)


class SqliteAccess:
    """Access keys, in ``vault.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, row: AccessKeyRow) -> None:
        """Insert one key."""
        await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "INSERT INTO access_keys (id, name, secret_digest, scopes, claims, created_at, expires_at,"
                    " revoked_at, rails, suspended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        row.id,
                        row.name,
                        row.secret_digest,
                        " ".join(row.scopes),
                        None if row.claims is None else " ".join(row.claims),
                        row.created_at,
                        row.expires_at,
                        row.revoked_at,
                        msgspec.json.encode(row.rails).decode(),
                        row.suspended_at,
                    ),
                ).rowcount
            )
        )

    async def find(self, key_id: str) -> AccessKeyRow | None:
        """Read one key, in the loop."""
        row = self._database.one(
            "SELECT id, name, secret_digest, scopes, claims, created_at, expires_at, revoked_at, rails, suspended_at"
            " FROM access_keys WHERE id = ?",
            (key_id,),
        )
        return _key(row) if row else None

    async def list(self) -> builtins.list[AccessKeyRow]:
        """Read all keys."""
        rows = await self._database.all(
            "SELECT id, name, secret_digest, scopes, claims, created_at, expires_at, revoked_at, rails, suspended_at"
            " FROM access_keys ORDER BY created_at, id"
        )
        return [_key(row) for row in rows]

    async def revoke(self, key_id: str, now: int) -> bool:
        """Mark one key, keeping the time of an earlier mark."""
        return await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "UPDATE access_keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (now, key_id)
                ).rowcount
                == 1
            )
        )

    async def suspend(self, key_id: str, now: int) -> bool:
        """Mark one key, keeping the time of an earlier mark."""
        return await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "UPDATE access_keys SET suspended_at = coalesce(suspended_at, ?) WHERE id = ?",
                    (now, key_id),
                ).rowcount
                == 1
            )
        )

    async def resume(self, key_id: str) -> bool:
        """Take the mark of one key away."""
        return await self._database.writer.run(
            lambda connection: (
                connection.execute(
                    "UPDATE access_keys SET suspended_at = NULL WHERE id = ?", (key_id,)
                ).rowcount
                == 1
            )
        )


def _key(row: tuple[Any, ...]) -> AccessKeyRow:
    key_id, name, secret_digest, scopes, claims, created_at, expires_at, revoked_at, rails, suspended_at = row
    return AccessKeyRow(
        key_id,
        name,
        secret_digest,
        tuple(scopes.split()),
        None if claims is None else tuple(claims.split()),
        created_at,
        expires_at,
        revoked_at,
        _rails.decode(rails),
        suspended_at,
    )
