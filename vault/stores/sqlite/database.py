"""One SQLite file and its connections: the writer, a reader in the event loop, a reader for long queries."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosqlite
import structlog

from vault.errors import DataFolderError, StoreUnavailable
from vault.stores.sqlite.migrations import altered, differences, migrate
from vault.stores.sqlite.registry import unregistered
from vault.stores.sqlite.writer import Writer

MODE = 0o600

#: Boxes of 1,085 bytes take 1,172 bytes a row at this page size, and 1,369 at SQLite's own 4,096 (measured).
PAGE_BYTES = 8192

#: How long the reader in the loop may wait, in seconds. In WAL mode a reader waits for nobody, except for
#: moments while another process opens or recovers the file.
LOOP_PATIENCE = 0.1


@dataclass(frozen=True, slots=True)
class Database:
    """An open file. ``schema`` names its migrations and, with ``.db``, the file."""

    path: Path
    schema: str
    writer: Writer
    _reader: sqlite3.Connection
    _long_reader: aiosqlite.Connection
    _inode: tuple[int, int]

    def one(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        """Return the first row or None, read in the event loop's thread: for look-ups by key (5 to 10 µs)."""
        try:
            return self._reader.execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailable from error

    async def all(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows, read in a thread: for whatever may take longer than a look-up."""
        try:
            return list(await self._long_reader.execute_fetchall(sql, parameters))
        except sqlite3.Error as error:
            raise StoreUnavailable from error

    def ping(self) -> None:
        """Read one row, and look whether the file is still the one at its path; else raise ``StoreUnavailable``.

        What goes into a file that was deleted or replaced is acknowledged, and ends with the process.
        """
        self.one("SELECT 1 FROM migrations")
        try:
            is_there = _inode(self.path) == self._inode
        except OSError:
            is_there = False
        if not is_there:
            structlog.get_logger().error("store.file_gone", where=self.path.name)
            raise StoreUnavailable

    async def check(self) -> list[str]:
        """Return what is wrong with the file, in sentences."""
        trouble = []
        if self.path.stat().st_mode & 0o077:
            trouble.append(f"{self.path} is open to other users. Mend it with: chmod 600 {self.path}")
        for (sentence,) in await self.all("PRAGMA quick_check"):
            if sentence != "ok":
                trouble.append(f"{self.path} is damaged ({sentence}). Restore it from its backup.")
        trouble += differences(self._reader, self.schema)
        trouble += [
            f"{self.path}: {name} is not as the migrations make it. Restore the file from its backup."
            for name in altered(self._reader, self.schema)
        ]
        trouble += [
            f"{column} is not in the registry of boxes: a rotation would leave it behind. Install the program "
            "that made it."
            for column in unregistered(self._reader, self.schema)
        ]
        return trouble

    async def copy(self, folder: Path) -> None:
        """Copy the file as it is at one moment, beside all that goes on, into a folder that lacks it."""
        target = folder / self.path.name
        _create(target)

        def backup() -> None:
            with closing(_connect(self.path, "ro")) as source, closing(_connect(target, "rw")) as copy:
                source.backup(copy)

        try:
            await asyncio.to_thread(backup)
        except sqlite3.Error as error:
            raise StoreUnavailable from error


def damage(path: Path) -> list[str]:
    """Return what is wrong with a file that nobody has open, in sentences; nothing is made beside it."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as connection:
            found = [sentence for (sentence,) in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.Error as error:
        found = [str(error)]
    return [f"{path.name} is damaged ({sentence})." for sentence in found if sentence != "ok"]


@asynccontextmanager
async def open_database(
    folder: Path, schema: str, busy_timeout: float, settled: Callable[[], None] = lambda: None
) -> AsyncIterator[Database]:
    """Open (or create, mode 0600) the file and bring it to the newest schema; close everything at the end.

    ``settled`` is the Writer's.
    """
    path = folder / f"{schema}.db"
    try:
        _create(path)
        inode = _inode(path)  # first: if it is exchanged while we open it, that is noticed
        connection = _prepare(path, schema, busy_timeout)
        reader = _connect(path, "ro")
        reader.execute(f"PRAGMA busy_timeout = {int(LOOP_PATIENCE * 1000)}")
        reader.execute("PRAGMA cache_size = -65536")  # 64 MiB
        long_reader = await aiosqlite.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=busy_timeout
        )
    except (sqlite3.Error, OSError) as error:
        raise DataFolderError(f"{path} cannot be opened: {error}.") from error
    writer = Writer(connection, busy_timeout, settled)
    try:
        yield Database(path, schema, writer, reader, long_reader, inode)
    finally:
        # Shielded: a cancelled shutdown must still write what was accepted, and aiosqlite's thread must end.
        await asyncio.shield(_close(writer, reader, long_reader))


async def _close(writer: Writer, reader: sqlite3.Connection, long_reader: aiosqlite.Connection) -> None:
    reader.close()
    await long_reader.close()
    await writer.close()


def _create(path: Path) -> None:
    """Make an empty file that only its owner can read; SQLite gives the same mode to -wal and -shm."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, MODE))
    except FileExistsError:
        return


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # check_same_thread is off because COMMIT runs in a thread; the Writer sees to it that nothing overlaps.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )


def _prepare(path: Path, schema: str, busy_timeout: float) -> sqlite3.Connection:
    """Return the writing connection of a migrated file."""
    with closing(_connect(path, "rw")) as first:
        first.execute(f"PRAGMA busy_timeout = {int(busy_timeout * 1000)}")
        first.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # has an effect on an empty file only
        first.execute("PRAGMA journal_mode = WAL")
        migrate(first, schema)
    connection = _connect(path, "rw")
    connection.execute("PRAGMA busy_timeout = 0")  # the Writer waits, not the loop's thread
    connection.execute("PRAGMA synchronous = FULL")  # each COMMIT is on disk before its answer
    connection.execute("PRAGMA secure_delete = ON")  # deleted boxes are overwritten with zeros
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cache_size = -65536")  # 64 MiB
    return connection
