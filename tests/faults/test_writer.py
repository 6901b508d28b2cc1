"""The shared transaction: nobody hears back before COMMIT, nobody pays for another's failure."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from vault.errors import Duplicate, StoreUnavailable
from vault.stores.sqlite.writer import Writer


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one table."""
    path = tmp_path / "a.db"
    connection = _connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY)")
    connection.close()
    return path


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Writer]:
    """A writer that waits a tenth of a second for others."""
    writer = Writer(_connect(path), patience=0.1)
    yield writer
    await writer.close()


def _rows(path: Path) -> list[int]:
    connection = _connect(path)
    try:
        return [number for (number,) in connection.execute("SELECT id FROM rows ORDER BY id")]
    finally:
        connection.close()


def _insert(number: int) -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO rows VALUES (?)", (number,))
        return number

    return work


async def test_what_was_answered_is_visible_to_others(writer: Writer, path: Path) -> None:
    """An answer comes after its COMMIT: another connection sees the row at once."""
    assert await writer.run(_insert(1)) == 1
    assert _rows(path) == [1]


async def test_many_writes_share_transactions_and_all_arrive(writer: Writer, path: Path) -> None:
    """Five hundred at once, in order of arrival."""
    answers = await asyncio.gather(*(writer.run(_insert(n)) for n in range(500)))
    assert answers == list(range(500))
    assert _rows(path) == list(range(500))


async def test_a_job_that_fails_undoes_itself_alone(writer: Writer, path: Path) -> None:
    """Its neighbours in the transaction stand."""

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO rows VALUES (2)")
        raise Duplicate("email")

    def clashes(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO rows VALUES (1)")

    outcomes = await asyncio.gather(
        writer.run(_insert(1)),
        writer.run(fails),
        writer.run(clashes),
        writer.run(_insert(3)),
        return_exceptions=True,
    )
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], Duplicate)
    assert isinstance(outcomes[2], sqlite3.IntegrityError)
    assert outcomes[3] == 3
    assert _rows(path) == [1, 3]


async def test_a_cancelled_request_leaves_no_transaction_open(writer: Writer, path: Path) -> None:
    """Cancelled before, during or after its job: the next request finds a clean connection."""
    for pause in range(6):
        task = asyncio.create_task(writer.run(_insert(pause)))
        for _ in range(pause):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await writer.run(lambda connection: connection.in_transaction) is True
    await writer.run(_insert(99))
    assert _rows(path)[-1] == 99
    other = _connect(path)
    other.execute("BEGIN IMMEDIATE")  # nobody holds the lock
    other.close()


async def test_a_long_job_lets_the_loop_breathe(writer: Writer) -> None:
    """A generator is one job, and others of the process run between its steps."""
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    def steps(connection: sqlite3.Connection) -> Generator[None, None, str]:
        for number in range(50):
            connection.execute("INSERT INTO rows VALUES (?)", (number,))
            yield
        return "done"

    heart = asyncio.create_task(beat())
    assert await writer.run(steps) == "done"
    heart.cancel()
    assert beats >= 50


async def test_a_long_job_that_fails_is_undone_whole(writer: Writer, path: Path) -> None:
    """A generator that raises in its middle leaves nothing."""

    def steps(connection: sqlite3.Connection) -> Generator[None, None, None]:
        connection.execute("INSERT INTO rows VALUES (1)")
        yield
        raise Duplicate("email")

    with pytest.raises(Duplicate):
        await writer.run(steps)
    assert _rows(path) == []


async def test_another_process_that_writes_is_waited_for_and_then_not(writer: Writer, path: Path) -> None:
    """A lock that is let go in time costs a moment; one that is not gives StoreUnavailable, and no more."""
    other = _connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await writer.run(_insert(1))
    waiting = asyncio.create_task(writer.run(_insert(2)))
    await asyncio.sleep(0)
    other.execute("ROLLBACK")
    other.close()
    assert await waiting == 2
    assert _rows(path) == [2]


async def test_a_broken_file_is_store_unavailable_for_everybody(path: Path) -> None:
    """A read-only connection cannot write: each waiting request hears so, and none hangs."""
    writer = Writer(
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False),
        0.1,
    )
    outcomes = await asyncio.gather(
        *(writer.run(_insert(n)) for n in range(3)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    await writer.close()


class FailingDisk(sqlite3.Connection):
    """Fails the next COMMIT, and the ROLLBACK after it, as often as told."""

    failures = 0

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a statement, or fail without the code that SQLite's own errors carry."""
        if sql in ("COMMIT", "ROLLBACK") and self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("the disk is gone")
        return super().execute(sql, *parameters)


@pytest.mark.parametrize("failures", [1, 2], ids=["the commit fails", "the rollback fails too"])
async def test_a_writer_outlives_a_disk_that_fails_for_a_moment(path: Path, failures: int) -> None:
    """Who waited hears of it, nothing of theirs is left, and a later write goes through: no request hangs."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=FailingDisk)
    writer = Writer(connection, 0.1)
    connection.failures = failures
    async with asyncio.timeout(10):
        with pytest.raises(StoreUnavailable):
            await writer.run(_insert(1))
        if failures == 2:  # the transaction is still open: the next one finds that out, and clears it away
            with pytest.raises(StoreUnavailable):
                await writer.run(_insert(2))
        assert await writer.run(_insert(3)) == 3
        await writer.close()
    assert _rows(path) == [3]


async def test_close_finishes_what_was_accepted_and_refuses_what_comes(path: Path) -> None:
    """Nothing that was accepted is dropped by a shutdown."""
    writer = Writer(_connect(path), 0.1)
    accepted = [asyncio.create_task(writer.run(_insert(n))) for n in range(10)]
    await asyncio.sleep(0)
    await writer.close()
    assert await asyncio.gather(*accepted) == list(range(10))
    with pytest.raises(StoreUnavailable):
        await writer.run(_insert(11))
