"""The frame of Databunker's wire: who is let in, and what any wrong request is answered."""

import pytest

from tests.databunker.conftest import Bunker
from vault.installation import Vault
from vault.ports import Wanted


async def test_a_user_comes_in_and_out(bunker: Bunker) -> None:
    """What was stored comes back whole."""
    made = await bunker.ok("UserCreate", profile={"email": "ada@example.org", "name": "Ada"})
    found = await bunker.ok("UserGet", mode="email", identity="ADA@example.org")
    assert found == {
        "token": made["token"],
        "profile": {"email": "ada@example.org", "name": "Ada"},
        "version": 1,
    }


@pytest.mark.parametrize("path", ["/v2/Nope", "/v2/FileCreate"])
async def test_an_unknown_method(bunker: Bunker, path: str) -> None:
    """It is a 404 in JSON."""
    async with bunker.http.post(path, headers={"X-Bunker-Token": bunker.token}) as response:
        assert (response.status, await response.json()) == (
            404,
            {"status": "error", "message": "The API request was not found"},
        )


async def test_a_denied_call_is_in_the_trail(bunker: Bunker, memory: Vault) -> None:
    """Once a minute for each token; the metric counts all of them under one label."""
    await bunker.ok("RoleCreate", rolename="nobody")
    clerk = bunker.by((await bunker.ok("XTokenCreateForRole", rolename="nobody"))["xtoken"])
    for method in ("UserGet", "UserGet", "TenantListTenants"):
        await clerk.refused(403, "API access denied", method)
    [event] = await memory.audit.events(Wanted(action="access.refused"), 0, 10)
    assert event.outcome == "denied"
    assert event.actor.startswith("xtoken-")
    async with bunker.http.get("/metrics") as response:
        told = [
            line
            for line in (await response.text()).splitlines()
            if "refusals_total" in line and "denied" in line
        ]
    assert told == ['vault_refusals_total{code="denied",key_id="xtoken"} 3.0']


async def test_an_exception_inside(bunker: Bunker, memory: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a 500 in the wire's words, which say nothing of it."""
    monkeypatch.setattr(memory.profiles, "get", None)
    await bunker.ok("UserCreate", profile={"login": "ada"})
    await bunker.refused(500, "Internal error", "UserGet", mode="login", identity="ada")
