"""The frame of Databunker's wire: who is let in, and what any wrong request is answered."""

import pytest

from tests.databunker.conftest import Bunker


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
