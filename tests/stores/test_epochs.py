import asyncio

import pytest
from msgspec.structs import replace

from tests.stores.boxes import sealed
from tests.stores.endings import opened
from tests.stores.rows import HOUR, NOW, PERSON, Keeper, a_session, a_successor
from vault.errors import SessionNotFound
from vault.ports import SessionStore, Stores


async def live(sessions: SessionStore) -> list[bytes]:
    """Return the digests of the person's live sessions."""
    return [row.digest for row in await sessions.live_of(PERSON, NOW, 99)]


# --- revoke_all ---------------------------------------------------------------------------------------------


async def test_every_person_begins_at_zero(sessions: SessionStore) -> None:
    """The store need not have heard of a person."""
    assert await sessions.epoch(PERSON) == 0


async def test_revoke_all_bumps_the_epoch(sessions: SessionStore) -> None:
    """Each call counts one up, for this person only, and also for one without sessions."""
    for expected in (1, 2, 3):
        await sessions.revoke_all(PERSON, None, NOW)
        assert await sessions.epoch(PERSON) == expected

    assert await sessions.epoch(a_session().user_token or "") == 0


async def test_concurrent_bumps_all_count(sessions: SessionStore) -> None:
    """No bump is lost under another."""
    await asyncio.gather(*(sessions.revoke_all(PERSON, None, NOW) for _ in range(10)))

    assert await sessions.epoch(PERSON) == 10


async def test_revoke_all_ends_all_of_one_person(sessions: SessionStore) -> None:
    """Everything of the person is dead at once, and nobody else notices."""
    theirs = [await opened(sessions, a_session(user_token=PERSON)) for _ in range(3)]
    others = [await opened(sessions, a_session()), await opened(sessions, a_session(user_token=None))]

    await sessions.revoke_all(PERSON, None, NOW)

    assert await live(sessions) == []
    for row in theirs:
        assert await sessions.touch(row.digest, NOW) is None
    for row in others:
        assert await sessions.find(row.digest) == row


async def test_the_kept_session_is_carried_into_the_new_epoch(sessions: SessionStore) -> None:
    """One session lives on as it was, also through a second time, and the others are dead."""
    kept = await opened(sessions, a_session(user_token=PERSON))
    await opened(sessions, a_session(user_token=PERSON))

    for epoch in (1, 2):
        await sessions.revoke_all(PERSON, kept.handle, NOW)

        assert await live(sessions) == [kept.digest]
        assert await sessions.find(kept.digest) == replace(kept, epoch=epoch)
    assert await sessions.touch(kept.digest, NOW + 1) is not None


async def test_an_expired_session_is_not_carried(sessions: SessionStore) -> None:
    """What is dead by its own clock stays dead, should that clock step back."""
    row = await opened(sessions, a_session(user_token=PERSON))

    await sessions.revoke_all(PERSON, row.handle, row.idle_expires_at)

    assert await live(sessions) == []


async def test_a_revoked_session_is_not_carried(sessions: SessionStore) -> None:
    """A session that an earlier revocation ended is not kept by a later one."""
    row = await opened(sessions, a_session(user_token=PERSON))
    await sessions.revoke_all(PERSON, None, NOW)

    await sessions.revoke_all(PERSON, row.handle, NOW)

    assert await live(sessions) == []


async def test_the_session_of_another_person_is_not_carried(sessions: SessionStore) -> None:
    """A handle keeps a session of the person who revokes, and of nobody else."""
    theirs = await opened(sessions, a_session(user_token=PERSON))
    other = await opened(sessions, a_session())

    await sessions.revoke_all(PERSON, other.handle, NOW)

    assert await sessions.find(other.digest) == other
    found = await sessions.find(theirs.digest)
    assert found is None or not found.is_alive(NOW)


async def test_a_carried_session_can_still_be_rotated(sessions: SessionStore) -> None:
    """A rotation that read the session before it was carried gives a successor that is alive."""
    old = await opened(sessions, a_session(user_token=PERSON))
    await sessions.revoke_all(PERSON, old.handle, NOW)
    new = a_successor(old)

    assert await sessions.rotate(old, new, NOW)
    assert await live(sessions) == [new.digest]


@pytest.mark.parametrize("epoch", [0, 2, -1], ids=["an older one", "one to come", "the mark of the closed"])
async def test_an_insert_needs_the_present_epoch(sessions: SessionStore, epoch: int) -> None:
    """A login that began before the revocation opens nothing and ends nothing, and no answer is kept."""
    await sessions.revoke_all(PERSON, None, NOW)
    present = await opened(sessions, a_session(user_token=PERSON, epoch=1))
    late, keeper = a_session(user_token=PERSON, epoch=epoch), Keeper()

    with pytest.raises(SessionNotFound):
        await sessions.insert(late, 1, "end_oldest", NOW, keeper)

    assert await sessions.find(late.digest) is None
    assert await live(sessions) == [present.digest]
    assert keeper.calls == []
    assert await sessions.kept_answer(keeper.digest, NOW) is None


async def test_no_racing_login_survives_revoke_all(sessions: SessionStore) -> None:
    """Whatever the order, after the last call nothing that began in the old epoch is alive."""
    logins = [sessions.insert(a_session(user_token=PERSON), 0, "refuse", NOW) for _ in range(10)]

    await asyncio.gather(
        *logins[:5], sessions.revoke_all(PERSON, None, NOW), *logins[5:], return_exceptions=True
    )

    assert await sessions.epoch(PERSON) == 1
    assert await live(sessions) == []


# --- close --------------------------------------------------------------------------------------------------


async def test_close_deletes_all_of_one_person(sessions: SessionStore) -> None:
    """No row of the person is left, dead or alive, and nobody else notices."""
    stale = await opened(sessions, a_session(user_token=PERSON))
    await sessions.revoke_all(PERSON, None, NOW)
    alive = await opened(sessions, a_session(user_token=PERSON, epoch=1))
    others = [await opened(sessions, a_session()), await opened(sessions, a_session(user_token=None))]

    await sessions.close(PERSON, NOW)

    assert [await sessions.find(row.digest) for row in (stale, alive)] == [None, None]
    for row in others:
        assert await sessions.find(row.digest) == row


@pytest.mark.parametrize("again", ["revoke_all", "close"])
async def test_closed_is_for_good(sessions: SessionStore, stores: Stores, again: str) -> None:
    """Neither a revocation nor closing again opens the epoch, and no epoch is the right one to insert with."""
    await sessions.revoke_all(PERSON, None, NOW)
    await sessions.close(PERSON, NOW)

    if again == "revoke_all":
        await sessions.revoke_all(PERSON, None, NOW + HOUR)
    else:
        await sessions.close(PERSON, NOW + HOUR)

    assert await sessions.epoch(PERSON) is None
    for epoch in range(-2, 4):
        with pytest.raises(SessionNotFound):
            await sessions.insert(a_session(user_token=PERSON, epoch=epoch), 0, "refuse", NOW + HOUR)
    assert await sealed(stores, "sessions").census() == {}


async def test_no_racing_login_survives_close(sessions: SessionStore, stores: Stores) -> None:
    """Whatever the order, after the last call there is no row of the person."""
    logins = [sessions.insert(a_session(user_token=PERSON), 0, "refuse", NOW) for _ in range(10)]

    await asyncio.gather(*logins[:5], sessions.close(PERSON, NOW), *logins[5:], return_exceptions=True)

    assert await sealed(stores, "sessions").census() == {}


async def test_others_can_be_opened_after_a_close(sessions: SessionStore) -> None:
    """A closed epoch is one person's."""
    await sessions.close(PERSON, NOW)

    row = await opened(sessions, a_session())
    anonymous = await opened(sessions, a_session(user_token=None))

    assert await sessions.find(row.digest) == row
    assert await sessions.find(anonymous.digest) == anonymous
