"""The process of the server under test, as its parent sees it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

#: Seconds for the server to start, to answer, and to end.
PATIENCE = 30.0

#: More seconds for it to start, for each profile and session that it makes.
FILL_PATIENCE = 0.01


class Server:
    """The server under test, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def line(self, patience: float) -> Any:
        """Return what it says next."""
        assert self._process.stdout  # noqa: S101 - it was started with a pipe
        said = await asyncio.wait_for(self._process.stdout.readline(), patience)
        if not said:
            last = self._log.read_text(errors="replace")[-2000:]
            raise click.ClickException(f"the server under test ended:\n{last}")
        return json.loads(said)

    async def cpu(self) -> float:
        """Return its processor seconds so far."""
        assert self._process.stdin  # noqa: S101 - it was started with a pipe
        self._process.stdin.write(b"\n")
        return float(await self.line(PATIENCE))


@asynccontextmanager
async def started(folder: Path, sessions: int) -> AsyncIterator[tuple[Server, Mapping[str, Any]]]:
    """Start the server; yield it with what it said of itself. Its log lines go to a file in the folder."""
    script = str(Path(__file__).with_name("bench_server.py"))
    log = folder / "log.jsonl"
    with log.open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, script, str(folder / "data"), str(sessions),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, limit=2**30,
        )  # fmt: skip
    try:
        server = Server(process, log)
        yield server, await server.line(PATIENCE + FILL_PATIENCE * sessions)
    finally:
        assert process.stdin  # noqa: S101 - it was started with a pipe
        process.stdin.close()  # asks it to end
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
