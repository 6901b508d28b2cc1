"""The tags of single values: what makes them unique, in each back-end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tests.stores.boxes import sealed
from tests.stores.rows import HOUR, NOW, AnEntry, a_document, a_new_profile, a_tag, sealing
from vault.errors import StaleKeys
from vault.ports import Claimed, Collision, DocumentRow, NewValue, RenewedValue, Stores
from vault.records import SealedRow, Tag

OLD, NEW = 1, 2
CARD, CARD_2 = a_tag("4111", "value", OLD), a_tag("4111", "value", NEW)
BASE, BASE_2 = a_tag("5222", "tokenbase", OLD), a_tag("5222", "tokenbase", NEW)
BOTH = (CARD_2, CARD)  # as the blind index makes them: the newest first


def a_value(*tags: Tag, **changes: Any) -> NewValue:
    """Return a new value that never expires, and its tags."""
    row = a_document(**changes)
    return NewValue(sealing(replace(row, name=row.name.replace("role/", "value/"))), tags)


async def kept(stores: Stores, new: NewValue, now: int = NOW) -> DocumentRow:
    """Keep a value; return its row as it is read."""
    assert await stores.values.write([new], [], now)
    row = await stores.documents.find(new.sealing(0).name)
    assert row is not None
    return row


async def box_of(stores: Stores, row: DocumentRow) -> SealedRow:
    """Return the value as a re-index sees it."""
    box = await sealed(stores, "documents").get(row.name)
    assert box is not None
    return box


async def all_there_is(stores: Stores) -> tuple[object, ...]:
    """Return every row with all that a write could change."""
    rows = await stores.documents.page("", NOW, 0, -1)
    return rows, await stores.values.tags_of([row.name for row in rows]), await stores.audit.end()


# --- write, find_by_tag --------------------------------------------------------------------------------------


async def test_a_value_is_found_by_each_of_its_tags(stores: Stores) -> None:
    """And by no other; of the tags asked for, any will do."""
    row = await kept(stores, a_value(CARD, BASE))
    await kept(stores, a_value())
    for tags in ([CARD], [BASE], [CARD_2, CARD]):
        assert await stores.values.find_by_tag(tags) == row
    assert await stores.values.find_by_tag([CARD_2]) is None
    assert await stores.values.find_by_tag([]) is None


async def test_a_write_is_recorded(stores: Stores) -> None:
    """The events that come with it, once."""
    assert await stores.values.write([a_value(CARD), a_value()], [], NOW, [AnEntry(), AnEntry()])
    end = await stores.audit.end()
    assert end is not None
    assert end.sequence == 2


async def test_a_tag_belongs_to_one_value(stores: Stores) -> None:
    """Whoever comes second is told, and nothing of the whole call is done: no row, no tag, no event."""
    row = await kept(stores, a_value(CARD))
    other = await kept(stores, a_value())
    renewed = RenewedValue(other, replace(other, box=b"new", expires_at=NOW + HOUR))
    before = await all_there_is(stores)

    assert not await stores.values.write([a_value(BASE), a_value(CARD)], [renewed], NOW, [AnEntry()])

    assert await all_there_is(stores) == before
    assert await stores.values.find_by_tag([CARD]) == row
    assert await stores.values.find_by_tag([BASE]) is None


async def test_one_call_has_no_duplicates_of_its_own(stores: Stores) -> None:
    """Two values with one tag are not written, neither of them."""
    before = await all_there_is(stores)
    assert not await stores.values.write([a_value(CARD), a_value(CARD)], [], NOW)
    assert await all_there_is(stores) == before


async def test_of_many_who_race_one_wins(stores: Stores) -> None:
    """There is no moment between the look and the claim."""
    said = await asyncio.gather(*(stores.values.write([a_value(CARD)], [], NOW) for _ in range(8)))
    assert sorted(said) == [False] * 7 + [True]
    assert await stores.values.tag_census() == {OLD: 1}


async def test_profiles_and_values_do_not_share_tags(stores: Stores) -> None:
    """The very same tag may be a profile's and a value's: the one does not find the other."""
    profile, row = a_new_profile(CARD), await kept(stores, a_value(CARD))
    assert await stores.profiles.insert([profile], NOW) == [None]
    assert await stores.values.find_by_tag([CARD]) == row
    assert await stores.profiles.find_by_tag([CARD]) == profile.row
    assert await stores.tag_census() == {OLD: 2}


async def test_a_value_is_renewed(stores: Stores) -> None:
    """Box and times are those of the new row; its name, birth and tags stay."""
    row = await kept(stores, a_value(CARD))
    new = replace(row, box=b"new", key_version=2, updated_at=NOW + 1, expires_at=NOW + HOUR)
    assert await stores.values.write([a_value(BASE)], [RenewedValue(row, new)], NOW, [AnEntry()])
    assert await stores.documents.find(row.name) == new
    assert await stores.values.find_by_tag([CARD]) == new


async def test_a_value_that_has_changed_is_not_renewed(stores: Stores) -> None:
    """Whoever was faster has won, and nothing else of the call is done."""
    row = await kept(stores, a_value(CARD))
    renewed = RenewedValue(row, replace(row, box=b"new"))
    assert await stores.documents.swap(row, replace(row, box=b"other"))
    before = await all_there_is(stores)
    assert not await stores.values.write([a_value(BASE)], [renewed], NOW, [AnEntry()])
    assert await all_there_is(stores) == before


async def test_a_dead_values_tags_are_taken_over(stores: Stores) -> None:
    """From the very millisecond of its end; and when it is swept away, they stay with who has them."""
    dead = await kept(stores, a_value(CARD, BASE, expires_at=NOW), NOW - HOUR)
    assert not await stores.values.write([a_value(CARD)], [], NOW - 1)

    row = await kept(stores, a_value(CARD))

    assert await stores.values.tags_of([dead.name, row.name]) == {dead.name: {BASE}, row.name: {CARD}}
    assert await stores.documents.purge(NOW, 10) == 1
    assert await stores.values.tags_of([dead.name, row.name]) == {row.name: {CARD}}
    assert await stores.values.find_by_tag([CARD]) == row


# --- the end of a value --------------------------------------------------------------------------------------


async def _delete(stores: Stores, row: DocumentRow) -> None:
    assert await stores.documents.delete([row.name]) == 1


async def _purge(stores: Stores, _: DocumentRow) -> None:
    assert await stores.documents.purge(NOW + HOUR, 10) == 1


async def _discard(stores: Stores, row: DocumentRow) -> None:
    boxes = sealed(stores, "documents")
    await boxes.set_aside(await box_of(stores, row), "box_tampered", NOW)
    assert await boxes.discard(row.name)


Ending = Callable[[Stores, DocumentRow], Awaitable[None]]
ENDINGS: dict[str, Ending] = {
    "it is deleted": _delete,
    "it has expired and is swept": _purge,
    "it does not open and is discarded": _discard,
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
async def test_tags_go_with_their_value(end: Ending, stores: Stores) -> None:
    """However it ends: none is left, and the next may have them."""
    row = await kept(stores, a_value(CARD, BASE, expires_at=NOW + HOUR))
    await end(stores, row)
    assert await stores.values.tag_census() == {}
    assert await stores.values.orphan_tags(10) == []
    assert await stores.values.find_by_tag([CARD]) is None
    await kept(stores, a_value(CARD, BASE))


# --- what a re-index needs -----------------------------------------------------------------------------------


async def test_tags_are_claimed_beside_those_there_are(stores: Stores) -> None:
    """The value is found by old and new; doing it again changes nothing."""
    row = await kept(stores, a_value(CARD, BASE))
    box = await box_of(stores, row)
    assert await stores.values.add_tags([(box, [CARD_2, BASE_2])], NOW) == Claimed(2, [])
    assert (await stores.values.add_tags([(box, [CARD_2])], NOW)).collisions == []
    assert await stores.values.tags_of([row.name]) == {row.name: {CARD, CARD_2, BASE, BASE_2}}
    assert await stores.values.find_by_tag([BASE_2]) == row


async def test_who_has_changed_or_died_gets_none(stores: Stores) -> None:
    """Tags were made of what the box said; and a dead one's may be another's."""
    changed = await kept(stores, a_value(CARD))
    dying = await kept(stores, a_value(BASE, expires_at=NOW + HOUR))
    boxes = [(await box_of(stores, changed), [CARD_2]), (await box_of(stores, dying), [BASE_2])]
    assert await stores.documents.swap(changed, replace(changed, box=b"other"))
    assert await stores.values.add_tags(boxes, NOW + HOUR) == Claimed(0, [])
    assert await stores.values.tag_census() == {OLD: 2}


async def test_what_another_holds_is_reported(stores: Stores) -> None:
    """It stays with who has it."""
    row = await kept(stores, a_value(CARD))
    other = await kept(stores, a_value(CARD_2))
    claimed = await stores.values.add_tags([(await box_of(stores, row), [CARD_2, BASE_2])], NOW)
    assert claimed == Claimed(1, [Collision(row.name, "value")])
    assert await stores.values.find_by_tag([CARD_2]) == other


async def test_tags_are_counted_and_dropped_by_version(stores: Stores) -> None:
    """Up to so many at a time; those of values count among the versions in use."""
    for number in range(3):
        await kept(stores, a_value(a_tag(f"{number}", "value", NEW), a_tag(f"{number}", "value", OLD)))
    assert await stores.values.tag_census() == await stores.tag_census() == {OLD: 3, NEW: 3}
    assert (await stores.keys.versions_in_use())["index"] == {OLD, NEW}
    assert [await stores.values.drop_tags(OLD, 2) for _ in range(3)] == [2, 1, 0]
    assert (await stores.keys.versions_in_use())["index"] == {NEW}


# --- the fence -----------------------------------------------------------------------------------------------


async def test_nothing_is_written_under_a_closed_version(stores: Stores) -> None:
    """No tag under a closed index version and no box under a closed data version; nothing is half done."""
    row = await kept(stores, a_value(CARD_2))
    box = await box_of(stores, row)
    await stores.keys.close("index", OLD)
    before = await all_there_is(stores)
    with pytest.raises(StaleKeys):
        await stores.values.write([a_value(BASE_2), a_value(BASE)], [], NOW, [AnEntry()])
    with pytest.raises(StaleKeys):
        await stores.values.add_tags([(box, [CARD])], NOW)
    await stores.keys.close("data", 1)
    for news, renewed in (
        ([a_value(key_version=1)], []),
        ([a_value(key_version=2)], [RenewedValue(row, replace(row, box=b"new", key_version=1))]),
    ):
        with pytest.raises(StaleKeys):
            await stores.values.write(news, renewed, NOW, [AnEntry()])
    assert await all_there_is(stores) == before
    await stores.keys.reopen("index", OLD)
    await kept(stores, a_value(BASE, key_version=2))


async def test_a_required_version_comes_first(stores: Stores) -> None:
    """The old tag alone is refused, as is one whose new tag is of another field or of a profile."""
    row = await kept(stores, a_value(CARD))
    box = await box_of(stores, row)
    await stores.keys.require(NEW)
    assert await stores.profiles.insert([a_new_profile(BASE_2)], NOW) == [None]
    for tags in ([BASE], [CARD_2, BASE]):
        with pytest.raises(StaleKeys):
            await stores.values.write([a_value(*tags)], [], NOW)
    with pytest.raises(StaleKeys):
        await stores.values.add_tags([(box, [BASE])], NOW)
    assert await stores.values.tag_census() == {OLD: 1}
    assert await stores.values.add_tags([(box, [CARD_2])], NOW) == Claimed(1, [])
    await kept(stores, a_value(BASE_2, BASE))


@pytest.mark.parametrize(
    "held",
    [
        pytest.param((CARD,), id="under the old version alone"),
        pytest.param((CARD_2,), id="under the new version alone"),
        pytest.param(BOTH, id="under both versions"),
    ],
)
async def test_a_duplicate_is_told_as_such_amid_a_re_index(held: tuple[Tag, ...], stores: Stores) -> None:
    """Whichever version holds the value: no newcomer slips in, and none is told that its keys are old."""
    row = await kept(stores, a_value(*held))
    await stores.keys.require(NEW)
    before = await all_there_is(stores)
    assert not await stores.values.write([a_value(*BOTH)], [], NOW)
    assert await all_there_is(stores) == before
    assert await stores.values.find_by_tag(BOTH) == row
