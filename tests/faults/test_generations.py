"""The counters that guard kept rows: shared, lost, left behind."""

import resource
from pathlib import Path

import pytest

from tests.stores.rows import NOW, a_session
from vault.errors import DataFolderError, StoreUnavailable
from vault.stores import open_stores
from vault.stores.sqlite.generations import Generations

COUNTERS = "sessions.db-generations"


async def test_a_kept_row_is_not_used_once_another_process_has_ended_it(tmp_path: Path) -> None:
    """Two processes on the same files: what one ends, the other reads anew."""
    async with open_stores("sqlite:", tmp_path, 5) as one, open_stores("sqlite:", tmp_path, 5) as other:
        row = a_session()
        await one.sessions.insert(row, 0, "refuse", NOW)
        assert await one.sessions.find(row.digest) is await one.sessions.find(row.digest)  # it is kept
        await other.sessions.revoke(row.digest)
        assert await one.sessions.find(row.digest) is None


async def test_deleted_counters_are_noticed_and_nothing_is_kept_any_more(tmp_path: Path) -> None:
    """A process that comes later shares other counters, so the first goes back to reading the file."""
    async with open_stores("sqlite:", tmp_path, 5) as one:
        row = a_session()
        await one.sessions.insert(row, 0, "refuse", NOW)
        await one.sessions.find(row.digest)
        (tmp_path / COUNTERS).unlink()
        await one.housekeeping.shred()
        async with open_stores("sqlite:", tmp_path, 5) as other:
            await one.sessions.find(row.digest)
            await other.sessions.revoke(row.digest)
        assert await one.sessions.find(row.digest) is None


def test_the_last_to_leave_takes_the_counters(tmp_path: Path) -> None:
    """While one is there they stay; afterwards nothing lies about."""
    path = tmp_path / COUNTERS
    first, second = Generations(path), Generations(path)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


def test_who_lost_the_counters_does_not_take_those_of_others(tmp_path: Path) -> None:
    """The path may be another process's by the time the first one leaves."""
    path = tmp_path / COUNTERS
    first = Generations(path)
    path.unlink()
    second = Generations(path)
    first.close()
    assert path.exists()
    second.close()


def test_what_a_killed_process_left_is_made_anew(tmp_path: Path) -> None:
    """A slot that was being changed when its process died can be kept again once all have gone."""
    path = tmp_path / COUNTERS
    path.write_bytes(b"\1" * 65_536)
    digest = bytes(32)
    counters = Generations(path)
    assert counters.note(digest) == 0
    counters.close()


def test_a_row_that_is_being_changed_is_not_kept(tmp_path: Path) -> None:
    """Between the change and the end of its transaction there is no generation, and the old one is over."""
    counters = Generations(tmp_path / COUNTERS)
    digest = bytes(range(32))
    before = counters.note(digest)
    assert before is not None
    counters.change(digest)
    assert counters.note(digest) is None
    assert not counters.is_current(digest, before)
    counters.settle()
    assert counters.note(digest) == before + 1
    counters.close()


async def test_counters_without_room_on_the_disk_refuse_the_start_and_leave_nothing(tmp_path: Path) -> None:
    """Found when they are made, in a sentence: memory without room behind it would end the process at some count."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(
            DataFolderError, match=rf"{COUNTERS} cannot be opened: \[Errno 27\] File too large"
        ):
            async with open_stores("sqlite:", tmp_path, 5):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / COUNTERS).exists()
    async with open_stores("sqlite:", tmp_path, 5) as stores:
        await stores.housekeeping.ping()


@pytest.mark.parametrize("name", ["vault.db", "sessions.db"])
async def test_a_file_that_was_deleted_or_replaced_is_noticed(name: str, tmp_path: Path) -> None:
    """Rows can still be read and written, and would be gone at the end: the store says that it is not there."""
    async with open_stores("sqlite:", tmp_path, 5) as stores:
        await stores.housekeeping.ping()
        (tmp_path / name).rename(tmp_path / "aside")
        with pytest.raises(StoreUnavailable):
            await stores.housekeeping.ping()
        (tmp_path / name).write_bytes((tmp_path / "aside").read_bytes())
        with pytest.raises(StoreUnavailable):
            await stores.housekeeping.ping()
        (tmp_path / "aside").rename(tmp_path / name)
        await stores.housekeeping.ping()
