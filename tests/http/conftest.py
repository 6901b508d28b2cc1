import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.http.conversation import ADA, Client, Scene, create, open_session
from tests.http.tripwire import Tripwire
from vault import logs, wiring
from vault.config import Config
from vault.http.app import make_app


@pytest.fixture
async def scene(client: Client) -> Scene:
    """A person who is signed in, seen by an access key that may do everything."""
    return await sign_in(client)


@pytest.fixture
def wire() -> Tripwire:
    """The wire around the stores of ``watched``."""
    return Tripwire()


@pytest.fixture
async def watched(
    wire: Tripwire, config: Config, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """A client with the scope admin of a vault whose stores are watched."""
    monkeypatch.setattr(wiring, "open_stores", wire.open_stores)
    async with wiring.open_vault(config, None, clock=clock) as vault:
        headers = {"Authorization": f"Bearer {await wiring.first_access_key(vault)}"}
        async with TestClient(TestServer(make_app(vault)), headers=headers) as client:
            yield client


@pytest.fixture
async def watched_scene(watched: Client, wire: Tripwire) -> Scene:
    """A person who is signed in to the watched vault; what that took is forgotten."""
    scene = await sign_in(watched)
    wire.calls.clear()
    return scene


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines that the service has logged so far, in its own format."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    logs.configure("debug", "json", stream)
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        structlog.reset_defaults()
        root.handlers, root.level = handlers, level


async def sign_in(client: Client) -> Scene:
    """Keep a profile and open a session for it."""
    token = await create(client, ADA)
    session = await open_session(client, token, claims={"role": "reader"})
    return Scene(token, session["session_id"], session["handle"])
