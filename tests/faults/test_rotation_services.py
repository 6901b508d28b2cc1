"""What rotations elsewhere have done to the services beside them, by the public report: real processes throughout."""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.terminal import call, run
from tests.program import PATIENCE, Program
from tests.rotating import boxes, keyring_of, select, states
from vault import wiring
from vault.config import Config
from vault.crypto.keyring import KeyState
from vault.profile_views import NewContent

ROOT = Path(__file__).parents[2]

#: A command of the program on a disk that is full from a certain COMMIT on; or as full as the kernel says.
ON_A_FULL_DISK = """
import functools, resource, sqlite3, sys
from vault.cli import main

way, number = sys.argv[1], int(sys.argv[2])
commits = 0

class Disk(sqlite3.Connection):
    def execute(self, sql, *parameters):
        global commits
        if sql == "COMMIT":
            commits += 1
            if commits >= number:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
                raise error
        return super().execute(sql, *parameters)

if way == "commit":
    sqlite3.connect = functools.partial(sqlite3.connect, factory=Disk)
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
main(sys.argv[3:])
"""


def test_nothing_is_activated_before_every_process_has_the_key(tmp_path: Path) -> None:
    """openshift/enhancements#1969: a process that serves from a copy of the keyring which nobody brings up to date
    holds the rotation up, by name, and nothing is sealed under the new key; once the copy follows, it is finished,
    and no request of the process fails meanwhile."""
    data, original, copy = tmp_path / "data", tmp_path / "data" / "keyring.json", tmp_path / "copy.json"
    key = run("init", "--data", data).stdout.split()[-1]
    shutil.copy(original, copy)
    with Program(data, tmp_path, environment={"VAULT_KEYRING__FILE": str(copy)}) as program:
        _, made = call(
            program.url, "POST", "/api/v1/profiles", key, {"profile": {"email": "ada@example.org"}}
        )
        _until(lambda: select(data / "vault.db", "SELECT pid FROM processes") == [(program.pid,)])

        behind = run("keys", "rotate", "--line", "data", "--patience", "0.2", "--data", data)
        assert behind.returncode == 1
        assert f"process {program.pid} on " in behind.stderr
        assert states(keyring_of(data), "data") == {1: KeyState.ACTIVE, 2: KeyState.PENDING}
        assert boxes(data)["vault.profiles.box"] == [1]

        command = [sys.executable, "-m", "vault", "keys", "rotate", "--line", "data", "--data", str(data)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as rotation:
            try:
                while rotation.poll() is None:
                    shutil.copy(original, tmp_path / "draft")
                    (tmp_path / "draft").replace(copy)
                    status, body = call(program.url, "GET", f"/api/v1/profiles/{made['token']}", key)
                    assert (status, body["profile"]) == (200, {"email": "ada@example.org"})
                assert rotation.returncode == 0, rotation.stderr and rotation.stderr.read()
            finally:
                rotation.kill()
        assert states(keyring_of(data), "data") == {1: KeyState.DISABLED, 2: KeyState.ACTIVE}
        assert boxes(data)["vault.profiles.box"] == [2]
        assert program.stop() == 0


#: How the disk is full: from which COMMIT on SQLite says so, or how many bytes beyond the database's own size no file
#: grows; and what the log then tells.
FULL = {
    "SQLite finds the disk full at every commit": ("commit", 16, "SQLITE_FULL"),
    "the kernel lets no file grow": ("size", 100_000, "SQLITE_IOERR"),
}


@pytest.mark.parametrize(("way", "number", "cause"), FULL.values(), ids=FULL)
async def test_a_full_disk_stops_the_rotation_and_nothing_else(
    way: str, number: int, cause: str, data: Path
) -> None:
    """hashicorp/vault#18943: the sweep ends with exit code 1 and the cause, the service answers look-ups and takes
    people in as before, and the same command finishes once there is room."""
    people = [NewContent({"email": f"p{n}@example.org", "city": "x" * 900}) for n in range(200)]
    async with wiring.open_vault(Config(), data) as vault:
        tokens = [entry.token or "" for entry in await vault.profiles.create_many(people)]
        await vault.housekeeping.round()  # cuts the WAL, which would else have room to spare
        if way == "size":
            number += (data / "vault.db").stat().st_size
        command = ["keys", "rotate", "--line", "data", "--batch", "4", "--data", str(data)]
        failed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", ON_A_FULL_DISK, way, str(number), *command],
            cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert failed.returncode == 1, failed.stderr
        assert "tokenvault: The store cannot be used right now" in failed.stderr
        assert cause in failed.stderr
        assert "Traceback" not in failed.stderr
        assert set(boxes(data)["vault.profiles.box"]) == {1, 2}, "it was to fail in the middle of the sweep"
        for n, token in enumerate(tokens):
            assert (await vault.profiles.get(token)).content == people[n].content
            assert await vault.profiles.lookup("email", f"p{n}@example.org") == token
        await vault.profiles.create({"email": "new@example.org"})
        finished = await asyncio.to_thread(run, *command)
        assert finished.returncode == 0, finished.stderr
        assert boxes(data)["vault.profiles.box"] == [2] * 201
        assert (await vault.profiles.get(tokens[0])).content == people[0].content


def _until(holds: Callable[[], bool]) -> None:
    """Look until something holds that a process is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
