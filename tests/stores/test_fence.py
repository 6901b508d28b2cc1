import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from tests.stores.boxes import KINDS, everything, kept, sealed
from tests.stores.endings import Bury, dead_owners, opened, stored
from tests.stores.rows import HOUR, NOW, PERSON, Keeper, a_new_profile, a_session, a_successor, a_tag
from vault.errors import Duplicate, StaleKeys
from vault.ports import Claimed, Collision, NewProfile, Stores
from vault.records import Tag

OPEN, CLOSED = 1, 2
OLD, NEW = 1, 2


def ann(*versions: int) -> tuple[Tag, ...]:
    """Return one person's e-mail under these index versions, in this order."""
    return tuple(a_tag("ann@example.org", version=version) for version in versions)


BOTH = ann(NEW, OLD)  # as the blind index makes them: the newest first

# --- boxes ---------------------------------------------------------------------------------------------------


async def _insert_profile(stores: Stores, version: int) -> None:
    await stores.profiles.insert([a_new_profile(a_tag("bea"), key_version=version)], NOW)


async def _insert_profiles(stores: Stores, version: int) -> None:
    await stores.profiles.insert([a_new_profile(a_tag("bea")), a_new_profile(key_version=version)], NOW)


async def _replace_profile(stores: Stores, version: int) -> None:
    row = await stores.profiles.find_by_tag([a_tag("ann")])
    assert row is not None
    changed = replace(row, box=b"new", key_version=version, revision=2)
    await stores.profiles.replace(changed, [a_tag("bea")], 1)


async def _insert_session(stores: Stores, version: int) -> None:
    await stores.sessions.insert(a_session(user_token=PERSON, key_version=version), 1, "end_oldest", NOW)


async def _change_box(stores: Stores, version: int) -> None:
    (row,) = await stores.sessions.live_of(PERSON, NOW, 9)
    await stores.sessions.change_box(row, b"new", version, NOW)


async def _rotate(stores: Stores, version: int) -> None:
    (row,) = await stores.sessions.live_of(PERSON, NOW, 9)
    await stores.sessions.rotate(row, a_successor(row, key_version=version), NOW)


async def _answer_profile(stores: Stores, version: int) -> None:
    await stores.profiles.insert([a_new_profile()], NOW, Keeper(key_version=version))


async def _answer_session(stores: Stores, version: int) -> None:
    await stores.sessions.insert(
        a_session(user_token=PERSON), 1, "end_oldest", NOW, Keeper(key_version=version)
    )


async def _answer_profile_again(stores: Stores, version: int) -> None:
    (row,) = await sealed(stores, "profile_answers").page(None, 9)
    keeper = Keeper(bytes.fromhex(row.name), NOW + 2 * HOUR, version)
    await stores.profiles.insert([a_new_profile()], NOW + HOUR, keeper)


async def _answer_session_again(stores: Stores, version: int) -> None:
    (row,) = await sealed(stores, "session_answers").page(None, 9)
    keeper = Keeper(bytes.fromhex(row.name), NOW + 2 * HOUR, version)
    await stores.sessions.insert(a_session(), 0, "refuse", NOW + HOUR, keeper)


def _swap(name: str) -> Callable[[Stores, int], Awaitable[None]]:
    async def swap(stores: Stores, version: int) -> None:
        store = sealed(stores, name)
        first, *_ = await store.page(None, 9)
        fresh = await kept(stores, name, OPEN)
        before = await everything(stores)
        try:
            await store.swap([(fresh, b"newer", OPEN), (first, b"new", version)])
        except StaleKeys:
            assert await everything(stores) == before  # not even the row whose version is open
            await store.set_aside(fresh, "box_tampered", NOW)
            await store.discard(fresh.name)
            raise

    return swap


Write = Callable[[Stores, int], Awaitable[None]]
WRITES: dict[str, Write] = {
    "a profile is inserted": _insert_profile,
    "one of two profiles is inserted": _insert_profiles,
    "a profile is replaced": _replace_profile,
    "a session is inserted": _insert_session,
    "a session's claims change": _change_box,
    "a session is rotated": _rotate,
    "an answer is kept with a profile": _answer_profile,
    "an answer is kept with a session": _answer_session,
    "an expired answer to a profile is replaced": _answer_profile_again,
    "an expired answer to a session is replaced": _answer_session_again,
    "a profile is re-sealed": _swap("profiles"),
    "a session is re-sealed": _swap("sessions"),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


async def furnished(stores: Stores) -> None:
    """Put one row into each place, under the version that stays open."""
    await stores.profiles.insert([a_new_profile(a_tag("ann"))], NOW, Keeper())
    await stores.sessions.insert(a_session(user_token=PERSON), 0, "refuse", NOW, Keeper())


async def all_there_is(stores: Stores) -> tuple[object, ...]:
    """Return every row with all that a write could change."""
    tokens = [row.name for row in await sealed(stores, "profiles").page(None, 99)]
    return (
        await everything(stores),
        [await stores.profiles.find(token) for token in tokens],
        await stores.profiles.tags_of(tokens),
        await stores.sessions.live_of(PERSON, NOW, 99),
    )


@each_write
async def test_nothing_is_sealed_under_a_closed_version(write: Write, stores: Stores) -> None:
    """Whatever writes a box is told that its keyring is behind, and has changed nothing."""
    await furnished(stores)
    await stores.keys.close("data", CLOSED)
    before = await all_there_is(stores)

    with pytest.raises(StaleKeys):
        await write(stores, CLOSED)

    after = await all_there_is(stores)
    assert after == before


@each_write
async def test_what_is_open_is_sealed_under(write: Write, stores: Stores) -> None:
    """The same write under another version is done, and one under the closed version once it is opened again."""
    await furnished(stores)
    await stores.keys.close("data", CLOSED)
    await stores.keys.reopen("data", CLOSED)
    await stores.keys.close("data", 3)
    await stores.keys.close("index", CLOSED)  # another line's, that has nothing to say about boxes

    before = await all_there_is(stores)
    await write(stores, CLOSED)
    assert await all_there_is(stores) != before
    assert CLOSED in (await stores.keys.versions_in_use())["data"]


@pytest.mark.parametrize("name", ["profile_answers", "session_answers"])
async def test_no_answer_is_re_sealed_under_a_closed_version(name: str, stores: Stores) -> None:
    """The sweep of kept answers is held to the fence as any other."""
    rows = [await kept(stores, name, OPEN) for _ in range(2)]
    await stores.keys.close("data", CLOSED)
    before = await everything(stores)

    with pytest.raises(StaleKeys):
        await sealed(stores, name).swap([(rows[0], b"new", OPEN), (rows[1], b"new", CLOSED)])
    assert await everything(stores) == before

    await stores.keys.reopen("data", CLOSED)
    assert await sealed(stores, name).swap([(row, b"new", CLOSED) for row in rows]) == 2


async def test_what_is_under_a_closed_version_is_read_and_ended(stores: Stores) -> None:
    """Closed is for writing boxes: rows can still be read, used, marked, re-sealed away, and deleted."""
    rows = {name: await kept(stores, name, CLOSED) for name in KINDS}
    profile = await stored(stores.profiles, a_new_profile(a_tag("ann"), key_version=CLOSED))
    session = await opened(stores.sessions, a_session(key_version=CLOSED))
    await stores.keys.close("data", CLOSED)

    for name, row in rows.items():
        assert await sealed(stores, name).get(row.name) == row
        await sealed(stores, name).set_aside(row, "box_tampered", NOW)
        assert await sealed(stores, name).swap([(row, b"new", OPEN)]) == 1
    assert await stores.profiles.find_by_tag([a_tag("ann")]) == profile
    assert await stores.sessions.touch(session.digest, NOW + 1)
    assert await stores.profiles.note_erasure(profile.token, NOW)
    await stores.profiles.delete(profile.token)
    assert await stores.sessions.revoke(session.digest)
    assert CLOSED not in (await stores.keys.versions_in_use())["data"]


async def test_who_shares_the_transaction_is_not_harmed(stores: Stores) -> None:
    """Of many writes at once those under the closed version are refused, and all others are done."""
    await stores.keys.close("data", CLOSED)
    news = [a_new_profile(a_tag(f"{n}"), key_version=CLOSED if n % 3 == 0 else OPEN) for n in range(12)]
    sessions = [a_session(key_version=CLOSED if n % 3 == 1 else OPEN) for n in range(12)]

    said = await asyncio.gather(
        *(stores.profiles.insert([new], NOW) for new in news),
        *(stores.sessions.insert(row, 0, "refuse", NOW) for row in sessions),
        return_exceptions=True,
    )

    for new, outcome in zip(news, said[:12], strict=True):
        is_stale = new.row.key_version == CLOSED
        assert isinstance(outcome, StaleKeys) if is_stale else outcome == [None]
        assert await stores.profiles.find(new.row.token) == (None if is_stale else new.row)
    for row, outcome in zip(sessions, said[12:], strict=True):
        is_stale = row.key_version == CLOSED
        assert isinstance(outcome, StaleKeys) if is_stale else outcome == 0
        assert await stores.sessions.find(row.digest) == (None if is_stale else row)


async def test_what_is_closed_is_told(stores: Stores) -> None:
    """By line and version; closing and opening again twice is fine."""
    assert await stores.keys.closed() == set()
    for line, version in (("data", 1), ("data", 1), ("index", 1), ("data", 2)):
        await stores.keys.close(line, version)
    assert await stores.keys.closed() == {("data", 1), ("index", 1), ("data", 2)}

    for line, version in (("data", 1), ("data", 1), ("index", 7)):
        await stores.keys.reopen(line, version)
    assert await stores.keys.closed() == {("index", 1), ("data", 2)}


# --- tags: a closed index version ---------------------------------------------------------------------------


async def test_no_tag_is_made_under_a_closed_version(stores: Stores) -> None:
    """Neither with a new profile, nor with a change, nor by a re-index; and nothing is half done."""
    row = await stored(stores.profiles, a_new_profile(*ann(NEW)))
    (box,) = await sealed(stores, "profiles").page(None, 9)
    await stores.keys.close("index", OLD)
    bea = a_tag("bea", version=NEW), a_tag("bea", version=OLD)
    before = await all_there_is(stores)

    with pytest.raises(StaleKeys):
        await stores.profiles.insert([a_new_profile(a_tag("cy", version=NEW)), a_new_profile(*bea)], NOW)
    with pytest.raises(StaleKeys):
        await stores.profiles.replace(replace(row, box=b"new", revision=2), bea, 1)
    with pytest.raises(StaleKeys):
        await stores.profiles.add_tags([(box, bea)], NOW)
    assert await all_there_is(stores) == before

    await stores.keys.close("data", OLD)  # the other line says nothing about tags
    await stores.keys.reopen("data", OLD)
    await stores.keys.reopen("index", OLD)
    assert await stores.profiles.replace(replace(row, box=b"new", revision=2), bea, 1)


async def test_tags_of_a_closed_version_are_found_and_dropped(stores: Stores) -> None:
    """Closed is for writing: a look-up finds its owner until the sweep has taken the tag away."""
    row = await stored(stores.profiles, a_new_profile(*BOTH))
    await stores.keys.close("index", OLD)

    assert await stores.profiles.find_by_tag(ann(OLD)) == row
    assert await stores.profiles.drop_tags(OLD, 9) == 1
    assert await stores.profiles.find_by_tag(ann(NEW)) == row


# --- tags: a required index version -------------------------------------------------------------------------


async def test_the_old_tag_alone_is_refused(stores: Stores) -> None:
    """A process that does not know the new index version yet could let a duplicate in: it has to look again."""
    row = await stored(stores.profiles, a_new_profile(*ann(OLD)))
    (box,) = await sealed(stores, "profiles").page(None, 9)
    await stores.keys.require(NEW)
    bea = [a_tag("bea", version=OLD)]
    before = await all_there_is(stores)

    with pytest.raises(StaleKeys):
        await stores.profiles.insert([a_new_profile(*bea)], NOW)
    with pytest.raises(StaleKeys):
        await stores.profiles.replace(replace(row, box=b"new", revision=2), ann(OLD), 1)
    with pytest.raises(StaleKeys):
        await stores.profiles.add_tags([(box, bea)], NOW)
    assert await all_there_is(stores) == before


async def test_each_field_needs_its_own_new_tag(stores: Stores) -> None:
    """That of the e-mail does not stand for that of the phone."""
    await stores.keys.require(NEW)
    phone = a_tag("+15550100", "phone", OLD)

    with pytest.raises(StaleKeys):
        await stores.profiles.insert([a_new_profile(*BOTH, phone)], NOW)
    with pytest.raises(StaleKeys):
        await stores.profiles.insert(
            [a_new_profile(*BOTH), a_new_profile(a_tag("bea", version=OLD))], NOW
        )  # nor does another profile's
    assert await stores.profiles.tag_census() == {}

    await stored(stores.profiles, a_new_profile(*BOTH, a_tag("+15550100", "phone", NEW), phone))


async def test_both_tags_or_the_new_one_or_none_are_fine(stores: Stores) -> None:
    """Whoever claims no older tag has nothing to prove; requiring twice changes nothing."""
    await stores.keys.require(NEW)
    await stores.keys.require(NEW)

    row = await stored(stores.profiles, a_new_profile(*BOTH))
    await stored(stores.profiles, a_new_profile(a_tag("bea", version=NEW)))
    await stored(stores.profiles, a_new_profile(a_tag("cy", version=NEW + 1)))
    await stored(stores.profiles, a_new_profile())
    assert await stores.profiles.replace(replace(row, box=b"new", revision=2), BOTH, 1)


async def test_closing_a_required_version_lifts_the_demand(stores: Stores) -> None:
    """A re-index that is given up goes back: the old tag alone is enough, and none is made under the new."""
    await stores.keys.require(NEW)
    await stores.keys.close("index", NEW)

    await stored(stores.profiles, a_new_profile(*ann(OLD)))
    with pytest.raises(StaleKeys):
        await stores.profiles.insert([a_new_profile(a_tag("bea", version=NEW))], NOW)

    await stores.keys.reopen("index", NEW)
    await stored(stores.profiles, a_new_profile(a_tag("bea", version=OLD)))


HELD = {
    "the old version alone": ann(OLD),
    "the new version alone": ann(NEW),
    "both versions": BOTH,
}
each_holding = pytest.mark.parametrize("held", HELD.values(), ids=[f"under {sentence}" for sentence in HELD])


@each_holding
async def test_a_duplicate_is_told_as_such(held: tuple[Tag, ...], stores: Stores) -> None:
    """Whichever version holds the value, the newcomer hears that it is taken, and leaves nothing behind."""
    owner = await stored(stores.profiles, a_new_profile(*held))
    other = await stored(stores.profiles, a_new_profile())
    await stores.keys.require(NEW)
    phone = a_tag("+15550100", "phone", NEW), a_tag("+15550100", "phone", OLD)
    before = await all_there_is(stores)

    news = [a_new_profile(*BOTH), a_new_profile(*phone, *BOTH)]
    assert await stores.profiles.insert(news, NOW) == ["email", "email"]
    with pytest.raises(Duplicate) as refusal:
        await stores.profiles.replace(replace(other, box=b"new", revision=2), (*phone, *BOTH), 1)

    assert "email" in str(refusal.value) or "email" in refusal.value.fields
    assert await all_there_is(stores) == before
    assert await stores.profiles.find_by_tag(BOTH) == owner


@pytest.mark.parametrize("first", [ann(NEW), BOTH], ids=["the new version alone", "both versions"])
async def test_a_batch_has_no_duplicates_of_its_own(first: tuple[Tag, ...], stores: Stores) -> None:
    """Of two in one batch the second is skipped; the rest of it is stored."""
    await stores.keys.require(NEW)
    news = [a_new_profile(*first), a_new_profile(*BOTH), a_new_profile(a_tag("bea", version=NEW))]

    assert await stores.profiles.insert(news, NOW) == [None, "email", None]


@dead_owners
@each_holding
async def test_a_dead_owners_tags_are_taken_over(held: tuple[Tag, ...], bury: Bury, stores: Stores) -> None:
    """Under whichever versions the dead one holds the value, the newcomer holds it under both."""
    dead = await bury(stores.profiles, *held)
    await stores.keys.require(NEW)

    row = await stored(stores.profiles, a_new_profile(*BOTH))

    assert await stores.profiles.tags_of([dead.token, row.token]) == {row.token: set(BOTH)}
    await stores.profiles.delete(dead.token)
    assert await stores.profiles.tags_of([row.token]) == {row.token: set(BOTH)}
    assert await stores.profiles.insert([a_new_profile(*BOTH)], NOW) == ["email"]


@dead_owners
async def test_a_living_owner_behind_a_dead_one_is_seen(bury: Bury, stores: Stores) -> None:
    """The new tag is a dead one's and the old tag a living one's: the value is taken."""
    dead = await bury(stores.profiles, *ann(NEW))
    owner = await stored(stores.profiles, a_new_profile(*ann(OLD)))
    await stores.keys.require(NEW)

    assert await stores.profiles.insert([a_new_profile(*BOTH)], NOW) == ["email"]
    held = {dead.token: set(ann(NEW)), owner.token: set(ann(OLD))}
    assert await stores.profiles.tags_of([dead.token, owner.token]) == held


async def test_a_person_may_keep_the_value(stores: Stores) -> None:
    """A change of one's own profile takes its old tag along and claims the new one."""
    row = await stored(stores.profiles, a_new_profile(*ann(OLD)))
    await stores.keys.require(NEW)

    assert await stores.profiles.replace(replace(row, box=b"new", revision=2), BOTH, 1)
    assert await stores.profiles.tags_of([row.token]) == {row.token: set(BOTH)}


class Half(NamedTuple):
    """Two profiles amid a re-index."""

    done: NewProfile
    to_do: NewProfile


async def half_done(stores: Stores) -> Half:
    """Store a profile whose new tag is there and one whose new tag is still to come."""
    done, to_do = a_new_profile(*BOTH), a_new_profile(a_tag("bea", version=OLD))
    assert await stores.profiles.insert([done, to_do], NOW) == [None, None]
    await stores.keys.require(NEW)
    return Half(done, to_do)


async def test_values_stay_unique_amid_a_re_index(stores: Stores) -> None:
    """Before the row's turn, at it and after it a newcomer with the same value is refused."""
    half = await half_done(stores)
    bea = a_tag("bea", version=NEW), a_tag("bea", version=OLD)
    assert await stores.profiles.insert([a_new_profile(*BOTH), a_new_profile(*bea)], NOW) == ["email"] * 2

    box = await sealed(stores, "profiles").get(half.to_do.row.token)
    assert box is not None
    claimed, *said = await asyncio.gather(
        stores.profiles.add_tags([(box, bea[:1])], NOW),
        *(stores.profiles.insert([a_new_profile(*bea)], NOW) for _ in range(5)),
    )
    assert claimed == Claimed(1, [])
    assert said == [["email"]] * 5

    assert await stores.profiles.drop_tags(OLD, 9) == 2
    await stores.keys.close("index", OLD)
    newcomers = [a_new_profile(*ann(NEW)), a_new_profile(bea[0])]
    assert await stores.profiles.insert(newcomers, NOW) == ["email"] * 2


async def test_a_value_that_came_in_twice_is_reported(stores: Stores) -> None:
    """Before the demand two processes may each have let one in: the second to be re-indexed is named."""
    late = await stored(stores.profiles, a_new_profile(*ann(OLD)))
    early = await stored(stores.profiles, a_new_profile(*ann(NEW)))
    box = await sealed(stores, "profiles").get(late.token)
    assert box is not None

    claimed = await stores.profiles.add_tags([(box, ann(NEW))], NOW)

    assert claimed == Claimed(0, [Collision(late.token, "email")])
    assert await stores.profiles.find_by_tag(ann(NEW)) == early
    assert await stores.profiles.find_by_tag(ann(OLD)) == late
