"""The load: keep-alive connections that ask again as soon as they are answered.

A small protocol of our own, because the bodies of creates must differ and because a full HTTP client costs
more than the server under test. It sends prepared bytes and reads no more of an answer than its status and
its Content-Length.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

#: Seconds after which a round that is over must have its last answers.
PATIENCE = 30.0

T = TypeVar("T")
Source = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """A port of 127.0.0.1, and where the next request for it comes from."""

    port: int
    source: Source


@dataclass(frozen=True, slots=True)
class Sample:
    """One round. Times in seconds; ``server_cpu`` and ``own_cpu`` are processor time.

    ``failures`` tells how often each status that is not 2xx came.
    """

    requests: int
    failures: Mapping[str, int]
    elapsed: float
    server_cpu: float
    own_cpu: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.elapsed

    @property
    def cpu(self) -> float:
        """Seconds of the server's processor time for one request."""
        return self.server_cpu / self.requests


class _Round:
    """What the connections of one round share."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.going = False
        self.busy = 0
        self.failures = Counter[str]()
        self.latencies: list[float] = []
        self.broken: Exception | None = None
        self._idle = asyncio.Event()

    def rest(self) -> None:
        """Note that one connection has stopped."""
        self.busy -= 1
        if self.busy == 0:
            self._idle.set()

    async def run(self, connections: "list[_Connection]", seconds: float) -> None:
        """Ask on all connections until the time is up, and wait for the last answers."""
        self._idle.clear()
        self.latencies, self.busy = [], len(connections)
        self.going = seconds > 0
        for connection in connections:
            connection.ask()
        await asyncio.sleep(seconds)
        self.going = False
        await asyncio.wait_for(self._idle.wait(), PATIENCE)
        if self.broken:
            raise self.broken


class _Connection(asyncio.Protocol):
    """One connection: one question at a time."""

    def __init__(self, shared: _Round) -> None:
        self._round = shared
        self._transport: asyncio.Transport
        self._asked = 0.0
        self._asking = False
        self._partial = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not instances of it

    def connection_lost(self, error: Exception | None) -> None:
        if self._asking:
            self._round.broken = error or ConnectionError("the server closed a connection")
            self._round.rest()

    def ask(self) -> None:
        """Send the next request."""
        request = self._round.source()
        self._asking = True
        self._asked = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._partial:
            data = self._partial + data
        end = data.find(b"\r\n\r\n")
        start = data.find(b"Content-Length: ", 0, end) + 16
        length = int(data[start : data.find(b"\r\n", start)]) if start > 15 and end > 0 else 0
        if end < 0 or len(data) < end + 4 + length:
            self._partial = data
            return
        self._partial = b""
        self._asking = False
        shared = self._round
        shared.latencies.append(time.perf_counter() - self._asked)
        if data[9:10] != b"2":
            shared.failures[data[9:12].decode()] += 1
        if shared.going:
            self.ask()
        else:
            shared.rest()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()


async def measure(
    target: Target, connections: int, seconds: float, server_cpu: Callable[[], Awaitable[float]]
) -> Sample:
    """Load one target for a round. ``server_cpu`` tells the server's processor seconds so far."""
    loop = asyncio.get_running_loop()
    shared = _Round(target.source)
    opened = []
    try:
        for _ in range(connections):
            _, connection = await loop.create_connection(
                lambda: _Connection(shared), "127.0.0.1", target.port
            )
            opened.append(connection)
        await shared.run(opened, 0)  # one question each, so that accepting them is not counted
        server_before, own_before = await server_cpu(), time.process_time()
        started = time.perf_counter()
        await shared.run(opened, seconds)
        elapsed = time.perf_counter() - started
        own = time.process_time() - own_before
        server = await server_cpu() - server_before
    finally:
        for connection in opened:
            connection.close()
    latencies = sorted(shared.latencies)
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    return Sample(len(latencies), shared.failures, elapsed, server, own, p50, p99)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on uvloop, where it installs."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
