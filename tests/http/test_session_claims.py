"""What a session may carry, on every way in; a refusal names the claim and the rule, and never the value."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.http.conversation import Client, Json, Scene, answer, create, current, open_session, problem
from tests.http.files import besides_the_trail, contents, events
from vault.http.native.operation import PREFIX

LOVELACE: Json = {
    "email": "ada.lovelace@example.org",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "login": "countess",
    "phone": "+44 20 7946 0958",
    "address": {"street": "st-james-square"},
}

KEEP: Json = {"role": "reader", "locale": "en-GB"}


@pytest.fixture
async def scene(client: Client) -> Scene:
    """Ada Lovelace, signed in."""
    token = await create(client, LOVELACE)
    session = await open_session(client, token, claims=KEEP)
    return Scene(token, session["session_id"], session["handle"])


async def every_way_in(client: Client, scene: Scene, claims: Any) -> list[ClientResponse]:
    """Try to open, change and rotate with these claims."""
    url, headers = f"{PREFIX}/sessions", {"Session-Id": scene.session_id}
    return [
        await client.post(url, json={"user_token": scene.token, "claims": claims}),
        await client.patch(f"{url}/current", json={"claims": claims}, headers=headers),
        await client.post(f"{url}/current/rotate", json={"claims": claims}, headers=headers),
        await client.post(
            f"{url}/current/rotate", json={"claims": claims, "reauthenticated": True}, headers=headers
        ),
    ]


ENCODED = base64.urlsafe_b64encode(b"eve@example.net").decode()

REFUSED = [
    pytest.param({"plan": "gold"}, "claims.plan", "not_allowed", "gold", id="a claim that is not declared"),
    pytest.param({"email": "nothing"}, "claims.email", "personal_name", "nothing", id="a personal name"),
    pytest.param({"lastName": "xyz"}, "claims", "personal_name", "lastName", id="a personal name, respelled"),
    pytest.param({"lovelace": True}, "claims", "not_allowed", "lovelace", id="a name that tells who it is"),
    pytest.param({"role": "Two Words"}, "claims.role", "type", "Two Words", id="a text with a space"),
    pytest.param({"role": "x" * 33}, "claims.role", "type", "x" * 33, id="a slug that is too long"),
    pytest.param({"role": ""}, "claims.role", "type", None, id="an empty slug"),
    pytest.param({"role": 987654321}, "claims.role", "type", "987654321", id="a number for a slug"),
    pytest.param({"role": True}, "claims.role", "type", None, id="a boolean for a slug"),
    pytest.param({"role": ["editor"]}, "claims.role", "type", "editor", id="a list for a slug"),
    pytest.param({"role": {"inner": "value"}}, "claims.role", "type", "inner", id="an object"),
    pytest.param({"roles": [["value"]]}, "claims.roles", "type", "value", id="a list of lists"),
    pytest.param({"roles": ["a"] * 17}, "claims.roles", "type", None, id="17 slugs"),
    pytest.param({"roles": ["a", 5]}, "claims.roles", "type", None, id="a number among slugs"),
    pytest.param({"locale": "Piccadilly"}, "claims.locale", "type", "Piccadilly", id="what is no locale"),
    pytest.param({f"c{n}": 1 for n in range(17)}, "claims", "too_many", "c16", id="17 claims"),
    pytest.param({"scope": "s" * 1025}, "claims", "too_large", "sss", id="more than 1 KiB"),
    pytest.param({"role": "eve@example.net"}, "claims.role", "email", "eve@", id="somebody's e-mail"),
    pytest.param({"role": ENCODED}, "claims.role", "email", ENCODED, id="an e-mail in base64"),
    pytest.param({"role": "eve%40example.net"}, "claims.role", "email", "eve%40", id="an e-mail in percents"),
    pytest.param({"roles": ["a", "eve@example.net"]}, "claims.roles", "email", "eve@", id="an e-mail in a list"),
    pytest.param({"scope": "a eve@example.net"}, "claims.scope", "email", "eve@", id="an e-mail among scopes"),
    pytest.param({"role": "4111111111111111"}, "claims.role", "card", "4111", id="a card number"),
    pytest.param({"scope": "4111 1111 1111 1111"}, "claims.scope", "card", "4111", id="a card in four scopes"),
    pytest.param({"role": "de89370400440532013000"}, "claims.role", "iban", "3704", id="an IBAN"),
    pytest.param({"role": "2025550143"}, "claims.role", "phone", "5550", id="a phone number"),
    pytest.param({"role": "192.168.10.20"}, "claims.role", "ip", "192.168", id="an IP address"),
    pytest.param({"role": "078-05-1120"}, "claims.role", "national_id", "078-05", id="a national id"),
    pytest.param({"role": "lovelace"}, "claims.role", "own_profile", "lovelace", id="the person's own surname"),
    pytest.param({"role": "countess"}, "claims.role", "own_profile", "countess", id="the person's own login"),
    pytest.param({"role": "ada.lovelace"}, "claims.role", "own_profile", "ada.", id="the e-mail's local part"),
    pytest.param({"role": "st-james-square"}, "claims.role", "own_profile", "james", id="the person's street"),
    pytest.param({"roles": ["editor", "lovelace"]}, "claims.roles", "own_profile", "lovelace", id="in a list"),
]  # fmt: skip


@pytest.mark.parametrize(("claims", "named", "rule", "value"), REFUSED)
async def test_a_claim_that_is_not_allowed_is_refused(
    client: Client, scene: Scene, data: Path, claims: Json, named: str, rule: str, value: str | None
) -> None:
    """Opening, changing and rotating all refuse, name the claim and the rule, repeat nothing, and change nothing.

    Each refusal is an event.
    """
    before, recorded = besides_the_trail(contents(data)), events(data)
    responses = await every_way_in(client, scene, claims)
    for response in responses:
        body = await problem(response, 422, "claim_refused")
        assert [(name, sentences[0].split(":")[0]) for name, sentences in body["errors"].items()] == [
            (named, rule)
        ]
        assert value is None or value not in json.dumps(body)
    assert besides_the_trail(contents(data)) == before
    assert events(data) == recorded + [("session.refused", "claim_refused")] * len(responses)
    assert (await answer(await current(client, scene.session_id)))["claims"] == KEEP


@pytest.mark.parametrize("claims", [None, [], "role", 5, True], ids=repr)
async def test_claims_are_an_object(client: Client, scene: Scene, claims: Any) -> None:
    """Anything else is refused as the wrong type."""
    for response in await every_way_in(client, scene, claims):
        body = await problem(response, 422, "invalid")
        assert list(body["errors"]) == ["claims"]


async def test_every_refused_claim_is_named(client: Client, scene: Scene) -> None:
    """A caller that made three mistakes hears of all three at once."""
    claims = {"role": "eve@example.net", "locale": 5, "plan": "gold", "tenant": "acme"}
    responses = await every_way_in(client, scene, claims)
    for response in responses:
        body = await problem(response, 422, "claim_refused")
        assert sorted(body["errors"]) == ["claims.locale", "claims.plan", "claims.role"]


async def test_a_refusal_says_nothing_to_the_log_but_the_rules(
    log: Callable[[], list[dict[str, Any]]], client: Client, scene: Scene
) -> None:
    """The operator sees that claims are refused, and why, and not what they were."""
    await every_way_in(client, scene, {"role": "lovelace", "plan": "gold"})
    lines = [line for line in log() if line["event"] == "session.claims_refused"]
    assert [line["rules"] for line in lines] == [["not_allowed", "own_profile"]] * 4
    assert not any(word in json.dumps(log()) for word in ("lovelace", "gold", "plan"))


ALLOWED: Json = {
    "roles": ["editor", "orders:read", "a.b"],
    "role": "editor",
    "scope": "openid profile orders:read",
    "locale": "pt-BR",
    "auth_method": "webauthn",
    "tenant": "acme-7",
}


async def test_all_declared_claims_are_carried(client: Client, scene: Scene) -> None:
    """They come back as they were sent, at once and at every look-up."""
    session = await open_session(client, scene.token, claims=ALLOWED)
    assert session["claims"] == ALLOWED
    assert (await answer(await current(client, session["session_id"])))["claims"] == ALLOWED


async def test_changing_claims_sets_some_and_leaves_the_others(client: Client, scene: Scene) -> None:
    """null removes one, also one that is not there; nothing else of the session moves."""
    before = await answer(await current(client, scene.session_id))
    for changes, claims in (
        ({"role": "editor"}, {"role": "editor", "locale": "en-GB"}),
        ({"locale": None, "tenant": "acme"}, {"role": "editor", "tenant": "acme"}),
        ({"scope": None, "unknown": None}, {"role": "editor", "tenant": "acme"}),
        ({}, {"role": "editor", "tenant": "acme"}),
        ({"role": None, "tenant": None}, {}),
    ):
        url, headers = f"{PREFIX}/sessions/current", {"Session-Id": scene.session_id}
        changed = await answer(await client.patch(url, json={"claims": changes}, headers=headers))
        assert changed == {**before, "claims": claims}
        assert await answer(await current(client, scene.session_id)) == changed


async def test_a_stranger_may_bear_the_name_of_another(client: Client, scene: Scene) -> None:
    """The comparison is with the session's own person; nobody's profile can be searched through it."""
    other = await create(client, {"last_name": "Babbage"})
    await open_session(client, other, claims={"role": "lovelace"})
    await open_session(client, claims={"role": "lovelace"})


async def test_the_comparison_is_with_the_profile_as_it_is_now(client: Client, scene: Scene) -> None:
    """A value that was put into the profile since cannot be written into a session any more."""
    url, headers = f"{PREFIX}/sessions/current", {"Session-Id": scene.session_id}
    await answer(await client.patch(url, json={"claims": {"tenant": "byron"}}, headers=headers))
    await answer(
        await client.put(f"{PREFIX}/profiles/{scene.token}", json={"profile": {"last_name": "Byron"}})
    )
    body = await problem(
        await client.patch(url, json={"claims": {"role": "byron"}}, headers=headers), 422, "claim_refused"
    )
    assert "claims.role" in body["errors"]
    await answer(
        await client.post(
            f"{PREFIX}/sessions", json={"user_token": scene.token, "claims": {"role": "lovelace"}}
        ),
        201,
    )
