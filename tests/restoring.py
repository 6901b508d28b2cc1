"""Backups and restores as an operator types them, beside real services."""

import json
import logging
from pathlib import Path
from typing import Any

import structlog
from click.testing import CliRunner, Result

from tests.acceptance.terminal import call
from tests.program import Program
from vault.cli import main


def must(*arguments: object) -> str:
    """Run a command that has to succeed; return what it printed."""
    done = _typed(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: object) -> str:
    """Run a command that has to be refused; return why."""
    done = _typed(*arguments)
    assert done.exit_code in (1, 2), done.output
    return done.output


def _typed(*arguments: object) -> Result:
    """Run a command in this process, which is spared a start; what it does to the log ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    finally:
        structlog.reset_defaults()
        root.handlers, root.level = handlers, level
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


class Service:
    """What a backend says to a running vault."""

    def __init__(self, program: Program, key: str = "") -> None:
        self._program = program
        self.key = key or program.access_key

    def say(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Make a call."""
        return call(self._program.url, method, f"/api/v1{path}", self.key, body)

    def take_in(self, number: int) -> str:
        """Keep a person and a session of theirs; return the token."""
        status, made = self.say("POST", "/profiles", {"profile": {"email": f"p{number}@example.org"}})
        assert status == 201, made
        body = {"user_token": made["token"], "claims": {}}
        assert self.say("POST", "/sessions", body)[0] == 201
        token: str = made["token"]
        return token

    def email_of(self, token: str) -> str | None:
        """Open a profile; None if there is none."""
        status, read = self.say("GET", f"/profiles/{token}")
        assert status in (200, 404), read
        return read["profile"]["email"] if status == 200 else None

    def find(self, number: int) -> str | None:
        """Look a person up by e-mail."""
        status, found = self.say("POST", "/profiles/lookup", {"email": f"p{number}@example.org"})
        assert status in (200, 404), found
        return found["token"] if status == 200 else None

    def erase(self, token: str) -> Any:
        """Erase a person; return the receipt."""
        status, receipt = self.say("DELETE", f"/profiles/{token}")
        assert status == 200, receipt
        return receipt

    def sessions(self, token: str) -> int:
        """Return how many live sessions a person has."""
        status, listed = self.say("GET", f"/profiles/{token}/sessions")
        return len(listed["sessions"]) if status == 200 else 0


def manifest_of(backup: Path) -> Any:
    """Read the manifest."""
    return json.loads((backup / "manifest.json").read_text())
