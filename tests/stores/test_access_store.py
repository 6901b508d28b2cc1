import asyncio

import pytest

from tests.stores.rows import HOUR, NOW, an_access_key
from vault.ports import AccessStore, Stores
from vault.records import Rails


@pytest.fixture
def access(stores: Stores) -> AccessStore:
    """Return the store under test."""
    return stores.access


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(None, id="shown all claims"),
        pytest.param((), id="shown no claim"),
        pytest.param(("role", "auth_level"), id="shown some claims"),
    ],
)
async def test_an_inserted_key_is_found(access: AccessStore, claims: tuple[str, ...] | None) -> None:
    """Every column comes back; "all claims" and "no claim" are not mixed up, and order is kept."""
    row = an_access_key(
        claims=claims, scopes=("sessions:write", "profiles:read"), expires_at=NOW + HOUR, name="Büro – «α»"
    )
    await access.insert(row)

    assert await access.find(row.id) == row


@pytest.mark.parametrize(
    "rails",
    [
        pytest.param(Rails(), id="none"),
        pytest.param(Rails(fields=()), id="shown no field"),
        pytest.param(
            Rails(("ä.b", 'quo"te'), ("email",), ("10.0.0.0/8", "2001:db8::/32"), 60, 20, 200),
            id="all of them",
        ),
    ],
)
async def test_rails_come_back(access: AccessStore, rails: Rails) -> None:
    """Each as it was; "all fields" and "no field" are not mixed up."""
    row = an_access_key(rails=rails, suspended_at=NOW)
    await access.insert(row)

    assert await access.find(row.id) == row
    assert await access.list() == [row]


async def test_an_unknown_id_finds_nothing(access: AccessStore) -> None:
    """Absent is None and not an error."""
    await access.insert(an_access_key())

    assert await access.find(an_access_key().id) is None


async def test_keys_are_listed_oldest_first(access: AccessStore) -> None:
    """All keys are there, expired and revoked ones too."""
    assert await access.list() == []
    second, third, first = (an_access_key(created_at=NOW + n) for n in (2, 3, 1))
    for row in (second, third, first):
        await access.insert(row)
    await access.revoke(second.id, NOW)

    assert [row.id for row in await access.list()] == [first.id, second.id, third.id]


async def test_a_revoked_key_is_kept_with_its_mark(access: AccessStore) -> None:
    """The key is dead and still there to be looked at; revoking it again is fine, and others stay alive."""
    row, other = an_access_key(), an_access_key()
    for each in (row, other):
        await access.insert(each)

    assert await access.revoke(row.id, NOW)
    assert await access.revoke(row.id, NOW)

    revoked = await access.find(row.id)
    assert revoked is not None
    assert revoked.revoked_at == NOW
    assert not revoked.is_alive(NOW)
    assert await access.find(other.id) == other


async def test_an_absent_key_cannot_be_revoked(access: AccessStore) -> None:
    """There is nothing to mark, and nothing is left behind."""
    assert not await access.revoke(an_access_key().id, NOW)
    assert await access.list() == []


async def test_a_suspended_key_is_dead_until_it_is_resumed(access: AccessStore) -> None:
    """The first mark stays; resuming takes it away, also twice; the key is then what it was, and others stay alive."""
    row, other = an_access_key(), an_access_key()
    for each in (row, other):
        await access.insert(each)

    assert await access.suspend(row.id, NOW)
    assert await access.suspend(row.id, NOW + HOUR)

    suspended = await access.find(row.id)
    assert suspended is not None
    assert suspended.suspended_at == NOW
    assert not suspended.is_alive(NOW)
    assert await access.find(other.id) == other

    assert await access.resume(row.id)
    assert await access.resume(row.id)
    assert await access.find(row.id) == row


async def test_a_revoked_key_cannot_be_brought_back(access: AccessStore) -> None:
    """Suspending and resuming it changes nothing of that."""
    row = an_access_key()
    await access.insert(row)
    await access.revoke(row.id, NOW)
    await access.suspend(row.id, NOW)
    await access.resume(row.id)

    revoked = await access.find(row.id)
    assert revoked is not None
    assert not revoked.is_alive(NOW)


async def test_an_absent_key_can_be_neither_suspended_nor_resumed(access: AccessStore) -> None:
    """There is nothing to mark."""
    assert not await access.suspend(an_access_key().id, NOW)
    assert not await access.resume(an_access_key().id)
    assert await access.list() == []


async def test_concurrent_inserts_are_all_there(access: AccessStore) -> None:
    """No key is lost under another."""
    rows = [an_access_key(created_at=NOW + n) for n in range(10)]

    await asyncio.gather(*(access.insert(row) for row in rows))

    assert await access.list() == rows
