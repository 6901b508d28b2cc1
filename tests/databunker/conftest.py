from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from vault import wiring
from vault.config import Config
from vault.http.app import make_app
from vault.installation import Vault

Json = dict[str, Any]


class Bunker:
    """Talks Databunker's wire: ``await bunker("UserGet", mode="email", identity="…")`` returns status and answer."""

    def __init__(self, http: TestClient[Any, Any], token: str, tenant: str | None = None) -> None:
        self.http = http
        self.token = token
        self.tenant = tenant

    def by(self, token: str, tenant: str | None = None) -> "Bunker":
        """Return the same wire with another token."""
        return Bunker(self.http, token, tenant)

    async def __call__(self, method: str, /, **said: Any) -> tuple[int, Json]:
        """Call a method."""
        headers = {"X-Bunker-Token": self.token} | ({"X-Bunker-Tenant": self.tenant} if self.tenant else {})
        async with self.http.post(f"/v2/{method}", json=said, headers=headers) as response:
            answer: Json = await response.json()
            assert answer["status"] == ("ok" if response.status == 200 else "error"), (
                response.status,
                answer,
            )
            return response.status, answer

    async def ok(self, method: str, /, **said: Any) -> Json:
        """Call a method that goes well; return what it says beside ``status``."""
        status, answer = await self(method, **said)
        assert status == 200, answer
        del answer["status"]
        return answer

    async def refused(self, status: int, message: str, method: str, /, **said: Any) -> None:
        """Call a method that is refused so."""
        assert await self(method, **said) == (status, {"status": "error", "message": message})


@pytest.fixture
async def memory(config: Config, clock: FakeClock) -> AsyncIterator[Vault]:
    """A vault in memory."""
    settings = replace(config, storage=replace(config.storage, url="memory:"))
    async with wiring.open_vault(settings, None, clock=clock) as vault:
        yield vault


@pytest.fixture
async def bunker(memory: Vault) -> AsyncIterator[Bunker]:
    """The wire of a vault in memory, with a root token."""
    async with TestClient(TestServer(make_app(memory))) as http:
        yield Bunker(http, await wiring.first_access_key(memory))


@pytest.fixture
def serving(config: Config, clock: FakeClock) -> Callable[..., AbstractAsyncContextManager[Bunker]]:
    """Open the wire of a vault in memory, with these settings of the table ``databunker``."""

    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[Bunker]:
        settings = replace(
            config,
            storage=replace(config.storage, url="memory:"),
            databunker=replace(config.databunker, **changes),
        )
        async with (
            wiring.open_vault(settings, None, clock=clock) as vault,
            TestClient(TestServer(make_app(vault))) as http,
        ):
            yield Bunker(http, await wiring.first_access_key(vault))

    return opened


@pytest.fixture
async def kept(vault: Vault) -> AsyncIterator[Bunker]:
    """The wire of a vault in SQLite files, with a root token."""
    async with TestClient(TestServer(make_app(vault))) as http:
        yield Bunker(http, await wiring.first_access_key(vault))


@pytest.fixture
def person(bunker: Bunker) -> Callable[..., Awaitable[str]]:
    """Keep a profile with these fields; return its token."""

    async def create(**profile: Any) -> str:
        return str((await bunker.ok("UserCreate", profile=profile))["token"])

    return create
