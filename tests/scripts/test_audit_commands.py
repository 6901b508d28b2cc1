"""The commands about the audit trail, honey tokens, and who opened what under a stolen key."""

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.http.conversation import ADA
from tests.rotating import select
from vault import wiring
from vault.acting import acting
from vault.audit import CHECKPOINT_FORMAT
from vault.cli import main
from vault.config import Config
from vault.tokens import is_user_token


async def _fill(folder: Path) -> None:
    acting.set(None)  # whichever command ran in this process before
    await wiring.initialise(Config(), folder)
    async with wiring.open_vault(Config(), folder) as vault:
        for number in range(3):
            made = await vault.profiles.create({"email": f"person{number}@example.org"})
            await vault.profiles.get(made.token, ["email"])
        await vault.profiles.get(made.token)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault whose three people were opened four times, made once."""
    folder = tmp_path_factory.mktemp("template") / "data"
    asyncio.run(_fill(folder))
    return folder


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(template, tmp_path / "data")


def run(data: Path, *words: object, said: str | None = None, code: int = 0) -> Result:
    """Run a command on this vault; it must end with this code."""
    done = CliRunner().invoke(main, [*map(str, words), "--data", str(data)], input=said)
    assert done.exit_code == code, (done.stdout, done.stderr)
    return done


def told(data: Path, *words: object, code: int = 0) -> Any:
    """Run a command and return the one JSON value that it prints."""
    done = run(data, *words, "--json", code=code)
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def lines(done: Result) -> list[Any]:
    """Return what a command printed, line by line."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def spoil(data: Path, sql: str) -> None:
    """Change the database past the vault."""
    with closing(sqlite3.connect(data / "vault.db")) as connection, connection:
        assert connection.execute(sql).rowcount


def count(data: Path) -> int:
    """Return how many events there are."""
    return int(select(data / "vault.db", "SELECT count(*) FROM audit_events")[0][0])


# --- audit ---

COMMANDS = (
    ("audit", "verify"), ("audit", "checkpoint"), ("audit", "export"), ("honey", "plant"), ("honey", "mark"),
    ("honey", "remove"), ("honey", "list"),
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_explains_it_with_an_example(command: tuple[str, str]) -> None:
    """A line to copy, and where the vault is."""
    shown = CliRunner().invoke(main, [*command, "--help"]).stdout
    assert f"Example: tokenvault {' '.join(command)}" in shown
    assert "--data" in shown


def test_a_trail_is_proven(data: Path) -> None:
    """For people and as one JSON object; nothing is written."""
    before = count(data)
    assert run(data, "audit", "verify").stdout.startswith(f"the audit trail holds: {before} events, 0 signed")
    assert told(data, "audit", "verify") == {
        "holds": True, "events": before, "checkpoints": 0, "details_gone_with_their_person": 0, "broken": 0,
        "findings": [],
    }  # fmt: skip
    assert count(data) == before


def test_a_broken_trail_is_told_by_its_first_link(data: Path) -> None:
    """Exit code 1; ten places in words, all of them in JSON, and how many there are."""
    spoil(data, "UPDATE audit_events SET at = at + 1")
    done = run(data, "audit", "verify", code=1)
    assert done.stdout == ""
    first, *rest = done.stderr.splitlines()
    assert first.startswith("first broken link: event 1: ")
    assert len(rest) == min(10, count(data)) - 1 + (count(data) > 10)
    verdict = told(data, "audit", "verify", code=1)
    assert (verdict["holds"], verdict["broken"]) == (False, count(data))
    assert [one["sequence"] for one in verdict["findings"]] == list(range(1, count(data) + 1))


def test_an_anonymous_folder_has_no_trail(tmp_path: Path) -> None:
    """It is said so, and nothing is made."""
    done = run(tmp_path / "nowhere", "audit", "verify", code=1)
    assert "holds no vault" in done.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_checkpoint_is_printed_and_kept(data: Path) -> None:
    """One line, in the database and in the file too; asked again it is the same; the trail holds with it."""
    text = run(data, "audit", "checkpoint").stdout
    statement = json.loads(text)
    assert (statement["format"], statement["sequence"], text.count("\n")) == (
        CHECKPOINT_FORMAT,
        count(data),
        1,
    )
    assert run(data, "audit", "checkpoint").stdout == text
    assert (data / "checkpoints.ndjson").read_text() == text
    assert told(data, "audit", "verify")["checkpoints"] == 1
    spoil(data, "DELETE FROM audit_events WHERE sequence > 3")
    assert run(data, "audit", "verify", code=1).stderr.startswith("first broken link: event 4: ")


def test_events_are_exported_by_what_they_say(data: Path) -> None:
    """One object a line, in order, details opened; of a person, an actor, an action, or behind a sequence."""
    everything = lines(run(data, "audit", "export"))
    assert [one["sequence"] for one in everything] == list(range(1, len(everything) + 1))
    opened = lines(run(data, "audit", "export", "--action", "profile.revealed"))
    assert [one["details"] for one in opened] == [{"fields": ["email"]}] * 3 + [None]
    token = opened[0]["user_token"]
    for words, fits in (
        (("--token", token), lambda one: one["user_token"] == token),
        (("--actor", "vault"), lambda one: one["actor"] == "vault"),
        (("--after", "5"), lambda one: one["sequence"] > 5),
        (("--actor", "operator"), lambda one: False),
    ):
        assert lines(run(data, "audit", "export", *words)) == [one for one in everything if fits(one)]


def test_what_the_command_line_does_is_the_operators(data: Path) -> None:
    """Also where it is a verb that services call."""
    run(data, "access", "create", "--name", "web", "--scopes", "sessions:read")
    (event,) = lines(run(data, "audit", "export", "--actor", "operator"))
    assert (event["action"], event["details"]["name"]) == ("access.created", "web")


# --- honey ---


def test_a_decoy_is_planted_listed_and_removed(data: Path, tmp_path: Path) -> None:
    """From a file or standard input; it is a profile, and stays one when it is no decoy any more."""
    (tmp_path / "decoy.json").write_text(json.dumps(ADA))
    one = run(data, "honey", "plant", tmp_path / "decoy.json", "--suspend-key").stdout.strip()
    two = run(data, "honey", "plant", "-", said='{"email": "bea@example.org"}').stdout.strip()
    assert is_user_token(one)
    assert is_user_token(two)
    assert [(row["token"], row["suspends_key"]) for row in told(data, "honey", "list")] == [
        (one, True),
        (two, False),
    ]
    listed = run(data, "honey", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [one, two]
    assert ["suspends" in line for line in listed] == [True, False]

    assert "removed" in run(data, "honey", "remove", one).stdout
    assert "There is no such honey token" in run(data, "honey", "remove", one, code=1).stderr
    assert [row["token"] for row in told(data, "honey", "list")] == [two]
    assert select(data / "vault.db", "SELECT count(*) FROM profiles WHERE token = ?", one) == [(1,)]
    acts = [event["action"] for event in lines(run(data, "audit", "export", "--actor", "operator"))]
    assert acts == ["profile.created", "honey.planted", "profile.created", "honey.planted", "honey.removed"]


def test_a_profile_that_there_is_becomes_a_decoy(data: Path) -> None:
    """Marked twice, the later word counts."""
    (token,) = select(data / "vault.db", "SELECT token FROM profiles LIMIT 1")[0]
    for words in (("--suspend-key",), ()):
        assert "marked" in run(data, "honey", "mark", token, *words).stdout
        assert [row["suspends_key"] for row in told(data, "honey", "list")] == [bool(words)]


def test_what_is_no_user_token_is_no_decoy(data: Path) -> None:
    """It would stand in the trail, in the clear and for ever: somebody's e-mail, say."""
    before = count(data)
    run(data, "honey", "mark", ADA["email"], code=1)
    assert (count(data), told(data, "honey", "list")) == (before, [])


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "1"])
def test_what_is_no_profile_is_no_decoy(data: Path, text: str) -> None:
    """Exit code 2, and nothing is kept."""
    before = count(data)
    run(data, "honey", "plant", "-", said=text, code=2)
    assert (count(data), told(data, "honey", "list")) == (before, [])


# --- a stolen key ---


def test_a_stolen_key_tells_who_opened_what_under_it(data: Path, tmp_path: Path) -> None:
    """Each opening in a new private file, added up by access key; also those of another version are not among them."""
    file = tmp_path / "openings.ndjson"
    first = told(data, "keys", "compromise", "--version", "1", "--openings", file)
    (summary,) = first["opened"]
    assert (summary["access_key"], summary["profiles"], summary["times"]) == ("vault", 3, 4)
    assert file.stat().st_mode & 0o777 == 0o600
    found = [json.loads(line) for line in file.read_text().splitlines()]
    exported = lines(run(data, "audit", "export", "--action", "profile.revealed"))
    assert [(one["sequence"], one["user_token"], one["access_key"], one["at"]) for one in found] == [
        (one["sequence"], one["user_token"], one["actor"], one["at"]) for one in exported
    ]
    again = told(data, "keys", "compromise", "--version", "2", "--openings", tmp_path / "none", "--dry-run")
    assert (again["opened"], (tmp_path / "none").read_text()) == ([], "")


@pytest.mark.parametrize(
    ("line", "file"), [("index", "new"), ("data", "mine")], ids=["no data key", "a file there"]
)
def test_openings_go_into_a_new_file_of_a_data_key(data: Path, tmp_path: Path, line: str, file: str) -> None:
    """Else it is wrong usage: exit code 2, before anything is done."""
    (tmp_path / "mine").write_text("mine")
    before = count(data)
    run(data, "keys", "compromise", "--line", line, "--version", "1", "--openings", tmp_path / file, code=2)
    assert (count(data), (tmp_path / "mine").read_text()) == (before, "mine")
