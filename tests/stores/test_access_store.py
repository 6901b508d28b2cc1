import asyncio

import pytest
from msgspec.structs import replace

from tests.stores.rows import AnEntry, an_access_key
from vault.errors import StaleKeys
from vault.ports import AccessStore, Stores
from vault.records import AccessKeyRow


@pytest.fixture
def access(stores: Stores) -> AccessStore:
    """Return the store under test."""
    return stores.access


def changed(row: AccessKeyRow, key_version: int = 1) -> AccessKeyRow:
    """Return the row with another box."""
    return replace(row, box=an_access_key().box, key_version=key_version)


async def test_an_inserted_key_is_found(access: AccessStore) -> None:
    """Every column comes back."""
    row = an_access_key(key_version=7)
    await access.insert(row)

    assert await access.find(row.id) == row
    assert await access.list() == [row]


async def test_an_unknown_id_finds_nothing(access: AccessStore) -> None:
    """Absent is None and not an error."""
    await access.insert(an_access_key())

    assert await access.find(an_access_key().id) is None


async def test_keys_are_listed_as_they_came(access: AccessStore) -> None:
    """Whatever their ids are, and also when one has changed since."""
    assert await access.list() == []
    rows = [an_access_key() for _ in range(9)]
    for row in rows:
        await access.insert(row)
    rows[3] = changed(rows[3])
    assert await access.swap(an_access_key(id=rows[3].id), rows[3]) is False
    old = await access.find(rows[3].id)
    assert old is not None
    assert await access.swap(old, rows[3])

    assert await access.list() == rows


async def test_a_box_is_swapped_for_the_one_that_was_read(access: AccessStore) -> None:
    """With its key version; others stay as they are."""
    row, other = an_access_key(), an_access_key()
    for each in (row, other):
        await access.insert(each)
    new = changed(row, key_version=2)

    assert await access.swap(row, new)
    assert await access.find(row.id) == new
    assert await access.find(other.id) == other


async def test_whoever_comes_second_changes_nothing(stores: Stores) -> None:
    """The box is not the one that was read: the row stays, and no event is recorded."""
    row = an_access_key()
    await stores.access.insert(row)
    first, second = changed(row), changed(row)
    assert await stores.access.swap(row, first, [AnEntry()])

    assert not await stores.access.swap(row, second, [AnEntry()])
    assert await stores.access.find(row.id) == first
    end = await stores.audit.end()
    assert end is not None
    assert end.sequence == 1


async def test_an_absent_key_cannot_be_changed(stores: Stores) -> None:
    """There is nothing to put a box into, and nothing is left behind."""
    row = an_access_key()
    assert not await stores.access.swap(row, changed(row), [AnEntry()])
    assert await stores.access.list() == []
    assert await stores.audit.end() is None


async def test_of_those_who_race_one_wins(access: AccessStore) -> None:
    """However many have read the same box."""
    row = an_access_key()
    await access.insert(row)
    racers = [changed(row) for _ in range(10)]

    won = await asyncio.gather(*(access.swap(row, each) for each in racers))

    assert won.count(True) == 1
    assert await access.find(row.id) == racers[won.index(True)]


async def test_no_key_is_written_under_a_closed_version(stores: Stores) -> None:
    """Neither a new one nor a changed one; both are as they were, and no event is recorded."""
    row = an_access_key()
    await stores.access.insert(row)
    await stores.keys.close("data", 2)

    with pytest.raises(StaleKeys):
        await stores.access.insert(an_access_key(key_version=2), [AnEntry()])
    with pytest.raises(StaleKeys):
        await stores.access.swap(row, changed(row, key_version=2), [AnEntry()])
    assert await stores.access.list() == [row]
    assert await stores.audit.end() is None


async def test_concurrent_inserts_are_all_there(access: AccessStore) -> None:
    """No key is lost under another."""
    rows = [an_access_key() for _ in range(10)]

    await asyncio.gather(*(access.insert(row) for row in rows))

    assert sorted(row.id for row in await access.list()) == sorted(row.id for row in rows)
