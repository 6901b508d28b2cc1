"""What an export tells beside profile and sessions: all that Databunker's clients keep about a person."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.clock import FakeClock
from tests.http.conversation import ADA, Client, answer, create
from tests.http.openapi import FORMATS
from vault.http.native import schemas
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.records import Rails

PROFILES = f"{PREFIX}/profiles"
Keys = Callable[..., Awaitable[str]]


@pytest.fixture
async def ada(client: Client, vault: Vault, clock: FakeClock) -> str:
    """A person of whom much is kept."""
    token = await create(client, ADA)
    clock.advance(60)
    await vault.profiles.change(token, lambda content: {**content, "last_name": "Byron"}, None)
    await vault.app_data.create(token, "shipping", {"street": "Main 1"})
    clock.advance(60)
    await vault.app_data.change(token, "shipping", {"zip": "0150"})
    await vault.app_data.create(token, "shop", {})
    await vault.shares.create(token, ["email"], partner="courier", expires_in=60)
    await vault.shares.create(token, None, app="shop", expires_in=120)
    other = await create(client, {"email": "bea@example.org"})
    await vault.app_data.create(other, "shop", {})
    return token


async def test_an_export_tells_of_all_that_is_kept(
    client: Client, ada: str, vault: Vault, clock: FakeClock
) -> None:
    """App data with its content, heads of former versions, and that there are shares, but never the id of one."""
    record = await vault.shares.create(ada, None, expires_in=1)
    clock.advance(1)
    response = await client.get(f"{PROFILES}/{ada}/export")
    said = await answer(response)

    first, second, third = (f"2027-01-15T08:0{minute}:00.000Z" for minute in range(3))
    assert said["former"] == [{"revision": 1, "updated_at": first}]
    assert said["app_data"] == [
        {
            "app": "shipping", "version": 2, "updated_at": third, "data": {"street": "Main 1", "zip": "0150"},
            "former": [{"version": 1, "updated_at": second}],
        },
        {"app": "shop", "version": 1, "updated_at": third, "data": {}, "former": []},
    ]  # fmt: skip
    assert said["shares"] == [
        {
            "created_at": third, "expires_at": "2027-01-15T08:03:00.000Z", "fields": ["email"], "app": None,
            "partner": "courier",
        },
        {
            "created_at": third, "expires_at": "2027-01-15T08:04:00.000Z", "fields": None, "app": "shop",
            "partner": None,
        },
    ]  # fmt: skip
    assert record not in await response.text()


async def test_an_export_is_as_it_is_described(client: Client, ada: str) -> None:
    """Member for member, of each app data and share too."""
    said = await answer(await client.get(f"{PROFILES}/{ada}/export"))
    document = await answer(await client.get("/openapi.json"))
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Export", "components": document["components"]}
    Draft202012Validator(schema, format_checker=FORMATS).validate(said)
    for member, described in (("app_data", schemas.AppData), ("shares", schemas.Share)):
        assert said[member][0].keys() == {
            field.data_key or name for name, field in described().fields.items()
        }


RAILS = {
    "fields": (Rails(fields=("email",)), None),
    "a mask": (Rails(masked=("email",)), None),
    "a network alone": (Rails(networks=("127.0.0.0/8",)), {"street": "Main 1", "zip": "0150"}),
}


@pytest.mark.parametrize(("rails", "seen"), RAILS.values(), ids=RAILS)
async def test_who_is_shown_a_part_is_shown_no_app_data(
    rails: Rails, seen: dict[str, str] | None, client: Client, ada: str, key_for: Keys
) -> None:
    """That there is some, and not what: the rails name fields of profiles."""
    headers = {"Authorization": f"Bearer {await key_for('profiles:read', rails=rails)}"}
    said = await answer(await client.get(f"{PROFILES}/{ada}/export", headers=headers))
    assert said["app_data"][0]["data"] == seen
    assert ("0150" in json.dumps(said)) is (seen is not None)
