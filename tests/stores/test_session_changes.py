import asyncio

from msgspec.structs import replace

from tests.stores.boxes import sealed
from tests.stores.endings import Ending, endings, opened, people
from tests.stores.rows import HOUR, MINUTE, NOW, PERSON, a_session, a_successor
from vault.ports import SessionStore, Stores

# --- touch --------------------------------------------------------------------------------------------------


@people
async def test_touch_slides_the_idle_window(sessions: SessionStore, user_token: str | None) -> None:
    """The new row is returned and stored; but for the two times it is the old one."""
    row = await opened(sessions, a_session(user_token=user_token))
    later = NOW + MINUTE

    touched = await sessions.touch(row.digest, later)

    assert touched == replace(row, last_seen_at=later, idle_expires_at=later + row.idle_timeout)
    assert await sessions.find(row.digest) == touched


async def test_a_session_may_be_touched_in_its_last_millisecond(sessions: SessionStore) -> None:
    """The idle window is open up to its end and shut at its end."""
    row = await opened(sessions, a_session())

    assert await sessions.touch(row.digest, row.idle_expires_at) is None
    assert await sessions.find(row.digest) == row
    assert await sessions.touch(row.digest, row.idle_expires_at - 1) is not None


async def test_touch_never_passes_the_end(sessions: SessionStore) -> None:
    """However often a session is used, it ends when its lifetime does."""
    row = await opened(sessions, a_session(idle_timeout=HOUR, lifetime=2 * HOUR))
    ends = []

    for now in range(NOW, row.expires_at, 20 * MINUTE):
        touched = await sessions.touch(row.digest, now)
        assert touched is not None
        assert touched.expires_at == row.expires_at
        ends.append(touched.idle_expires_at - row.expires_at)

    assert ends == [-60 * MINUTE, -40 * MINUTE, -20 * MINUTE, 0, 0, 0]
    assert await sessions.touch(row.digest, row.expires_at) is None


@endings
async def test_touch_never_revives(sessions: SessionStore, end: Ending) -> None:
    """A request that was under way when its session ended does not bring it back."""
    row = await opened(sessions, a_session())
    now = await end(sessions, row)
    after = await sessions.find(row.digest)

    assert await sessions.touch(row.digest, now + 1) is None
    assert await sessions.find(row.digest) == after


async def test_no_race_of_touches_survives_a_revocation(sessions: SessionStore) -> None:
    """Whatever the order, after the last call the session is gone."""
    row = await opened(sessions, a_session())
    touches = [sessions.touch(row.digest, NOW + n) for n in range(10)]

    await asyncio.gather(*touches[:5], sessions.revoke(row.digest), *touches[5:])

    assert await sessions.find(row.digest) is None


# --- change_box ---------------------------------------------------------------------------------------------


@people
async def test_a_new_box_is_put_in(sessions: SessionStore, user_token: str | None) -> None:
    """Box and key version change and nothing else does."""
    row = await opened(sessions, a_session(user_token=user_token))

    assert await sessions.change_box(row, b"new", 2, NOW)
    assert await sessions.find(row.digest) == replace(row, box=b"new", key_version=2)


async def test_a_box_changes_only_from_what_was_read(sessions: SessionStore) -> None:
    """A change that was made from an older reading changes nothing."""
    row = await opened(sessions, a_session())
    await sessions.change_box(row, b"new", 2, NOW)

    assert not await sessions.change_box(row, b"newer", 3, NOW)
    assert await sessions.find(row.digest) == replace(row, box=b"new", key_version=2)


async def test_a_touch_in_between_does_not_hinder_a_change(sessions: SessionStore) -> None:
    """It is the box that must be unchanged, and the touch is kept too."""
    row = await opened(sessions, a_session())
    touched = await sessions.touch(row.digest, NOW + MINUTE)
    assert touched is not None

    assert await sessions.change_box(row, b"new", 2, NOW + MINUTE)
    assert await sessions.find(row.digest) == replace(touched, box=b"new", key_version=2)


async def test_one_of_many_concurrent_changes_wins(sessions: SessionStore) -> None:
    """No change is lost under another that started from the same box."""
    row = await opened(sessions, a_session())
    boxes = [bytes([n]) for n in range(10)]

    done = await asyncio.gather(*(sessions.change_box(row, box, 1, NOW) for box in boxes))

    assert done.count(True) == 1
    assert await sessions.find(row.digest) == replace(row, box=boxes[done.index(True)])


@endings
async def test_change_box_never_revives(sessions: SessionStore, end: Ending) -> None:
    """A dead session takes no new box."""
    row = await opened(sessions, a_session())
    now = await end(sessions, row)
    after = await sessions.find(row.digest)

    assert not await sessions.change_box(row, b"new", 2, now)
    assert await sessions.find(row.digest) == after


# --- rotate -------------------------------------------------------------------------------------------------


async def test_a_rotation_may_change_durations_and_keep_the_digest(sessions: SessionStore) -> None:
    """A session may get another window and lifetime, and go on under the id it has."""
    row = await opened(sessions, a_session())
    new = a_successor(row, digest=row.digest, lifetime=HOUR, idle_timeout=MINUTE)

    assert await sessions.rotate(row, new, NOW)
    assert await sessions.find(row.digest) == new
    assert not await sessions.rotate(row, new, NOW)


@people
async def test_rotate_swaps_the_rows(sessions: SessionStore, stores: Stores, user_token: str | None) -> None:
    """The successor stands in the place of the old session, which is dead at once."""
    old = await opened(sessions, a_session(NOW - MINUTE, user_token=user_token))
    new = a_successor(old, key_version=2, authenticated_at=NOW - 1)

    assert await sessions.rotate(old, new, NOW)

    assert await sessions.find(old.digest) is None
    assert await sessions.find(new.digest) == new
    assert await sealed(stores, "sessions").census() == {2: 1}
    assert await sessions.revoke_handle(old.handle, user_token)
    assert await sessions.find(new.digest) is None


async def test_exactly_one_of_many_concurrent_rotations_wins(sessions: SessionStore, stores: Stores) -> None:
    """One session has one successor, and the losers leave nothing behind."""
    old = await opened(sessions, a_session(user_token=PERSON))
    heirs = [a_successor(old) for _ in range(10)]

    done = await asyncio.gather(*(sessions.rotate(old, heir, NOW) for heir in heirs))

    assert done.count(True) == 1
    assert await sessions.live_of(PERSON, NOW, 99) == [heirs[done.index(True)]]
    assert await sealed(stores, "sessions").census() == {1: 1}


async def test_rotate_needs_the_box_that_was_read(sessions: SessionStore) -> None:
    """Claims that changed meanwhile are not lost in a rotation."""
    old = await opened(sessions, a_session())
    await sessions.change_box(old, b"new", 1, NOW)
    heir = a_successor(old)

    assert not await sessions.rotate(old, heir, NOW)
    assert await sessions.find(heir.digest) is None
    assert await sessions.find(old.digest) == replace(old, box=b"new")


async def test_a_touch_in_between_does_not_hinder_a_rotation(sessions: SessionStore) -> None:
    """Only the box must be unchanged."""
    old = await opened(sessions, a_session())
    await sessions.touch(old.digest, NOW + MINUTE)

    assert await sessions.rotate(old, a_successor(old), NOW + MINUTE)


@endings
async def test_rotate_never_revives(sessions: SessionStore, end: Ending) -> None:
    """A dead session has no successor."""
    old = await opened(sessions, a_session())
    now = await end(sessions, old)
    after, heir = await sessions.find(old.digest), a_successor(old, now)

    assert not await sessions.rotate(old, heir, now)
    assert await sessions.find(heir.digest) is None
    assert await sessions.find(old.digest) == after


async def test_no_race_of_rotations_survives_revoke_all(sessions: SessionStore) -> None:
    """Whatever the order, after the last call nothing of the person is alive."""
    old = await opened(sessions, a_session(user_token=PERSON))
    rotations = [sessions.rotate(old, a_successor(old), NOW) for _ in range(10)]

    await asyncio.gather(*rotations[:5], sessions.revoke_all(PERSON, None, NOW), *rotations[5:])

    assert await sessions.live_of(PERSON, NOW, 99) == []
