"""Which routes are measured, against what, and the requests for each."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from bench_load import Source, Target
from bench_people import MARK, batches, bodies, marks, person
from bench_report import Goal

ROUTES = ("look-up", "read", "create", "batch")

BATCH_PROFILES = 100

#: More connections than this only make batches wait for each other.
BATCH_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Contrast:
    """A route and what it is measured against."""

    route: str
    base: str
    goal: Goal
    targets: tuple[Target, Target]
    connections: int
    records: int = 1
    is_read: bool = False


def contrasts(hello: Mapping[str, Any], connections: int) -> list[Contrast]:
    """Return all routes, for the ports, access key, tokens and session ids that the server has told."""
    ports, numbers = hello["ports"], marks()
    key = f"Authorization: Bearer {hello['access_key']}\r\n"

    def get(port: str, requests: Sequence[tuple[str, str]]) -> Target:
        made = [
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{key}{more}\r\n".encode() for path, more in requests
        ]
        random.shuffle(made)
        return Target(ports[port], cycle(made).__next__)

    def post(port: str, path: str, body: Callable[[], bytes]) -> Target:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Type: application/json\r\n".encode()
        return Target(ports[port], _posts(head, body))

    headers = [f"Session-Id: {session_id}\r\n" for session_id in hello["session_ids"]]
    one = bodies({"profile": person(MARK)}, numbers)
    many = batches(BATCH_PROFILES, numbers)
    create, batch = "/api/v1/profiles", "/api/v1/profiles/batch"
    return [
        Contrast(
            "look-up", "bare GET", Goal(ratio=0.6),
            (get("bare", [("/bare", header) for header in headers]),
             get("vault", [("/api/v1/sessions/current", header) for header in headers])),
            connections, is_read=True,
        ),
        Contrast(
            "read", "bare GET", Goal(ratio=0.45),
            (get("bare", [("/bare", "")]),
             get("vault", [(f"/api/v1/profiles/{token}", "") for token in hello["tokens"]])),
            connections, is_read=True,
        ),
        Contrast(
            "create", "create, no write", Goal(ratio=0.4),
            (post("unwritten", create, one), post("vault", create, one)), connections,
        ),
        Contrast(
            "batch", "batch, no write", Goal(records=10_000),
            (post("unwritten", batch, many), post("vault", batch, many)),
            min(connections, BATCH_CONNECTIONS), BATCH_PROFILES,
        ),
    ]  # fmt: skip


def _posts(head: bytes, body: Callable[[], bytes]) -> Source:
    def request() -> bytes:
        content = body()
        return b"%sContent-Length: %d\r\n\r\n%s" % (head, len(content), content)

    return request
