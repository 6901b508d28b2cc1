"""SQLite: the embedded default. Two files, ``vault.db`` and ``sessions.db``, and never one transaction over both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import structlog

from vault.errors import ConfigError, DataFolderError
from vault.ports import Stores
from vault.stores.sqlite.access import SqliteAccess
from vault.stores.sqlite.alarms import SqliteAlarms
from vault.stores.sqlite.audit import SqliteAudit
from vault.stores.sqlite.database import Database, open_database
from vault.stores.sqlite.documents import SqliteDocuments
from vault.stores.sqlite.generations import Generations
from vault.stores.sqlite.keys import SqliteKeys
from vault.stores.sqlite.processes import SqliteProcesses
from vault.stores.sqlite.profiles import SqliteProfiles
from vault.stores.sqlite.registry import REGISTRY, Table
from vault.stores.sqlite.rotations import SqliteRotations
from vault.stores.sqlite.sealed import SqliteSealed
from vault.stores.sqlite.sessions import SqliteSessions
from vault.stores.sqlite.unlocks import SqliteUnlocks
from vault.stores.sqlite.values import SqliteValues

SHRED_TRIES = 20
SHRED_PAUSE = 0.05  # seconds

#: Milliseconds: no chore asks for a lease that long.
FAR = 600_000


class SqliteHousekeeping:
    """Chores over both files."""

    def __init__(self, generations: Generations, *databases: Database) -> None:
        self._generations = generations
        self._databases = databases

    async def lease(self, chore: str, holder: str, now: int, until: int) -> bool:
        """Insert, or take over what is one's own or has lapsed; a far end is of a clock that has stepped."""
        vault = self._databases[0]
        return await vault.writer.run(
            lambda connection: (
                connection.execute(
                    "INSERT INTO leases (chore, holder, until) VALUES (:chore, :holder, :until) ON CONFLICT (chore) DO"
                    " UPDATE SET holder = :holder, until = :until"
                    " WHERE holder = :holder OR leases.until <= :now OR leases.until > :now + :far",
                    {"chore": chore, "holder": holder, "now": now, "until": until, "far": FAR},
                ).rowcount
                == 1
            )
        )

    async def overdue(self, now: int) -> dict[str, int]:
        """Read the first entry of each index on end."""
        vault, sessions = self._databases
        firsts = {
            "profiles": await vault.all("SELECT min(expires_at) FROM profiles WHERE expires_at IS NOT NULL"),
            "profile_answers": await vault.all("SELECT min(expires_at) FROM answers"),
            "documents": await vault.all(
                "SELECT min(expires_at) FROM documents WHERE expires_at IS NOT NULL"
            ),
            "unlocks": await vault.all("SELECT min(expires_at) FROM unlocks"),
            "sessions": await sessions.all("SELECT min(idle_expires_at) FROM sessions"),
            "session_answers": await sessions.all("SELECT min(expires_at) FROM answers"),
        }
        return {
            store: max(0, now - (first if first is not None else now)) for store, [(first,)] in firsts.items()
        }

    async def ping(self) -> None:
        """Ask each file."""
        for database in self._databases:
            database.ping()

    async def shred(self) -> bool:
        """Checkpoint: ``secure_delete`` zeroes the pages, but the WAL keeps old frames until it is cut.

        A long reader may be in the way for a moment; what is still left then waits for the next round.
        """
        is_cut = True
        if not self._generations.check():
            structlog.get_logger().error("store.counters_deleted")  # restart all processes to keep rows again
        for database in self._databases:
            for _ in range(SHRED_TRIES):
                if await database.writer.checkpoint():
                    break
                await asyncio.sleep(SHRED_PAUSE)
            else:
                is_cut = False
        return is_cut

    async def rewrite(self, most_bytes: int | None) -> list[str]:
        """Let VACUUM build each file anew.

        ``secure_delete`` zeroes what is deleted, but not the copies that stay in a page's unused part when SQLite
        shares a page's rows out among others; only a new page has none.
        """
        left = []
        for database in self._databases:
            size = database.path.stat().st_size
            if most_bytes is not None and size > most_bytes:
                left.append(f"{database.path.name} ({size / 2**20:,.0f} MiB)")
                continue
            for _ in range(SHRED_TRIES):
                if await database.writer.rewrite():
                    break
                await asyncio.sleep(SHRED_PAUSE)
            else:
                left.append(f"{database.path.name} (it was in use, or the disk has no room for a copy)")
        return left

    async def check(self) -> list[str]:
        """Check both files."""
        return [sentence for database in self._databases for sentence in await database.check()]

    async def copy(self, folder: Path) -> None:
        """Copy each file with SQLite's own backup, one after the other: they share no moment.

        ``sessions.db`` is first, so of whoever comes in between, the profile is there and the session is not.
        """
        for database in reversed(self._databases):
            await database.copy(folder)


@asynccontextmanager
async def open_stores(folder: Path | None, busy_timeout: float) -> AsyncIterator[Stores]:
    """Open both files in the folder, creating what is missing. ``busy_timeout`` is in seconds."""
    if folder is None:
        raise ConfigError("The sqlite store needs a data folder.")
    with closing(_generations(folder / "sessions.db-generations")) as generations:
        async with (
            open_database(folder, "vault", busy_timeout) as vault,
            open_database(folder, "sessions", busy_timeout, generations.settle) as sessions,
        ):
            yield Stores(
                SqliteProfiles(vault),
                SqliteSessions(sessions, generations),
                SqliteAccess(vault),
                SqliteAlarms(vault),
                SqliteAudit(vault),
                SqliteUnlocks(vault),
                SqliteDocuments(vault),
                SqliteValues(vault),
                SqliteKeys(vault, sessions),
                SqliteProcesses(vault),
                SqliteRotations(vault),
                tuple(_sealed(table, vault, sessions, generations) for table in REGISTRY),
                SqliteHousekeeping(generations, vault, sessions),
            )


def _generations(path: Path) -> Generations:
    try:
        return Generations(path)
    except OSError as error:
        raise DataFolderError(f"{path} cannot be opened: {error}.") from error


def _sealed(table: Table, vault: Database, sessions: Database, generations: Generations) -> SqliteSealed:
    database = vault if table.schema == vault.schema else sessions
    if table.store == "sessions":
        return SqliteSealed(table, database, generations.change)
    return SqliteSealed(table, database)
