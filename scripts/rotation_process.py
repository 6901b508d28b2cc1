"""The real processes around a rotation: the service, and ``keys rotate`` beside it. Each is ended by its own id."""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]

#: Seconds for a process to start or to end, and for a rotation; none of it takes a tenth of that.
PATIENCE = 60.0

_Process = asyncio.subprocess.Process


class Service:
    """``tokenvault serve`` on a free port of 127.0.0.1; it may be killed and started again.

    ``life`` counts the kills; ``up`` is set while it listens. What it says on standard error is in ``log``.
    """

    def __init__(self, data: Path, log: Path) -> None:
        self.data = data
        self.log = log
        self.url = ""
        self.port = 0
        self.access_key = ""
        self.life = 0
        self.up = asyncio.Event()
        self._process: _Process | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None  # noqa: S101 - it was started
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, and return when it listens. Raises ``ClickException`` with its last words if it ends instead."""
        with self.log.open("a") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "vault", "serve", "--data", str(self.data), "--port", "0", cwd=ROOT,
                env={**os.environ, "VAULT_LOG__REQUESTS": "false"}, stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self._process.stdout  # noqa: S101 - it was started with a pipe
        try:
            async with asyncio.timeout(PATIENCE):
                async for line in self._process.stdout:
                    said = line.decode()
                    if "tvk_" in said:
                        self.access_key = said.split()[-1]
                    if said.startswith("listening on "):
                        self.url = said.split()[-1]
                        self.port = int(self.url.rsplit(":", 1)[1])
                        self.up.set()
                        return
        except TimeoutError:
            raise click.ClickException("The service does not start.") from None
        code = await self._process.wait()
        last = self.log.read_text(errors="replace").splitlines()[-1:]
        raise click.ClickException(f"The service ended with {code} at its start: {' '.join(last)}")

    async def kill(self) -> None:
        """Kill it where it stands."""
        self.life += 1  # before the signal: a request that fails from here on may
        self.up.clear()
        await self._end(_Process.kill)

    async def stop(self) -> None:
        """Ask it to end, as an operator does."""
        self.up.clear()
        await self._end(_Process.terminate)

    async def _end(self, signal: Callable[[_Process], None]) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            signal(process)
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def serving(data: Path, log: Path) -> AsyncIterator[Service]:
    """Start the service, and kill what is left of it at the end."""
    service = Service(data, log)
    try:
        await service.start()
        yield service
    finally:
        await service.kill()


@dataclass(slots=True)
class Run:
    """One run of a command. ``steps`` are the lines it told, each with the seconds since ``began_at``.

    ``code`` is negative for a run that was killed. ``told`` is what it printed as JSON.
    """

    began_at: float = field(default_factory=time.monotonic)
    steps: list[tuple[float, str]] = field(default_factory=list)
    seconds: float = 0.0
    code: int = 0
    told: Any = None

    @property
    def last_step(self) -> str:
        """Where it was last seen, without the numbers that differ from run to run."""
        loaded, seen = "", "starting"
        for _, line in self.steps:
            if re.search(r"(has|have) loaded", line):
                loaded = ", and loaded"
            elif line.startswith("- "):
                seen, loaded = line[2:], ""
        seen = re.sub(r"( of line \w+|: fingerprint.*|  \(undo.*)", "", seen)
        return re.sub(r"\d+", "N", seen) + loaded

    @property
    def complaint(self) -> str:
        """The last line it told, without numbers."""
        return re.sub(r"\d+", "N", self.steps[-1][1]) if self.steps else "nothing"


Watch = Callable[[int], Awaitable[None]]


async def keys(
    data: Path,
    *arguments: str,
    kill_at: float | None = None,
    patience: float = PATIENCE,
    watch: Watch | None = None,
) -> Run:
    """Run ``tokenvault keys ... --json`` as a process; ``kill_at`` is in seconds after its start.

    ``watch`` runs beside it with its process id, and is cancelled at its end. A run that takes longer than
    ``patience`` raises ``ClickException``.
    """
    run = Run()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vault", "keys", *arguments, "--json", "--data", str(data), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    assert process.stdout  # noqa: S101 - it was started with pipes
    assert process.stderr  # noqa: S101
    watcher = asyncio.create_task(_watched(watch, process.pid))
    steps = asyncio.create_task(_steps(process.stderr, run))
    output = asyncio.create_task(process.stdout.read())
    try:
        if kill_at is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), max(0.0, run.began_at + kill_at - time.monotonic()))
            if process.returncode is None:
                process.kill()
        await asyncio.wait_for(process.wait(), patience)
        await steps
        text = await output
    except TimeoutError:
        raise click.ClickException(f"keys {' '.join(arguments)} hangs after: {run.complaint}") from None
    finally:
        watcher.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.gather(watcher, steps, output, return_exceptions=True)
    run.seconds = time.monotonic() - run.began_at
    run.code = process.returncode or 0
    if text and run.code >= 0:
        run.told = json.loads(text)
    return run


async def _watched(watch: Watch | None, pid: int) -> None:
    if watch is not None:
        await watch(pid)


async def _steps(stream: asyncio.StreamReader, run: Run) -> None:
    async for line in stream:
        run.steps.append((time.monotonic() - run.began_at, line.decode().rstrip()))
