"""The commands about access keys, called as a program calls them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vault import wiring
from vault.cli import main
from vault.config import Config


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """An initialised data folder."""
    await wiring.initialise(Config(), tmp_path / "data")
    return tmp_path / "data"


def run(folder: Path, *words: str, code: int = 0) -> Result:
    """Run ``tokenvault access …`` and look at its exit code."""
    environment = {"COLUMNS": "300"}
    result = CliRunner(env=environment).invoke(main, ["access", *words, "--data", str(folder)])
    assert result.exit_code == code, result.output
    return result


def made(folder: Path, *options: str) -> dict[str, Any]:
    """Make a key that reads profiles, and return what is told of it."""
    result = run(folder, "create", "--name", "support", "--scopes", "profiles:read", "--json", *options)
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def listed(folder: Path, key_id: str) -> dict[str, Any]:
    """Return what the list says of one key."""
    (one,) = (each for each in json.loads(run(folder, "list", "--json").stdout) if each["id"] == key_id)
    assert isinstance(one, dict)
    return one


RAILS = {
    "--fields": ("b,a.c", "fields", ["a.c", "b"]),
    "--masked": ("phone, email", "masked", ["email", "phone"]),
    "--networks": ("10.1.0.0/16,2001:db8::/32", "networks", ["10.1.0.0/16", "2001:db8::/32"]),
    "--per-minute": ("60", "per_minute", 60),
    "--reveals-per-hour": ("50", "reveals_per_hour", 50),
    "--reveals-per-day": ("200", "reveals_per_day", 200),
}


def test_every_rail_can_be_set_and_is_shown(folder: Path) -> None:
    """When it is made and in the list, as JSON and as a table; a key without any has none."""
    options = [word for option, (text, _, _) in RAILS.items() for word in (option, text)]
    key = made(folder, *options)
    assert key["rails"] == {name: value for _, name, value in RAILS.values()}
    assert listed(folder, key["id"])["rails"] == key["rails"]
    assert made(folder)["rails"] == {}
    assert made(folder, "--fields", "")["rails"] == {"fields": []}
    table = run(folder, "list").stdout
    for words in (
        "fields a.c, b",
        "masked email, phone",
        "per-minute 60",
        "reveals-per-day 200",
        "fields none",
    ):
        assert words in table


WRONG = {
    "a path without a name": (("--masked", "a..b"), "masked: must be"),
    "no network": (("--networks", "office"), "networks: must be"),
    "a writer that is kept from a field": (
        ("--fields", "a", "--scopes", "admin"), "fields: cannot be for a key with admin"
    ),
    "no request a minute": (("--per-minute", "0"), "--per-minute"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "sentence"), WRONG.values(), ids=WRONG)
def test_rails_that_cannot_hold_are_refused(folder: Path, options: tuple[str, ...], sentence: str) -> None:
    """Exit code 2 with the name of the rail, and no key is made."""
    result = run(folder, "create", "--name", "support", "--scopes", "profiles:read", *options, code=2)
    assert sentence in result.stderr
    assert len(json.loads(run(folder, "list", "--json").stdout)) == 1


def test_a_key_is_suspended_and_resumed(folder: Path) -> None:
    """The list tells its state; a revoked key stays revoked; one that does not exist is refused."""
    key_id = made(folder)["id"]
    states = [listed(folder, key_id)["state"]]
    for verb in ("suspend", "resume", "suspend", "revoke", "resume"):
        assert key_id in run(folder, verb, key_id).stdout
        states.append(listed(folder, key_id)["state"])
    assert states == ["live", "suspended", "live", "suspended", "revoked", "revoked"]
    for verb in ("suspend", "resume"):
        assert "no access key with this id" in run(folder, verb, "0" * 16, code=1).stderr


def test_the_list_tells_of_a_row_that_does_not_open(folder: Path) -> None:
    """On standard error, by its id and cause; the others are listed, and that one cannot be revoked."""
    key_id = made(folder)["id"]
    with closing(sqlite3.connect(folder / "vault.db")) as file, file:
        file.execute("UPDATE access_keys SET box = substr(box, 1, 200) WHERE id = ?", (key_id,))
    for options in ((), ("--json",)):
        listed = run(folder, "list", *options)
        assert f"access key {key_id} lets nobody in: its row does not open (box_tampered)" in listed.stderr
        assert "first admin" in listed.stdout
        assert key_id not in listed.stdout
    assert "altered" in run(folder, "revoke", key_id, code=1).stderr
