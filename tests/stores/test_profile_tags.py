import asyncio

from msgspec.structs import replace

from tests.stores.boxes import sealed
from tests.stores.endings import Bury, dead_owners, stored
from tests.stores.rows import NOW, a_new_profile, a_profile, a_tag
from vault.ports import Claimed, Collision, Stores
from vault.records import ProfileRow, SealedRow

ANN, ANN_2 = a_tag("ann@example.org"), a_tag("ann@example.org", version=2)
PHONE, PHONE_2 = a_tag("+15550100", "phone"), a_tag("+15550100", "phone", 2)


async def box_of(stores: Stores, row: ProfileRow) -> SealedRow:
    """Return the profile as a re-index sees it."""
    box = await sealed(stores, "profiles").get(row.token)
    assert box is not None
    return box


# --- add_tags ------------------------------------------------------------------------------------------------


async def test_tags_are_claimed_beside_those_there_are(stores: Stores) -> None:
    """The person is found by old and new, and of the profile itself nothing is changed."""
    row = await stored(stores.profiles, a_new_profile(ANN, PHONE))
    other = await stored(stores.profiles, a_new_profile(a_tag("bea")))
    boxes = [await box_of(stores, row), await box_of(stores, other)]

    claimed = await stores.profiles.add_tags(
        [(boxes[0], [ANN_2, PHONE_2]), (boxes[1], [a_tag("bea", version=2)])], NOW
    )

    assert claimed == Claimed(3, [])
    for tag in (ANN, PHONE, ANN_2, PHONE_2):
        assert await stores.profiles.find_by_tag([tag]) == row
    assert await stores.profiles.find_by_tag([a_tag("bea", version=2)]) == other


async def test_claiming_again_changes_nothing(stores: Stores) -> None:
    """A re-index that was interrupted begins the page anew."""
    row = await stored(stores.profiles, a_new_profile(ANN))
    box = await box_of(stores, row)

    for _ in range(3):
        assert (await stores.profiles.add_tags([(box, [ANN_2])], NOW)).collisions == []

    assert await stores.profiles.tags_of([row.token]) == {row.token: {ANN, ANN_2}}
    assert await stores.profiles.tag_census() == {1: 1, 2: 1}


async def test_a_profile_that_has_changed_gets_none(stores: Stores) -> None:
    """Its tags were made of values that it may not have any more; the other rows of the call get theirs."""
    row = await stored(stores.profiles, a_new_profile(ANN))
    other = await stored(stores.profiles, a_new_profile(PHONE))
    box, other_box = await box_of(stores, row), await box_of(stores, other)
    assert await stores.profiles.replace(replace(row, box=b"new", revision=2), [a_tag("bea")], 1)

    claimed = await stores.profiles.add_tags([(box, [ANN_2]), (other_box, [PHONE_2])], NOW)

    assert claimed == Claimed(1, [])
    assert await stores.profiles.tags_of([row.token, other.token]) == {
        row.token: {a_tag("bea")},
        other.token: {PHONE, PHONE_2},
    }


@dead_owners
async def test_a_dead_profile_gets_none(bury: Bury, stores: Stores) -> None:
    """Its values are free: somebody else may have them already."""
    dead = await bury(stores.profiles, ANN)
    box = await box_of(stores, dead)

    assert await stores.profiles.add_tags([(box, [ANN_2])], NOW) == Claimed(0, [])

    assert await stores.profiles.find_by_tag([ANN_2]) is None
    await stored(stores.profiles, a_new_profile(ANN_2, ANN))
    assert await stores.profiles.add_tags([(box, [ANN_2])], NOW) == Claimed(0, [])


async def test_a_profile_is_alive_up_to_its_last_millisecond(stores: Stores) -> None:
    """One millisecond before its end it is given its tags, and at its end it is not."""
    for seconds, added in ((1, 1), (0, 0)):
        new = a_new_profile(a_tag(f"{seconds}"), created_at=NOW - 9, expires_at=NOW + seconds)
        assert await stores.profiles.insert([new], NOW - 9) == [None]
        box = await box_of(stores, new.row)
        assert (await stores.profiles.add_tags([(box, [a_tag(f"{seconds}", version=2)])], NOW)).added == added


async def test_a_profile_that_is_gone_gets_none(stores: Stores) -> None:
    """No tag is left without its owner."""
    row = await stored(stores.profiles, a_new_profile(ANN))
    box = await box_of(stores, row)
    await stores.profiles.delete(row.token)

    assert await stores.profiles.add_tags([(box, [ANN_2])], NOW) == Claimed(0, [])
    assert await stores.profiles.tag_census() == {}


async def test_what_a_living_other_holds_stays_with_it(stores: Stores) -> None:
    """It is reported with the profile that does without and the field; the profile's other tags are claimed."""
    owner = await stored(stores.profiles, a_new_profile(ANN_2))
    row = await stored(stores.profiles, a_new_profile(ANN, PHONE))
    box = await box_of(stores, row)

    claimed = await stores.profiles.add_tags([(box, [ANN_2, PHONE_2])], NOW)

    assert claimed == Claimed(1, [Collision(row.token, "email")])
    assert await stores.profiles.tags_of([owner.token, row.token]) == {
        owner.token: {ANN_2},
        row.token: {ANN, PHONE, PHONE_2},
    }


@dead_owners
async def test_what_a_dead_other_holds_is_taken_over(bury: Bury, stores: Stores) -> None:
    """And it is not lost when the dead one is swept away."""
    dead = await bury(stores.profiles, ANN_2)
    row = await stored(stores.profiles, a_new_profile(ANN))
    box = await box_of(stores, row)

    assert await stores.profiles.add_tags([(box, [ANN_2])], NOW) == Claimed(1, [])

    await stores.profiles.delete(dead.token)
    assert await stores.profiles.find_by_tag([ANN_2]) == row


async def test_of_two_rows_of_one_call_the_first_gets_the_tag(stores: Stores) -> None:
    """Both came in with one value before there was a tag for it; the second is reported."""
    first, second = [await stored(stores.profiles, a_new_profile()) for _ in range(2)]
    boxes = [await box_of(stores, row) for row in (first, second)]

    claimed = await stores.profiles.add_tags([(box, [ANN_2]) for box in boxes], NOW)

    assert claimed == Claimed(1, [Collision(second.token, "email")])
    assert await stores.profiles.find_by_tag([ANN_2]) == first


async def test_a_tag_never_gets_two_owners(stores: Stores) -> None:
    """Re-index and newcomers race for one value: whoever is second hears of the first."""
    row = await stored(stores.profiles, a_new_profile())
    box = await box_of(stores, row)

    first, claimed, second = await asyncio.gather(
        stores.profiles.insert([a_new_profile(ANN_2)], NOW),
        stores.profiles.add_tags([(box, [ANN_2])], NOW),
        stores.profiles.insert([a_new_profile(ANN_2)], NOW),
    )

    assert [first, second].count([None]) + claimed.added == 1
    assert await stores.profiles.tag_census() == {2: 1}


async def test_added_tags_go_with_their_profile(stores: Stores) -> None:
    """Deleted or replaced, it leaves none of them behind."""
    rows = [await stored(stores.profiles, a_new_profile()) for _ in range(2)]
    tags = [a_tag("ann", version=2), a_tag("bea", version=2)]
    boxes = [await box_of(stores, row) for row in rows]
    assert await stores.profiles.add_tags(
        [(box, [tag]) for box, tag in zip(boxes, tags, strict=True)], NOW
    ) == Claimed(2, [])

    await stores.profiles.delete(rows[0].token)
    assert await stores.profiles.replace(replace(rows[1], box=b"new", revision=2), [], 1)

    assert await stores.profiles.tag_census() == {}
    await stored(stores.profiles, a_new_profile(*tags))


async def test_nothing_to_claim_is_fine(stores: Stores) -> None:
    """An empty page, and a profile without indexed fields."""
    row = await stored(stores.profiles, a_new_profile())

    assert await stores.profiles.add_tags([], NOW) == Claimed(0, [])
    assert await stores.profiles.add_tags([(await box_of(stores, row), [])], NOW) == Claimed(0, [])


# --- tags_of, tag_census, drop_tags --------------------------------------------------------------------------


async def test_tags_are_listed_by_their_owner(stores: Stores) -> None:
    """Of those asked for and who hold any; every column comes back."""
    ann = await stored(stores.profiles, a_new_profile(ANN, ANN_2, PHONE))
    bea = await stored(stores.profiles, a_new_profile(a_tag("bea")))
    none = await stored(stores.profiles, a_new_profile())
    await stored(stores.profiles, a_new_profile(a_tag("cy")))

    tokens = [ann.token, bea.token, none.token, a_profile().token]
    assert await stores.profiles.tags_of(tokens) == {
        ann.token: {ANN, ANN_2, PHONE},
        bea.token: {a_tag("bea")},
    }
    assert await stores.profiles.tags_of([]) == {}


async def test_a_page_of_owners_can_be_large(stores: Stores) -> None:
    """As many as a page of a sweep may have are asked for at once."""
    news = [a_new_profile(a_tag(f"{number}")) for number in range(2000)]
    await stores.profiles.insert(news, NOW)

    found = await stores.profiles.tags_of([new.row.token for new in news])
    assert found == {new.row.token: set(new.tags) for new in news}


async def test_the_tag_census_counts_by_index_version(stores: Stores) -> None:
    """Tags and not profiles, the dead ones' too."""
    assert await stores.profiles.tag_census() == {}
    row = await stored(stores.profiles, a_new_profile(ANN, ANN_2, PHONE))
    await stored(stores.profiles, a_new_profile(a_tag("bea", version=2)))
    await stores.profiles.note_erasure(row.token, NOW)

    assert await stores.profiles.tag_census() == {1: 2, 2: 2}


async def test_dropping_takes_one_version_in_steps(stores: Stores) -> None:
    """As many as it is told to at a time, until none is left; the other version stays."""
    for number in range(5):
        await stored(stores.profiles, a_new_profile(a_tag(f"{number}"), a_tag(f"{number}", version=2)))

    assert [await stores.profiles.drop_tags(1, 2) for _ in range(4)] == [2, 2, 1, 0]

    assert await stores.profiles.tag_census() == {2: 5}
    for number in range(5):
        assert await stores.profiles.find_by_tag([a_tag(f"{number}")]) is None
        assert await stores.profiles.find_by_tag([a_tag(f"{number}", version=2)])


async def test_a_dropped_tag_is_free(stores: Stores) -> None:
    """Its former owner holds what else it has, and going takes nothing from the next one."""
    row = await stored(stores.profiles, a_new_profile(ANN, PHONE_2))
    await stores.profiles.drop_tags(1, 9)

    heir = await stored(stores.profiles, a_new_profile(ANN))
    assert await stores.profiles.tags_of([row.token]) == {row.token: {PHONE_2}}
    await stores.profiles.delete(row.token)
    assert await stores.profiles.find_by_tag([ANN]) == heir
