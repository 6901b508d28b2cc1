"""What a person at a terminal does: run a command of the program, make a call, look into a folder."""

import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.program import PATIENCE, Program

Folder = dict[str, tuple[int, bytes]]


def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "vault", *map(str, arguments)],
        capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **environment},
    )  # fmt: skip


@contextmanager
def running(*arguments: object, **environment: str) -> Iterator[tuple[str, str]]:
    """Run a command that serves; give its URL and what it had printed by then. It must end with 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "vault", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **environment},
    ) as process:  # fmt: skip
        try:
            printed = ""
            while "listening on " not in printed:
                line = process.stdout.readline()
                assert line, printed
                printed += line
            yield printed.split()[-1], printed
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def call(
    url: str, method: str, path: str, key: str = "", body: Any = None, tls: ssl.SSLContext | None = None
) -> tuple[int, Any]:
    """Make one call on a connection of its own; return status and JSON."""
    address = urlsplit(url).netloc
    connection = (
        http.client.HTTPSConnection(address, timeout=PATIENCE, context=tls)
        if url.startswith("https:")
        else http.client.HTTPConnection(address, timeout=PATIENCE)
    )
    with closing(connection):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        with connection.getresponse() as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None


def knock(program: Program, key: str) -> int:
    """Return the status of a call with this access key."""
    return call(program.url, "GET", f"/api/v1/profiles/{'0' * 8}-0000-4000-8000-{'0' * 12}", key)[0]


def everything_in(folder: Path) -> Folder:
    """Return mode and bytes of every file of a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }
