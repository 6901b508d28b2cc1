"""Clients that are slow, many, or large: the real program bounds what each may hold, and goes on serving the others."""

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.terminal import call
from tests.program import PATIENCE, Program

#: A second for heads and bodies, two for an idle connection, six connections of which four may be of one address.
SETTINGS = {
    "VAULT_LIMITS__HEADER_TIMEOUT": "1",
    "VAULT_LIMITS__BODY_TIMEOUT": "1",
    "VAULT_LIMITS__CONNECTIONS": "6",
    "VAULT_LIMITS__CONNECTIONS_PER_ADDRESS": "4",
    "VAULT_LIMITS__URL": "1000",
    "VAULT_LIMITS__HEADER_FIELD": "1000",
    "VAULT_LIMITS__HEADER_FIELDS": "20",
    "VAULT_SERVER__KEEP_ALIVE": "3",
    "VAULT_SERVER__TRUSTED_PROXIES": "127.0.0.3, 10.0.0.0/8",
}
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: vault\r\n\r\n"
BODY_TO_COME = (
    b"POST /api/v1/profiles HTTP/1.1\r\nHost: vault\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer KEY\r\nContent-Length: 99\r\n\r\n"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, with little patience."""
    home: Path = tmp_path_factory.mktemp("slow")
    with Program(home / "data", home, environment=SETTINGS) as running:
        yield running
        assert running.stop() == 0


def connect(program: Program, source: str = "127.0.0.1") -> socket.socket:
    """Connect from an address of this machine."""
    url = urlsplit(program.url)
    return socket.create_connection((url.hostname, url.port), PATIENCE, (source, 0))


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the end, which may be a reset."""
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def let_in(program: Program, source: str) -> socket.socket:
    """Return a kept connection on which a request was served, as soon as those before have left."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection = connect(program, source)
        with suppress(OSError):  # it may be closed already
            connection.sendall(HEALTH)
            if connection.recv(65536).startswith(b"HTTP/1.1 200 "):
                return connection
        connection.close()
    raise AssertionError("nobody left")


def problem(answer: bytes) -> dict[str, object]:
    """Return the problem that an answer ends with, which also says that the connection does."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"\r\nConnection: close" in head
    assert b"aiohttp" not in head
    told = json.loads(body)
    assert isinstance(told, dict)
    return told


def served(program: Program, source: str = "127.0.0.1") -> bytes:
    """Return the answer to a request for health."""
    with connect(program, source) as connection:
        with suppress(OSError):  # it may be closed already
            connection.sendall(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return rest(connection)


def in_time(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold; each try takes its millisecond."""
    deadline = time.monotonic() + PATIENCE
    while not (done := holds()) and time.monotonic() < deadline:
        pass
    return done


def sent_away(program: Program, reason: str) -> bool:
    """Whether the log has a line about clients that were sent away for this reason."""
    lines = [json.loads(line) for line in program.errors.read_text().splitlines()]
    return any(line["event"] == "connections.sent_away" and line["reason"] == reason for line in lines)


def test_who_is_slow_with_a_head_is_sent_away(program: Program) -> None:
    """Half a head is answered 408, nothing at all with nothing; on a new connection and on a kept one.

    The seconds are for the whole head: a line now and then (slowloris) buys no more of them.
    """
    with ExitStack() as stack:
        silent, half, kept, dropping = (
            stack.enter_context(connect(program, f"127.0.0.{4 + n}")) for n in range(4)
        )
        kept.sendall(HEALTH)
        assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
        started, drops = time.monotonic(), 0
        half.sendall(b"GET /healthz HTTP/1.1\r\nHost: va")
        dropping.sendall(b"GET /healthz HTTP/1.1\r\n")
        kept.sendall(b"G")
        while not select.select([dropping], [], [], 0.2)[0]:
            dropping.sendall(b"X-Drop: 1\r\n")
            drops += 1
            assert drops < 5 * PATIENCE
        assert drops >= 4
        assert rest(silent) == b""
        for connection in (half, kept, dropping):
            told = problem(rest(connection))
            assert (told["status"], told["code"]) == (408, "request_timeout")
        assert 0.9 < time.monotonic() - started < PATIENCE / 2
    assert in_time(lambda: sent_away(program, "slow head"))


def test_who_is_slow_with_a_body_is_answered_408(program: Program) -> None:
    """In the usual envelope, and the connection ends, though the body goes on coming in drops."""
    with connect(program) as connection:
        connection.sendall(BODY_TO_COME.replace(b"KEY", program.access_key.encode()) + b'{"profile": ')
        while not select.select([connection], [], [], 0.2)[0]:
            connection.sendall(b" ")
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nX-Request-Id: " in head
        assert problem(head)["code"] == "request_timeout"


def test_who_is_idle_between_requests_is_left_alone(program: Program) -> None:
    """A kept connection outlives the seconds for a head, serves once more, and ends with its own time.

    Though the head before came in two pieces: once it was whole, it counts no longer.
    """
    with let_in(program, "127.0.0.4") as forgotten, let_in(program, "127.0.0.5") as connection:
        connection.sendall(HEALTH[:9])
        assert not select.select([connection], [], [], 0.1)[0]
        connection.sendall(HEALTH[9:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        both = [forgotten, connection]
        assert not select.select(both, [], [], 2.2)[0]  # more than a head may take and a sweep
        connection.sendall(HEALTH)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert rest(forgotten) == b""


def test_who_never_reads_is_cut_off(program: Program) -> None:
    """Megabytes asked for and not taken hold neither a handler nor memory for longer than a body may take."""
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = urlsplit(program.url)
        connection.connect((url.hostname, url.port))
        ask = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: vault\r\n\r\n"
        connection.sendall(ask * 20)
        watch = select.poll()
        watch.register(connection, select.POLLHUP | select.POLLERR)
        assert watch.poll(PATIENCE * 1000)
    assert in_time(lambda: sent_away(program, "slow to read"))


def test_beyond_the_most_connections_is_answered_503(program: Program) -> None:
    """The one too many is told to come back and closed; as soon as one leaves, there is room for another."""
    with ExitStack() as stack:
        for number in range(6):
            one = stack.enter_context(let_in(program, f"127.0.0.{4 + number % 2}"))
        answer = served(program)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert problem(answer)["code"] == "service_unavailable"
        one.close()
        assert in_time(lambda: served(program).startswith(b"HTTP/1.1 200 "))
    assert in_time(lambda: sent_away(program, "full"))


def test_one_address_has_a_share_of_the_connections(program: Program) -> None:
    """Its fifth is refused while another address is served; a trusted proxy, which stands for many, is not counted."""
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(let_in(program, "127.0.0.1"))
        assert served(program).startswith(b"HTTP/1.1 503 ")
        assert served(program, "127.0.0.2").startswith(b"HTTP/1.1 200 ")
    assert in_time(lambda: served(program).startswith(b"HTTP/1.1 200 "))
    with ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(let_in(program, "127.0.0.3"))


SIZES = {
    "a URL as long as may be": (b"/healthz?" + b"a" * 990, b"", 200),
    "a URL that is longer": (b"/healthz?" + b"a" * 992, b"", 400),
    "a field as large as may be": (b"/healthz", b"X-Secret: " + b"a" * 990 + b"\r\n", 200),
    "a field that is larger": (b"/healthz", b"X-Secret: " + b"a" * 1100 + b"\r\n", 400),
    "as many fields as may be": (b"/healthz", b"X-Secret: a\r\n" * 18, 200),
    "one field more": (b"/healthz", b"X-Secret: a\r\n" * 20, 400),
}


@pytest.mark.parametrize(("path", "fields", "status"), SIZES.values(), ids=SIZES)
def test_the_head_of_a_request_is_bounded(program: Program, path: bytes, fields: bytes, status: int) -> None:
    """What is within the settings is served, what is beyond is refused and not repeated."""

    def ask() -> bytes:
        with connect(program) as connection:
            connection.sendall(
                b"GET %s HTTP/1.1\r\nHost: vault\r\n%sConnection: close\r\n\r\n" % (path, fields)
            )
            return rest(connection)

    assert in_time(lambda: not ask().startswith(b"HTTP/1.1 503 "))
    answer = ask()
    assert answer.split()[1] == b"%d" % status
    assert b"aaaa" not in answer
    assert b"X-Secret" not in answer


def test_others_are_served_meanwhile(program: Program) -> None:
    """While slow clients hold what they may, a request that comes whole is answered at once."""
    with ExitStack() as stack:
        for source in ("127.0.0.4", "127.0.0.5"):
            slow = stack.enter_context(connect(program, source))
            slow.sendall(b"GET /")
        started = time.monotonic()
        assert call(program.url, "GET", "/healthz")[0] == 200
        assert time.monotonic() - started < 0.9
