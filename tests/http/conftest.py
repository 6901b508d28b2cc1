import asyncio
import io
import json
import logging
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.http.conversation import Client, Scene, sign_in
from tests.http.tripwire import Tripwire
from vault import logs, opened, wiring
from vault.config import Config
from vault.http.app import make_app
from vault.installation import Vault


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that is made once and copied for each test: making one waits for the disk many times."""
    folder = tmp_path_factory.mktemp("initialised") / "data"
    asyncio.run(wiring.initialise(Config(), folder))
    return folder


@pytest.fixture
def data(initialised: Path, tmp_path: Path) -> Path:
    """An initialised data folder of the test's own."""
    return shutil.copytree(initialised, tmp_path / "data")


@pytest.fixture
async def scene(client: Client) -> Scene:
    """A person who is signed in, seen by an access key that may do everything."""
    return await sign_in(client)


@pytest.fixture
def wire() -> Tripwire:
    """The wire around the stores of ``watched``."""
    return Tripwire()


@pytest.fixture
async def watched_vault(
    wire: Tripwire, config: Config, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Vault]:
    """A vault whose stores are watched."""
    monkeypatch.setattr(opened, "open_stores", wire.open_stores)
    async with wiring.open_vault(config, None, clock=clock) as vault:
        yield vault


@pytest.fixture
async def watched(watched_vault: Vault) -> AsyncIterator[Client]:
    """A client with the scope admin of the watched vault."""
    headers = {"Authorization": f"Bearer {await wiring.first_access_key(watched_vault)}"}
    async with TestClient(TestServer(make_app(watched_vault)), headers=headers) as client:
        yield client


@pytest.fixture
async def watched_scene(watched: Client, wire: Tripwire) -> Scene:
    """A person who is signed in to the watched vault; what that took is forgotten."""
    scene = await sign_in(watched)
    wire.calls.clear()
    return scene


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines that a service which is made after this has logged so far, in its own format."""
    stream, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    logs.configure("debug", "json", stream)
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        structlog.reset_defaults()
        root.handlers, root.level = handlers, level
