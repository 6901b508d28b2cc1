"""Recovery shares and changes of the unlock key, as commands: through click, and once as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from vault.cli.keys.unlocking import recovery, rewrap
from vault.crypto.keyring import new_keyring
from vault.crypto.keyring_file import KeyringFile
from vault.errors import KeyringError
from vault.unlock import open_unlock, prepare

SCRIPT = Path(__file__).parents[2] / "scripts" / "recovery_shares.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a sealed keyring and its key file."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    prepare("file:unlock.key", folder)
    KeyringFile(folder / "keyring.json", open_unlock("file:unlock.key", folder)).create(new_keyring(1))
    return folder


def call(
    command: click.Command, data: Path, *arguments: object, text: str = "", **environment: str
) -> Result:
    """Run a command to its end."""
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, [*words, "--data", str(data)], input=text, env=environment)


def told(result: Result) -> Any:
    """Return the JSON of a command that succeeded."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def opens(data: Path, source: str) -> bool:
    """Whether a source unlocks the keyring."""
    try:
        KeyringFile(data / "keyring.json", open_unlock(source, data)).read()
    except KeyringError:
        return False
    return True


def test_a_lost_key_comes_back_from_three_files(data: Path, tmp_path: Path) -> None:
    """Split into a folder, lose the key, rehearse and restore: the vault's key is what it was."""
    shares = tmp_path / "shares"
    made = told(call(recovery, data, "split", "--out", shares, "--json"))
    assert made["files"] == [str(shares / f"share-{n}.txt") for n in range(1, 6)]
    lost = (data / "unlock.key").read_bytes()
    (data / "unlock.key").unlink()
    three = [shares / f"share-{n}.txt" for n in (5, 1, 3)]
    assert told(call(recovery, data, "rehearse", *three, "--json")) == {"key_id": made["key_id"]}
    assert not (data / "unlock.key").exists()
    restored = told(call(recovery, data, "restore", *three, "--json"))
    assert restored == {"key_id": made["key_id"], "file": str(data / "unlock.key")}
    assert (data / "unlock.key").read_bytes() == lost


def test_shares_go_from_one_command_to_the_next(data: Path) -> None:
    """What split prints, rehearse and restore read from standard input."""
    printed = call(recovery, data, "split").stdout
    assert printed.count("\n\n") == 5
    assert "unlock" in call(recovery, data, "rehearse", "-", text=printed).stdout
    done = call(recovery, data, "restore", "--out", data / "again.key", text=printed)
    assert done.exit_code == 0, done.output
    assert (data / "again.key").read_bytes() == (data / "unlock.key").read_bytes()


def test_a_rehearsal_without_shares_proves_all_triples(data: Path) -> None:
    """Ten, said for people and for programs."""
    assert "10 triples" in call(recovery, data, "rehearse").stdout
    assert told(call(recovery, data, "rehearse", "--json")) == {"triples": 10}


FAILURES: dict[str, tuple[list[str], str, int, str]] = {
    "too few shares": (["restore", "--out", "x.key"], "", 1, "Three different shares are needed"),
    "no file to write to": (["restore"], "env:THE_KEY", 2, "--out"),
    "a share that is not there": (["rehearse", "none.txt"], "", 1, "cannot be read"),
    "no key to split": (["split"], "passphrase:env:PHRASE", 1, "Add a key slot first"),
    "no such kind of source": (["split", "--source", "ftp:x"], "", 2, "one of: file"),
    "another file's key": (["split", "--source", "env:OTHER_KEY"], "", 1, "no slot for it"),
}


@pytest.mark.parametrize(("words", "source", "code", "sentence"), FAILURES.values(), ids=FAILURES)
def test_a_failure_has_its_code_and_its_sentence(
    data: Path, words: list[str], source: str, code: int, sentence: str
) -> None:
    """1 for the vault's own trouble, 2 for usage and settings; the sentence is on standard error."""
    environment = {"VAULT_KEYRING__UNLOCK": source or "file:unlock.key", "OTHER_KEY": "0" * 64}
    done = call(recovery, data, *words, **environment)
    assert done.exit_code == code, done.output
    assert sentence in done.stderr
    assert done.stdout == ""


def test_rewrap_changes_the_key_in_place(data: Path) -> None:
    """A dry run changes nothing; the real one says what the file is now."""
    before = (data / "unlock.key").read_bytes()
    dry = told(call(rewrap, data, "--dry-run", "--json"))
    assert (dry["dry_run"], dry["generation"]) == (True, 1)
    assert (data / "unlock.key").read_bytes() == before
    done = told(call(rewrap, data, "--json"))
    assert (done["dry_run"], done["generation"]) == (False, 3)
    assert (data / "unlock.key").read_bytes() != before
    assert opens(data, "file:unlock.key")
    assert "generation 5" in call(rewrap, data).stdout


def test_rewrap_moves_to_another_source(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add, change the setting, drop: dropping what the settings name is refused as a matter of settings."""
    monkeypatch.setenv("THE_KEY", "0f" * 32)
    assert call(rewrap, data, "--to", "env:THE_KEY").exit_code == 0
    assert opens(data, "env:THE_KEY")
    refused = call(rewrap, data, "--only", "env:THE_KEY")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "Set keyring.unlock to env:THE_KEY first" in refused.stderr
    assert opens(data, "file:unlock.key")
    done = call(rewrap, data, "--only", "env:THE_KEY", VAULT_KEYRING__UNLOCK="env:THE_KEY")
    assert done.exit_code == 0, done.output
    assert opens(data, "env:THE_KEY")
    assert not opens(data, "file:unlock.key")


def test_rewrap_does_one_thing_at_a_time(data: Path) -> None:
    """Adding and dropping at once would be a way to lock oneself out."""
    done = call(rewrap, data, "--to", "env:A", "--only", "env:A")
    assert done.exit_code == 2
    assert "one after the other" in done.stderr


def test_the_script_runs_as_a_process(data: Path, tmp_path: Path) -> None:
    """From any folder, with its help and its exit codes."""
    command = [sys.executable, "-W", "error", str(SCRIPT)]
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "cwd": tmp_path}
    options["env"] = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    shown = subprocess.run([*command, "--help"], check=False, **options)
    assert shown.returncode == 0
    assert {"split", "restore", "rehearse"} <= set(shown.stdout.split())
    done = subprocess.run([*command, "rehearse", "--data", str(data)], check=False, **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "10 triples" in done.stdout
    failed = subprocess.run([*command, "rehearse", "--data", str(tmp_path)], check=False, **options)
    assert failed.returncode == 1
    assert "keyring.json is missing" in failed.stderr
