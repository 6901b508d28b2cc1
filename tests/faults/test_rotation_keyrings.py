"""What rotations elsewhere have done to keys and to the files that hold them, by the public report."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import structlog
from click.testing import CliRunner, Result

from tests.acceptance.terminal import everything_in, run
from tests.clock import FakeClock
from tests.rotating import desk, keyring_file, keyring_of, process, select, spoil, states, take_in
from tests.vectors import reference
from vault import wiring
from vault.cli import main
from vault.cli.keys import keys
from vault.config import Config
from vault.crypto import blind_index, box, normalise
from vault.crypto.blind_index import BlindIndex
from vault.crypto.keyring import Keyring, KeyState, KeyVersion
from vault.crypto.sealer import Sealer
from vault.errors import KeyringError

#: Every command on keys that works on a vault, as its words and what it has to be told.
COMMANDS = {
    "status": "",
    "new": "--line data",
    "rotate": "--patience 0",
    "rehearse": "--patience 0",
    "activate": "data 1",
    "disable": "data 1",
    "enable": "data 1",
    "retire": "--version 1 --patience 0",
    "compromise": "--version 1 --patience 0 --end-sessions",
    "shred": "",
    "quarantine list": "",
    "quarantine retry": "profiles/11111111-2222-4333-8444-555555555555",
    "quarantine discard": "profiles/11111111-2222-4333-8444-555555555555",
    "rewrap": "",
    "recovery split": "",
    "recovery restore": "",
    "recovery rehearse": "",
}
#: It checks a certificate offline, and has no vault.
WITHOUT_A_VAULT = {"verify-certificate"}


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo what a command does to the log of its process, which here is that of all tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def command(words: str, data: Path) -> Result:
    """Run a command of the program to its end, in this process."""
    return CliRunner().invoke(main, [*words.split(), "--data", str(data)])


def refused(words: str, data: Path) -> str:
    """Run a command that must say what is wrong and exit with 1 or 2; return what it said."""
    done = command(words, data)
    assert isinstance(done.exception, SystemExit), (words, done.output, done.exception)
    assert done.exit_code in (1, 2), (words, done.output)
    said = done.stdout if words == "check" else done.stderr  # what it found is the answer of "check"
    assert said, words
    return said


def leaves_of(group: click.Group, name: str = "") -> Iterator[str]:
    """Yield the words of every command in a group and the groups in it."""
    for word, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from leaves_of(one, f"{name}{word} ")
        else:
            yield f"{name}{word}"


def test_no_command_on_keys_is_forgotten() -> None:
    """A new command has to join the table below, or the tests that go over it would not know it."""
    assert set(leaves_of(keys)) == COMMANDS.keys() | WITHOUT_A_VAULT


FOLDERS = {"that is not there": None, "that is empty": (), "with something else in it": ("holiday.jpg",)}


@pytest.mark.parametrize("files", FOLDERS.values(), ids=FOLDERS)
@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_on_the_wrong_folder_fails_and_makes_nothing(
    words: str, files: tuple[str, ...] | None, tmp_path: Path
) -> None:
    """metabase#19503: without a vault in the folder there is nothing to rotate, and no new one comes of it."""
    folder = tmp_path / "around" / "data"
    (folder.parent if files is None else folder).mkdir(parents=True)
    for name in files or ():
        (folder / name).write_text("something")
    before = everything_in(tmp_path)
    refused(f"keys {words} {COMMANDS[words]}", folder)
    assert everything_in(tmp_path) == before


LOST = {
    "the keyring": ("keyring.json",),
    "the unlock key": ("unlock.key",),
    "all but the databases": ("keyring.json", "keyring.json.previous", "keyring.json.lock", "unlock.key"),
}


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault that was rotated once, for tests to copy."""
    folder = tmp_path_factory.mktemp("rotated") / "data"
    for words in ("init", "keys rotate"):
        assert run(*words.split(), "--data", folder).returncode == 0
    return folder


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_a_lost_key_is_never_replaced_by_another(
    lost: tuple[str, ...], rotated: Path, tmp_path: Path
) -> None:
    """supabase/vault#30: neither a start nor any command makes a key where one is missing; all say that it is."""
    data = Path(shutil.copytree(rotated, tmp_path / "data"))
    for name in lost:
        (data / name).unlink()
    names = _names(data)
    known = select(data / "vault.db", "SELECT * FROM key_versions")
    served = run("serve", "--port", "0", "--data", data)
    assert (served.returncode, served.stdout) == (1, "")
    for words in ("init", "check", *(f"keys {name} {rest}" for name, rest in COMMANDS.items())):
        refused(words, data)
        assert _names(data) == names, words
    assert select(data / "vault.db", "SELECT * FROM key_versions") == known
    for name in lost:
        shutil.copy(rotated / name, data / name)
    assert command("check", data).exit_code == 0


@pytest.mark.parametrize("line", ["data", "index", "signing"])
def test_a_vault_whose_key_is_absent_says_which(line: str, data: Path) -> None:
    """omnibus-gitlab#4910: with the keyring of an old backup neither a start nor any command goes ahead, and each names
    the version that is missing; with the right one the check is clean."""
    (data / "old.json").write_bytes((data / "keyring.json").read_bytes())
    assert command(f"keys new --line {line}", data).exit_code == 0
    right = (data / "keyring.json").read_bytes()
    (data / "keyring.json").write_bytes((data / "old.json").read_bytes())
    missing = f"The database needs key version 2 of line '{line}', and the keyring lacks it."
    assert missing in run("serve", "--port", "0", "--data", data).stderr
    for words in ("check", "keys status", "keys rotate"):
        assert missing in refused(words, data)
    (data / "keyring.json").write_bytes(right)
    assert command("check", data).exit_code == 0


async def test_a_canary_vouches_for_its_own_key_and_no_other(data: Path, clock: FakeClock) -> None:
    """flightctl#3296: a wrong key under an old version's number is refused, although the active one is right."""
    async with process(data, clock) as serving:
        await take_in(serving, 1)
    async with desk(data, clock) as operator:
        await operator.rotations.new_key("data")
        await operator.rotations.activate("data", 2)
    ring = keyring_of(data)
    stranger = KeyVersion("data", 1, KeyState.RETIRING, 0, os.urandom(32))
    keyring_file(data, Keyring(stranger if (key.line, key.version) == ("data", 1) else key for key in ring))
    for opening in (process(data, clock), desk(data, clock)):
        with pytest.raises(KeyringError, match="key version 1 of line 'data' is another key"):
            async with opening:
                pass


async def test_a_canary_that_another_key_sealed_is_no_proof(data: Path, clock: FakeClock) -> None:
    """flightctl#3296 again: the text under version 1 must be sealed by key 1; a copy of the active key's is refused."""
    async with desk(data, clock) as operator:
        await operator.rotations.rotate("data")
    ((canary,),) = select(
        data / "vault.db", "SELECT canary FROM key_versions WHERE line = 'data' AND version = 2"
    )
    spoil(data / "vault.db", "UPDATE key_versions SET canary = ? WHERE line = 'data' AND version = 1", canary)
    (sentence,) = await wiring.check(Config(), data)
    assert "key version 1 of line 'data'" in sentence


OBSTACLES = {
    "the new file cannot be made": "keyring.json.new",
    "the generation before cannot be kept": "keyring.json.previous",
}
WRITERS = ("keys new", "keys rotate --line data", "keys compromise --version 1", "keys rewrap")


@pytest.mark.parametrize("words", WRITERS)
@pytest.mark.parametrize("obstacle", OBSTACLES.values(), ids=OBSTACLES)
def test_a_keyring_that_cannot_be_written_stays_as_it_was(obstacle: str, words: str, data: Path) -> None:
    """getsops/sops#484: the file is replaced whole or not at all, whatever fails, and a failure is no exit code 0."""
    (data / obstacle).mkdir()
    before = (data / "keyring.json").read_bytes()
    said = refused(words, data)
    assert "keyring.json" in said
    assert "cannot be written" in said
    assert (data / "keyring.json").read_bytes() == before
    assert command("check", data).exit_code == 0
    (data / obstacle).rmdir()
    done = command(words, data)
    assert done.exit_code == 0, done.output
    assert (data / "keyring.json").read_bytes() != before


async def test_a_keyring_that_changed_underneath_is_not_overwritten(data: Path, clock: FakeClock) -> None:
    """getsops/sops#484 once more: what was read has to be what is replaced, or nothing is written."""
    async with desk(data, clock) as slow, desk(data, clock) as quick:
        await quick.custody.add("index")
        written = (data / "keyring.json").read_bytes()
        with pytest.raises(KeyringError, match="changed underneath"):
            await slow.custody.add("data")
    assert (data / "keyring.json").read_bytes() == written
    assert states(keyring_of(data), "data") == {1: KeyState.ACTIVE}


async def test_the_data_says_how_it_was_derived(
    data: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rails#48204: a box carries format and key version, a tag is bound to the normaliser's version, and what the
    reference made of old (tests/vectors) opens and is found today."""
    async with process(data, clock) as serving:
        await take_in(serving, 1)
    ((row, version),) = select(data / "vault.db", "SELECT box, key_version FROM profiles")
    assert row[:5] == bytes([box.FORMAT]) + version.to_bytes(4, "big")
    ring = Keyring(KeyVersion(line, 1, KeyState.ACTIVE, 0, reference.MASTER) for line in ("data", "index"))
    boxes = json.loads((reference.FOLDER / "boxes.json").read_text("utf-8"))["vectors"]
    opening = [one for one in boxes if one["outcome"] == "opens"]
    assert opening
    for one in opening:
        plaintext = Sealer(ring, "default").open("profile", reference.TOKEN, bytes.fromhex(one["box"]))
        assert plaintext == bytes.fromhex(one["plaintext"])
    (vector, *_) = json.loads((reference.FOLDER / "tags.json").read_text("utf-8"))["vectors"]
    index = BlindIndex(ring, "default", "US")
    (tag,) = index.tags(vector["field"], vector["value"])
    assert tag.digest.hex() == vector["tag"]
    monkeypatch.setattr(blind_index, "NORMALISER_VERSION", normalise.NORMALISER_VERSION + 1)
    assert index.tags(vector["field"], vector["value"]) != (tag,)


def _names(data: Path) -> set[str]:
    """Return what is in a data folder, but for what SQLite keeps there of a file that somebody has open."""
    return {path.name for path in data.iterdir() if not path.name.endswith(("-wal", "-shm"))}
