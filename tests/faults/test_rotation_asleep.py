"""A serving process that sleeps through a whole rotation, and through the destruction of its keys."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.program import Program
from vault.cli.keys import retire, rotate

MERGE = {"Content-Type": "application/merge-patch+json"}


async def _keys(command: Any, *arguments: str) -> None:
    """Run a command on keys to its end, in a thread: it has an event loop of its own."""

    def run() -> None:
        with pytest.raises(SystemExit) as ended:
            command([*arguments])
        assert ended.value.code == 0

    await asyncio.to_thread(run)


def _put_to_sleep(program: Program, data: Path) -> None:
    """Stop the process at a moment when it holds no lock: with one, everybody would wait for it."""
    while True:
        program.send(signal.SIGSTOP)
        try:
            for name in ("vault.db", "sessions.db"):
                with closing(sqlite3.connect(data / name, timeout=0.1, isolation_level=None)) as database:
                    database.execute("BEGIN IMMEDIATE")
                    database.execute("ROLLBACK")
        except sqlite3.OperationalError:
            program.send(signal.SIGCONT)
        else:
            return


def _pass_for_dead(data: Path) -> None:
    """Make the sleeping process one that has not been heard of for long."""
    with closing(sqlite3.connect(data / "vault.db")) as database, database:
        database.execute("UPDATE processes SET seen_at = seen_at - 3600000")


async def test_a_process_that_slept_through_a_rotation_serves_on(tmp_path: Path) -> None:
    """Stopped, left behind by a rotation and the destruction of its keys, and woken: no request of it fails,
    no duplicate slips in under the old index, and nothing is written under a key that is gone."""
    data = tmp_path / "data"
    with Program(data, tmp_path) as program:
        headers = {"Authorization": f"Bearer {program.access_key}"}
        async with aiohttp.ClientSession(f"{program.url}/api/v1/", headers=headers) as client:
            ada = {"profile": {"email": "ada@example.org", "city": "London"}}
            async with client.post("profiles", json=ada) as response:
                token = (await response.json())["token"]
            async with client.post("sessions", json={"user_token": token}) as response:
                session = {"Session-Id": (await response.json())["session_id"]}

            _put_to_sleep(program, data)
            _pass_for_dead(data)
            await _keys(rotate, "--data", str(data))
            for line in ("data", "index"):
                await _keys(retire, "--line", line, "--version", "1", "--cool-down", "0", "--data", str(data))
            program.send(signal.SIGCONT)

            async with client.post("profiles", json=ada) as response:
                assert response.status == 409
            async with client.post("profiles", json={"profile": {"email": "bob@example.org"}}) as response:
                assert response.status == 201
            async with client.patch(f"profiles/{token}", json={"city": "Paris"}, headers=MERGE) as response:
                assert response.status == 200
            async with client.get("sessions/current", headers=session) as response:
                assert response.status == 200
            async with client.get(f"profiles/{token}") as response:
                assert (await response.json())["profile"]["city"] == "Paris"
    with closing(sqlite3.connect(data / "vault.db")) as database:
        assert database.execute("SELECT DISTINCT key_version FROM profiles").fetchall() == [(2,)]
        assert database.execute("SELECT DISTINCT version FROM tags").fetchall() == [(2,)]
