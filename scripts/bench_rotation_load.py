"""Look-ups at a fixed rate, and how much memory a process has, while a rotation runs."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

#: Connections that take the next look-up in turn: more than are ever busy, unless the service stands still.
CONNECTIONS = 32

#: Seconds between two looks at a process's memory.
LOOK = 0.1

#: Seconds by which a time in an answer may be rounded down.
ROUNDING = 0.001

#: Seconds after which a look-up counts as failed.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class LookUp:
    """One look-up. Times in seconds: when it was due, and from then to its answer; ``late`` is how much of that
    passed before it was sent. ``slid`` tells whether it moved the session's idle window, which is a durable write."""

    due: float
    took: float
    late: float
    slid: bool
    ok: bool


class Load:
    """Looks random sessions up, ``rate`` a second whether or not the ones before are answered.

    What is slow therefore delays nothing, and is counted from the moment it was due.
    """

    def __init__(self, port: int, access_key: str, session_ids: Sequence[str], rate: float) -> None:
        self._port = port
        self._rate = rate
        self._requests = [
            f"GET /api/v1/sessions/current HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {access_key}\r\n"
            f"Session-Id: {session_id}\r\n\r\n".encode()
            for session_id in session_ids
        ]
        self._began_at = 0.0
        self._number = 0
        self.look_ups: list[LookUp] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask until the end."""
        self._began_at = time.monotonic()
        connections = [asyncio.create_task(self._connection()) for _ in range(CONNECTIONS)]
        try:
            yield
        finally:
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    def between(self, start: float, end: float) -> list[LookUp]:
        """Return those that were due in this time."""
        return [one for one in self.look_ups if start <= one.due < end]

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while True:
                due = self._began_at + self._number / self._rate
                self._number += 1
                await asyncio.sleep(due - time.monotonic())
                sent, clock = time.monotonic(), time.time()
                writer.write(random.choice(self._requests))
                try:
                    async with asyncio.timeout(PATIENCE):
                        ok, seen = await _answer(reader)
                except (OSError, EOFError, TimeoutError):
                    ok, seen = False, 0.0
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                self.look_ups.append(
                    LookUp(due, time.monotonic() - due, sent - due, seen >= clock - ROUNDING, ok)
                )
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[bool, float]:
    """Return whether the session was found, and when it was last seen (seconds since 1970)."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    body = await reader.readexactly(int(lengths[0].split(b":")[1]))
    if not head.startswith(b"HTTP/1.1 200"):
        return False, 0.0
    return True, datetime.fromisoformat(json.loads(body)["last_seen_at"]).timestamp()


@dataclass(slots=True)
class Memory:
    """Resident bytes of a process over time: pairs of a moment (seconds) and bytes. ``peak`` is the kernel's own."""

    samples: list[tuple[float, int]] = field(default_factory=list)
    peak: int = 0

    async def watch(self, pid: int) -> None:
        """Look until cancelled."""
        while True:
            self._look(pid)
            await asyncio.sleep(LOOK)

    def _look(self, pid: int) -> None:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            told = dict(line.split(":", 1) for line in status.splitlines())
            self.samples.append((time.monotonic(), _bytes(told["VmRSS"])))
            self.peak = _bytes(told["VmHWM"])
        except (OSError, KeyError):
            return  # a process that has ended has no memory

    def at(self, moment: float) -> int:
        """Return the bytes at the last look before this moment."""
        before = [held for seen, held in self.samples if seen <= moment]
        return before[-1] if before else 0

    def most(self, start: float, end: float) -> int:
        """Return the most bytes seen in this time."""
        return max((held for seen, held in self.samples if start <= seen <= end), default=0)


def _bytes(text: str) -> int:
    return int(text.split()[0]) * 1024
