"""Serves an application over aiohttp's lower level, for what its upper level has no word for.

Hazardous: it overrides methods that aiohttp keeps to itself. tests/acceptance drives the real program over it, so a
new aiohttp that has moved them is noticed. docs/decisions/0008-below-the-application.md says why, and
0015-slow-clients.md how whoever holds connections is got rid of.
"""

import asyncio
import socket
import struct
from collections import Counter
from typing import Any

import structlog
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from vault.config import Limits, Server
from vault.http.address import Network, told, within
from vault.http.app import STRAIGHT
from vault.http.envelope import Handler
from vault.http.problems import plain_problem

#: Seconds between looks at all connections: 1,000 of them take less than a millisecond.
SWEEP = 1.0

#: Seconds in which the rest of a body that nobody wants is read, so that its sender sees the answer and no reset.
#: A connection counts for that long although it may be gone.
LINGER = 2.0

_HEADERS = {"Cache-Control": "no-store", "Server": "tokenization-vault"}


class Runner(web.AppRunner):
    """Runs an application: its ``STRAIGHT`` routes past the router, and broken HTTP answered without quoting it.

    It bounds the size of a request's head, the number of connections, and how long a client may be slow.
    """

    def __init__(
        self, app: web.Application, *, server: Server = Server(), limits: Limits = Limits(), **options: Any
    ) -> None:
        super().__init__(
            app,
            keepalive_timeout=server.keep_alive,
            lingering_time=LINGER,
            max_line_size=limits.url,
            max_field_size=limits.header_field,
            max_headers=limits.header_fields,
            **options,
        )
        self._limits, self._trusted = limits, server.trusted_networks

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        handler = _straight(self.app[STRAIGHT], made.request_handler)
        return _Server(
            handler, self._limits, self._trusted, request_factory=made.request_factory, **self._kwargs
        )


class Site(web.TCPSite):
    """Listens on an address. Whoever is slow at TLS is dropped after ``handshake_timeout`` seconds, not after 60."""

    def __init__(self, *where: Any, handshake_timeout: float, **how: Any) -> None:
        super().__init__(*where, **how)
        self._handshake_timeout = handshake_timeout

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        factory = self._runner.server
        assert factory is not None  # noqa: S101  # it was made by setup, or there would be no site
        self._server = await asyncio.get_running_loop().create_server(
            factory,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=self._handshake_timeout if self._ssl_context else None,
        )


class _Server(web.Server):
    """Makes connections, counts them, and looks at each once a second: a timer each would make requests dearer."""

    def __init__(self, handler: Any, limits: Limits, trusted: tuple[Network, ...], **options: Any) -> None:
        super().__init__(handler, **options)
        self.limits, self._trusted = limits, trusted
        #: What was done to whom since the last sweep: a line a connection would let them fill the disk.
        self.sent_away: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()
        self._next_sweep: asyncio.TimerHandle | None = None

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def admits(self, connection: "_Connection", transport: asyncio.Transport) -> bool:
        """Count a new connection in, or say that there is no room for it."""
        most = self.limits.connections_per_address
        peer = (transport.get_extra_info("peername") or ("",))[0] if most else ""
        address = told(peer, (), ()) if peer else None
        counted = address is not None and not within(address, self._trusted)  # a proxy stands for many
        if len(self._connections) >= self.limits.connections or (counted and self._by_address[peer] >= most):
            self.sent_away["full"] += 1
            return False
        if counted:
            connection.peer = peer
            self._by_address[peer] += 1
        return True

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if self._next_sweep is None:
            self._next_sweep = self._loop.call_later(SWEEP, self._sweep)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        if isinstance(handler, _Connection) and handler.peer:
            self._by_address[handler.peer] -= 1
            if not self._by_address[handler.peer]:
                del self._by_address[handler.peer]

    def _sweep(self) -> None:
        self._next_sweep = self._loop.call_later(SWEEP, self._sweep) if self._connections else None
        now = self._loop.time()
        for connection, transport in list(self._connections.items()):
            if isinstance(connection, _Connection):
                connection.look(transport, now)
        for reason, count in self.sent_away.items():
            structlog.get_logger().warning("connections.sent_away", reason=reason, count=count)
        self.sent_away.clear()


class _Connection(web.RequestHandler):
    __slots__ = ("_begun", "_body", "_made", "_server", "_stuck", "peer")

    def __init__(self, server: _Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        #: The address that this counts for, or nothing.
        self.peer = ""
        #: When it was made, when the head that is arriving began, when the client stopped taking; 0: not.
        self._made = self._begun = self._stuck = 0.0
        #: That of the last request; what comes before its end is no head.
        self._body: StreamReader = EMPTY_PAYLOAD

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._server.admits(self, transport):  # type: ignore[arg-type]  # a stream's is always a Transport
            self._force_close = True  # what it sends is not even parsed
            self.transport = transport  # type: ignore[assignment]
            self._send_away(503)
            return
        self._made = self._loop.time()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and note when a head began that is not whole."""
        is_head, requests = self._body.is_eof(), self._request_count
        super().data_received(data)
        if self._request_count != requests:
            self._begun, self._body = 0.0, self._messages[-1][1]
        elif is_head and data and not self._begun:
            self._begun = self._loop.time()

    def resume_writing(self) -> None:
        self._stuck = 0.0
        super().resume_writing()

    def look(self, transport: asyncio.Transport, now: float) -> None:
        """Send the client away if it has kept us waiting for too long, at either end."""
        limits = self._server.limits
        if self._manager is None:
            return
        if self._paused or transport.is_closing():
            self._stuck = self._stuck or now
            if now - self._stuck >= limits.body_timeout:
                self._server.sent_away["slow to read"] += 1
                _reset(transport)
            return
        since = self._begun if self._request_count else self._made
        is_idle = self._waiter is not None and not self._waiter.done()
        if since and now - since >= limits.header_timeout and is_idle:
            self._server.sent_away["slow head"] += 1
            self._send_away(408 if self._begun else None)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *_: Any, **__: Any
    ) -> web.StreamResponse:
        """Answer what cannot be read as HTTP. aiohttp would repeat the line, and with it a key or an id."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        response = plain_problem(status, "-", _HEADERS)
        response.force_close()
        return response

    def _send_away(self, status: int | None) -> None:
        """Close, and say why if there is a status for it."""
        if status is not None and self.transport is not None:
            response = plain_problem(status, "-", {**_HEADERS, "Connection": "close"})
            body = response.body if isinstance(response.body, bytes) else b""
            lines = [f"HTTP/1.1 {status} {response.reason}", f"Date: {rfc822_formatted_time()}"]
            lines += [f"{name}: {value}" for name, value in response.headers.items()]
            lines += [f"Content-Length: {len(body)}", "", ""]
            self.transport.write("\r\n".join(lines).encode() + body)
        self.force_close()


def _reset(transport: asyncio.Transport) -> None:
    """Drop the connection and what was written to it: the kernel would go on offering it for minutes."""
    if (held := transport.get_extra_info("socket")) is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _straight(routes: dict[tuple[str, str], Handler], otherwise: Any) -> Any:
    """Return a handler that looks the hottest routes up by their whole path: about 3 of a look-up's 40 µs saved."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.protocol.writing_paused:
            # A prompt answer is not waited for: who asks on and reads nothing would fill the memory.
            await request.protocol._drain_helper()
        handler = routes.get((request.method, request.raw_path))
        response: web.StreamResponse = await (otherwise if handler is None else handler)(request)
        return response

    return handle
