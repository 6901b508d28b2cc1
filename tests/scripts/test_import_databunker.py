"""The import, from one real server of the wire to another."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databunkerpro import DatabunkerproAPI

from tests.program import Program

SCRIPT = Path(__file__).parents[2] / "scripts" / "import_databunker.py"
PEOPLE = 130


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Program]]:
    """Where people are, and where they move."""
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    with Program(here / "data", here) as source, Program(there / "data", there) as target:
        yield source, target


def api_of(program: Program) -> DatabunkerproAPI:
    """Return the vendor's SDK for a server."""
    return DatabunkerproAPI(program.url, program.access_key)


def move(servers: tuple[Program, Program], state: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Run the script."""
    source, target = servers
    environment = {**os.environ, "IMPORT_FROM_TOKEN": source.access_key, "IMPORT_TO_TOKEN": target.access_key}
    command = [
        sys.executable, str(SCRIPT), "--from", source.url, "--to", target.url, "--state", str(state), *more,
    ]  # fmt: skip
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_people_move_with_their_tokens_and_app_data(servers: tuple[Program, Program], tmp_path: Path) -> None:
    """Interrupted anywhere, the same command goes on; whoever cannot come is named, and nobody comes twice."""
    source, target = map(api_of, servers)
    people = [{"email": f"p{n}@example.org", "n": n} for n in range(PEOPLE)]
    made = source.create_users_bulk([{"profile": one} for one in people])["created"]
    first, taken = made[0], made[1]
    assert source.create_app_data("token", first["token"], "shipping", {"street": "Main 1"})["status"] == "ok"
    assert target.create_user({"email": taken["profile"]["email"], "n": -1})["status"] == "ok"
    # As an interruption leaves it: one has arrived and is not noted, the last line is cut off.
    ready: dict[str, Any] = {"profile": made[2]["profile"], "usertoken": made[2]["token"]}
    assert target._make_request("UserCreate", ready)["token"] == made[2]["token"]
    state = tmp_path / "import.ndjson"
    state.touch(0o600)
    state.write_text('{"from": "')

    done = move(servers, state, "--json")
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["refused"] == [[taken["token"], "UserCreate: Duplicate index: email"]], done.stderr
    assert (told["moved"], told["before"], told["app data"], done.returncode) == (PEOPLE - 1, 0, 1, 1)
    for one in (first, made[2], made[-1]):
        assert target.get_user("token", one["token"])["profile"] == one["profile"]
    assert target.get_app_data("token", first["token"], "shipping")["appdata"] == {"street": "Main 1"}
    assert state.stat().st_mode & 0o077 == 0

    again = json.loads(move(servers, state, "--json").stdout)
    assert (again["moved"], again["before"]) == (0, PEOPLE - 1)
    assert target.get_system_stats()["stats"]["numusers"] == PEOPLE


def test_what_is_wrong_is_said(servers: tuple[Program, Program], tmp_path: Path) -> None:
    """A refused token ends it with a sentence, and without a trace of a key."""
    source, _ = servers
    environment = {**os.environ, "IMPORT_FROM_TOKEN": "tvk_wrong", "IMPORT_TO_TOKEN": "x"}
    command = [sys.executable, str(SCRIPT), "--from", source.url, "--to", source.url]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "BulkListUnlock: Access denied" in done.stderr
    assert "tvk_" not in done.stderr
