"""Keyring and database are proven to belong together before anything is opened."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
import pytest

from tests.auditing import an_audit
from tests.clock import FakeClock
from tests.stores.boxes import sealed
from tests.stores.rows import NOW, AnEntry, Keeper, a_new_profile, a_session, a_tag
from vault.crypto.keyring import LINES, Keyring, KeyState, KeyVersion, new_keyring
from vault.crypto.sealer import Sealer
from vault.custody import make_known
from vault.errors import KeyringError
from vault.keys import mismatches
from vault.ports import Stores
from vault.records import KeyRecord
from vault.stores import open_stores


async def _written_with(stores: Stores, keyring: Keyring) -> None:
    """Do as a start does: prove the keyring, then make it known."""
    sealer = Sealer(keyring, "default")
    if trouble := await mismatches(stores, keyring, sealer):
        raise KeyringError(" ".join(trouble))
    await make_known(stores.keys, keyring, sealer, an_audit(stores, keyring), FakeClock())


def _with(keyring: Keyring, *keys: KeyVersion) -> Keyring:
    merged = {(key.line, key.version): key for key in (*keyring, *keys)}
    return Keyring(merged.values())


async def test_a_new_version_is_made_known_once() -> None:
    """What the keyring gained is noted with fingerprint and canary; a second start notes nothing."""
    async with open_stores("memory:", None, 1) as stores:
        keyring = new_keyring(0)
        await _written_with(stores, keyring)
        first = await stores.keys.known()
        await _written_with(stores, keyring)
        assert {(record.line, record.version) for record in first} == {(line, 1) for line in LINES}
        assert len(first) == len(LINES)
        assert await stores.keys.known() == first


async def test_a_version_that_the_keyring_lacks_is_named() -> None:
    """The database knows version 2, the keyring does not: refused, and it says which."""
    async with open_stores("memory:", None, 1) as stores:
        old = new_keyring(0)
        second = KeyVersion("data", 2, KeyState.RETIRING, 0, os.urandom(32))
        await _written_with(stores, _with(old, second))
        with pytest.raises(KeyringError, match="key version 2 of line 'data'"):
            await _written_with(stores, old)


async def test_another_key_under_the_same_version_is_named() -> None:
    """A keyring made anew has version 1 too; the fingerprint tells it apart."""
    async with open_stores("memory:", None, 1) as stores:
        await _written_with(stores, new_keyring(0))
        with pytest.raises(KeyringError, match="is another key"):
            await _written_with(stores, new_keyring(0))


async def test_a_canary_that_does_not_open_is_noticed() -> None:
    """A right fingerprint beside a wrong canary is not enough."""
    async with open_stores("memory:", None, 1) as stores:
        keyring, other = new_keyring(0), new_keyring(0)
        for key in keyring:
            stranger = other.active(key.line)
            canary = Sealer(other, "default").canary(stranger)
            await stores.keys.insert(KeyRecord(key.line, key.version, key.fingerprint, canary, 0))
        assert len(await mismatches(stores, keyring, Sealer(keyring, "default"))) == len(LINES)


async def test_another_tenant_does_not_open_the_canary() -> None:
    """The tenant is bound into every key, so a vault opened under another name refuses to start."""
    async with open_stores("memory:", None, 1) as stores:
        keyring = new_keyring(0)
        await _written_with(stores, keyring)
        assert await mismatches(stores, keyring, Sealer(keyring, "other"))


def _rotated(keyring: Keyring, line: str, state: KeyState = KeyState.DISABLED) -> Keyring:
    """Return the keyring with a new active version of a line and the old one in another state."""
    successor = KeyVersion(line, 2, KeyState.ACTIVE, 0, os.urandom(32))
    return _with(keyring, replace(keyring.active(line), state=state), successor)


async def _rotated_data(stores: Stores) -> Keyring:
    """Rotate the data line of a vault that has nothing but its events; nothing needs the old version any more."""
    keyring = new_keyring(0)
    await _written_with(stores, keyring)
    both = _rotated(keyring, "data", KeyState.RETIRING)
    await _written_with(stores, both)
    details, sealer = sealed(stores, "audit_details"), Sealer(both, "default")
    rows = await details.page(None, 99, 1)
    assert rows
    assert await details.swap(
        [(row, *sealer.reseal(details.purpose, row.name, row.box)) for row in rows]
    ) == len(rows)
    rotated = both.moved("data", 1, KeyState.DISABLED)
    await _written_with(stores, rotated)
    return rotated


async def _a_profile(stores: Stores) -> None:
    await stores.profiles.insert([a_new_profile()], NOW)


async def _a_session(stores: Stores) -> None:
    await stores.sessions.insert(a_session(), 0, "refuse", NOW)


async def _an_answer_to_a_profile(stores: Stores) -> None:
    await stores.profiles.insert([a_new_profile(key_version=2)], NOW, Keeper())


async def _an_answer_to_a_session(stores: Stores) -> None:
    await stores.sessions.insert(a_session(key_version=2), 0, "refuse", NOW, Keeper())


async def _the_details_of_an_event(stores: Stores) -> None:
    await stores.audit.append([AnEntry(key_version=1)])


NEEDS: dict[str, Callable[[Stores], Awaitable[None]]] = {
    "profiles": _a_profile,
    "profile_answers": _an_answer_to_a_profile,
    "sessions": _a_session,
    "session_answers": _an_answer_to_a_session,
    "audit_details": _the_details_of_an_event,
}


@pytest.mark.parametrize("name", NEEDS)
async def test_a_disabled_version_that_rows_need_is_noticed(name: str) -> None:
    """Rows of any store under a version that opens nothing would be unreadable: say so at start, and the way out."""
    async with open_stores("memory:", None, 1) as stores:
        rotated = await _rotated_data(stores)
        await NEEDS[name](stores)

        (sentence,) = await mismatches(stores, rotated, Sealer(rotated, "default"))
        assert "key version 1 of line 'data', which is disabled" in sentence
        assert "tokenvault keys enable data 1" in sentence


@pytest.mark.parametrize("name", NEEDS)
async def test_rows_that_are_set_aside_need_no_version(name: str) -> None:
    """That they do not open is known; one more row that is not set aside is trouble again."""
    async with open_stores("memory:", None, 1) as stores:
        rotated = await _rotated_data(stores)
        await NEEDS[name](stores)
        (row,) = await sealed(stores, name).page(None, 9, 1)
        await sealed(stores, name).set_aside(row, "box_tampered", NOW)

        assert await mismatches(stores, rotated, Sealer(rotated, "default")) == []
        await NEEDS[name](stores)
        assert len(await mismatches(stores, rotated, Sealer(rotated, "default"))) == 1


async def test_tags_of_a_disabled_version_are_no_trouble() -> None:
    """Nobody looks for them: a rotation of the index line leaves them for a moment."""
    async with open_stores("memory:", None, 1) as stores:
        keyring = new_keyring(0)
        await _written_with(stores, keyring)
        ann = a_tag("ann@example.org", version=2), a_tag("ann@example.org")
        rotated = _rotated(keyring, "index")
        await _written_with(stores, rotated)
        await stores.profiles.insert([a_new_profile(*ann)], NOW)

        assert await mismatches(stores, rotated, Sealer(rotated, "default")) == []


async def test_an_index_under_a_disabled_version_alone_is_noticed() -> None:
    """A database from before the rotation: nobody would be found in it, so say so, and the way out."""
    async with open_stores("memory:", None, 1) as stores:
        keyring = new_keyring(0)
        await _written_with(stores, keyring)
        rotated = _rotated(keyring, "index")
        await _written_with(stores, rotated)
        await stores.profiles.insert([a_new_profile(a_tag("ann@example.org"))], NOW)

        (sentence,) = await mismatches(stores, rotated, Sealer(rotated, "default"))
        assert "tokenvault keys enable index 1" in sentence


@pytest.mark.parametrize("line", ["data", "index"])
async def test_a_closed_version_is_not_active_again(line: str) -> None:
    """A keyring from before a rotation would write what every store refuses: it is an old copy."""
    async with open_stores("memory:", None, 1) as stores:
        keyring = new_keyring(0)
        await _written_with(stores, keyring)
        rotated = _rotated(keyring, line, KeyState.RETIRING)
        await _written_with(stores, rotated)
        await stores.keys.close(line, 1)
        await _written_with(stores, rotated)

        before = rotated.moved(line, 1, KeyState.ACTIVE)
        with pytest.raises(KeyringError, match=f"active key version 1 of line '{line}' was left behind"):
            await _written_with(stores, before)


async def test_rows_under_a_version_that_nobody_knows_are_noticed() -> None:
    """Neither the keyring nor the database ever had it: the database is not this keyring's."""
    async with open_stores("memory:", None, 1) as stores:
        keyring = new_keyring(0)
        await _written_with(stores, keyring)
        await stores.profiles.insert([a_new_profile(a_tag("ann@example.org", version=8), key_version=9)], NOW)

        trouble = await mismatches(stores, keyring, Sealer(keyring, "default"))
        assert ["key version 9 of line 'data'" in sentence for sentence in trouble] == [True, False]
        assert ["key version 8 of line 'index'" in sentence for sentence in trouble] == [False, True]


async def test_a_destroyed_version_comes_not_back() -> None:
    """A keyring from before the destruction is an old copy, and refused; the tombstone beside it is not."""
    async with open_stores("memory:", None, 1) as stores:
        before = await _rotated_data(stores)
        after = before.moved("data", 1, KeyState.DESTROYED)
        for record in await stores.keys.known():
            if (record.line, record.version) == ("data", 1):
                await stores.keys.update(msgspec.structs.replace(record, destroyed_at=NOW))

        with pytest.raises(KeyringError, match="version 1 of line 'data', which was destroyed"):
            await _written_with(stores, before)
        await _written_with(stores, after)


async def test_a_refused_keyring_writes_nothing() -> None:
    """The proof comes before the note."""
    async with open_stores("memory:", None, 1) as stores:
        await _written_with(stores, new_keyring(0))
        before = await stores.keys.known()
        stranger = _with(new_keyring(0), KeyVersion("data", 7, KeyState.PENDING, 0, os.urandom(32)))
        with pytest.raises(KeyringError):
            await _written_with(stores, stranger)
        assert await stores.keys.known() == before
