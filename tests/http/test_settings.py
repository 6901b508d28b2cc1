"""Settings that show through the API."""

import pytest

from tests.clock import FakeClock
from tests.http.conversation import Client, answer, create, current, listed, open_session, problem
from vault.claims import ClaimRule
from vault.config import Config, Idempotency, Limits, Profiles, Server, Sessions
from vault.http.native.operation import PREFIX

ENDING, REFUSING = (
    Config(
        server=Server(docs=False),
        limits=Limits(json_depth=5, batch_profiles=2),
        profiles=Profiles(default_region="DE", max_expires_in=100),
        sessions=Sessions(
            lifetime=50,
            idle_timeout=20,
            max_per_person=2,
            at_limit=at_limit,
            cache_for=7,
            claims={
                "plan": ClaimRule("plan", "slug", ("free", "paid")),
                "level": ClaimRule("level", "integer"),
            },
        ),
        idempotency=Idempotency(lifetime=10),
    )
    for at_limit in ("end_oldest", "refuse")
)


@pytest.fixture(params=[ENDING], ids=["end_oldest"])
def config(request: pytest.FixtureRequest) -> Config:
    """Settings that differ from the defaults; a test names others where they matter."""
    chosen: Config = request.param
    return chosen


async def test_the_oldest_session_makes_room(client: Client, clock: FakeClock) -> None:
    """At the bound, the session that was seen longest ago ends, not the one that was opened first."""
    token = await create(client, {})
    first, second = await open_session(client, token), await open_session(client, token)
    clock.advance(5)
    await answer(await current(client, first["session_id"]))
    third = await open_session(client, token)

    assert sorted(await listed(client, token)) == sorted([first["handle"], third["handle"]])
    await problem(await current(client, second["session_id"]), 404, "session_not_found")


@pytest.mark.parametrize("config", [REFUSING], indirect=True, ids=["refuse"])
async def test_a_session_over_the_bound_may_be_refused(client: Client, clock: FakeClock) -> None:
    """409, until one of the others ends; nobody else is concerned."""
    token = await create(client, {})
    first, _ = await open_session(client, token), await open_session(client, token)
    body = {"user_token": token}
    await problem(await client.post(f"{PREFIX}/sessions", json=body), 409, "session_limit")
    await open_session(client, await create(client, {}))
    for _ in range(3):
        await open_session(client)
    await client.delete(f"{PREFIX}/sessions/{first['handle']}")
    await open_session(client, token)
    await problem(await client.post(f"{PREFIX}/sessions", json=body), 409, "session_limit")
    clock.advance(20)
    await open_session(client, token)


async def test_a_profile_may_not_ask_for_more_than_the_cap(client: Client) -> None:
    """Refused by name when it is made, in a batch, and when it is replaced."""
    body = {"profile": {"a": 1}, "expires_in": 101}
    found = await problem(await client.post(f"{PREFIX}/profiles", json=body), 422, "invalid")
    assert list(found["errors"]) == ["expires_in"]
    token = await create(client, {}, expires_in=100)
    await problem(await client.put(f"{PREFIX}/profiles/{token}", json=body), 422, "invalid")
    batch = await answer(await client.post(f"{PREFIX}/profiles/batch", json={"profiles": [body]}))
    assert batch["failed"] == 1
    assert list(batch["results"][0]["error"]["errors"]) == ["expires_in"]


async def test_declared_claims_alone_are_carried(client: Client) -> None:
    """The settings' list takes the place of the defaults, with its values."""
    session = await open_session(client, claims={"plan": "paid", "level": -5})
    assert session["claims"] == {"plan": "paid", "level": -5}
    for claims, rule in (
        ({"plan": "gold"}, "value"),
        ({"level": 1.0}, "type"),
        ({"role": "a"}, "not_allowed"),
    ):
        response = await client.post(f"{PREFIX}/sessions", json={"claims": claims})
        found = await problem(response, 422, "claim_refused")
        assert [texts[0].split(":")[0] for texts in found["errors"].values()] == [rule]


async def test_lifetimes_are_those_of_the_settings(client: Client) -> None:
    """Without a wish the defaults hold, and the caps are not the defaults."""
    session = await open_session(client)
    assert session["idle_expires_at"] == "2027-01-15T08:00:20.000Z"
    assert session["expires_at"] == "2027-01-15T08:00:50.000Z"
    assert session["cache_for"] == 7
    assert (await open_session(client, expires_in=3600))["expires_at"] == "2027-01-15T09:00:00.000Z"


async def test_the_depth_is_that_of_the_settings(client: Client) -> None:
    """The outermost object counts as one level."""
    assert (await client.post(f"{PREFIX}/profiles", json={"profile": {"a": {"b": {"c": {}}}}})).status == 201
    deep = await client.post(f"{PREFIX}/profiles", json={"profile": {"a": {"b": {"c": {"d": {}}}}}})
    await problem(deep, 400, "malformed")


async def test_the_other_limits_are_those_of_the_settings(client: Client, clock: FakeClock) -> None:
    """The size of a batch, the country of a phone number, how long an answer is kept."""
    await problem(
        await client.post(f"{PREFIX}/profiles/batch", json={"profiles": [{"profile": {}}] * 3}),
        413,
        "too_large",
    )
    token = await create(client, {"phone": "030 123456"})
    assert await answer(await client.post(f"{PREFIX}/profiles/lookup", json={"phone": "+4930123456"})) == {
        "token": token
    }
    headers = {"Idempotency-Key": "k"}
    await client.post(f"{PREFIX}/profiles", json={"profile": {}}, headers=headers)
    clock.advance(10)
    response = await client.post(f"{PREFIX}/profiles", json={"profile": {"other": 1}}, headers=headers)
    assert response.status == 201


async def test_the_page_can_be_switched_off(client: Client) -> None:
    """Then none of its files is served; the document still is."""
    for path in ("/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"):
        await problem(await client.get(path), 404, "not_found")
    assert (await client.get("/openapi.json")).status == 200
