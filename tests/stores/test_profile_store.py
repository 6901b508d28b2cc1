import asyncio

import pytest
from msgspec.structs import replace

from tests.stores.boxes import sealed
from tests.stores.endings import Bury, dead_owners, expire, stored
from tests.stores.rows import HOUR, NOW, Keeper, a_new_profile, a_profile, a_tag
from vault.ports import ProfileStore, Stores
from vault.records import Tag

ANN, BEA, CY = a_tag("ann@example.org"), a_tag("bea@example.org"), a_tag("cy@example.org")
PHONE = a_tag("+4915112345678", field="phone")


# --- insert -------------------------------------------------------------------------------------------------


async def test_a_token_is_of_one_profile(profiles: ProfileStore) -> None:
    """Whoever comes with one that is taken, also in the same batch, is told so, and their tags stay free."""
    first, free = a_new_profile(), a_new_profile(ANN)
    second, third = a_new_profile(ANN, token=first.row.token), a_new_profile(BEA, token=first.row.token)
    assert await profiles.insert([first, second], NOW) == [None, "token"]
    assert await profiles.insert([third, free], NOW) == ["token", None]


async def test_an_inserted_profile_is_found(profiles: ProfileStore) -> None:
    """Every column comes back, by token and by each tag."""
    row = await stored(profiles, a_new_profile(ANN, PHONE, key_version=3, revision=2, expires_at=NOW + HOUR))

    assert await profiles.find(row.token) == row
    assert await profiles.find_by_tag([ANN]) == row
    assert await profiles.find_by_tag([PHONE]) == row


async def test_an_unknown_token_finds_nothing(profiles: ProfileStore) -> None:
    """Absent is None and not an error."""
    assert await profiles.find(a_profile().token) is None


async def test_outcomes_follow_the_order_of_the_batch(profiles: ProfileStore) -> None:
    """Each profile has its own outcome, at its own place."""
    await stored(profiles, a_new_profile(BEA))
    await stored(profiles, a_new_profile(PHONE))

    batch = [a_new_profile(ANN), a_new_profile(BEA), a_new_profile(), a_new_profile(PHONE), a_new_profile(CY)]

    assert await profiles.insert(batch, NOW) == [None, "email", None, "phone", None]
    assert [await profiles.find(new.row.token) for new in batch] == [
        batch[0].row,
        None,
        batch[2].row,
        None,
        batch[4].row,
    ]


async def test_the_first_taken_tag_names_the_outcome(profiles: ProfileStore) -> None:
    """Of several taken tags it is the first, in the caller's order, whose field is told."""
    await stored(profiles, a_new_profile(ANN, PHONE))

    assert await profiles.insert([a_new_profile(BEA, PHONE, ANN)], NOW) == ["phone"]


async def test_an_earlier_profile_of_the_batch_takes_its_tags(profiles: ProfileStore) -> None:
    """Duplicates inside a batch are found, and the first one wins."""
    first, second = a_new_profile(ANN), a_new_profile(ANN)

    assert await profiles.insert([first, second], NOW) == [None, "email"]
    assert await profiles.find_by_tag([ANN]) == first.row


async def test_a_skipped_profile_is_skipped_whole(profiles: ProfileStore) -> None:
    """One taken tag leaves the free ones free, even for the next profile of the batch."""
    await stored(profiles, a_new_profile(PHONE))
    skipped, heir = a_new_profile(ANN, PHONE, BEA), a_new_profile(ANN)

    assert await profiles.insert([skipped, heir], NOW) == ["phone", None]
    assert await profiles.find(skipped.row.token) is None
    assert await profiles.find_by_tag([ANN]) == heir.row
    assert await profiles.find_by_tag([BEA]) is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_tag("ann@example.org", field="login"), id="another field"),
        pytest.param(a_tag("ann@example.org", version=2), id="another key version"),
        pytest.param(BEA, id="another value"),
    ],
)
async def test_another_tag_is_not_taken(profiles: ProfileStore, other: Tag) -> None:
    """A tag is its field, its key version and its digest together."""
    await stored(profiles, a_new_profile(ANN))

    assert await profiles.find_by_tag([other]) is None
    assert await profiles.insert([a_new_profile(other)], NOW) == [None]


@dead_owners
async def test_tags_of_a_dead_owner_are_taken_over(profiles: ProfileStore, bury: Bury) -> None:
    """A dead profile holds up nobody, and its own removal later does not touch the heir."""
    dead = await bury(profiles, ANN, PHONE)

    heir = await stored(profiles, a_new_profile(ANN))

    assert await profiles.find_by_tag([ANN]) == heir
    await profiles.delete(dead.token)
    assert await profiles.find_by_tag([ANN]) == heir
    assert await profiles.insert([a_new_profile(ANN)], NOW) == ["email"]


@dead_owners
async def test_a_skipped_profile_takes_nothing_over(profiles: ProfileStore, bury: Bury) -> None:
    """Whoever is skipped for one tag leaves the dead owner of another what it has."""
    dead = await bury(profiles, ANN)
    await stored(profiles, a_new_profile(PHONE))

    assert await profiles.insert([a_new_profile(ANN, PHONE)], NOW) == ["phone"]
    owner = await profiles.find_by_tag([ANN])
    assert owner is not None
    assert owner.token == dead.token


async def test_an_owner_is_alive_up_to_its_last_millisecond(profiles: ProfileStore) -> None:
    """One millisecond before the end a tag is still taken."""
    await stored(profiles, a_new_profile(ANN, expires_at=NOW + 1))

    assert await profiles.insert([a_new_profile(ANN)], NOW) == ["email"]
    assert await profiles.insert([a_new_profile(ANN)], NOW + 1) == [None]


async def test_one_of_many_concurrent_duplicates_is_inserted(profiles: ProfileStore, stores: Stores) -> None:
    """A tag never gets two owners, however many ask at once."""
    outcomes = await asyncio.gather(*(profiles.insert([a_new_profile(ANN)], NOW) for _ in range(20)))

    assert sorted(outcomes, key=str) == [["email"]] * 19 + [[None]]
    assert await sealed(stores, "profiles").census() == {1: 1}


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_insert_leaves_the_store_usable(profiles: ProfileStore, steps: int) -> None:
    """Wherever a call is cut off, it happened whole or not at all, and the next one works."""
    new = a_new_profile(ANN, PHONE)
    call = asyncio.create_task(profiles.insert([new], NOW))
    for _ in range(steps):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    await stored(profiles, a_new_profile(BEA))
    found = [await profiles.find(new.row.token), *[await profiles.find_by_tag([tag]) for tag in new.tags]]
    assert found in ([new.row] * 3, [None] * 3)


async def test_the_keeper_is_told_every_outcome_once(profiles: ProfileStore) -> None:
    """An answer covers the whole batch, the skipped profiles too."""
    keeper = Keeper()

    await profiles.insert([a_new_profile(ANN), a_new_profile(ANN), a_new_profile(BEA)], NOW, keeper)

    assert keeper.calls == [[None, "email", None]]


async def test_an_answer_is_kept_though_nothing_was_inserted(profiles: ProfileStore) -> None:
    """That everything was a duplicate is an answer like any other."""
    await stored(profiles, a_new_profile(ANN))
    keeper = Keeper()

    assert await profiles.insert([a_new_profile(ANN)], NOW, keeper) == ["email"]
    assert await profiles.kept_answer(keeper.digest, NOW) == keeper.answer


# --- find_by_tag --------------------------------------------------------------------------------------------


async def test_any_of_the_tags_finds_the_profile(profiles: ProfileStore) -> None:
    """A look-up brings one tag for each key version, and only one of them is stored."""
    row = await stored(profiles, a_new_profile(ANN))
    await stored(profiles, a_new_profile(BEA))

    assert (
        await profiles.find_by_tag(
            [a_tag("ann@example.org", version=3), a_tag("ann@example.org", version=2), ANN]
        )
        == row
    )


async def test_no_tag_finds_nothing(profiles: ProfileStore) -> None:
    """An empty question has no answer."""
    await stored(profiles, a_new_profile(ANN))

    assert await profiles.find_by_tag([]) is None


@dead_owners
async def test_a_dead_profile_is_still_found(profiles: ProfileStore, bury: Bury) -> None:
    """Whether a dead profile may be seen is not the store's to judge."""
    dead = await bury(profiles, ANN)

    for found in (await profiles.find(dead.token), await profiles.find_by_tag([ANN])):
        assert found is not None
        assert found.token == dead.token
        assert not found.is_alive(NOW)


# --- census --------------------------------------------------------------------------------------------------


async def test_the_census_counts_boxes_by_key_version(profiles: ProfileStore, stores: Stores) -> None:
    """Every box counts under the key that seals it now, dead profiles included."""
    assert await sealed(stores, "profiles").census() == {}
    row = await stored(profiles, a_new_profile(key_version=1))
    await stored(profiles, a_new_profile(key_version=1))
    await stored(profiles, a_new_profile(key_version=2))
    await expire(profiles)

    assert await sealed(stores, "profiles").census() == {1: 3, 2: 1}
    await profiles.replace(replace(row, key_version=2, revision=2), [], 1)
    assert await sealed(stores, "profiles").census() == {1: 2, 2: 2}
