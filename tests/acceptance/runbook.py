"""The commands in docs/: scenarios by their markers, an operator who types them, and the house they are typed in."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.terminal import call
from tests.program import Program
from tests.rotating import keyring_of

ROOT = Path(__file__).parents[2]
PATIENCE = 100
PEOPLE = 6

#: A marker that begins a scenario, one that says what happens next, or a block of commands. What is run; the other
#: kinds are settings, and an excerpt of a unit file.
_PIECES = re.compile(
    r"<!-- (?:run by (?P<by>\S+): )?(?P<mark>[^>]+?) -->|^```(?P<kind>sh|cron|sql)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


@dataclass
class Block:
    """Commands, and the marker between them and those before, if that did not begin the scenario."""

    kind: str
    text: str
    mark: str


def scenarios(page: str, test: Path) -> dict[str, list[Block]]:
    """Return the blocks of each scenario of a page, in order; each stands in one that the test runs, by its name."""
    found: dict[str, list[Block]] = {}
    name = mark = ""
    for piece in _PIECES.finditer(page):
        if piece["by"]:
            assert ROOT / piece["by"] == test, piece[0]
            name, mark = piece["mark"], ""
            assert name not in found, name
            assert f'"{name}"' in test.read_text("utf-8"), name
            found[name] = []
        elif piece["mark"]:
            mark = piece["mark"]
        else:
            assert name, piece[0]
            found[name].append(Block(piece["kind"], piece["text"], mark))
            mark = ""
    return found


@dataclass
class Operator:
    """Types commands in a folder that holds ``data/``; one shell, so to speak, for all of them.

    ``values`` is what an operator puts in the place of what the page cannot know.
    """

    blocks: list[Block]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._blocks = list(self.blocks)
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        tokenvault = programs / "tokenvault"
        tokenvault.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vault "$@"\n')
        tokenvault.chmod(0o755)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "AWS_"))}
        self.environment = {
            **own, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(self.folder), **self.environment,
        }  # fmt: skip
        self._state = self.folder / "shell-state"
        self._state.write_text("")

    def next_block(self, kind: str = "sh", mark: str = "") -> str:
        """Take the next block, which has to be of this kind behind this marker."""
        block = self._blocks.pop(0)
        assert (block.kind, block.mark) == (kind, mark)
        text = block.text
        for written, meant in self.values.items():
            text = text.replace(written, meant)
        assert "…" not in text
        return text

    def types(self, mark: str = "") -> str:
        """Run the next block. Each command must end with the exit code that its comment tells, or with 0."""
        script = ['expect() { [ "$1" = "$2" ] || { echo "$3: exit code $1, not $2" >&2; exit 99; }; }']
        script += ["set -a", f". '{self._state}'"]
        commands = self.next_block(mark=mark).replace("\\\n", " ").splitlines()
        for command in filter(None, commands):
            told = re.search(r"# exit code (\d+)", command)
            script += [f"echo '$ '{quoted(command)}", command]
            script += [f"expect $? {told[1] if told else 0} {quoted(command)}"]
        script += [f"export -p > '{self._state}'"]
        return self.shell("\n".join(script), 0)

    def shell(self, script: str, code: int | None) -> str:
        """Run a script in the folder; return all it printed."""
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, timeout=PATIENCE, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert code is None or done.returncode == code, done.stdout
        return done.stdout

    def is_done(self) -> bool:
        """Whether nothing is left to type."""
        return not self._blocks


def quoted(text: str) -> str:
    """Return a text as one word of the shell."""
    return "'" + text.replace("'", "'\\''") + "'"


class House:
    """A vault in a folder, its service, and the people in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.tokens: list[str] = []
        self.sessions: list[str] = []
        self._program: Program | None = None
        self._key = ""

    @contextmanager
    def serving(self, **environment: str) -> Iterator[Program]:
        """Run the service; it must end in good order."""
        with Program(self.data, self.folder, environment=environment) as program:
            self._program = program
            self._key = self._key or program.access_key
            yield program
            assert program.stop() == 0
        self._program = None

    def say(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call the service."""
        assert self._program is not None
        return call(self._program.url, method, f"/api/v1{path}", self._key, body)

    def take_in(self) -> None:
        """Keep people, and a session of each."""
        for number in range(PEOPLE):
            status, made = self.say("POST", "/profiles", {"profile": person(number)})
            assert status == 201, made
            self.tokens.append(made["token"])
            status, opened = self.say("POST", "/sessions", {"user_token": made["token"], "claims": {}})
            assert status == 201, opened

    def stand(self, *, without: tuple[int, ...] = (), sessions: int = 1) -> None:
        """Everybody is read, found by e-mail, and unique; a newcomer is taken in; sessions are as many as they were."""
        for number in set(range(PEOPLE)) - set(without):
            token = self.tokens[number]
            status, read = self.say("GET", f"/profiles/{token}")
            assert (status, read.get("profile")) == (200, person(number)), read
            email = {"email": person(number)["email"]}
            assert self.say("POST", "/profiles/lookup", email) == (200, {"token": token})
            assert self.say("POST", "/profiles", {"profile": person(number)})[0] == 409
            status, listed = self.say("GET", f"/profiles/{token}/sessions")
            assert (status, len(listed["sessions"])) == (200, sessions)
        status, made = self.say(
            "POST", "/profiles", {"profile": {"email": f"new{len(self.sessions)}@example.org"}}
        )
        assert status == 201, made
        self.sessions.append(made["token"])

    def states(self, line: str) -> list[str]:
        """Return the states of the versions of a line, the oldest first, by the keyring on disk."""
        return [key.state.value for key in keyring_of(self.data).of_line(line)]

    def sql(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Do something to the database, past the vault."""
        with closing(sqlite3.connect(self.data / "vault.db", isolation_level=None)) as connection:
            return connection.execute(statement, parameters).fetchall()


def person(number: int) -> dict[str, str]:
    """Return the profile of one of the people."""
    return {"email": f"person{number}@example.org", "name": f"Person {number}"}
