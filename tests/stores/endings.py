"""How rows begin and how they die: each ending is one case of the tests that ask about the dead."""

from collections.abc import Awaitable, Callable

import pytest

from tests.stores.rows import HOUR, NOW, PERSON, a_new_profile, a_session, a_successor
from vault.ports import NewProfile, ProfileStore, SessionStore
from vault.records import ProfileRow, SessionRow, Tag

# --- profiles: each ending stores a profile and returns it, dead from NOW on ---------------------------------


async def stored(profiles: ProfileStore, new: NewProfile) -> ProfileRow:
    """Insert the profile and return its row."""
    assert await profiles.insert([new], NOW) == [None]
    return new.row


async def expire(profiles: ProfileStore, *tags: Tag) -> ProfileRow:
    """Store a profile that is dead from this very millisecond on."""
    new = a_new_profile(*tags, created_at=NOW - HOUR, expires_at=NOW)
    assert await profiles.insert([new], NOW - HOUR) == [None]
    return new.row


async def begin_erasure(profiles: ProfileStore, *tags: Tag) -> ProfileRow:
    """Store a profile and begin to erase it."""
    row = await stored(profiles, a_new_profile(*tags))
    await profiles.note_erasure(row.token, NOW)
    return row


dead_owners = pytest.mark.parametrize(
    "bury",
    [
        pytest.param(expire, id="the owner has expired"),
        pytest.param(begin_erasure, id="the owner is being erased"),
    ],
)
Bury = Callable[..., Awaitable[ProfileRow]]


# --- sessions: each ending returns the time from which the session is dead -----------------------------------


async def opened(sessions: SessionStore, row: SessionRow) -> SessionRow:
    """Insert the session, unlimited, and return its row."""
    await sessions.insert(row, 0, "refuse", row.created_at)
    return row


async def revoked(sessions: SessionStore, row: SessionRow) -> int:
    """Revoke it by its digest."""
    assert await sessions.revoke(row.digest)
    return NOW


async def revoked_by_handle(sessions: SessionStore, row: SessionRow) -> int:
    """Revoke it by its handle."""
    assert await sessions.revoke_handle(row.handle)
    return NOW


async def revoked_with_all(sessions: SessionStore, row: SessionRow) -> int:
    """Bump the epoch of its person."""
    assert row.user_token
    await sessions.revoke_all(row.user_token, None, NOW)
    return NOW


async def closed(sessions: SessionStore, row: SessionRow) -> int:
    """Close the epoch of its person."""
    assert row.user_token
    await sessions.close(row.user_token, NOW)
    return NOW


async def rotated(sessions: SessionStore, row: SessionRow) -> int:
    """Give it another digest."""
    assert await sessions.rotate(row, a_successor(row), NOW)
    return NOW


async def ended_by_a_newer_one(sessions: SessionStore, row: SessionRow) -> int:
    """Let a newer session of its person take the only place there is."""
    await sessions.insert(a_session(user_token=row.user_token), 1, "end_oldest", NOW)
    return NOW


async def left_idle(_: SessionStore, row: SessionRow) -> int:
    """Let its idle window pass."""
    return row.idle_expires_at


async def purged(sessions: SessionStore, row: SessionRow) -> int:
    """Let it expire and be swept away; a clock that steps back must not help it."""
    assert await sessions.purge(row.idle_expires_at, 10) == 1
    return NOW


Ending = Callable[[SessionStore, SessionRow], Awaitable[int]]
endings = pytest.mark.parametrize(
    "end",
    [
        pytest.param(revoked, id="revoked"),
        pytest.param(revoked_by_handle, id="revoked by its handle"),
        pytest.param(revoked_with_all, id="revoked with all of its person"),
        pytest.param(closed, id="its person was erased"),
        pytest.param(rotated, id="rotated"),
        pytest.param(ended_by_a_newer_one, id="ended by a newer one"),
        pytest.param(left_idle, id="left idle"),
        pytest.param(purged, id="purged"),
    ],
)

people = pytest.mark.parametrize(
    "user_token", [pytest.param(PERSON, id="of a person"), pytest.param(None, id="anonymous")]
)
