import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stores.rows import HOUR, MINUTE, NOW, Keeper, a_document, a_new_profile, a_session, sealing
from vault.ports import Stores
from vault.records import UnlockRow
from vault.stores import open_stores

CHORE, ONE, TWO = "sweep", "process one", "process two"


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Stores]:
    """Stores that several processes may open; those in memory are one process's, which has every lease."""
    async with open_stores("sqlite:", tmp_path, 5) as stores:
        yield stores


async def test_whoever_asks_alone_has_the_lease(stores: Stores) -> None:
    """Taken, renewed, given up and taken again: nobody is in the way."""
    for now, until in ((NOW, NOW + 60), (NOW + 1, NOW + 90), (NOW + 2, NOW + 2), (NOW + 2, NOW + 60)):
        assert await stores.housekeeping.lease(CHORE, ONE, now, until)


async def test_a_lease_is_one_holders_until_it_ends(shared: Stores) -> None:
    """At the very millisecond of its end, or once it is given up, it is the next one's."""
    lease = shared.housekeeping.lease
    assert await lease(CHORE, ONE, NOW, NOW + 60)
    assert not await lease(CHORE, TWO, NOW, NOW + 60)
    assert not await lease(CHORE, TWO, NOW + 59, NOW + 160)
    assert await lease(CHORE, TWO, NOW + 60, NOW + 160)
    assert not await lease(CHORE, ONE, NOW + 61, NOW + 120)
    assert await lease(CHORE, TWO, NOW + 62, NOW + 62)  # gives it up
    assert await lease(CHORE, ONE, NOW + 62, NOW + 120)


async def test_each_chore_has_a_lease_of_its_own(shared: Stores) -> None:
    """Who sweeps is in nobody's way who does something else."""
    assert await shared.housekeeping.lease(CHORE, ONE, NOW, NOW + 60)
    assert await shared.housekeeping.lease("another", TWO, NOW, NOW + 60)


async def test_a_lease_from_a_clock_that_was_far_ahead_is_void(shared: Stores) -> None:
    """Its end lies more than ten minutes ahead, which nobody asks for; up to that it is waited for."""
    assert await shared.housekeeping.lease(CHORE, ONE, NOW + HOUR, NOW + HOUR + 60)
    late = NOW + HOUR - 10 * MINUTE
    assert not await shared.housekeeping.lease(CHORE, TWO, late + 60, late + 120)
    assert await shared.housekeeping.lease(CHORE, TWO, late + 59, late + 119)


async def test_of_many_who_ask_at_once_one_has_it(shared: Stores) -> None:
    """The store decides, and not who asked first."""
    asked = [shared.housekeeping.lease(CHORE, f"process {n}", NOW, NOW + 60) for n in range(9)]
    assert sum(await asyncio.gather(*asked)) == 1


NOTHING = {
    "profiles": 0, "profile_answers": 0, "documents": 0, "unlocks": 0, "sessions": 0, "session_answers": 0,
}  # fmt: skip


async def test_what_has_ended_is_told_by_its_age(stores: Stores) -> None:
    """Of each store the oldest counts; what has not ended, or never will, counts for nothing."""
    assert await stores.housekeeping.overdue(NOW) == NOTHING
    ends = (None, NOW + HOUR, NOW - 300, NOW - 700)
    await stores.profiles.insert(
        [a_new_profile(expires_at=end) for end in ends], NOW - HOUR, Keeper(expires_at=NOW - 5)
    )
    await stores.sessions.insert(
        a_session(NOW - HOUR, idle_timeout=HOUR - 40), 0, "refuse", NOW - HOUR, Keeper(expires_at=NOW - 6)
    )

    await stores.unlocks.insert(UnlockRow(bytes(32), "key", "reason", NOW - 7), [])
    await stores.documents.insert(
        [sealing(a_document(expires_at=end)) for end in (*ends, NOW - 8)], NOW - HOUR
    )

    told = {
        "profiles": 700, "profile_answers": 5, "documents": 700, "unlocks": 7, "sessions": 40, "session_answers": 6,
    }  # fmt: skip
    assert await stores.housekeeping.overdue(NOW) == told
    assert await stores.housekeeping.overdue(NOW - 700) == NOTHING
