import asyncio

import pytest
from msgspec.structs import replace

from tests.stores.boxes import sealed
from tests.stores.endings import Bury, begin_erasure, dead_owners, stored
from tests.stores.rows import HOUR, NOW, a_new_profile, a_profile, a_tag
from vault.errors import Duplicate
from vault.ports import NewProfile, ProfileStore, Stores

ANN, BEA = a_tag("ann@example.org"), a_tag("bea@example.org")
PHONE = a_tag("+4915112345678", field="phone")


# --- replace ------------------------------------------------------------------------------------------------


async def test_replace_puts_row_and_tags_in_place(profiles: ProfileStore) -> None:
    """The row is the new one, kept tags stay, new tags are owned, dropped tags are free."""
    row = await stored(profiles, a_new_profile(ANN, PHONE))
    changed = a_profile(token=row.token, revision=2, key_version=2, updated_at=NOW + 1, expires_at=NOW + HOUR)

    assert await profiles.replace(changed, [ANN, BEA], expected_revision=1)

    assert await profiles.find(row.token) == changed
    assert await profiles.find_by_tag([ANN]) == changed
    assert await profiles.find_by_tag([BEA]) == changed
    assert await profiles.find_by_tag([PHONE]) is None
    await stored(profiles, a_new_profile(PHONE))


async def test_replace_needs_the_expected_revision(profiles: ProfileStore) -> None:
    """A change that was made from an older reading changes nothing."""
    row = await stored(profiles, a_new_profile(ANN, revision=5))

    for revision in (4, 6):
        assert not await profiles.replace(replace(row, box=b"new", revision=6), [BEA], revision)

    assert await profiles.find(row.token) == row
    assert await profiles.find_by_tag([ANN]) == row
    assert await profiles.find_by_tag([BEA]) is None


async def test_replace_never_brings_a_profile_into_being(profiles: ProfileStore) -> None:
    """A profile that was erased meanwhile stays erased."""
    row = await stored(profiles, a_new_profile(ANN))
    await profiles.delete(row.token)

    assert not await profiles.replace(replace(row, revision=2), [ANN], 1)
    assert await profiles.find(row.token) is None
    assert await profiles.find_by_tag([ANN]) is None


async def test_replace_leaves_a_profile_that_is_being_erased(profiles: ProfileStore) -> None:
    """From its mark on, an erasure can no longer be overtaken."""
    row = await begin_erasure(profiles, ANN)
    marked = await profiles.find(row.token)

    assert not await profiles.replace(replace(row, box=b"new", revision=2), [BEA], 1)
    assert await profiles.find(row.token) == marked
    assert await profiles.find_by_tag([BEA]) is None


async def test_one_of_many_concurrent_changes_wins(profiles: ProfileStore) -> None:
    """No change is lost under another that started from the same revision."""
    row = await stored(profiles, a_new_profile())
    changes = [replace(row, box=bytes([n]), revision=2) for n in range(10)]

    done = await asyncio.gather(*(profiles.replace(change, [], 1) for change in changes))

    assert done.count(True) == 1
    assert await profiles.find(row.token) == changes[done.index(True)]


async def test_replace_refuses_a_tag_of_another_profile(profiles: ProfileStore) -> None:
    """The error names the field, and neither row nor tags have changed."""
    row = await stored(profiles, a_new_profile(ANN))
    other = await stored(profiles, a_new_profile(PHONE))

    with pytest.raises(Duplicate) as refusal:
        await profiles.replace(replace(row, box=b"new", revision=2), [BEA, PHONE], 1)

    assert refusal.value.field == "phone"
    assert await profiles.find_by_tag([ANN]) == row
    assert await profiles.find_by_tag([BEA]) is None
    assert await profiles.find_by_tag([PHONE]) == other


@dead_owners
async def test_replace_takes_over_tags_of_a_dead_owner(profiles: ProfileStore, bury: Bury) -> None:
    """A change may use what a dead profile held, as an insert may."""
    dead = await bury(profiles, PHONE)
    row = await stored(profiles, a_new_profile(ANN))
    changed = replace(row, revision=2)

    assert await profiles.replace(changed, [ANN, PHONE], 1)
    await profiles.delete(dead.token)
    assert await profiles.find_by_tag([PHONE]) == changed


async def test_replace_judges_owners_at_the_time_of_the_change(profiles: ProfileStore) -> None:
    """It is ``updated_at`` at which the other owner must be dead."""
    await stored(profiles, a_new_profile(PHONE, expires_at=NOW + HOUR))
    row = await stored(profiles, a_new_profile(ANN))

    with pytest.raises(Duplicate):
        await profiles.replace(replace(row, revision=2, updated_at=NOW + HOUR - 1), [PHONE], 1)
    assert await profiles.replace(replace(row, revision=2, updated_at=NOW + HOUR), [PHONE], 1)


# --- the end ------------------------------------------------------------------------------------------------


async def test_an_erasure_is_noted(profiles: ProfileStore) -> None:
    """The mark is the only thing that changes, and noting it again is fine."""
    row = await stored(profiles, a_new_profile(ANN))

    assert await profiles.note_erasure(row.token, NOW)
    assert await profiles.find(row.token) == replace(row, erasing_at=NOW)
    assert await profiles.note_erasure(row.token, NOW)


async def test_an_absent_profile_has_no_erasure(profiles: ProfileStore) -> None:
    """There is nothing to mark, and nothing is left behind."""
    assert not await profiles.note_erasure(a_profile().token, NOW)
    assert await profiles.unfinished_erasures(10) == []


async def test_unfinished_erasures_are_listed_until_they_are_done(profiles: ProfileStore) -> None:
    """A restart finds what has begun and only that, as much as it asks for."""
    await stored(profiles, a_new_profile())
    begun = [(await begin_erasure(profiles)).token for _ in range(3)]

    assert sorted(await profiles.unfinished_erasures(10)) == sorted(begun)
    assert len(await profiles.unfinished_erasures(2)) == 2
    await profiles.delete(begun[0])
    assert sorted(await profiles.unfinished_erasures(10)) == sorted(begun[1:])


async def test_delete_removes_box_tags_and_mark(profiles: ProfileStore, stores: Stores) -> None:
    """Of a deleted profile nothing is found and its tags are free."""
    row = await begin_erasure(profiles, ANN, PHONE)

    await profiles.delete(row.token)

    assert await profiles.find(row.token) is None
    assert await profiles.find_by_tag([ANN, PHONE]) is None
    assert await profiles.unfinished_erasures(10) == []
    assert await sealed(stores, "profiles").census() == {}
    await stored(profiles, a_new_profile(ANN, PHONE))


async def test_delete_is_for_one_profile(profiles: ProfileStore) -> None:
    """Absent is fine, and others stay."""
    row = await stored(profiles, a_new_profile(ANN))

    await profiles.delete(a_profile().token)

    assert await profiles.find_by_tag([ANN]) == row


async def test_expired_profiles_come_oldest_first(profiles: ProfileStore) -> None:
    """What expired longest ago is first, the very millisecond counts, and the rest is not there."""
    ends = {"third": NOW, "first": NOW - HOUR, "alive": NOW + 1, "second": NOW - 1, "for ever": None}
    rows = {name: a_profile(created_at=NOW - 2 * HOUR, expires_at=end) for name, end in ends.items()}
    await profiles.insert([NewProfile(row, ()) for row in rows.values()], NOW - 2 * HOUR)

    in_order = [rows[name].token for name in ("first", "second", "third")]
    assert await profiles.expired(NOW, 10) == in_order
    assert await profiles.expired(NOW, 2) == in_order[:2]
