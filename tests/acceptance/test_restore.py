"""Backups that are restored, by real processes: the vault serves again, and whoever was erased stays erased."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.terminal import everything_in, run
from tests.program import Program
from tests.restoring import Service, manifest_of, must, refused
from vault.cli import main

PEOPLE = 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a vault of some people, backups of it, and what happened since: one person was erased."""
    folder = tmp_path_factory.mktemp("house")
    with Program(folder / "data", folder) as program:
        service = Service(program)
        tokens = [service.take_in(number) for number in range(PEOPLE)]
        public = json.loads(must("backup-key", "--to", folder / "backup.key", "--json"))["public_key"]
        data = ("--data", folder / "data")
        must("backup", *data, "--to", folder / "backup")
        must("backup", *data, "--to", folder / "sealed", "--seal-to", public, "--with-keyring")
        receipt = service.erase(tokens[0])
        assert program.stop() == 0
    (folder / "receipt.json").write_text(json.dumps(receipt))
    (folder / "known.json").write_text(json.dumps({"key": service.key, "tokens": tokens}))
    return folder


@pytest.fixture
def house(made: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return shutil.copytree(made, tmp_path / "house")


def stands(house: Path, new: Path) -> None:
    """Serve the restored vault: the erased person is gone, without a trace; all others are there."""
    known = json.loads((house / "known.json").read_text())
    erased, *others = known["tokens"]
    with Program(new, house) as program:
        service = Service(program, known["key"])
        assert service.email_of(erased) is None
        assert service.find(0) is None
        assert service.sessions(erased) == 0
        body = {"user_token": erased, "claims": {}}
        assert service.say("POST", "/sessions", body)[0] == 404
        for number, token in enumerate(others, 1):
            assert service.email_of(token) == f"p{number}@example.org"
            assert service.find(number) == token
            assert service.sessions(token) == 1
            assert (
                service.say("POST", "/profiles", {"profile": {"email": f"p{number}@example.org"}})[0] == 409
            )
        assert service.say("POST", "/profiles", {"profile": {"email": "p0@example.org"}})[0] == 201
        assert program.stop() == 0


def test_a_person_erased_after_the_backup_stays_erased(house: Path) -> None:
    """Restored, checked and served, with the erasure in the new ledger; a backup of the new vault restores as well."""
    new = house / "new"
    told = must("restore", "--from", house / "backup", "--data", house / "data", "--to", new)
    assert "1 erased anew" in told
    assert f"{PEOPLE - 1} profiles, {PEOPLE - 1} sessions" in told
    assert "are as they should be" in must("check", "--data", new)
    (digest,) = {
        json.loads(line)["token_sha256"] for line in (new / "erasures.ndjson").read_text().splitlines()
    }
    assert digest == json.loads((house / "receipt.json").read_text())["token_sha256"]
    stands(house, new)
    must("backup", "--data", new, "--to", house / "again")
    must("restore", "--from", house / "again", "--data", new, "--to", house / "newer")


def test_a_sealed_backup_opens_with_its_key_alone(house: Path) -> None:
    """What lies there holds nothing in the open but the manifest; another key or none is refused."""
    for path in (house / "sealed").iterdir():
        assert path.name == "manifest.json" or path.read_bytes().startswith(b"tokenvault-sealed-file/1\n")
    new, lent = house / "new", ("--from", house / "sealed", "--data", house / "data")
    assert "Name its private key with --backup-key" in refused("restore", *lent, "--to", new)
    must("backup-key", "--to", house / "other.key")
    assert "names another key" in refused("restore", *lent, "--to", new, "--backup-key", house / "other.key")
    assert not new.exists()
    must("restore", *lent, "--to", new, "--backup-key", house / "backup.key")
    stands(house, new)


def test_a_lost_data_folder_is_restored_from_what_was_kept_apart(house: Path) -> None:
    """Keyring, unlock key and ledger in a folder without databases are enough."""
    kept = house / "kept"
    kept.mkdir(mode=0o700)
    for name in ("keyring.json", "unlock.key", "erasures.ndjson"):
        shutil.copy2(house / "data" / name, kept / name)
    shutil.rmtree(house / "data")
    must("restore", "--from", house / "backup", "--data", kept, "--to", house / "new")
    stands(house, house / "new")


def lost_keyring(house: Path) -> None:
    """Put another vault's keyring in its place."""
    must("init", "--data", house / "other")
    for name in ("keyring.json", "unlock.key"):
        shutil.copy2(house / "other" / name, house / "data" / name)


def flipped(name: str) -> Callable[[Path], None]:
    """Return what alters a byte in the middle of a file of the backup."""

    def flip(house: Path) -> None:
        path = house / "backup" / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return flip


def remade(house: Path) -> None:
    """Sign the backup's manifest anew, truthfully but for another key's fingerprint."""
    told = manifest_of(house / "backup")
    told["keys"]["data"]["1"]["fingerprint"] = "0" * 16
    program = (
        "import sys, json; from pathlib import Path; from vault import wiring; from vault.config import Config;"
        "from vault.crypto import manifest; told = json.load(sys.stdin);"
        "key = wiring.keyring_of(Path(sys.argv[1]), Config()).read().active('signing');"
        "[told.pop(name) for name in ('format', 'signer', 'signature')];"
        "print(manifest.issue(key, told))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, house / "data"],
        input=json.dumps(told), capture_output=True, text=True, check=True,
    )  # fmt: skip
    (house / "backup" / "manifest.json").write_text(done.stdout)


def filled(house: Path) -> None:
    """Put something into the new folder."""
    (house / "new").mkdir(mode=0o700)
    (house / "new" / "diary.txt").write_text("mine")


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a wrong keyring": (lost_keyring, "is no signing key of the keyring in"),
    "a wrong key by its fingerprint": (remade, "fingerprint 0000000000000000), and the keyring in"),
    "an altered database": (flipped("vault.db"), "vault.db is not the file of the backup: its checksum differs"),
    "an altered manifest": (flipped("manifest.json"), "manifest"),
    "a database cut short": (
        lambda house: os.truncate(house / "backup" / "sessions.db", 8192), "sessions.db is not the file of the backup",
    ),
    "a database that is missing": (
        lambda house: (house / "backup" / "sessions.db").unlink(), "sessions.db is missing",
    ),
    "a backup that was interrupted": (
        lambda house: (house / "backup" / "manifest.json").unlink(), "is no backup, or was interrupted",
    ),
    "a lost erasure ledger": (
        lambda house: (house / "data" / "erasures.ndjson").unlink(), "go on without: --without-ledger",
    ),
    "a folder with something in it": (filled, "is not empty"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_right_is_refused_before_anything_is_made(
    spoil: Callable[[Path], None], told: str, house: Path
) -> None:
    """By its cause; neither the vault that lends nor the backup is touched, and nothing is left."""
    spoil(house)
    before = everything_in(house)
    assert told in refused(
        "restore", "--from", house / "backup", "--data", house / "data", "--to", house / "new"
    )
    assert everything_in(house) == before


def test_a_line_of_the_ledger_that_does_not_hold_is_told_and_not_obeyed(house: Path) -> None:
    """The rest is done, and the exit code says that something is left."""
    ledger = house / "data" / "erasures.ndjson"
    known = json.loads((house / "known.json").read_text())
    forged = json.loads(ledger.read_text()) | {"erased_at": "2020-01-01T00:00:00Z"}
    ledger.write_text(json.dumps(forged) + "\n" + ledger.read_text())
    told = refused("restore", "--from", house / "backup", "--data", house / "data", "--to", house / "new")
    assert "left: Line 1 of" in told
    assert "1 erased anew" in told
    assert len(known["tokens"]) == PEOPLE
    stands(house, house / "new")


def test_a_restore_that_is_killed_leaves_nothing_that_serves(house: Path) -> None:
    """At whatever moment: there is no keyring until all is done, and the same command goes through in a new folder."""
    command = [
        sys.executable, "-m", "vault", "restore", "--from", house / "backup", "--data", house / "data", "--to",
    ]  # fmt: skip
    for attempt in range(3):
        new = house / f"killed-{attempt}"
        process = subprocess.Popen([*command, new], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        wanted = ("vault.db", "sessions.db", "vault.db-wal")[attempt]
        while not (new / wanted).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert not (new / "keyring.json").exists()
        serving = run("serve", "--port", "0", "--data", new)
        assert (serving.returncode, "keyring.json is missing" in serving.stderr) == (1, True)
    must(*command[3:], house / "new")
    stands(house, house / "new")


def test_an_old_backup_under_a_newer_keyring(house: Path) -> None:
    """Keys that were rotated away open again in the new keyring alone; once destroyed, the backup is refused."""
    data, new = house / "data", house / "new"
    must("keys", "rotate", "--data", data)
    told = must("restore", "--from", house / "backup", "--data", data, "--to", new)
    for line in ("data", "index"):
        assert f"version 1 of line {line} opens again" in told
    assert f"next: tokenvault keys rotate --data {new}" in told
    states = json.loads(must("keys", "status", "--data", data, "--json"))["lines"]["data"]
    assert [one["state"] for one in states] == ["disabled", "active"]
    stands(house, new)
    must("keys", "rotate", "--data", new)
    assert "are as they should be" in must("check", "--data", new)
    must("keys", "retire", "--line", "data", "--version", 1, "--cool-down", 0, "--data", data)
    again = ("--data", data, "--to", house / "never")
    told = refused("restore", "--from", house / "backup", *again)
    assert "need key version 1 of line 'data', which was destroyed since" in told
    assert not (house / "never").exists()
    # The keyring of that day is in the other backup; its unlock key is still the vault's.
    with_own = ("--backup-key", house / "backup.key", "--with-keyring-of-backup")
    must("restore", "--from", house / "sealed", "--data", data, "--to", house / "then", *with_own)
    stands(house, house / "then")


@pytest.mark.parametrize(
    ("script", "command"),
    {"backup": "backup", "restore": "restore", "verify_receipt": "verify-receipt"}.items(),
)
def test_each_script_is_its_command(script: str, command: str) -> None:
    """The very same, so what holds for one holds for the other."""
    path = Path(__file__).parents[2] / "scripts" / f"{script}.py"
    assert runpy.run_path(str(path))["main"] is main.commands[command]


def test_a_receipt_is_checked_offline(house: Path) -> None:
    """For a person, by a key or by a vault; another person's, an altered one and another vault's are refused."""
    known, receipt = json.loads((house / "known.json").read_text()), house / "receipt.json"
    erased, other = known["tokens"][:2]
    assert "compare it with one you know" in must("verify-receipt", receipt)
    told = must("verify-receipt", receipt, "--token", erased, "--data", house / "data")
    assert "valid: the person of this token was erased at" in told
    public = json.loads(must("verify-receipt", receipt, "--json"))["signer"]["public_key"]
    must("verify-receipt", receipt, "--public-key", public)
    assert "another person's" in refused("verify-receipt", receipt, "--token", other)
    must("init", "--data", house / "other")
    assert "not signed by a signing key of this vault" in refused(
        "verify-receipt", receipt, "--data", house / "other"
    )
    receipt.write_text(receipt.read_text().replace("default", "defawlt"))
    assert '"valid": false' in refused("verify-receipt", receipt, "--json")
