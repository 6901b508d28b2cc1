import asyncio

import pytest

from tests.stores.boxes import sealed
from tests.stores.endings import Ending, endings, opened, people
from tests.stores.rows import HOUR, MINUTE, NOW, PERSON, Keeper, a_session
from vault.errors import Conflict, SessionLimit, SessionNotFound
from vault.ports import SessionStore, Stores

owners = pytest.mark.parametrize(
    ("before", "after"),
    [(PERSON, PERSON), (None, PERSON), (PERSON, None), (PERSON, "another"), (None, None)],
)

# --- insert and find ----------------------------------------------------------------------------------------


@people
async def test_an_inserted_session_is_found(sessions: SessionStore, user_token: str | None) -> None:
    """Every column comes back, and the session is alive."""
    row = a_session(user_token=user_token, key_version=3, authenticated_at=NOW - HOUR)
    await opened(sessions, row)

    assert await sessions.find(row.digest) == row
    assert row.is_alive(NOW)


async def test_an_unknown_digest_finds_nothing(sessions: SessionStore) -> None:
    """Absent is None and not an error, for every method that takes a digest."""
    digest = a_session().digest

    assert await sessions.find(digest) is None
    assert await sessions.touch(digest, NOW) is None
    assert await sessions.revoke(digest) is None


async def test_a_dead_session_is_still_found(sessions: SessionStore) -> None:
    """Whether a session has expired is said by its row, not by its presence."""
    row = await opened(sessions, a_session())

    found = await sessions.find(row.digest)

    assert found == row
    assert not found.is_alive(row.idle_expires_at)


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_insert_leaves_the_store_usable(sessions: SessionStore, steps: int) -> None:
    """Wherever a call is cut off, it happened whole or not at all, and the next one works."""
    first, second, keeper = a_session(user_token=PERSON), a_session(user_token=PERSON), Keeper()
    await opened(sessions, first)
    call = asyncio.create_task(sessions.insert(second, 1, "end_oldest", NOW, keeper))
    for _ in range(steps):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    await opened(sessions, a_session())
    happened = await sessions.find(second.digest) is not None
    assert (await sessions.find(first.digest) is None) == happened
    assert (await sessions.kept_answer(keeper.digest, NOW) is not None) == happened


# --- insert in the place of another -------------------------------------------------------------------------


@owners
async def test_a_session_takes_the_place_of_another(
    sessions: SessionStore, before: str | None, after: str | None
) -> None:
    """Of the same digest or another, whoever's it was: the one is there, the other is not."""
    for same in (True, False):
        old = await opened(sessions, a_session(user_token=before))
        new = a_session(user_token=after, digest=old.digest) if same else a_session(user_token=after)
        assert await sessions.insert(new, 0, "refuse", NOW, replacing=old.handle) == 0
        assert await sessions.find(new.digest) == new
        assert same or await sessions.find(old.digest) is None
        assert await sessions.revoke_handle(old.handle) is None


async def test_a_dead_session_can_be_replaced(sessions: SessionStore) -> None:
    """What has expired and was not swept yet does not hold its digest."""
    old = await opened(sessions, a_session())
    new = a_session(old.expires_at, digest=old.digest)
    await sessions.insert(new, 0, "refuse", old.expires_at, replacing=old.handle)
    assert await sessions.find(new.digest) == new


async def test_a_taken_digest_is_a_conflict(sessions: SessionStore) -> None:
    """Without the handle of its holder, or with that of one who is gone, nothing changes."""
    row = await opened(sessions, a_session())
    other = await opened(sessions, a_session())
    for replacing in (None, other.handle, a_session().handle):
        with pytest.raises(Conflict):
            await sessions.insert(a_session(digest=row.digest), 0, "refuse", NOW, replacing=replacing)
        assert await sessions.find(row.digest) == row
        assert await sessions.find(other.digest) == other
    with pytest.raises(Conflict):
        await sessions.insert(a_session(), 0, "refuse", NOW, replacing=a_session().handle)


async def test_one_of_many_replacements_wins(sessions: SessionStore) -> None:
    """Those that began with the same session do not take each other's place."""
    old = await opened(sessions, a_session())
    news = [a_session(digest=old.digest) for _ in range(10)]
    calls = (sessions.insert(new, 0, "refuse", NOW, replacing=old.handle) for new in news)
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in done if one != 0] == [Conflict] * 9
    assert await sessions.find(old.digest) == news[done.index(0)]


@pytest.mark.parametrize("refusal", ["the limit", "the epoch"])
async def test_a_refused_replacement_leaves_what_was_there(sessions: SessionStore, refusal: str) -> None:
    """The old session goes in the transaction of the new one, or not at all."""
    old = await opened(sessions, a_session(user_token=None))
    await opened(sessions, a_session(user_token=PERSON))
    new = a_session(user_token=PERSON, digest=old.digest, epoch=1 if refusal == "the epoch" else 0)
    with pytest.raises((SessionLimit, SessionNotFound)):
        await sessions.insert(new, 1, "refuse", NOW, replacing=old.handle)
    assert await sessions.find(old.digest) == old


async def test_the_replaced_one_does_not_count_against_the_limit(sessions: SessionStore) -> None:
    """A person with as many sessions as may be can have one of them replaced."""
    old = await opened(sessions, a_session(user_token=PERSON))
    new = a_session(user_token=PERSON)
    assert await sessions.insert(new, 1, "refuse", NOW, replacing=old.handle) == 0
    assert [row.handle for row in await sessions.live_of(PERSON, NOW, 9)] == [new.handle]


# --- revoke -------------------------------------------------------------------------------------------------


@people
async def test_revoke_returns_what_it_deleted(sessions: SessionStore, user_token: str | None) -> None:
    """The row comes back once; a second revocation is fine and finds nothing."""
    row = await opened(sessions, a_session(user_token=user_token))
    other = await opened(sessions, a_session(user_token=user_token))

    assert await sessions.revoke(row.digest) == row
    assert await sessions.revoke(row.digest) is None
    assert await sessions.find(row.digest) is None
    assert await sessions.find(other.digest) == other


@pytest.mark.parametrize("named", [True, False], ids=["with its person", "without its person"])
async def test_a_handle_revokes_its_session(sessions: SessionStore, named: bool) -> None:
    """True once, for this session only."""
    row = await opened(sessions, a_session(user_token=PERSON))
    other = await opened(sessions, a_session(user_token=PERSON))
    user_token = PERSON if named else None

    assert await sessions.revoke_handle(row.handle, user_token)
    assert not await sessions.revoke_handle(row.handle, user_token)
    assert await sessions.find(row.digest) is None
    assert await sessions.find(other.digest) == other


@people
async def test_a_handle_with_another_person_revokes_nothing(
    sessions: SessionStore, user_token: str | None
) -> None:
    """Nobody ends the session of another by guessing its public handle."""
    row = await opened(sessions, a_session(user_token=user_token))

    assert not await sessions.revoke_handle(row.handle, a_session().user_token)
    assert await sessions.find(row.digest) == row


# --- lists, counts and the sweep ----------------------------------------------------------------------------


async def test_live_sessions_come_newest_first(sessions: SessionStore) -> None:
    """The person's own, by the time they were opened, as many as asked for."""
    rows = {n: await opened(sessions, a_session(NOW + n, user_token=PERSON)) for n in (2, 1, 4, 3)}
    await opened(sessions, a_session())
    await opened(sessions, a_session(user_token=None))
    await sessions.touch(rows[3].digest, NOW + MINUTE)

    in_order = [rows[n].digest for n in (4, 3, 2, 1)]
    assert [row.digest for row in await sessions.live_of(PERSON, NOW + MINUTE, 9)] == in_order
    assert [row.digest for row in await sessions.live_of(PERSON, NOW + MINUTE, 2)] == in_order[:2]


@endings
async def test_a_dead_session_is_not_listed(sessions: SessionStore, end: Ending) -> None:
    """However a session ended, it is no longer shown to its person."""
    row = await opened(sessions, a_session(user_token=PERSON))
    assert await sessions.live_of(PERSON, NOW, 9) == [row]

    now = await end(sessions, row)

    assert row.digest not in [live.digest for live in await sessions.live_of(PERSON, now, 9)]


async def test_live_sessions_are_counted(sessions: SessionStore) -> None:
    """What has not expired counts, with a person or without; the very millisecond is too late."""
    await opened(sessions, a_session(idle_timeout=MINUTE))
    await opened(sessions, a_session(user_token=None))

    assert await sessions.count_live(NOW + MINUTE - 1) == 2
    assert await sessions.count_live(NOW + MINUTE) == 1
    assert await sessions.count_live(NOW + HOUR) == 0


async def test_the_purge_takes_every_dead_session_in_chunks(sessions: SessionStore) -> None:
    """Idle and ended sessions go, no more at a time than asked for, and no live one does."""
    idle = await opened(sessions, a_session(idle_timeout=MINUTE))
    ended = await opened(sessions, a_session(lifetime=MINUTE))
    stale = await opened(sessions, a_session(user_token=PERSON, idle_timeout=MINUTE))
    kept = await opened(sessions, a_session(user_token=PERSON))
    alive = [kept, await opened(sessions, a_session()), await opened(sessions, a_session(user_token=None))]

    assert [await sessions.purge(NOW + MINUTE, 2) for _ in range(3)] == [2, 1, 0]

    assert [await sessions.find(row.digest) for row in (idle, ended, stale)] == [None] * 3
    assert all([await sessions.find(row.digest) for row in alive])


async def test_a_revocation_of_all_leaves_nothing_to_the_purge(sessions: SessionStore) -> None:
    """A person's sessions are gone with each revocation and not with the first alone."""
    for epoch in range(3):
        row = await opened(sessions, a_session(user_token=PERSON, epoch=epoch))
        await sessions.revoke_all(PERSON, None, NOW)

        assert await sessions.find(row.digest) is None
        assert await sessions.purge(NOW, 9) == 0


async def test_the_purge_judges_by_the_millisecond(sessions: SessionStore) -> None:
    """A session is swept from its very end on, and not before."""
    row = await opened(sessions, a_session())

    assert await sessions.purge(row.idle_expires_at - 1, 9) == 0
    assert await sessions.purge(row.idle_expires_at, 9) == 1


async def test_the_census_counts_boxes_by_key_version(sessions: SessionStore, stores: Stores) -> None:
    """Every box counts under the key that seals it now."""
    assert await sealed(stores, "sessions").census() == {}
    row = await opened(sessions, a_session(key_version=1))
    await opened(sessions, a_session(key_version=1, user_token=None))
    await opened(sessions, a_session(key_version=2))

    assert await sealed(stores, "sessions").census() == {1: 2, 2: 1}
    await sessions.change_box(row, b"new", 2, NOW)
    assert await sealed(stores, "sessions").census() == {1: 1, 2: 2}
