"""Making and opening an installation."""

from dataclasses import replace
from pathlib import Path

import pytest

from vault import data_folder, wiring
from vault.config import Config, Keyring, Storage
from vault.crypto import unlock_key
from vault.errors import AlreadyInitialised, ConfigError, KeyringError


async def test_the_keyring_may_lie_on_another_disk(tmp_path: Path) -> None:
    """With an absolute path in the settings, the data folder alone opens nothing, and a second start works."""
    (tmp_path / "keys").mkdir()
    config = replace(Config(), keyring=Keyring(file=str(tmp_path / "keys" / "ring.json")))
    data = tmp_path / "data"
    await wiring.initialise(config, data)

    assert not data_folder.is_new(config, data)
    assert "keyring.json" not in {path.name for path in data.iterdir()}
    async with wiring.open_vault(config, data) as vault:
        assert len((await vault.access.list()).keys) == 1
    assert await wiring.check(config, data) == []
    with pytest.raises(AlreadyInitialised):
        await wiring.initialise(config, data)


async def test_a_lost_keyring_is_not_made_anew(tmp_path: Path) -> None:
    """Where the database knows keys, ``initialise`` refuses and leaves no keyring behind."""
    config, data = Config(), tmp_path / "data"
    await wiring.initialise(config, data)
    (data / "keyring.json").unlink()
    assert data_folder.is_new(
        config, data
    )  # nothing foreign in it: only the database tells that keys are lost
    with pytest.raises(KeyringError, match="is missing"):
        await wiring.initialise(config, data)
    assert not (data / "keyring.json").exists()


LEFT = {
    "before the unlock key": ("vault.db",),
    "amid the unlock key": ("vault.db", "sessions.db", "unlock.key.draft"),
    "after the unlock key": ("vault.db", "sessions.db", "unlock.key"),
    "amid the keyring": ("vault.db", "sessions.db", "unlock.key", "keyring.json.lock", "keyring.json.new"),
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
async def test_an_interrupted_start_can_be_repeated(left: tuple[str, ...], tmp_path: Path) -> None:
    """Killed after the databases were made and before the keyring was: the next start goes on from there."""
    config, data = Config(), tmp_path / "data"
    data.mkdir()
    for name in left:
        (data / name).touch(0o600)
    if "unlock.key" in left:  # that is written whole or not at all
        (data / "unlock.key").write_bytes(unlock_key.to_text(bytes(32)))
    assert (await wiring.initialise(config, data)).startswith("tvk_")
    assert await wiring.check(config, data) == []
    if "unlock.key" in left:
        assert (data / "unlock.key").read_bytes() == unlock_key.to_text(bytes(32))
    assert {path.name for path in data.iterdir()} == {
        "vault.db", "sessions.db", "keyring.json", "keyring.json.lock", "unlock.key", "erasures.ndjson"
    }  # fmt: skip


async def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    """An empty folder that was there before is made private."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    await wiring.initialise(Config(), data)
    assert data.stat().st_mode & 0o777 == 0o700


async def test_memory_is_for_the_demo(tmp_path: Path) -> None:
    """Settings that would forget real people at the end are refused before anything is made."""
    config = replace(Config(), storage=Storage(url="memory:"))
    with pytest.raises(ConfigError, match="tokenvault demo"):
        await wiring.initialise(config, tmp_path / "data")
    assert not (tmp_path / "data").exists()
