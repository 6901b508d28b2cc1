"""Every script about keys: through ``main(argv)`` in this process, and some as the process that an operator starts."""

import asyncio
import importlib.util
import json
import os
import platform
import pty
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.terminal import everything_in
from tests.clock import FakeClock
from tests.program import PATIENCE, Program
from tests.rotating import keyring_file, keyring_of
from vault import key_desk, wiring
from vault.cli import watching
from vault.config import Config
from vault.crypto.keyring import Keyring
from vault.sessions import Wanted

SCRIPTS = Path(__file__).parents[2] / "scripts"
PEOPLE = 12
DAY = 86_400_000
FIRST = ("data", "index", "signing", "audit")

#: Each script, and arguments with which it does its work on the vault of these tests.
WORKS: dict[str, tuple[str, ...]] = {
    "key_status": (),
    "new_key": ("--line", "data"),
    "rotate_keys": (),
    "retire_key": ("--version", "1"),
    "compromise_key": ("--version", "1"),
    "rehearse_rotation": (),
    "verify_certificate": ("CERTIFICATE",),
    "recovery_shares": ("rehearse",),
}


def main_of(script: str) -> Callable[..., None]:
    """Load a script as its file lies there; return what it runs."""
    spec = importlib.util.spec_from_file_location(f"script_{script}", SCRIPTS / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[..., None] = module.main
    return main


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """Return the one JSON object that standard output is."""
        assert self.out.count("\n") == 1, self.out
        told = json.loads(self.out)
        assert isinstance(told, dict)
        return told


class Desk:
    """Runs scripts on one vault, in this process."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def run(self, script: str, *arguments: object) -> Done:
        """Run a script to its end, on this vault unless it takes none."""
        words = [str(argument) for argument in arguments]
        if script != "verify_certificate" and "--data" not in words and "--help" not in words:
            words += ["--data", str(self.folder)]
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main_of(script)(words)
        printed = self._capture.readouterr()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return Done(code, printed.out, printed.err)

    def works(self, script: str, *more: object) -> Done:
        """Run a script with the arguments that make it work, once what it needs is there."""
        arguments = WORKS[script]
        if script in ("retire_key", "verify_certificate"):
            assert self.run("rotate_keys").code == 0
        if script == "verify_certificate":
            assert self.run("retire_key", "--version", 1, "--cool-down", 0).code == 0
            arguments = (str(self.folder / "certificates" / "data-1.json"),)
        return self.run(script, *arguments, *more)

    def states(self, line: str = "data") -> dict[int, str]:
        """Return the versions of a line with their states."""
        return {key.version: key.state.value for key in keyring_of(self.folder).of_line(line)}

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Do something to the database, past the vault."""
        with closing(sqlite3.connect(self.folder / "vault.db", isolation_level=None)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def content(self) -> dict[str, Any]:
        """Return all that the vault keeps: every row of both databases, and the bytes of every other file."""
        found: dict[str, Any] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.suffix == ".db":
                with closing(sqlite3.connect(path)) as connection:
                    found[path.name] = list(connection.iterdump())
            elif path.is_file() and not path.name.endswith(("-wal", "-shm")):
                found[path.name] = path.read_bytes()
        return found

    def count(self, table: str) -> int:
        """Return how many rows a table of vault.db holds."""
        ((rows,),) = self.sql(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
        return int(rows)

    def break_a_row(self) -> str:
        """Alter a box; return whose."""
        ((token, box),) = self.sql("SELECT token, box FROM profiles LIMIT 1")
        self.sql("UPDATE profiles SET box = ? WHERE token = ?", box[:-1] + bytes([box[-1] ^ 1]), token)
        return str(token)


async def _fill(folder: Path) -> None:
    async with wiring.open_vault(Config(), folder) as vault:
        for number in range(PEOPLE):
            made = await vault.profiles.create({"email": f"person{number}@example.org", "note": "x" * 300})
            await vault.sessions.open(Wanted(made.token, {"role": "reader"}))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault with people and sessions, made once."""
    folder = tmp_path_factory.mktemp("template") / "data"
    asyncio.run(wiring.initialise(Config(), folder))
    asyncio.run(_fill(folder))
    return folder


@pytest.fixture
def desk(template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A desk at a copy of that vault."""
    folder = tmp_path / "data"
    shutil.copytree(template, folder)
    return Desk(folder, capsys)


# --- what every script keeps to ---


def test_each_script_of_the_folder_is_tried_here() -> None:
    """A new script about keys needs a line in the table."""
    about_keys = {path.stem for path in SCRIPTS.glob("*.py") if "vault.cli.keys" in path.read_text("utf-8")}
    assert about_keys == set(WORKS)


@pytest.mark.parametrize("script", WORKS)
def test_help_explains_it_with_an_example(desk: Desk, script: str) -> None:
    """What it does, each option, and a line to copy."""
    pages = [["split"], ["restore"], ["rehearse"]] if script == "recovery_shares" else [[]]
    for page in pages:
        shown = desk.run(script, *page, "--help")
        assert shown.code == 0
        assert "Example: tokenvault keys" in shown.out
        assert "--json" in shown.out
        assert "--data" in shown.out


@pytest.mark.parametrize("script", WORKS)
def test_json_is_one_object(desk: Desk, script: str) -> None:
    """On standard output there is nothing else; steps go to standard error."""
    done = desk.works(script, "--json")
    assert done.code == (1 if script == "retire_key" else 0), done.err
    assert done.told


@pytest.mark.parametrize("script", [script for script in WORKS if script != "verify_certificate"])
def test_a_wrong_folder_makes_nothing(desk: Desk, script: str, tmp_path: Path) -> None:
    """Neither a folder, nor a database, nor a key, for one that is not there or that holds other files."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    before = everything_in(tmp_path)
    for folder in (tmp_path / "nowhere", foreign):
        done = desk.run(script, *WORKS[script], "--data", folder)
        assert done.code == 1
        assert done.out == ""
        assert "holds no vault" in done.err or "holds other files" in done.err or "is missing" in done.err
    assert everything_in(tmp_path) == before


USAGE: dict[str, tuple[str, tuple[str, ...]]] = {
    "a line that there is not": ("new_key", ("--line", "tokens")),
    "a time that there is not": ("rotate_keys", ("--until", "25:00")),
    "a rate below nothing": ("rotate_keys", ("--rate", "-1")),
    "a batch of nothing": ("rotate_keys", ("--batch", "0")),
    "an option that there is not": ("rotate_keys", ("--force",)),
    "an argument too many": ("key_status", ("data",)),
    "no version to retire": ("retire_key", ()),
    "a version that there is not": ("retire_key", ("--version", "9")),
    "version nought": ("retire_key", ("--version", "0")),
    "no version that was stolen": ("compromise_key", ()),
    "a stolen version that there is not": ("compromise_key", ("--version", "9", "--list", "LIST")),
    "a list of an index key": ("compromise_key", ("--version", "1", "--line", "index", "--list", "LIST")),
    "a list over an existing file": ("compromise_key", ("--version", "1", "--list", "EXISTING")),
    "a list in a folder that is not there": ("compromise_key", ("--version", "1", "--list", "LIST/list")),
    "no certificate": ("verify_certificate", ()),
    "a certificate that is not there": ("verify_certificate", ("nowhere.json",)),
    "a scratch folder that is not there": ("rehearse_rotation", ("--scratch", "nowhere")),
    "settings that are wrong": ("key_status", ("--config", "SETTINGS")),
}


@pytest.mark.parametrize(("script", "words"), USAGE.values(), ids=USAGE)
def test_wrong_usage_ends_with_2_and_changes_nothing(
    desk: Desk, tmp_path: Path, script: str, words: tuple[str, ...]
) -> None:
    """What is wrong stands on standard error."""
    (tmp_path / "EXISTING").write_text("mine")
    (tmp_path / "SETTINGS").write_text("[keyring]\nmax_age = 0\n")
    places = {name: str(tmp_path / name) for name in ("EXISTING", "SETTINGS", "LIST", "LIST/list")}
    before = desk.content()
    done = desk.run(script, *(places.get(word, word) for word in words))
    assert (done.code, done.out) == (2, "")
    assert done.err
    assert desk.content() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["EXISTING", "SETTINGS", "data"]


DRY: dict[str, tuple[str, tuple[str, ...]]] = {
    "a new key": ("new_key", ("--line", "index", "--dry-run")),
    "a rotation": ("rotate_keys", ("--dry-run",)),
    "a plan": ("rotate_keys", ("--plan",)),
    "a retirement": ("retire_key", ("--version", "1", "--dry-run")),
    "a theft": ("compromise_key", ("--version", "1", "--end-sessions", "--dry-run")),
    "the state": ("key_status", ()),
    "a rehearsal": ("rehearse_rotation", ()),
    "a rehearsal of the recovery": ("recovery_shares", ("rehearse",)),
}


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["for people", "as JSON"])
@pytest.mark.parametrize(("script", "words"), DRY.values(), ids=DRY)
def test_what_only_looks_changes_nothing(
    desk: Desk, tmp_path: Path, script: str, words: tuple[str, ...], form: tuple[str, ...]
) -> None:
    """Every row and every other file of the vault is as before, and nothing is left beside it."""
    before = desk.content()
    done = desk.run(script, *words, *form)
    assert done.code == 0, done.err
    assert done.told if form else done.out
    assert desk.content() == before
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


# --- the state ---


def test_the_state_has_the_shape_that_programs_rely_on(desk: Desk) -> None:
    """Lines, versions, rows by store; what was rotated has its journal."""
    told = desk.run("key_status", "--json").told
    assert set(told["lines"]) == set(FIRST)
    ((one,), (index,), (signing,), (audit,)) = told["lines"].values()
    assert (one["version"], one["state"], len(one["fingerprint"])) == (1, "active", 16)
    assert one["rows"] == {
        "profiles": PEOPLE, "profile_answers": 0, "sessions": PEOPLE, "session_answers": 0,
        "audit_details": desk.count("audit_details"), "access_keys": 1, "documents": 0,
    }  # fmt: skip
    assert index["rows"] == {"tags": PEOPLE}
    assert (signing["rows"], len(signing["public_key"])) == ({}, 44)
    assert audit["rows"] == {"audit_events": desk.count("audit_events")}
    assert (told["quarantine"], told["processes"], told["warnings"], told["journal"]) == (0, [], [], [])
    assert desk.run("rotate_keys", "--line", "data").code == 0
    told = desk.run("key_status", "--json").told
    assert [one["state"] for one in told["lines"]["data"]] == ["disabled", "active"]
    assert [sum(one["rows"].values()) for one in told["lines"]["data"]] == [
        0, 2 * PEOPLE + desk.count("audit_details") + desk.count("access_keys"),
    ]  # fmt: skip
    (entry,) = told["journal"]
    assert (entry["line"], entry["from"], entry["to"], entry["outcome"]) == ("data", [1], 2, "done")
    assert entry["counts"]["moved"]["profiles"] == entry["counts"]["verified"]["profiles"] == PEOPLE
    assert len(entry["digest"]) == 64


def test_an_old_key_is_warned_about(desk: Desk) -> None:
    """Past ``keyring.max_age``, and only then, with the command that helps."""
    young = desk.run("key_status")
    assert "max_age" not in young.out
    now = time.time_ns() // 1_000_000
    aged = [replace(key, created_at=now - 366 * DAY) for key in keyring_of(desk.folder)]
    keyring_file(desk.folder, Keyring(aged))
    old = desk.run("key_status")
    assert old.code == 0
    for line in FIRST:
        assert f"! Version 1 of line {line} has been there for 366 days, more than 365" in old.out
        assert f"tokenvault keys rotate --line {line}" in old.out
    assert len(desk.run("key_status", "--json").told["warnings"]) == len(FIRST)


def test_the_state_tells_which_processes_have_loaded_it(desk: Desk, tmp_path: Path) -> None:
    """A service that runs reports what it has; after a rotation it has the new version without a restart."""
    with Program(desk.folder, tmp_path) as program:
        (process,) = desk.run("key_status", "--json").told["processes"]
        assert (process["pid"], process["host"]) == (program.pid, platform.node())
        assert process["versions"]["data"] == {"1": "active"}
        assert desk.run("key_status").out.count("1 of 1 processes") == len(FIRST)
        rotated = desk.run("rotate_keys")
        assert rotated.code == 0, rotated.err
        (process,) = desk.run("key_status", "--json").told["processes"]
        assert process["pid"] == program.pid
        assert process["versions"]["data"] == {"1": "disabled", "2": "active"}
        assert program.stop() == 0
    assert desk.run("key_status", "--json").told["processes"] == []


# --- rotation ---


def test_a_rotation_says_each_step_and_what_undoes_it(desk: Desk) -> None:
    """With the folder in the commands to copy; the last lines are a summary, and nothing is left."""
    done = desk.run("rotate_keys")
    assert done.code == 0
    for line in FIRST:
        assert f"(undo: tokenvault keys activate {line} 1 --data {desk.folder})" in done.out
        assert f"(undo: tokenvault keys enable {line} 1 --data {desk.folder})" in done.out
        assert f"\nline {line}: version 1 -> 2, " in done.out
    assert "left" not in done.out
    assert [desk.states(line) for line in FIRST] == [{1: "disabled", 2: "active"}] * len(FIRST)


def test_one_line_is_rotated_alone(desk: Desk) -> None:
    """The others stay as they are."""
    told = desk.run("rotate_keys", "--line", "index", "--json").told
    assert list(told["lines"]) == ["index"]
    assert told["lines"]["index"]["moved"] == {"tags": PEOPLE}
    assert (desk.states("index"), desk.states("data")) == ({1: "disabled", 2: "active"}, {1: "active"})


def test_a_rotation_goes_on_with_a_pending_key(desk: Desk) -> None:
    """What ``new_key`` made is used, and no other is made."""
    made = desk.run("new_key", "--line", "data", "--json").told
    assert (made["version"], made["state"]) == (2, "pending")
    refused = desk.run("new_key", "--line", "data")
    assert (refused.code, refused.out) == (1, "")
    assert "pending already" in refused.err
    assert desk.run("rotate_keys", "--line", "data").code == 0
    assert desk.states() == {1: "disabled", 2: "active"}


def test_a_row_that_does_not_open_is_what_is_left(desk: Desk) -> None:
    """Exit code 1 of the plan, of a rehearsal and of the rotation, which is finished all the same."""
    token = desk.break_a_row()
    plan = desk.run("rotate_keys", "--plan")
    assert (plan.code, "do not open, tampered: 1" in plan.out) == (1, True)
    rehearsed = desk.run("rehearse_rotation", "--line", "data")
    assert (rehearsed.code, "do not open, tampered: 1" in rehearsed.out) == (1, True)
    done = desk.run("rotate_keys", "--line", "data", "--json")
    assert done.code == 1
    assert "in quarantine" in done.told["left"][0]
    assert desk.states() == {1: "disabled", 2: "active"}
    status = desk.run("key_status", "--json").told
    assert (status["quarantine"], status["quarantined_rows"]["profiles"]) == (1, 1)
    assert desk.sql("SELECT name, cause FROM quarantine") == [(token, "box_tampered")]


def test_a_rotation_stops_at_its_time_and_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 with a sentence; the same command finishes it, under the key that was begun with."""
    later = FakeClock(time.time_ns() // 1_000_000 + 2 * DAY)  # past any next time of day
    with monkeypatch.context() as patch:
        patch.setattr(key_desk, "SystemClock", lambda: later)
        stopped = desk.run("rotate_keys", "--line", "data", "--until", "05:30")
    assert (stopped.code, "The time to stop has come" in stopped.err) == (1, True)
    assert desk.states() == {1: "retiring", 2: "active"}
    assert "! A rotation of line data is unfinished" in desk.run("key_status").out
    done = desk.run("rotate_keys", "--line", "data")
    assert (done.code, "going on with the rotation of line data" in done.out) == (0, True)
    assert desk.states() == {1: "disabled", 2: "active"}


def test_a_second_rotation_is_refused_and_told_who_is_at_it(desk: Desk) -> None:
    """Somebody's who lives; the claim of one who died on this machine is in nobody's way."""
    now = time.time_ns() // 1_000_000
    claim = "INSERT INTO rotation_claim VALUES (1, 'ada@{0}:{1}:x', '{0}', {1}, 'rotation of line data', {2}, {2})"
    desk.sql(claim.format(platform.node(), os.getpid(), now))
    for script in ("rotate_keys", "new_key", "compromise_key"):
        refused = desk.run(script, *WORKS[script])
        assert (refused.code, refused.out) == (1, "")
        assert f"ada@{platform.node()}:{os.getpid()} is at it already: rotation of line data" in refused.err
    desk.sql("DELETE FROM rotation_claim")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(PATIENCE)
    desk.sql(claim.format(platform.node(), ended.pid, now))
    assert desk.run("rotate_keys", "--line", "data").code == 0


def test_a_process_that_is_behind_is_waited_for_and_named(desk: Desk) -> None:
    """Nothing is activated before it; the same command goes on once it is gone."""
    now = time.time_ns() // 1_000_000
    report = "INSERT INTO processes VALUES ('p', 'elsewhere', 4711, ?, ?, 0, '{}')"
    desk.sql(report, now, now + DAY)  # its report does not lapse meanwhile
    refused = desk.run("rotate_keys", "--line", "data", "--patience", "0")
    assert (refused.code, "process 4711 on elsewhere" in refused.err) == (1, True)
    assert desk.states() == {1: "active", 2: "pending"}
    assert "Process 4711 on elsewhere has not loaded the keyring" in desk.run("key_status").out
    desk.sql("DELETE FROM processes")
    assert desk.run("rotate_keys", "--line", "data").code == 0
    assert desk.states() == {1: "disabled", 2: "active"}


def test_a_rehearsal_tells_times_and_no_command_that_undoes(desk: Desk) -> None:
    """What undoes a step of the copy would be done to the vault."""
    done = desk.run("rehearse_rotation", "--scratch", desk.folder.parent)
    assert done.code == 0
    assert "undo" not in done.out
    assert "line data: version 1 -> 2" in done.out
    told = desk.run("rehearse_rotation", "--json").told
    assert set(told["lines"]) == set(FIRST)
    assert told["plan"]["profiles"] == {"opened": {"1": PEOPLE}, "unopened": {}, "names": {}}
    assert told["copied_bytes"] > 0


# --- retirement ---


def test_a_key_in_use_is_not_destroyed(desk: Desk) -> None:
    """Not while it is active, and not while rows retire from it."""
    active = desk.run("retire_key", "--version", 1)
    assert (active.code, "is active and cannot become destroyed" in active.err) == (1, True)
    desk.run("new_key")
    key_of = desk.states()
    assert key_of == {1: "active", 2: "pending"}
    pending = desk.run("retire_key", "--version", 2)
    assert (pending.code, "is pending and cannot become destroyed" in pending.err) == (1, True)
    assert desk.states() == key_of


def test_a_key_that_rows_in_quarantine_need_is_not_destroyed(desk: Desk) -> None:
    """It says where they are."""
    desk.break_a_row()
    assert desk.run("rotate_keys", "--line", "data").code == 1
    refused = desk.run("retire_key", "--version", 1, "--cool-down", 0)
    assert (refused.code, refused.out) == (1, "")
    assert "Rows in quarantine still need version 1 of line 'data' (1 in profiles)" in refused.err
    assert desk.states()[1] == "disabled"


def test_a_key_rests_before_it_is_destroyed(desk: Desk) -> None:
    """Refused with the time that is left; destroyed behind it, with a certificate; again is no harm."""
    assert desk.run("rotate_keys").code == 0
    told = desk.run("retire_key", "--version", 1, "--json")
    assert (told.code, told.told["certificate"]) == (1, None)
    assert 86_300 < told.told["wait"] <= 86_400
    resting = desk.run("retire_key", "--version", 1)
    assert resting.code == 1
    assert re.search(r"rests: run the same command again in (24 h 0|23 h 5\d) min", resting.out)
    assert desk.states()[1] == "disabled"
    desk.sql("UPDATE key_versions SET empty_since = empty_since - ?", DAY)
    done = desk.run("retire_key", "--version", 1)
    assert (done.code, desk.states()[1]) == (0, "destroyed")
    assert "nothing undoes this" in done.out
    certificate = desk.folder / "certificates" / "data-1.json"
    assert str(certificate) in done.out
    before = certificate.read_bytes()
    certificate.unlink()
    again = desk.run("retire_key", "--version", 1, "--json")
    assert (again.code, certificate.read_bytes()) == (0, before)
    assert again.told["certificate"] == json.loads(before)
    assert keyring_of(desk.folder).get("data", 1).secret == b""  # type: ignore[union-attr]
    previous = desk.folder / "keyring.json.previous"
    assert (
        previous.read_bytes() == (desk.folder / "keyring.json").read_bytes()
    )  # the secret is not in it either


def test_a_version_is_named_once_with_its_option_or_alone(desk: Desk) -> None:
    """Both ways mean the same; neither, and both at once, are usage."""
    assert desk.run("rotate_keys", "--line", "data").code == 0
    for arguments in ((), ("1", "--version", "1")):
        refused = desk.run("retire_key", *arguments)
        assert (refused.code, "name one version" in refused.err) == (2, True)
    assert desk.run("retire_key", "1", "--cool-down", "0").code == 0
    assert desk.states() == {1: "destroyed", 2: "active"}


async def test_a_certificate_of_another_vault_is_told_apart(desk: Desk, tmp_path: Path) -> None:
    """With ``--data`` the signer has to be a signing key of that vault; one that is destroyed counts too."""
    assert await asyncio.to_thread(lambda: desk.works("verify_certificate").code) == 0
    path = desk.folder / "certificates" / "data-1.json"
    await wiring.initialise(Config(), tmp_path / "other")

    def check(data: Path) -> Done:
        return desk.run("verify_certificate", path, "--data", data)

    ours = await asyncio.to_thread(check, desk.folder)
    assert (ours.code, "compare" in ours.out) == (0, False)
    others = await asyncio.to_thread(check, tmp_path / "other")
    assert (others.code, "not signed by a signing key of this vault" in others.err) == (1, True)


def test_a_certificate_holds_or_does_not(desk: Desk) -> None:
    """Each member that is altered breaks it; the key that one knows tells whose it is."""
    valid = desk.works("verify_certificate", "--json").told
    path = desk.folder / "certificates" / "data-1.json"
    assert (valid["valid"], valid["signer_known"], valid["line"], valid["version"]) == (
        True,
        False,
        "data",
        1,
    )
    signer = desk.run("key_status", "--json").told["lines"]["signing"][-1]["public_key"]
    known = desk.run("verify_certificate", path, "--public-key", signer)
    assert (known.code, "compare it with one you know" in known.out) == (0, False)
    assert "compare it with one you know" in desk.run("verify_certificate", path).out
    other = desk.run("verify_certificate", path, "--public-key", "A" * 43 + "=")
    assert (other.code, "signed by another key than the one named" in other.err) == (1, True)
    whole = json.loads(path.read_text())
    for name in whole:
        altered = path.with_name("altered.json")
        for value in (None, 0, "x", [], {}):
            altered.write_text(json.dumps({**whole, name: value}))
            refused = desk.run("verify_certificate", altered)
            assert (refused.code, refused.out) == ((1, "") if value != whole[name] else (0, refused.out)), (
                name
            )
        altered.write_text(json.dumps({key: value for key, value in whole.items() if key != name}))
        refused = desk.run("verify_certificate", altered, "--json")
        assert (refused.code, refused.told["valid"]) == (1, False)
        assert refused.told["reason"]


# --- emergency ---


def test_a_stolen_key_gives_way_at_once(desk: Desk, tmp_path: Path) -> None:
    """Rows, people and sessions are told, the list is its owner's alone, and what may be left is nothing."""
    listed = tmp_path / "exposed.txt"
    done = desk.run("compromise_key", "--version", 1, "--end-sessions", "--list", listed)
    assert done.code == 0, done.err
    assert f"exposed: {PEOPLE} profiles, {PEOPLE} sessions" in done.out
    assert f"{PEOPLE} sessions are ended" in done.out
    assert "undo" not in done.out
    assert listed.stat().st_mode & 0o777 == 0o600
    assert sorted(listed.read_text().split()) == sorted(
        token for (token,) in desk.sql("SELECT token FROM profiles")
    )
    assert desk.states() == {1: "disabled", 2: "active"}
    status = desk.run("key_status", "--json").told["lines"]["data"]
    assert status[0]["compromised_at"] is not None
    assert [one["rows"]["sessions"] for one in status] == [0, 0]
    destroyed = desk.run("retire_key", "--version", 1, "--cool-down", 0)
    assert destroyed.code == 0
    again = desk.run("compromise_key", "--version", 1)
    assert (again.code, "is destroyed: it opens nothing any more" in again.err) == (1, True)


@pytest.mark.parametrize("line", ["index", "signing", "audit"])
def test_other_lines_can_be_stolen_too(desk: Desk, line: str) -> None:
    """And are told for what they are: none opens a profile."""
    events = {"audit_events": desk.count("audit_events")}
    rows = {"index": {"tags": PEOPLE}, "signing": {}, "audit": events}[line]
    told = desk.run("compromise_key", "--line", line, "--version", 1, "--json").told
    assert told["rows"] == rows
    assert desk.states(line) == {1: "disabled", 2: "active"}
    shown = desk.run("compromise_key", "--line", line, "--version", 2, "--dry-run")
    assert "opens these rows" not in shown.out
    assert desk.states(line) == {1: "disabled", 2: "active"}


# --- at a terminal, and as a process ---


def test_long_work_writes_a_line_now_and_then(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard error is no terminal: how far, how fast, how long; and no control character anywhere."""
    monkeypatch.setattr(watching, "LINE_EVERY", 0.0)
    rows = 2 * PEOPLE + desk.count("audit_details") + desk.count("access_keys") + 1  # that the key was added
    done = desk.run("rotate_keys", "--line", "data", "--batch", 5)
    assert f"re-sealing: 5 of {rows} rows, " in done.err
    assert "rows/s" in done.err
    assert "s left" in done.err
    assert "\x1b" not in done.out + done.err


def process(script: str, *arguments: object, folder: Path) -> list[str]:
    """Return a command as an operator types it, from another folder."""
    return [
        sys.executable,
        "-W",
        "error",
        str(SCRIPTS / f"{script}.py"),
        *map(str, arguments),
        "--data",
        str(folder),
    ]


def test_the_scripts_run_as_processes(desk: Desk, tmp_path: Path) -> None:
    """From any folder, with their exit codes, and nothing on standard error that is not asked for."""
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": PATIENCE, "cwd": tmp_path}
    options["env"] = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent)}
    for script, arguments, code in (
        ("key_status", ["--json"], 0), ("new_key", ["--line", "signing"], 0), ("rotate_keys", ["--json"], 0),
        ("retire_key", ["--version", "1"], 1), ("retire_key", ["--version", "7"], 2),
    ):  # fmt: skip
        done = subprocess.run(process(script, *arguments, folder=desk.folder), check=False, **options)
        assert done.returncode == code, done.stderr
        if "--json" in arguments:
            assert isinstance(json.loads(done.stdout), dict)
        if script == "key_status":
            assert done.stderr == ""


def test_there_is_a_bar_at_a_terminal(desk: Desk, tmp_path: Path) -> None:
    """On standard error, with rate and time left; standard output holds the steps alone."""
    rows = 2 * PEOPLE + desk.count("audit_details") + desk.count("access_keys") + 1  # that the key was added
    master, slave = pty.openpty()
    command = process("rotate_keys", "--line", "data", "--rate", 40, "--batch", 2, folder=desk.folder)
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent), "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=slave, text=True, cwd=tmp_path, env=environment
    ) as rotating:
        os.close(slave)
        shown = b""
        while True:
            try:
                read = os.read(master, 65_536)
            except OSError:  # Linux's way to say that nobody has the other end any more
                break
            shown += read
        assert rotating.stdout is not None
        out = rotating.stdout.read()
        assert rotating.wait(PATIENCE) == 0
    os.close(master)
    bar = shown.decode()
    assert "\x1b[" in bar
    assert "re-sealing" in bar
    assert "rows/s" in bar
    assert "verifying" in bar
    assert f"/{rows}" in bar
    assert "\x1b" not in out
    assert "- version 1 of line data is disabled" in out
