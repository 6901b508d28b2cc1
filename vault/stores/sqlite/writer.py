"""The one writer of a database file: waiting requests share a transaction, and hear back after its COMMIT.

Statements run in the event loop's thread (about 10 µs each; in a thread of their own, each would wait for
the interpreter's lock), only COMMIT, which waits for the disk, runs in a thread. Nothing else uses this
connection, and a request that is cancelled leaves at most a job that nobody waits for, never a transaction.
See docs/decisions/0002-statements-in-the-loop.md.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from vault.errors import StaleKeys, StoreUnavailable

T = TypeVar("T")

#: A job gets the connection inside a transaction. A generator lets the loop breathe at each ``yield``.
Work = Callable[[sqlite3.Connection], T | Generator[None, None, T]]

#: Jobs that share one transaction: keeps the loop busy for about three milliseconds at most.
MOST_JOBS = 128


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    done: asyncio.Future[Any]
    outcome: Any = None
    error: Exception | None = None


class Writer:
    """Runs jobs on a connection opened with ``isolation_level=None`` and ``check_same_thread=False``.

    ``patience`` is how many seconds to wait for another process that writes, before ``StoreUnavailable``.
    ``settled`` is called after each transaction, however it ended, before its requests hear back.
    """

    def __init__(
        self, connection: sqlite3.Connection, patience: float, settled: Callable[[], None] = lambda: None
    ) -> None:
        self._connection = connection
        self._patience = patience
        self._settled = settled
        self._waiting: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._checkpoints: list[asyncio.Future[bool]] = []
        self._rewrites: list[asyncio.Future[bool]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-commit")
        self._task = asyncio.create_task(self._serve(), name="sqlite-writer")

    async def run(self, work: Work[T]) -> T:
        """Run one job in a shared transaction; return its result once that is on disk.

        An exception of the job undoes the job alone. Raises ``StaleKeys`` when a fence refuses the job, which is
        all that triggers raise for, and ``StoreUnavailable`` when SQLite fails.
        """
        if self._closing:
            raise StoreUnavailable
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(work, done))
        self._wake.set()
        return await done

    async def checkpoint(self) -> bool:
        """Move the WAL into the database and cut it to nothing. False if a reader was in the way just now."""
        if self._closing:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._checkpoints.append(done)
        self._wake.set()
        return await done

    async def rewrite(self) -> bool:
        """Write the whole file anew (VACUUM); every writer waits meanwhile. False if it could not be done just now."""
        if self._closing:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._rewrites.append(done)
        self._wake.set()
        return await done

    async def close(self) -> None:
        """Finish every job that was accepted, then close the connection."""
        self._closing = True
        self._wake.set()
        await self._task
        self._thread.shutdown()
        self._connection.close()

    async def _serve(self) -> None:
        while self._waiting or self._checkpoints or self._rewrites or not self._closing:
            if self._rewrites:
                await self._rewrite()
            if self._checkpoints:
                await self._checkpoint()
            if self._waiting:
                jobs = [self._waiting.popleft() for _ in range(min(MOST_JOBS, len(self._waiting)))]
                await self._transaction([job for job in jobs if not job.done.cancelled()])
            elif not self._closing:
                self._wake.clear()
                await self._wake.wait()

    async def _checkpoint(self) -> None:
        asked, self._checkpoints = self._checkpoints, []
        try:
            ((is_busy, *_),) = await self._in_thread("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            is_busy = 1
        for done in asked:
            if not done.done():
                done.set_result(not is_busy)

    async def _rewrite(self) -> None:
        asked, self._rewrites = self._rewrites, []
        try:
            await self._in_thread("VACUUM")
            is_done = True
        except (
            sqlite3.Error
        ) as error:  # locked by another writer, or no room for the copy: nothing has changed
            structlog.get_logger().warning("store.not_rewritten", error=_name(error))
            is_done = False
        for done in asked:
            if not done.done():
                done.set_result(is_done)

    async def _transaction(self, jobs: list[_Job]) -> None:
        try:
            await self._begin()
            for job in jobs:
                await self._attempt(job)
            await self._in_thread("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):  # a disk that fails fails again; the next BEGIN will tell
                    self._connection.execute("ROLLBACK")
            for job in jobs:
                job.error = StoreUnavailable()
                job.error.__cause__ = error
            structlog.get_logger().error("store.write_failed", error=_name(error))
        self._settled()
        for job in jobs:
            if job.done.done():
                continue
            if job.error is not None:
                job.done.set_exception(job.error)
            else:
                job.done.set_result(job.outcome)

    async def _begin(self) -> None:
        """Take the write lock without ever blocking the loop: the connection's own busy timeout is zero."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
                if code & 0xFF != sqlite3.SQLITE_BUSY or loop.time() > deadline:
                    raise
                await asyncio.sleep(0.002)
            else:
                return

    async def _attempt(self, job: _Job) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT job")
        try:
            outcome = job.work(connection)
            if isinstance(outcome, Generator):
                while True:
                    try:
                        next(outcome)
                    except StopIteration as stop:
                        outcome = stop.value
                        break
                    await asyncio.sleep(0)
            job.outcome = outcome
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
                raise  # the file's trouble, so every job's
            connection.execute("ROLLBACK TO job")  # this job's own: the others' work stands
            job.error = StaleKeys() if _name(error) == "SQLITE_CONSTRAINT_TRIGGER" else error
        connection.execute("RELEASE job")

    async def _in_thread(self, statement: str) -> list[Any]:
        def run() -> list[Any]:
            return self._connection.execute(
                statement
            ).fetchall()  # to its end: one in progress bars savepoints

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)


def _name(error: Exception) -> str:
    """Return SQLite's name for what happened; what Python's own module raises has none."""
    return getattr(error, "sqlite_errorname", type(error).__name__)
