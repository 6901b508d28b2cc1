"""The program while it runs and as it ends: access keys that come and go, signals, and a sudden death."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.acceptance.terminal import call, knock, run
from tests.program import PATIENCE, Program
from vault.installation import Vault


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program, serving a new vault."""
    with Program(tmp_path / "data", tmp_path) as running_program:
        yield running_program


def test_access_keys_come_and_go_while_it_runs(program: Program) -> None:
    """What access create and access revoke do is heeded by the running service within a second."""
    data = ("--data", program.data)
    created = json.loads(
        run("access", "create", *data, "--name", "n", "--scopes", "profiles:read", "--json").stdout
    )
    assert knock(program, created["access_key"]) == 404  # so the service has it in its memory
    listed = run("access", "list", *data)
    assert created["id"] in listed.stdout
    assert created["access_key"] not in listed.stdout + listed.stderr
    assert call(program.url, "POST", "/api/v1/profiles", created["access_key"], {"profile": {}})[0] == 403
    assert run("access", "revoke", created["id"], *data).returncode == 0
    deadline = time.monotonic() + 1
    while (status := knock(program, created["access_key"])) != 401 and time.monotonic() < deadline:
        pass  # each knock takes its millisecond
    assert status == 401
    assert run("access", "revoke", "0" * 16, *data).returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_0_when_asked(number: signal.Signals, program: Program) -> None:
    """SIGTERM and SIGINT end it, though a client keeps its connection, and no -wal file is left behind."""
    address = urlsplit(program.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE):
        assert program.stop(number) == 0
    assert sorted(path.name for path in program.data.iterdir()) == [
        "erasures.ndjson", "keyring.json", "keyring.json.lock", "sessions.db", "unlock.key", "vault.db"
    ]  # fmt: skip


def test_it_finishes_what_runs_and_refuses_what_comes(program: Program) -> None:
    """A request at work at SIGTERM is answered and its write kept, while new connections are refused."""
    body = b'{"profile": {"email": "last@minute.example"}}'
    address = (urlsplit(program.url).hostname, urlsplit(program.url).port)
    with (
        closing(sqlite3.connect(program.data / "vault.db", isolation_level=None)) as other_writer,
        socket.create_connection(address, PATIENCE) as connection,
    ):
        other_writer.execute("BEGIN IMMEDIATE")  # so that the request has to wait
        connection.sendall(
            b"POST /api/v1/profiles HTTP/1.1\r\nHost: vault\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
            % (program.access_key.encode(), len(body), body)
        )
        assert call(program.url, "GET", "/healthz")[0] == 200  # whoever answers this has read the other
        os.kill(program.pid, signal.SIGTERM)
        assert is_refused_in_time(address)
        other_writer.execute("ROLLBACK")
        assert connection.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert program.stop(signal.SIGCONT) == 0  # it was told already; this one changes nothing
    program.start()
    wanted = {"email": "last@minute.example"}
    assert call(program.url, "POST", "/api/v1/profiles/lookup", program.access_key, wanted)[0] == 200


def is_refused_in_time(address: tuple[str, int]) -> bool:
    """Whether the port is closed to newcomers before patience ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with suppress(ConnectionResetError):  # it had queued when the port was closed
                socket.create_connection(address, PATIENCE).close()
        except ConnectionRefusedError:
            return True
    return False


async def test_housekeeping_is_in_nobodys_way(vault: Vault) -> None:
    """A write that comes while the write-ahead log is being cut is done like any other."""
    for number in range(100):
        await vault.housekeeping.round()
        await vault.profiles.create({"email": f"person{number}@example.org"})


@pytest.mark.parametrize("acknowledged", [1, 60, 150])
async def test_what_was_acknowledged_survives_sigkill(acknowledged: int, program: Program) -> None:
    """Killed with 200 writes in flight, it has each that it answered, and of the others none by halves."""
    kept: dict[int, str] = {}

    def profile(number: int) -> dict[str, str]:
        return {"email": f"person{number}@example.org", "text": f"{number} " * 200}

    async def write(client: aiohttp.ClientSession, number: int) -> None:
        with suppress(aiohttp.ClientError):
            async with client.post("profiles", json={"profile": profile(number)}) as answer:
                assert answer.status == 201
                kept[number] = (await answer.json())["token"]
                if len(kept) == acknowledged:
                    os.kill(program.pid, signal.SIGKILL)

    def caller() -> aiohttp.ClientSession:
        headers = {"Authorization": f"Bearer {program.access_key}"}
        return aiohttp.ClientSession(
            f"{program.url}/api/v1/", headers=headers, connector=aiohttp.TCPConnector(limit=0)
        )

    async with caller() as client:
        await asyncio.gather(*(write(client, number) for number in range(200)))
    assert acknowledged <= len(kept)
    program.stop()
    program.start()
    async with caller() as client:
        for number in range(200):
            async with client.post("profiles/lookup", json={"email": profile(number)["email"]}) as answer:
                found = (await answer.json()).get("token")
            assert found == kept[number] if number in kept else answer.status in (200, 404)
            if found:
                async with client.get(f"profiles/{found}") as answer:
                    assert (await answer.json())["profile"] == profile(number)


# --- the straight way of a look-up ------------------------------------------------------------------------------


def _raw(program: Program, request: str) -> list[tuple[list[str], bytes]]:
    """Send bytes as they are; return the head's lines and the body of each answer until the end or a second's rest."""
    host, port = program.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=1) as connection:
        connection.sendall(request.encode())
        with suppress(TimeoutError):
            while chunk := connection.recv(65536):
                received += chunk
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        (length,) = [int(line.split(": ")[1]) for line in lines if line.lower().startswith("content-length")]
        answers.append((lines, rest[:length]))
        received = rest[length:]
    return answers


def test_the_straight_way_answers_as_the_router_would(tmp_path: Path) -> None:
    """Whichever way a look-up takes, on whatever connection, its answer is the same and well-formed."""
    with Program(tmp_path / "data", tmp_path) as program:
        made = call(
            program.url, "POST", "/api/v1/sessions", program.access_key, {"claims": {"role": "editor"}}
        )
        headers = f"Host: a\r\nAuthorization: Bearer {program.access_key}\r\nSession-Id: {made[1]['session_id']}\r\n"
        path = "GET /api/v1/sessions/current"
        straight = f"{path} HTTP/1.1\r\n{headers}\r\n"
        answers = [
            *_raw(program, straight + straight),  # two in one piece, on one connection
            *_raw(program, f"{path}?by=router HTTP/1.1\r\n{headers}\r\n"),
            *_raw(program, f"{path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"),
            *_raw(program, f"{path} HTTP/1.0\r\n{headers}\r\n"),
        ]
    assert len(answers) == 5
    assert len({body for _, body in answers}) == 1
    assert [lines[0] for lines, _ in answers] == ["HTTP/1.1 200 OK"] * 4 + ["HTTP/1.0 200 OK"]
    names = [sorted(line.split(":")[0] for line in lines[1:]) for lines, _ in answers]
    assert all(len(set(each)) == len(each) for each in names)  # no header twice
    usual = set(names[0]) | {"Server"}
    assert {name for each in names for name in each} == usual | {"Connection"}
    connections = [[line for line in lines if line.startswith("Connection")] for lines, _ in answers]
    assert connections == [[], [], [], ["Connection: close"], []]
