import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.stores.rows import MINUTE, NOW
from vault.ports import Stores
from vault.records import Claim, Rotation
from vault.stores import open_stores


def a_claim(holder: str = "ann", at: int = NOW, **changes: Any) -> Claim:
    """Return a claim that is taken just now."""
    return replace(Claim(holder, "host", 4711, "rotate data", at, at), **changes)


def a_rotation(**changes: Any) -> Rotation:
    """Return an entry for a rotation that begins now."""
    return replace(Rotation(0, "data", "ann", NOW, "[1]"), **changes)


# --- the claim -----------------------------------------------------------------------------------------------


async def test_a_free_claim_is_taken(stores: Stores) -> None:
    """The holder gets it back as it stands, and everybody sees every column of it."""
    assert await stores.rotations.holder() is None

    assert await stores.rotations.claim(a_claim(), NOW - MINUTE) == a_claim()

    assert await stores.rotations.holder() == a_claim()


async def test_the_second_is_told_who_holds_it(stores: Stores) -> None:
    """Nothing changes for the first, and the second knows whom to ask."""
    await stores.rotations.claim(a_claim(), NOW - MINUTE)

    assert await stores.rotations.claim(a_claim("bea", NOW + 1), NOW + 1 - MINUTE) == a_claim()

    assert await stores.rotations.holder() == a_claim()


LAPSES = {
    "seen a moment before the limit: lapsed": (NOW - 1, True),
    "seen at the limit itself: it holds": (NOW, False),
    "seen after the limit: it holds": (NOW + 1, False),
}


@pytest.mark.parametrize(("seen_at", "lapsed"), LAPSES.values(), ids=LAPSES)
async def test_a_claim_lapses_by_the_millisecond(seen_at: int, lapsed: bool, stores: Stores) -> None:
    """A holder that has not been seen since the limit loses it to whoever asks next."""
    held, wanted = a_claim(at=NOW - MINUTE, seen_at=seen_at), a_claim("bea", NOW + MINUTE)
    await stores.rotations.claim(held, 0)

    winner = wanted if lapsed else held
    assert await stores.rotations.claim(wanted, NOW) == winner
    assert await stores.rotations.holder() == winner


@pytest.mark.parametrize("lapsed_before", [NOW - MINUTE, NOW + 1], ids=["in time", "lapsed, untaken"])
async def test_a_holder_renews_its_claim(lapsed_before: int, stores: Stores) -> None:
    """Being seen again keeps it from lapsing; what it says of itself is new."""
    await stores.rotations.claim(a_claim(), 0)
    renewed = a_claim(seen_at=NOW + MINUTE, what="rotate index")

    assert await stores.rotations.claim(renewed, lapsed_before) == renewed

    assert await stores.rotations.holder() == renewed
    assert await stores.rotations.claim(a_claim("bea", NOW + MINUTE), NOW + 1) == renewed


async def test_who_lost_its_claim_learns_it_at_the_renewal(stores: Stores) -> None:
    """It slept too long: another holds it, and it must stop."""
    await stores.rotations.claim(a_claim(), 0)
    taken = a_claim("bea", NOW + MINUTE)
    await stores.rotations.claim(taken, NOW + 1)

    assert await stores.rotations.claim(a_claim(seen_at=NOW + MINUTE), NOW + 1) == taken


async def test_one_of_many_contenders_wins(stores: Stores) -> None:
    """However many ask at once, all hear the same name."""
    said = await asyncio.gather(
        *(stores.rotations.claim(a_claim(f"holder {number}"), NOW - MINUTE) for number in range(20))
    )

    assert len(set(said)) == 1
    assert await stores.rotations.holder() == said[0]


async def test_one_of_many_processes_wins(tmp_path: Path) -> None:
    """Each with files of its own open, for a free claim as for one that has lapsed."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(open_stores("sqlite:", tmp_path, 20)) for _ in range(4)]
        for now in (NOW, NOW + MINUTE):
            said = await asyncio.gather(
                *(
                    stores.rotations.claim(a_claim(f"{number} at {now}", now), now)
                    for number, stores in enumerate(opened)
                )
            )
            assert len(set(said)) == 1
            assert said[0].holder.endswith(f"at {now}")
            assert [await stores.rotations.holder() for stores in opened] == said


async def test_only_the_holder_gives_it_up(stores: Stores) -> None:
    """Another's release, or a second one, changes nothing."""
    await stores.rotations.release("nobody")
    await stores.rotations.claim(a_claim(), 0)
    await stores.rotations.release("bea")
    assert await stores.rotations.holder() == a_claim()

    await stores.rotations.release("ann")
    await stores.rotations.release("ann")

    assert await stores.rotations.holder() is None
    assert await stores.rotations.claim(a_claim("bea"), 0) == a_claim("bea")


# --- the journal ---------------------------------------------------------------------------------------------


async def test_entries_are_numbered_as_they_come(stores: Stores) -> None:
    """Each gets the next number and is returned with it; they are listed from the newest, as many as asked for."""
    assert await stores.rotations.journal(9) == []
    written = [await stores.rotations.write(a_rotation(began_at=NOW - number)) for number in range(3)]

    assert [entry.id for entry in written] == [1, 2, 3]
    assert await stores.rotations.journal(9) == written[::-1]
    assert await stores.rotations.journal(2) == [written[2], written[1]]


async def test_an_entry_is_completed_under_its_number(stores: Stores) -> None:
    """Every column comes back, and the other entries stay as they are."""
    first, second = [await stores.rotations.write(a_rotation(line=line)) for line in ("data", "index")]
    done = Rotation(first.id, "data", "bea", NOW + 1, "[1, 2]", 3, NOW + 2, "done", '{"profiles": 7}', "5f2a")

    assert await stores.rotations.write(done) == done

    assert await stores.rotations.journal(9) == [second, done]
    assert (await stores.rotations.write(a_rotation())).id == 3


async def test_many_writers_get_numbers_of_their_own(stores: Stores) -> None:
    """No entry is written over another."""
    written = await asyncio.gather(*(stores.rotations.write(a_rotation(by=f"{n}")) for n in range(10)))

    assert sorted(entry.id for entry in written) == list(range(1, 11))
    assert len(await stores.rotations.journal(99)) == 10
