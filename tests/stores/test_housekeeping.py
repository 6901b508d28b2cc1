from pathlib import Path

import pytest

from tests.stores.rows import NOW, a_new_profile, a_session
from vault.errors import ConfigError
from vault.ports import Stores
from vault.stores import SCHEMES, open_stores


async def test_an_open_store_can_be_read(stores: Stores) -> None:
    """A ping of a healthy store raises nothing."""
    await stores.housekeeping.ping()


async def test_nothing_is_wrong_with_a_healthy_store(stores: Stores) -> None:
    """A store that has just been written to has no fault to report."""
    await stores.profiles.insert([a_new_profile()], NOW)

    assert await stores.housekeeping.check() == []


async def test_shredding_takes_only_what_is_deleted(stores: Stores) -> None:
    """What is stored is still there afterwards."""
    gone, kept, session = a_new_profile(), a_new_profile(), a_session()
    await stores.profiles.insert([gone, kept], NOW)
    await stores.sessions.insert(session, 0, "refuse", NOW)
    await stores.profiles.delete(gone.row.token)

    await stores.housekeeping.shred()

    assert await stores.profiles.find(gone.row.token) is None
    assert await stores.profiles.find(kept.row.token) == kept.row
    assert await stores.sessions.find(session.digest) == session


@pytest.mark.parametrize("url", ["", "memory", "carrier-pigeon:", "nosuch://ann:s3cret@example.org/"])
def test_an_unknown_scheme_is_refused(url: str, tmp_path: Path) -> None:
    """The message names the schemes there are, and repeats nothing of the URL, which may hold a password."""
    with pytest.raises(ConfigError) as refusal:
        open_stores(url, tmp_path, 5)

    assert all(f"{scheme}:" in refusal.value.message for scheme in SCHEMES)
    assert "s3cret" not in refusal.value.message


def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks a driver is told what to install."""
    monkeypatch.setitem(SCHEMES, "pigeon", "carrier_pigeon.stores")

    with pytest.raises(ConfigError, match=r"needs the module 'carrier_pigeon'.*tokenization-vault\[pigeon\]"):
        open_stores("pigeon:", None, 5)


async def test_each_opening_of_memory_is_empty() -> None:
    """Two vaults in memory know nothing of each other, and no folder is needed."""
    async with open_stores("memory:", None, 5) as one, open_stores("memory:", None, 5) as other:
        new = a_new_profile()
        await one.profiles.insert([new], NOW)

        assert await other.profiles.find(new.row.token) is None
