import pytest

from tests.stores.rows import NOW, AnEntry
from vault.errors import StaleKeys
from vault.ports import Stores, Wanted
from vault.records import UnlockRow


def an_unlock(number: int, expires_at: int = NOW) -> UnlockRow:
    """Return leave to read in bulk."""
    return UnlockRow(bytes([number]) * 32, "0123456789abcdef", "monthly invoices", expires_at)


async def test_an_unlock_is_found_by_its_digest_over_or_not(stores: Stores) -> None:
    """Whether it still lasts is not the store's to say; its event is there with it."""
    one, two = an_unlock(1, NOW - 1), an_unlock(2, NOW + 60_000)
    for row in (one, two):
        await stores.unlocks.insert(row, [AnEntry("bulk.unlocked")])

    assert await stores.unlocks.find(one.digest) == one
    assert await stores.unlocks.find(two.digest) == two
    assert await stores.unlocks.find(bytes(32)) is None
    assert [event.action for event in await stores.audit.events(Wanted(), 0, 9)] == ["bulk.unlocked"] * 2


async def test_purging_takes_those_that_are_over(stores: Stores) -> None:
    """From the very millisecond of their end, the oldest first, as many as asked; returns how many went."""
    rows = [an_unlock(1, NOW - 1), an_unlock(2, NOW - 2), an_unlock(3, NOW), an_unlock(4, NOW + 1)]
    for row in rows:
        await stores.unlocks.insert(row, [])

    async def there() -> list[int]:
        return [row.digest[0] for row in rows if await stores.unlocks.find(row.digest)]

    assert await stores.unlocks.purge(NOW - 3, 9) == 0
    assert await stores.unlocks.purge(NOW, 1) == 1
    assert len(await there()) == 3
    assert await stores.unlocks.purge(NOW, 9) == 2
    assert await there() == [4]
    assert await stores.unlocks.purge(NOW, 9) == 0


async def test_an_unlock_that_cannot_be_recorded_is_not_given(stores: Stores) -> None:
    """It is not there afterwards."""
    await stores.keys.close("audit", 1)

    with pytest.raises(StaleKeys):
        await stores.unlocks.insert(an_unlock(1), [AnEntry()])

    assert await stores.unlocks.find(an_unlock(1).digest) is None
