import asyncio
from typing import Literal

import pytest

from tests.stores.endings import Ending, left_idle, opened, revoked_with_all
from tests.stores.rows import HOUR, MINUTE, NOW, PERSON, Keeper, a_session
from vault.errors import SessionLimit
from vault.ports import AlreadyAnswered, SessionStore

AtLimit = Literal["end_oldest", "refuse"]


@pytest.mark.parametrize("at_limit", ["end_oldest", "refuse"])
async def test_there_is_room_up_to_the_limit(sessions: SessionStore, at_limit: AtLimit) -> None:
    """As many sessions as the limit says live side by side, for each person."""
    for user_token in (PERSON, a_session().user_token):
        rows = [a_session(user_token=user_token) for _ in range(3)]
        for row in rows:
            await sessions.insert(row, 3, at_limit, NOW)

        assert all([await sessions.find(row.digest) for row in rows])


async def test_the_session_seen_longest_ago_gives_way(sessions: SessionStore) -> None:
    """It is the last use that counts, not the age."""
    used, unused, newer = (a_session(NOW + n, user_token=PERSON) for n in range(3))
    for row in (used, unused):
        await sessions.insert(row, 2, "end_oldest", NOW)
    await sessions.touch(used.digest, NOW + MINUTE)

    await sessions.insert(newer, 2, "end_oldest", NOW + MINUTE)

    assert await sessions.find(unused.digest) is None
    assert {row.digest for row in await sessions.live_of(PERSON, NOW + MINUTE, 9)} == {
        used.digest,
        newer.digest,
    }


async def test_a_lowered_limit_ends_all_that_are_too_many(sessions: SessionStore) -> None:
    """After an insert there are never more live sessions than its limit."""
    rows = [await opened(sessions, a_session(NOW - n, user_token=PERSON)) for n in range(5)]

    await sessions.insert(newest := a_session(NOW + 1, user_token=PERSON), 2, "end_oldest", NOW + 1)

    assert await sessions.live_of(PERSON, NOW + 1, 9) == [newest, rows[0]]


async def test_a_full_person_is_refused(sessions: SessionStore) -> None:
    """Where the limit refuses, nothing is inserted, nothing ends and no answer is kept."""
    rows = [await opened(sessions, a_session(NOW - n, user_token=PERSON)) for n in range(2)]
    late, keeper = a_session(user_token=PERSON), Keeper()

    with pytest.raises(SessionLimit):
        await sessions.insert(late, 2, "refuse", NOW, keeper)

    assert await sessions.live_of(PERSON, NOW, 9) == rows
    assert keeper.calls == []
    assert await sessions.kept_answer(keeper.digest, NOW) is None


@pytest.mark.parametrize("end", [left_idle, revoked_with_all], ids=["left idle", "revoked with all"])
async def test_dead_sessions_take_no_room(sessions: SessionStore, end: Ending) -> None:
    """The limit counts what is alive, whatever has not been swept away yet."""
    dead = await opened(sessions, a_session(NOW - HOUR, HOUR, user_token=PERSON))
    now = await end(sessions, dead)
    row = a_session(now, user_token=PERSON, epoch=await sessions.epoch(PERSON))

    await sessions.insert(row, 1, "refuse", now)

    assert [live.digest for live in await sessions.live_of(PERSON, now, 9)] == [row.digest]


async def test_zero_is_no_limit(sessions: SessionStore) -> None:
    """A limit of 0 neither refuses nor ends."""
    for _ in range(20):
        await sessions.insert(a_session(user_token=PERSON), 0, "refuse", NOW)

    assert len(await sessions.live_of(PERSON, NOW, 99)) == 20


@pytest.mark.parametrize("at_limit", ["end_oldest", "refuse"])
async def test_anonymous_sessions_have_no_limit(sessions: SessionStore, at_limit: AtLimit) -> None:
    """Sessions without a person are nobody's, so they are not counted together."""
    for _ in range(5):
        await sessions.insert(a_session(user_token=None), 1, at_limit, NOW)

    assert await sessions.count_live(NOW) == 5


async def test_fifty_concurrent_inserts_leave_as_many_as_allowed(sessions: SessionStore) -> None:
    """The limit holds under a race, by ending."""
    rows = [a_session(user_token=PERSON) for _ in range(50)]

    await asyncio.gather(*(sessions.insert(row, 5, "end_oldest", NOW) for row in rows))

    assert len(await sessions.live_of(PERSON, NOW, 99)) == 5


async def test_fifty_concurrent_inserts_are_refused_beyond_the_limit(sessions: SessionStore) -> None:
    """The limit holds under a race, by refusing."""
    rows = [a_session(user_token=PERSON) for _ in range(50)]

    results = await asyncio.gather(
        *(sessions.insert(row, 5, "refuse", NOW) for row in rows), return_exceptions=True
    )

    inserted = {row.digest for row, result in zip(rows, results, strict=True) if result == 0}
    assert sum(isinstance(result, SessionLimit) for result in results) == 45
    assert {row.digest for row in await sessions.live_of(PERSON, NOW, 99)} == inserted


async def test_an_insert_tells_how_many_made_room(sessions: SessionStore) -> None:
    """None while there is room, and then one for one: each ending is an event that somebody must be told of."""
    told = [await sessions.insert(a_session(user_token=PERSON), 2, "end_oldest", NOW) for _ in range(4)]
    assert told == [0, 0, 1, 1]


async def test_a_repeated_insert_is_answered_before_it_is_judged(sessions: SessionStore) -> None:
    """The answer of the first request stands, though by now the limit and the epoch would refuse it."""
    row, keeper = a_session(user_token=PERSON), Keeper()
    await sessions.insert(row, 1, "refuse", NOW, keeper)

    policies: tuple[AtLimit, ...] = ("refuse", "end_oldest")
    for at_limit in policies:
        with pytest.raises(AlreadyAnswered):
            await sessions.insert(a_session(user_token=PERSON), 1, at_limit, NOW, Keeper(keeper.digest))
    assert await sessions.find(row.digest) == row

    await sessions.revoke_all(PERSON, None, NOW)
    with pytest.raises(AlreadyAnswered):
        await sessions.insert(a_session(user_token=PERSON), 1, "refuse", NOW, Keeper(keeper.digest))
