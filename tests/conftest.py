"""A vault over real SQLite files and its HTTP face, in this process, with a clock that tests move."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.settings import UNHELD
from vault import wiring
from vault.config import Config
from vault.http.app import make_app
from vault.installation import Vault


@pytest.fixture
def clock() -> FakeClock:
    """Time."""
    return FakeClock()


@pytest.fixture
def config() -> Config:
    """Settings as they come, but for refused keys; a test module may override this fixture."""
    return UNHELD


@pytest.fixture
async def data(tmp_path: Path, config: Config) -> Path:
    """An initialised data folder."""
    folder = tmp_path / "data"
    await wiring.initialise(config, folder)
    return folder


@pytest.fixture
async def vault(config: Config, data: Path, clock: FakeClock) -> AsyncIterator[Vault]:
    """An open vault."""
    async with wiring.open_vault(config, data, clock=clock) as opened:
        yield opened


@pytest.fixture
async def key_for(vault: Vault) -> Callable[..., Awaitable[str]]:
    """Make an access key with these scopes."""

    async def make(*scopes: str, **options: Any) -> str:
        text, _ = await vault.access.create("test", set(scopes), **options)
        return text

    return make


@pytest.fixture
async def anonymous(vault: Vault) -> AsyncIterator[TestClient[Any, Any]]:
    """A client without an access key."""
    async with TestClient(TestServer(make_app(vault))) as client:
        yield client


@pytest.fixture
async def client(vault: Vault, key_for: Callable[..., Awaitable[str]]) -> AsyncIterator[TestClient[Any, Any]]:
    """A client whose access key has the scope admin."""
    headers = {"Authorization": f"Bearer {await key_for('admin')}"}
    async with TestClient(TestServer(make_app(vault)), headers=headers) as client:
        yield client
