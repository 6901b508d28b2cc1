"""What the tables of storage faults share: a served vault, the calls that are made of it, and mounted folders."""

import http.client
import json
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from tests.program import Program
from vault.cli import main

API = "/api/v1"
ADA = "ada@example.org"

#: Seconds that the service waits for a lock in these tests.
PATIENCE = 1

#: Seconds in which every call is answered, whatever the disk does.
MOST_SECONDS = 5

#: The calls of the tables.
CREATE, READ, FIND, OPEN, LOOK, REVOKE, READY = CALLS = (
    "create profile", "read profile", "look up by value", "open session", "look up session", "revoke", "/readyz",
)  # fmt: skip

SETTINGS = {"VAULT_STORAGE__BUSY_TIMEOUT": str(PATIENCE), "VAULT_HOUSEKEEPING__INTERVAL": "3600"}

#: What each call is answered where nothing is wrong.
SOUND = dict(zip(CALLS, ("201", "200", "200", "201", "200", "204", "200"), strict=True))


class Stage:
    """A program that serves ``data``, and somebody in it: a person with an e-mail and a session."""

    def __init__(self, data: Path, logs: Path) -> None:
        logs.mkdir(exist_ok=True)
        self.data = data
        self.program = Program(data, logs, environment=SETTINGS)
        self.token = self.session_id = self.spare = ""

    def settle(self) -> None:
        """Make the person and the session that the calls ask for."""
        status, body = self.ask("POST", "/profiles/lookup", {"email": ADA})
        if status == 404:
            status, body = self.ask("POST", "/profiles", {"profile": {"email": ADA}})
        self.token = body["token"]
        self.session_id, self.spare = (self.open()[1]["session_id"] for _ in range(2))

    def ask(self, method: str, path: str, body: Any = None, session_id: str = "-") -> tuple[int, Any]:
        """Make one call of the API, or of a path that is not under it; none hangs."""
        address = urlsplit(self.program.url).netloc
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.program.access_key}",
            "Session-Id": session_id,
        }
        with closing(http.client.HTTPConnection(address, timeout=MOST_SECONDS)) as connection:
            whole = path if path == "/readyz" else f"{API}{path}"
            connection.request(method, whole, None if body is None else json.dumps(body), headers)
            with connection.getresponse() as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None

    def create(self) -> tuple[int, Any]:
        """Make somebody new."""
        return self.ask("POST", "/profiles", {"profile": {"email": f"{secrets.token_hex(8)}@example.org"}})

    def open(self) -> tuple[int, Any]:
        """Open a session."""
        return self.ask("POST", "/sessions", {"user_token": self.token})

    def look(self) -> tuple[int, Any]:
        """Look the session up."""
        return self.ask("GET", "/sessions/current", session_id=self.session_id)

    def outcomes(self) -> dict[str, str]:
        """Make every call at once; return status and code of each, which is what the tables hold."""
        calls = {
            CREATE: self.create,
            READ: lambda: self.ask("GET", f"/profiles/{self.token}"),
            FIND: lambda: self.ask("POST", "/profiles/lookup", {"email": ADA.upper()}),
            OPEN: self.open,
            LOOK: self.look,
            REVOKE: lambda: self.ask("DELETE", "/sessions/current", session_id=self.spare),
            READY: lambda: self.ask("GET", "/readyz"),
        }
        with ThreadPoolExecutor(len(calls)) as threads:
            answers = {name: threads.submit(each) for name, each in calls.items()}
            return {name: told(*each.result()) for name, each in answers.items()}

    def said(self) -> str:
        """All that the program wrote."""
        return self.program.errors.read_text() + self.program.output.read_text()


def told(status: int, body: Any) -> str:
    """Put an answer as the tables have it; a refusal is a problem with a code and nothing of the program's inside."""
    if status < 400:
        return str(status)
    assert set(body) == {"type", "title", "status", "code", "detail", "request_id"}, body
    for inside in ("Traceback", "sqlite", "Error", ".py", "/tmp"):  # noqa: S108 - what must not be there
        assert inside not in str(body), body
    return f"{status} {body['code']}"


def check(data: Path) -> tuple[int, str]:
    """Run ``tokenvault check``; it ends with a sentence and never with an exception of its own."""
    done = CliRunner().invoke(main, ["check", "--data", str(data)], env=SETTINGS)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something at a folder; skip the test where that is not permitted."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
