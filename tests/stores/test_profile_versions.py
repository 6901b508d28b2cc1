import pytest
from msgspec.structs import replace

from tests.stores.boxes import sealed
from tests.stores.endings import stored
from tests.stores.rows import HOUR, NOW, AnEntry, a_document, a_new_profile, a_profile, a_tag, sealing
from vault.errors import Duplicate, StaleKeys
from vault.ports import DocumentRow, Former, ProfileStore, Stores
from vault.records import ProfileRow

ANN, BEA = a_tag("ann@example.org"), a_tag("bea@example.org")
CLOSED = 7


def under(row: ProfileRow) -> str:
    """Return what the names of a person's versions begin with."""
    return f"version/{row.token}/"


def former(row: ProfileRow, most: int = 9, **changes: object) -> Former:
    """Return what a change of this row leaves: the row itself as a document."""
    name = f"{under(row)}{row.revision}"
    return Former(under(row), sealing(a_document(name=name, owner=row.token, **changes)), most)


async def change(profiles: ProfileStore, row: ProfileRow, left: Former | None) -> ProfileRow:
    """Change a profile, which goes well; return the row after that."""
    changed = replace(row, revision=row.revision + 1)
    assert await profiles.replace(changed, [], row.revision, [], left)
    return changed


async def kept(stores: Stores, row: ProfileRow) -> list[DocumentRow]:
    """Return the versions that are kept of a person."""
    return await stores.documents.page(under(row), NOW, 0, 99)


# --- former versions ----------------------------------------------------------------------------------------


async def test_a_change_keeps_what_was(profiles: ProfileStore, stores: Stores) -> None:
    """The document is there with the new row, and is a box like any other."""
    row = await stored(profiles, a_new_profile())
    left = former(row)
    assert left.sealing

    await change(profiles, row, left)

    [version] = await kept(stores, row)
    assert version == left.sealing(version.id)
    assert await sealed(stores, "documents").census() == {1: 1}


async def test_the_oldest_version_goes(profiles: ProfileStore, stores: Stores) -> None:
    """No more are kept than may be, and the tenth is younger than the ninth."""
    row = await stored(profiles, a_new_profile(revision=8))
    for _ in range(4):
        row = await change(profiles, row, former(row, most=2))

    assert [one.name for one in await kept(stores, row)] == [f"{under(row)}10", f"{under(row)}11"]


async def test_a_smaller_bound_takes_all_that_are_beyond(profiles: ProfileStore, stores: Stores) -> None:
    """The next change obeys it; with none at all, nothing is left."""
    row = await stored(profiles, a_new_profile())
    for _ in range(4):
        row = await change(profiles, row, former(row))

    row = await change(profiles, row, former(row, most=1))
    assert len(await kept(stores, row)) == 1
    await change(profiles, row, Former(under(row), None, 0))
    assert await kept(stores, row) == []


async def test_versions_of_others_stay(profiles: ProfileStore, stores: Stores) -> None:
    """The bound is each person's own."""
    ann, bea = await stored(profiles, a_new_profile()), await stored(profiles, a_new_profile())
    await change(profiles, bea, former(bea))

    await change(profiles, ann, former(ann, most=0))

    assert len(await kept(stores, bea)) == 1
    assert await kept(stores, ann) == []


async def test_a_change_that_came_too_late_keeps_nothing(profiles: ProfileStore, stores: Stores) -> None:
    """Nor does one that takes another's value."""
    row = await stored(profiles, a_new_profile(ANN))
    await stored(profiles, a_new_profile(BEA))

    assert not await profiles.replace(replace(row, revision=9), [], 8, [], former(row))
    with pytest.raises(Duplicate):
        await profiles.replace(replace(row, revision=2), [BEA], 1, [], former(row))

    assert await kept(stores, row) == []
    assert await profiles.find(row.token) == row


async def test_a_version_under_a_closed_key_undoes_the_change(profiles: ProfileStore, stores: Stores) -> None:
    """The fence holds for it, and neither row, tags nor trail have changed."""
    row = await stored(profiles, a_new_profile(ANN))
    await stores.keys.close("data", CLOSED)

    with pytest.raises(StaleKeys):
        await profiles.replace(
            replace(row, revision=2), [BEA], 1, [AnEntry("profile.changed")], former(row, key_version=CLOSED)
        )

    assert await profiles.find_by_tag([ANN]) == row
    assert await profiles.find_by_tag([BEA]) is None
    assert await kept(stores, row) == []
    assert await stores.audit.end() is None


async def test_versions_end_with_their_person(profiles: ProfileStore, stores: Stores) -> None:
    """An erasure leaves none."""
    row = await stored(profiles, a_new_profile())
    row = await change(profiles, row, former(row))

    await profiles.delete(row.token)

    assert await kept(stores, row) == []


# --- profiles that slide ------------------------------------------------------------------------------------


async def test_what_slides_is_kept(profiles: ProfileStore) -> None:
    """The window and the end at last come back as they went in, also after a change."""
    row = await stored(profiles, a_new_profile(expires_at=NOW + HOUR, sliding=HOUR, ends_at=NOW + 9 * HOUR))
    assert await profiles.find(row.token) == row
    row = await change(profiles, row, None)
    assert await profiles.find(row.token) == row


async def test_an_end_is_put_off(profiles: ProfileStore) -> None:
    """That is all that changes."""
    row = await stored(profiles, a_new_profile(ANN, expires_at=NOW + HOUR))

    await profiles.put_off(row.token, NOW + 2 * HOUR, NOW)

    assert await profiles.find_by_tag([ANN]) == replace(row, expires_at=NOW + 2 * HOUR)


async def test_an_end_is_not_brought_forward(profiles: ProfileStore) -> None:
    """Whoever read an older row, or a clock that was set back, does not shorten a life."""
    row = await stored(profiles, a_new_profile(expires_at=NOW + HOUR))
    await profiles.put_off(row.token, NOW + HOUR - 1, NOW)
    assert await profiles.find(row.token) == row


async def test_what_has_no_end_is_given_none(profiles: ProfileStore) -> None:
    """Neither is somebody unknown brought into being."""
    row = await stored(profiles, a_new_profile())
    stranger = a_profile()
    for token in (row.token, stranger.token):
        await profiles.put_off(token, NOW + HOUR, NOW)
    assert await profiles.find(row.token) == row
    assert await profiles.find(stranger.token) is None


@pytest.mark.parametrize("erasing", [False, True], ids=["it has expired", "it is being erased"])
async def test_the_dead_do_not_live_on(profiles: ProfileStore, erasing: bool) -> None:
    """What has ended stays so, dead at the very millisecond."""
    row = await stored(profiles, a_new_profile(expires_at=NOW + HOUR))
    if erasing:
        await profiles.note_erasure(row.token, NOW)
    before = await profiles.find(row.token)
    await profiles.put_off(row.token, NOW + 9 * HOUR, NOW if erasing else NOW + HOUR)
    assert await profiles.find(row.token) == before
