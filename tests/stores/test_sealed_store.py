import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.stores.boxes import KINDS, each_kind, everything, kept, sealed
from tests.stores.endings import Ending, opened, stored
from tests.stores.endings import endings as session_endings
from tests.stores.rows import (
    DAY,
    HOUR,
    NOW,
    PERSON,
    Keeper,
    a_new_profile,
    a_session,
    a_successor,
    a_tag,
)
from vault.ports import SealedStore, Stores
from vault.records import Quarantined, SealedRow
from vault.stores import open_stores

ANN = a_tag("ann@example.org")


async def walk(store: SealedStore, limit: int, key_version: int | None = None) -> list[SealedRow]:
    """Return all rows, page by page."""
    rows: list[SealedRow] = []
    while page := await store.page(rows[-1].cursor if rows else None, limit, key_version):
        assert len(page) <= limit
        rows += page
    return rows


# --- what there is -------------------------------------------------------------------------------------------


async def test_the_registry_lists_each_place_once(stores: Stores) -> None:
    """A rotation goes by this list: names for reports, and the purposes that boxes are sealed for."""
    listed = [(store.name, store.purpose) for store in stores.sealed]
    assert listed == [(name, kind.purpose) for name, kind in KINDS.items()]


@each_kind
async def test_the_census_counts_the_boxes_of_one_place(name: str, stores: Stores) -> None:
    """By the rows' own column, and a row of another place counts there alone."""
    assert await sealed(stores, name).census() == {}
    for key_version in (1, 2, 2):
        await KINDS[name].add(stores, key_version)

    assert await sealed(stores, name).census() == {1: 1, 2: 2}
    for other in KINDS:
        if other != name:
            assert not {1, 2} & (await sealed(stores, other).census()).keys()


async def test_dead_rows_count(stores: Stores) -> None:
    """What has expired or is being erased still has a box, and that still needs its key."""
    row = await stored(stores.profiles, a_new_profile(created_at=NOW - HOUR, expires_at=NOW))
    await stores.profiles.note_erasure(row.token, NOW)
    await opened(stores.sessions, a_session(NOW - 2 * DAY))

    for name in ("profiles", "sessions"):
        assert await sealed(stores, name).census() == {1: 1}
        assert len(await sealed(stores, name).page(None, 9)) == 1


@each_kind
async def test_a_row_is_shown_with_its_name_box_and_version(name: str, stores: Stores) -> None:
    """The name is that which is bound into the box's key, and a page shows what ``get`` shows."""
    row_name = await KINDS[name].add(stores, 3)
    row = await sealed(stores, name).get(row_name)

    assert row is not None
    assert (row.name, row.key_version) == (row_name, 3)
    assert await sealed(stores, name).page(None, 9, 3) == [row]
    if name == "profiles":
        profile = await stores.profiles.find(row_name)
        assert profile is not None
        assert row.box == profile.box
    if name.endswith("answers"):
        answers = stores.profiles if name == "profile_answers" else stores.sessions
        answer = await answers.kept_answer(bytes.fromhex(row_name), NOW)
        assert answer is not None
        assert row.box == answer.box


@each_kind
@pytest.mark.parametrize("unknown", ["", "ab", "no hex", "00" * 32, "' OR 1=1 --"])
async def test_an_unknown_name_is_no_row(name: str, unknown: str, stores: Stores) -> None:
    """Whatever the name looks like, none is found and nothing fails."""
    await KINDS[name].add(stores, 1)

    assert await sealed(stores, name).get(unknown) is None


# --- pages ---------------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("limit", [1, 2, 5, 6, 99])
async def test_a_walk_sees_each_row_once(name: str, limit: int, stores: Stores) -> None:
    """Page by page in the cursor's order, whatever the size of a page."""
    names = [await KINDS[name].add(stores, 1 + number % 2) for number in range(6)]

    rows = await walk(sealed(stores, name), limit)
    mine = [row for row in rows if row.key_version in (1, 2)]
    assert sorted(row.name for row in mine) == sorted(names)
    assert [row.cursor for row in rows] == sorted(row.cursor for row in rows)  # type: ignore[type-var]
    assert len({row.cursor for row in rows}) == len(rows)


@each_kind
@pytest.mark.parametrize("limit", [1, 2, 99])
async def test_a_walk_over_one_version_sees_it_alone(name: str, limit: int, stores: Stores) -> None:
    """Every row of that version and none of another; a version that nobody uses has no page."""
    names = {number: await KINDS[name].add(stores, 1 + number % 2) for number in range(6)}

    for key_version in (1, 2):
        rows = await walk(sealed(stores, name), limit, key_version)
        assert sorted(row.name for row in rows) == sorted(
            names[number] for number in names if 1 + number % 2 == key_version
        )
    assert await sealed(stores, name).page(None, 9, 7) == []


@each_kind
async def test_what_comes_and_goes_hides_no_row_from_a_walk(name: str, stores: Stores) -> None:
    """Rows are added, re-sealed and removed between the pages; those that stay are all seen."""
    store = sealed(stores, name)
    rows = [await kept(stores, name) for _ in range(9)]
    doomed = rows[4]

    seen: list[SealedRow] = []
    while page := await store.page(seen[-1].cursor if seen else None, 2):
        seen += page
        if len(seen) < 8:
            await KINDS[name].add(stores, 1)
        await store.swap([(row, b"new" + row.box, 2) for row in page])
        if await store.get(doomed.name):
            await store.set_aside(doomed, "box_tampered", NOW)
            await store.discard(doomed.name)

    names = [row.name for row in seen]
    assert {row.name for row in rows} - {doomed.name} <= set(names)
    assert len(set(names)) == len(names)


# --- swap ----------------------------------------------------------------------------------------------------


@each_kind
async def test_swap_puts_box_and_version_into_the_row(name: str, stores: Stores) -> None:
    """The row keeps its name and its place in the order."""
    row, other = await kept(stores, name), await kept(stores, name)

    assert await sealed(stores, name).swap([(row, b"new", 2)]) == 1

    assert await sealed(stores, name).get(row.name) == replace(row, box=b"new", key_version=2)
    assert await sealed(stores, name).get(other.name) == other


async def test_swap_changes_nothing_else_of_a_profile(stores: Stores) -> None:
    """Revision, times and tags stay: to its reader it is the same profile."""
    row = await stored(stores.profiles, a_new_profile(ANN, revision=7, expires_at=NOW + DAY))
    box = await sealed(stores, "profiles").get(row.token)
    assert box is not None

    assert await sealed(stores, "profiles").swap([(box, b"new", 2)]) == 1

    changed = replace(row, box=b"new", key_version=2)
    assert await stores.profiles.find(row.token) == changed
    assert await stores.profiles.find_by_tag([ANN]) == changed


async def test_swap_changes_nothing_else_of_a_session(stores: Stores) -> None:
    """Digest, epoch and times stay: the session lives on as long as before."""
    row = await opened(stores.sessions, a_session(user_token=PERSON))
    box = await sealed(stores, "sessions").get(row.handle)
    assert box is not None

    assert await sealed(stores, "sessions").swap([(box, b"new", 2)]) == 1

    assert await stores.sessions.find(row.digest) == replace(row, box=b"new", key_version=2)
    assert await stores.sessions.live_of(PERSON, NOW, 9) == [replace(row, box=b"new", key_version=2)]


async def test_swap_changes_nothing_else_of_an_answer(stores: Stores) -> None:
    """It is found under the same digest, up to the same end."""
    for answers, name in ((stores.profiles, "profile_answers"), (stores.sessions, "session_answers")):
        row = await kept(stores, name)
        digest = bytes.fromhex(row.name)
        before = await answers.kept_answer(digest, NOW)
        assert before is not None

        assert await sealed(stores, name).swap([(row, b"new", 2)]) == 1

        assert await answers.kept_answer(digest, NOW) == replace(before, box=b"new", key_version=2)
        assert await answers.kept_answer(digest, before.expires_at) is None


@each_kind
async def test_a_swapped_row_is_found_under_its_new_version(name: str, stores: Stores) -> None:
    """Census and pages go by the column, and the column goes with the box."""
    row, _ = await kept(stores, name), await kept(stores, name)
    await sealed(stores, name).swap([(row, b"new", 2)])

    census = await sealed(stores, name).census()
    assert (census[1], census[2]) == (1, 1)
    assert [each.name for each in await sealed(stores, name).page(None, 9, 2)] == [row.name]


@each_kind
async def test_whoever_wrote_in_between_has_won(name: str, stores: Stores) -> None:
    """A row with another box by now is left alone, and the other rows of the call are swapped."""
    rows = [await kept(stores, name) for _ in range(3)]
    store = sealed(stores, name)
    await store.swap([(rows[1], b"in between", 1)])

    assert await store.swap([(row, b"new", 2) for row in rows]) == 2

    boxes = [row.box for row in [await store.get(row.name) for row in rows] if row]
    assert boxes == [b"new", b"in between", b"new"]


async def test_a_change_by_its_owner_wins_over_a_swap(stores: Stores) -> None:
    """The calls that serve requests are such writers: replace, change_box, rotate."""
    profile = await stored(stores.profiles, a_new_profile())
    one, other = await opened(stores.sessions, a_session()), await opened(stores.sessions, a_session())
    before = await everything(stores)
    changed = replace(profile, box=b"replaced", revision=2)
    assert await stores.profiles.replace(changed, [], 1)
    assert await stores.sessions.change_box(one, b"changed", 1, NOW)
    heir = a_successor(other)
    assert await stores.sessions.rotate(other, heir, NOW)

    for store in stores.sealed:
        assert await store.swap([(row, b"too late", 2) for row in before[store.name]]) == 0

    assert await stores.profiles.find(profile.token) == changed
    assert await stores.sessions.find(one.digest) == replace(one, box=b"changed")
    assert await stores.sessions.find(heir.digest) == heir


@each_kind
async def test_one_of_many_concurrent_swaps_wins(name: str, stores: Stores) -> None:
    """Two sweeps at once re-seal a row once."""
    row = await kept(stores, name)
    store = sealed(stores, name)

    done = await asyncio.gather(*(store.swap([(row, b"new %d" % number, 2)]) for number in range(10)))

    assert sorted(done) == [0] * 9 + [1]
    after = await store.get(row.name)
    assert after is not None
    assert after.box == b"new %d" % done.index(1)


@each_kind
async def test_a_row_that_is_gone_is_not_brought_back(name: str, stores: Stores) -> None:
    """Erased, ended or purged meanwhile: a swap adds nothing."""
    row = await kept(stores, name)
    store = sealed(stores, name)
    await store.set_aside(row, "box_tampered", NOW)
    assert await store.discard(row.name)

    assert await store.swap([(row, b"new", 2)]) == 0
    assert await store.get(row.name) is None


async def test_a_swap_of_nothing_is_fine(stores: Stores) -> None:
    """An empty page needs no special case."""
    for store in stores.sealed:
        assert await store.swap([]) == 0


async def test_a_look_up_after_a_swap_shows_the_new_box(stores: Stores) -> None:
    """Sessions are kept in memory between look-ups: a kept row with an old box would outlive its key."""
    row = await opened(stores.sessions, a_session())
    assert await stores.sessions.find(row.digest) == await stores.sessions.find(row.digest) == row
    box = await sealed(stores, "sessions").get(row.handle)
    assert box is not None

    await sealed(stores, "sessions").swap([(box, b"new", 2)])

    assert await stores.sessions.find(row.digest) == replace(row, box=b"new", key_version=2)


@pytest.mark.parametrize("change", ["swap", "discard"])
async def test_another_process_sees_the_change_too(change: str, tmp_path: Path) -> None:
    """The sweep runs beside the service, whose kept rows go by the same counters."""
    async with (
        open_stores("sqlite:", tmp_path, 5) as serving,
        open_stores("sqlite:", tmp_path, 5) as sweeping,
    ):
        row = await opened(serving.sessions, a_session())
        assert await serving.sessions.find(row.digest) == await serving.sessions.find(row.digest) == row
        store = sealed(sweeping, "sessions")
        box = await store.get(row.handle)
        assert box is not None

        if change == "swap":
            assert await store.swap([(box, b"new", 2)]) == 1
            assert await serving.sessions.find(row.digest) == replace(row, box=b"new", key_version=2)
        else:
            await store.set_aside(box, "box_tampered", NOW)
            assert await store.discard(row.handle)
            assert await serving.sessions.find(row.digest) is None


# --- set aside -----------------------------------------------------------------------------------------------


async def aside(stores: Stores, name: str, key_version: int = 1) -> SealedRow:
    """Put a row into a place and set it aside."""
    row = await kept(stores, name, key_version)
    await sealed(stores, name).set_aside(row, "box_tampered", NOW)
    assert await noted(stores, name) == [row.name]
    return row


async def noted(stores: Stores, name: str) -> list[str]:
    """Return the names of the rows that are set aside."""
    return [note.name for note in await sealed(stores, name).set_aside_rows(99)]


@each_kind
async def test_a_row_set_aside_stays_where_it_is(name: str, stores: Stores) -> None:
    """It is noted with its version, the cause and the time, and nothing of it is changed."""
    row = await kept(stores, name, 3)
    await sealed(stores, name).set_aside(row, "box_tampered", NOW)

    note = Quarantined(row.name, 3, "box_tampered", NOW)
    assert await sealed(stores, name).set_aside_rows(9) == [note]
    assert await sealed(stores, name).set_aside_census() == {(3, "box_tampered"): 1}
    assert await sealed(stores, name).get(row.name) == row
    assert (await sealed(stores, name).census())[3] == 1
    for other in KINDS:
        if other != name:
            assert await sealed(stores, other).set_aside_rows(9) == []
            assert await sealed(stores, other).set_aside_census() == {}


@each_kind
async def test_notes_are_counted_by_version_and_cause(name: str, stores: Stores) -> None:
    """Of many notes as much as is asked for is shown, by name; the census counts all."""
    causes = [(1, "box_tampered"), (1, "unknown_key"), (2, "box_tampered"), (1, "box_tampered")]
    names = []
    for key_version, cause in causes:
        row = await kept(stores, name, key_version)
        await sealed(stores, name).set_aside(row, cause, NOW)
        names.append(row.name)

    assert await noted(stores, name) == sorted(names)
    assert [note.name for note in await sealed(stores, name).set_aside_rows(2)] == sorted(names)[:2]
    assert await sealed(stores, name).set_aside_census() == {
        (1, "box_tampered"): 2,
        (1, "unknown_key"): 1,
        (2, "box_tampered"): 1,
    }


@each_kind
async def test_the_first_cause_stands(name: str, stores: Stores) -> None:
    """It was found when more keys could be tried; only once it is taken back does another take its place."""
    row = await aside(stores, name)
    store = sealed(stores, name)
    await store.set_aside(row, "wrong_key", NOW + 1)
    assert await store.set_aside_rows(9) == [Quarantined(row.name, 1, "box_tampered", NOW)]

    await store.take_back(row.name)
    await store.set_aside(row, "wrong_key", NOW + 1)
    assert await store.set_aside_rows(9) == [Quarantined(row.name, 1, "wrong_key", NOW + 1)]

    await store.swap([(row, b"new", 2)])
    changed = await store.get(row.name)
    assert changed is not None
    await store.set_aside(changed, "box_tampered", NOW + 2)
    assert await store.set_aside_rows(9) == [Quarantined(row.name, 2, "box_tampered", NOW + 2)]


@each_kind
async def test_a_row_that_has_changed_is_not_set_aside(name: str, stores: Stores) -> None:
    """The box that did not open is not the one that is there; and of a row that is gone there is no note."""
    row = await kept(stores, name)
    await sealed(stores, name).swap([(row, b"new", 2)])
    await sealed(stores, name).set_aside(row, "box_tampered", NOW)
    assert await noted(stores, name) == []

    gone = await aside(stores, name)
    await sealed(stores, name).discard(gone.name)
    await sealed(stores, name).set_aside(gone, "box_tampered", NOW)
    assert await noted(stores, name) == []


@each_kind
async def test_a_note_can_be_taken_back(name: str, stores: Stores) -> None:
    """The row is as any other again; a name without a note is fine."""
    row = await aside(stores, name)
    other = await kept(stores, name)
    await sealed(stores, name).set_aside(other, "box_tampered", NOW)

    for taken in (row.name, row.name, "nobody"):
        await sealed(stores, name).take_back(taken)

    assert await noted(stores, name) == [other.name]
    assert await sealed(stores, name).get(row.name) == row
    assert not await sealed(stores, name).discard(row.name)


@each_kind
async def test_discard_deletes_what_is_set_aside(name: str, stores: Stores) -> None:
    """Row and note go together, and no other row does."""
    row, other = await aside(stores, name), await kept(stores, name)

    assert await sealed(stores, name).discard(row.name)

    assert await sealed(stores, name).get(row.name) is None
    assert await noted(stores, name) == []
    assert await sealed(stores, name).get(other.name) == other
    assert not await sealed(stores, name).discard(row.name)


@each_kind
@pytest.mark.parametrize("unknown", ["", "no hex", "00" * 32])
async def test_discard_deletes_nothing_else(name: str, unknown: str, stores: Stores) -> None:
    """A row that is not set aside, or that there is none of, is refused."""
    row, _ = await kept(stores, name), await aside(stores, name)
    before = await everything(stores)

    assert not await sealed(stores, name).discard(row.name)
    assert not await sealed(stores, name).discard(unknown)
    assert await everything(stores) == before


async def test_a_session_that_is_discarded_is_over(stores: Stores) -> None:
    """It is kept in memory, and found no more."""
    session = await opened(stores.sessions, a_session())
    assert await stores.sessions.find(session.digest) == session
    box = await sealed(stores, "sessions").get(session.handle)
    assert box is not None
    await sealed(stores, "sessions").set_aside(box, "box_tampered", NOW)

    assert await sealed(stores, "sessions").discard(session.handle)
    assert await stores.sessions.find(session.digest) is None


# --- the note goes with the row or its box, by whatever call -----------------------------------------------


async def _swapped(stores: Stores, name: str, row: SealedRow) -> None:
    assert await sealed(stores, name).swap([(row, b"new", 2)]) == 1


async def _discarded(stores: Stores, name: str, row: SealedRow) -> None:
    assert await sealed(stores, name).discard(row.name)


async def _deleted(stores: Stores, _: str, row: SealedRow) -> None:
    await stores.profiles.delete(row.name)


async def _replaced(stores: Stores, _: str, row: SealedRow) -> None:
    profile = await stores.profiles.find(row.name)
    assert profile is not None
    assert await stores.profiles.replace(replace(profile, box=b"new", revision=2), [], 1)


async def _expired(stores: Stores, name: str, _: SealedRow) -> None:
    answers = stores.profiles if name == "profile_answers" else stores.sessions
    assert await answers.purge_answers(NOW + HOUR, 99) == 1


async def _answered_again(stores: Stores, name: str, row: SealedRow) -> None:
    keeper = Keeper(bytes.fromhex(row.name), NOW + 2 * HOUR)
    if name == "profile_answers":
        await stores.profiles.insert([a_new_profile()], NOW + HOUR, keeper)
    else:
        await stores.sessions.insert(a_session(), 0, "refuse", NOW + HOUR, keeper)


Going = Callable[[Stores, str, SealedRow], Awaitable[None]]
GOINGS: dict[str, tuple[str, Going]] = {
    **{f"a box of {name} is swapped": (name, _swapped) for name in KINDS},
    **{f"a row of {name} is discarded": (name, _discarded) for name in KINDS},
    "a profile is deleted": ("profiles", _deleted),
    "a profile is replaced": ("profiles", _replaced),
    "an answer to a profile is purged": ("profile_answers", _expired),
    "an answer to a session is purged": ("session_answers", _expired),
    "an answer to a profile is replaced": ("profile_answers", _answered_again),
    "an answer to a session is replaced": ("session_answers", _answered_again),
}


@pytest.mark.parametrize("sentence", GOINGS)
async def test_the_note_goes_when(sentence: str, stores: Stores) -> None:
    """No note outlives the box it is about, and one about another row stays."""
    name, go = GOINGS[sentence]
    row = await aside(stores, name)
    bystander = await kept(stores, "profiles" if name != "profiles" else "sessions")
    place = sealed(stores, "profiles" if name != "profiles" else "sessions")
    await place.set_aside(bystander, "box_tampered", NOW)

    await go(stores, name, row)

    assert await noted(stores, name) == []
    assert await sealed(stores, name).set_aside_census() == {}
    assert await noted(stores, place.name) == [bystander.name]


async def a_session_aside(stores: Stores) -> tuple[str, bytes]:
    """Open a person's session and set it aside; return its handle and digest."""
    session = await opened(stores.sessions, a_session(user_token=PERSON))
    box = await sealed(stores, "sessions").get(session.handle)
    assert box is not None
    await sealed(stores, "sessions").set_aside(box, "box_tampered", NOW)
    return session.handle, session.digest


@session_endings
async def test_the_note_goes_with_a_session(end: Ending, stores: Stores) -> None:
    """However a session ends: only one that is merely left idle is still there, and so is its note."""
    handle, digest = await a_session_aside(stores)
    session = await stores.sessions.find(digest)
    assert session is not None

    await end(stores.sessions, session)

    is_there = await stores.sessions.find(digest) is not None
    assert await noted(stores, "sessions") == ([handle] if is_there else [])


async def test_the_note_goes_with_a_change_of_claims(stores: Stores) -> None:
    """The new box is not the one that did not open."""
    _, digest = await a_session_aside(stores)
    session = await stores.sessions.find(digest)
    assert session is not None

    assert await stores.sessions.change_box(session, b"new", 1, NOW)
    assert await noted(stores, "sessions") == []


async def test_the_note_stays_while_the_box_does(stores: Stores) -> None:
    """Times, epochs, marks and tags are not the box."""
    profile = await aside(stores, "profiles")
    handle, digest = await a_session_aside(stores)

    await stores.profiles.add_tags([(profile, [ANN])], NOW)
    await stores.profiles.note_erasure(profile.name, NOW)
    assert await stores.sessions.touch(digest, NOW + 1)
    await stores.sessions.revoke_all(PERSON, handle, NOW + 1)

    assert await noted(stores, "profiles") == [profile.name]
    assert await noted(stores, "sessions") == [handle]
