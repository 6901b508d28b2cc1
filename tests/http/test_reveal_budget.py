"""The reveal budget of an access key: counted in the database, so over processes and restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.http.conversation import ADA, Client, answer, create, problem
from tests.rotating import process
from vault import wiring
from vault.config import Config
from vault.http.app import make_app
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.ports import Wanted
from vault.records import Rails

HOURLY = 3


@asynccontextmanager
async def served(vault: Vault, key: str) -> AsyncIterator[Client]:
    """Serve a vault to the holder of this key."""
    headers = {"Authorization": f"Bearer {key}"}
    async with TestClient(TestServer(make_app(vault)), headers=headers) as client:
        yield client


@pytest.fixture
async def limited(vault: Vault) -> str:
    """An access key that may open three profiles an hour and five a day."""
    rails = Rails(reveals_per_hour=HOURLY, reveals_per_day=5)
    text, _ = await vault.access.create("support", {"profiles:read", "profiles:lookup"}, rails=rails)
    return text


def key_id(key: str) -> str:
    """Return the public part of an access key."""
    return key.split("_")[1]


async def reveal(client: Client, token: str, path: str = "") -> Any:
    """Ask for a profile."""
    return await client.get(f"{PREFIX}/profiles/{token}{path}")


async def actions(vault: Vault, key: str) -> list[tuple[str, str]]:
    """Return what the trail tells of an access key."""
    return [(one.action, one.outcome) for one in await vault.audit.events(Wanted(actor=key_id(key)), 0, 99)]


async def test_beyond_the_budget_nothing_is_opened(
    client: Client, vault: Vault, limited: str, clock: FakeClock
) -> None:
    """429 with the seconds to wait, after which one may be opened again; whole, in part or exported is one opening."""
    token = await create(client, ADA)
    async with served(vault, limited) as ours:
        for path in ("", "?fields=email", "/export"):
            await answer(await reveal(ours, token, path))
            clock.advance(60)
        for path in ("", "/export"):
            response = await reveal(ours, token, path)
            assert response.headers["Retry-After"] == "3420"
            await problem(response, 429, "budget_spent")
        clock.advance(3419)
        response = await reveal(ours, token)
        assert response.headers["Retry-After"] == "1"
        clock.advance(1)
        await answer(await reveal(ours, token))
        assert (await reveal(ours, token)).status == 429


async def test_the_day_has_a_bound_of_its_own(
    client: Client, vault: Vault, limited: str, clock: FakeClock
) -> None:
    """Five a day, however the hours are spent; a day after the first there is one more."""
    token = await create(client, ADA)
    async with served(vault, limited) as ours:
        for _ in range(5):
            await answer(await reveal(ours, token))
            clock.advance(1800)
        clock.advance(3600)
        response = await reveal(ours, token)
        await problem(response, 429, "budget_spent")
        assert response.headers["Retry-After"] == str(86_400 - 5 * 1800 - 3600)
        clock.advance(86_400 - 5 * 1800 - 3600)
        await answer(await reveal(ours, token))


async def test_what_opens_nothing_costs_nothing(client: Client, vault: Vault, limited: str) -> None:
    """Look-ups, profiles that there are not, and other people's keys."""
    token = await create(client, ADA)
    async with served(vault, limited) as ours:
        for _ in range(HOURLY + 1):
            assert (await reveal(ours, "0" * 36)).status == 404
            assert (await ours.post(f"{PREFIX}/profiles/lookup", json={"email": ADA["email"]})).status == 200
            assert (await reveal(client, token)).status == 200
        for _ in range(HOURLY):
            assert (await reveal(ours, token)).status == 200


async def test_a_refusal_is_told_once_a_minute_and_counted_each_time(
    client: Client, vault: Vault, limited: str, clock: FakeClock
) -> None:
    """The trail is not for thieves to fill; the metric tells how often."""
    token = await create(client, ADA)
    async with served(vault, limited) as ours:
        for _ in range(HOURLY):
            await answer(await reveal(ours, token))
        for wait in (0, 0, 59.999, 0.001, 0):
            clock.advance(wait)
            assert (await reveal(ours, token)).status == 429
        metrics = await (await ours.get("/metrics")).text()
    assert (
        await actions(vault, limited)
        == [("profile.revealed", "ok")] * HOURLY + [("access.refused", "budget_spent")] * 2
    )
    assert f'vault_refusals_total{{code="budget_spent",key_id="{key_id(limited)}"}} 5.0' in metrics


async def test_a_restart_gives_nobody_more(data: Path, clock: FakeClock, config: Config) -> None:
    """What was opened is in the database, as are the events."""
    async with wiring.open_vault(config, data, clock=clock) as vault:
        token = (await vault.profiles.create(ADA)).token
        key, _ = await vault.access.create("support", {"profiles:read"}, rails=Rails(reveals_per_hour=HOURLY))
        async with served(vault, key) as ours:
            for _ in range(HOURLY):
                await answer(await reveal(ours, token))
    async with wiring.open_vault(config, data, clock=clock) as vault, served(vault, key) as ours:
        await problem(await reveal(ours, token), 429, "budget_spent")


async def test_two_processes_count_together(data: Path, clock: FakeClock) -> None:
    """Of many requests at once at both, as many come through as the key may, and no more."""
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(process(data, clock)) for _ in range(2)]
        token = (await one.vault.profiles.create(ADA)).token
        key, _ = await one.vault.access.create("support", {"profiles:read"}, rails=Rails(reveals_per_hour=7))
        clients = [await stack.enter_async_context(served(each.vault, key)) for each in (one, two)]

        answers = await asyncio.gather(*(reveal(clients[n % 2], token) for n in range(20)))

        assert sorted(response.status for response in answers) == [200] * 7 + [429] * 13
        told = await actions(one.vault, key)
    assert told.count(("profile.revealed", "ok")) == 7
    assert told.count(("access.refused", "budget_spent")) == 2  # one a process
