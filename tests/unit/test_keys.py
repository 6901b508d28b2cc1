"""Keyring and database are proven to belong together before anything is opened."""

import os
from dataclasses import replace

import pytest

from tests.clock import FakeClock
from vault.crypto.keyring import Keyring, KeyState, KeyVersion, new_keyring
from vault.crypto.sealer import Sealer
from vault.errors import KeyringError
from vault.keys import check_in, mismatches
from vault.ports import Stores
from vault.records import KeyRecord
from vault.stores import open_stores


async def _written_with(stores: Stores, keyring: Keyring) -> None:
    await check_in(stores.keys, keyring, Sealer(keyring, "default"), FakeClock())


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
        assert [(record.line, record.version) for record in first] == [("data", 1), ("index", 1)]
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
        assert len(await mismatches(stores.keys, keyring, Sealer(keyring, "default"))) == 2


async def test_another_tenant_does_not_open_the_canary() -> None:
    """The tenant is bound into every key, so a vault opened under another name refuses to start."""
    async with open_stores("memory:", None, 1) as stores:
        keyring = new_keyring(0)
        await _written_with(stores, keyring)
        assert await mismatches(stores.keys, keyring, Sealer(keyring, "other"))


async def test_a_disabled_version_that_rows_need_is_noticed() -> None:
    """Rows under a version that opens nothing would be unreadable: say so at start."""
    async with open_stores("memory:", None, 1) as stores:
        keyring = new_keyring(0)
        await _written_with(stores, keyring)
        first = keyring.active("data")
        rotated = _with(
            keyring,
            replace(first, state=KeyState.DISABLED),
            KeyVersion("data", 2, KeyState.ACTIVE, 0, os.urandom(32)),
        )
        assert await mismatches(stores.keys, rotated, Sealer(rotated, "default")) == []


async def test_a_refused_keyring_writes_nothing() -> None:
    """The proof comes before the note."""
    async with open_stores("memory:", None, 1) as stores:
        await _written_with(stores, new_keyring(0))
        before = await stores.keys.known()
        stranger = _with(new_keyring(0), KeyVersion("data", 7, KeyState.PENDING, 0, os.urandom(32)))
        with pytest.raises(KeyringError):
            await _written_with(stores, stranger)
        assert await stores.keys.known() == before
