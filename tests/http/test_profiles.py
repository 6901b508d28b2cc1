"""Profiles: kept, read, erased, and gone by themselves."""

import json
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.http.conversation import (
    ADA,
    MERGE,
    NOBODY,
    PATCH,
    Client,
    Json,
    Scene,
    anonymised,
    answer,
    create,
    current,
    open_session,
    problem,
    read,
)
from vault.crypto import receipt
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.tokens import is_user_token

PROFILES = f"{PREFIX}/profiles"


async def test_a_new_profile_is_answered_with_its_head(client: Client) -> None:
    """201 says where the profile is, which revision it has, and until when it lives; nothing of what it holds."""
    response = await client.post(PROFILES, json={"profile": ADA, "expires_in": 60})
    head = await answer(response, 201)

    assert is_user_token(head["token"])
    assert response.headers["Location"] == f"{PROFILES}/{head['token']}"
    assert response.headers["ETag"] == '"1"'
    assert head == {
        "token": head["token"],
        "revision": 1,
        "key_version": 1,
        "created_at": "2027-01-15T08:00:00.000Z",
        "updated_at": "2027-01-15T08:00:00.000Z",
        "expires_at": "2027-01-15T08:01:00.000Z",
    }


async def test_a_location_leads_to_the_profile(client: Client) -> None:
    """What 201 names can be read at once, with the same head and the same ETag."""
    created = await client.post(PROFILES, json={"profile": ADA})
    response = await client.get(created.headers["Location"])

    assert await answer(response) == {**await answer(created, 201), "profile": ADA}
    assert response.headers["ETag"] == created.headers["ETag"]


async def test_equal_profiles_get_unlike_tokens(client: Client) -> None:
    """A token is random: it says nothing of the person, and what has no indexed value may be kept twice."""
    tokens = {await create(client, {"city": "Oslo"}) for _ in range(10)}
    assert len(tokens) == 10


def nested(levels: int) -> Json:
    """Return objects inside objects."""
    return {} if levels == 1 else {"a": nested(levels - 1)}


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param({}, id="nothing at all"),
        pytest.param(
            {"name": "Пётр", "имя": "اسم", "城市": "東京", "mood": "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿"},
            id="many scripts, in keys too",
        ),
        pytest.param({"composed": "\u00e9", "decomposed": "e\u0301"}, id="both normal forms of a letter"),
        pytest.param({"email": " Ada@EXAMPLE.org "}, id="an indexed value as it was spelled"),
        pytest.param({"f": [0.1, 1.0, -0.0, 1e22, 5e-324, 1.7976931348623157e308, 1e-7]}, id="floats"),
        pytest.param({"i": [0, -1, -(2**63), 2**63, 2**64 - 1, 2**53 + 1]}, id="whole numbers of 64 bits"),
        pytest.param({"a": None, "b": {"c": None}, "d": [None]}, id="nulls, which are not absent"),
        pytest.param({"o": {}, "l": [], "s": "", "x": [{}, [], [[]]]}, id="empty things"),
        pytest.param(
            {"t": True, "f": False, "one": 1, "yes": "true"}, id="booleans beside what is like them"
        ),
        pytest.param(nested(31), id="31 levels, which with the body's own is as deep as it may be"),
        pytest.param({"": 1, "a.b": 2, "a/b": 3, "a~0b": 4, "__proto__": 5, "_schema": 6}, id="odd keys"),
        pytest.param(
            {"nul": "a\x00b", "c": "\x01\x1f\x7f", "u": "\u2028", "e": "\\ud800"}, id="control signs"
        ),
        pytest.param({"email": None, "login": "", "phone": 49301234567}, id="indexed fields without a text"),
        pytest.param({f"field_{n}": f"value {n}" for n in range(120)}, id="120 fields"),
        pytest.param({"z": 1, "a": {"y": 2, "b": 3}}, id="keys in no order"),
    ],
)
async def test_a_profile_comes_back_exactly_as_sent(client: Client, profile: Json) -> None:
    """Types, signs, order and spelling: the vault keeps what it is given, and corrects nothing."""
    token = await create(client, {"old": True})
    await answer(await client.put(f"{PROFILES}/{token}", json={"profile": profile}))
    assert json.dumps(await read(client, token)) == json.dumps(profile)

    await client.delete(f"{PROFILES}/{token}")
    assert json.dumps(await read(client, await create(client, profile))) == json.dumps(profile)


PERSON: Json = {
    "email": "ada@example.org",
    "note": None,
    "address": {"city": "London", "geo": {"lat": 51.5, "lon": 0}},
    "tags": ["a", "b"],
}


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        pytest.param("email", {"email": "ada@example.org"}, id="one field"),
        pytest.param("address.city", {"address": {"city": "London"}}, id="a field inside another"),
        pytest.param("address.geo.lat", {"address": {"geo": {"lat": 51.5}}}, id="two levels inside"),
        pytest.param(
            "address.geo.lon,email,address.city",
            {"address": {"geo": {"lon": 0}, "city": "London"}, "email": "ada@example.org"},
            id="several that share a parent",
        ),
        pytest.param("address", {"address": PERSON["address"]}, id="a whole object"),
        pytest.param("address,address.city", {"address": PERSON["address"]}, id="a whole and its part"),
        pytest.param("address.city,address", {"address": PERSON["address"]}, id="a part and its whole"),
        pytest.param("note", {"note": None}, id="a field that is null"),
        pytest.param("phone", {}, id="a field that is absent"),
        pytest.param("address.street,phone,email", {"email": "ada@example.org"}, id="absent ones between"),
        pytest.param("email.domain", {}, id="a path through a text"),
        pytest.param("tags.0", {}, id="a path through a list"),
        pytest.param("note.x", {}, id="a path through null"),
        pytest.param("", {}, id="no field"),
        pytest.param(",,.,..", {}, id="separators alone"),
    ],
)
async def test_a_reader_gets_only_the_fields_asked_for(client: Client, fields: str, seen: Json) -> None:
    """What is not asked for stays sealed up; what is not there is left out."""
    token = await create(client, PERSON)
    response = await client.get(f"{PROFILES}/{token}", params={"fields": fields})
    body = await answer(response)

    assert body["profile"] == seen
    assert (body["token"], body["revision"], response.headers["ETag"]) == (token, 1, '"1"')


async def test_an_unknown_query_parameter_is_refused(client: Client) -> None:
    """?field= instead of ?fields= must not open the whole profile."""
    token = await create(client, PERSON)
    body = await problem(await client.get(f"{PROFILES}/{token}?field=email"), 422, "invalid")
    assert list(body["errors"]) == ["field"]


async def test_an_erased_person_is_gone(client: Client, scene: Scene) -> None:
    """Profile, look-up, export and every session end with one call; the values may be used anew."""
    sessions = [
        scene.session_id,
        *[(await open_session(client, scene.token))["session_id"] for _ in range(3)],
    ]
    response = await client.delete(f"{PROFILES}/{scene.token}")
    assert response.status == 200
    checked = receipt.check(await response.read())
    assert checked.statement["token_sha256"] == receipt.token_digest(scene.token)

    await assert_gone(client, scene.token)
    for session_id in sessions:
        await problem(await current(client, session_id), 404, "session_not_found")
    body = {"user_token": scene.token}
    await problem(await client.post(f"{PREFIX}/sessions", json=body), 404, "profile_not_found")
    assert await create(client, ADA) != scene.token


async def assert_gone(client: Client, token: str) -> None:
    """Every call about the profile answers as for one that never was."""
    unknown = await anonymised(await client.get(f"{PROFILES}/{NOBODY}"))
    url = f"{PROFILES}/{token}"
    for response in (
        await client.get(url),
        await client.get(f"{url}/export"),
        await client.put(url, json={"profile": {}}),
        await client.patch(url, data=b"{}", headers={"Content-Type": MERGE}),
        await client.patch(url, data=b"[]", headers={"Content-Type": PATCH}),
        await client.delete(url),
        await client.post(f"{PROFILES}/lookup", json={"email": ADA["email"]}),
    ):
        assert await anonymised(response) == unknown


async def test_a_profile_is_dead_at_the_millisecond_of_its_end(client: Client, clock: FakeClock) -> None:
    """It can be read in its last millisecond, and from the next on it is as unknown as any other."""
    token = await create(client, ADA, expires_in=60)
    clock.advance(59.999)
    assert await read(client, token) == ADA
    clock.advance(0.001)
    await assert_gone(client, token)


@pytest.mark.parametrize("swept", [False, True], ids=["not swept yet", "swept"])
async def test_the_email_of_an_expired_owner_may_be_taken(
    client: Client, clock: FakeClock, vault: Vault, swept: bool
) -> None:
    """Who is gone holds no e-mail; and sweeping the old owner later takes nothing from the new one."""
    old = await create(client, ADA, expires_in=60)
    clock.advance(60)
    if swept:
        await vault.housekeeping.round()
    new = await create(client, ADA)
    await vault.housekeeping.round()

    found = await answer(await client.post(f"{PROFILES}/lookup", json={"email": ADA["email"]}))
    assert found == {"token": new}
    assert new != old
    assert await read(client, new) == ADA


async def test_replacing_leaves_the_end_where_it_was(client: Client, clock: FakeClock) -> None:
    """How long a person is kept is decided when the profile comes in, so that no session outlives it."""
    token = await create(client, ADA, expires_in=60)
    clock.advance(30)
    head = await answer(await client.put(f"{PROFILES}/{token}", json={"profile": ADA}))
    assert head["expires_at"] == "2027-01-15T08:01:00.000Z"
    refused = await client.put(f"{PROFILES}/{token}", json={"profile": ADA, "expires_in": 10})
    assert (await problem(refused, 422, "invalid"))["errors"] == {"expires_in": ["Unknown field."]}


async def test_an_export_holds_everything_about_a_person(client: Client, scene: Scene) -> None:
    """Profile, dates, key version, live sessions and who opened it why and when, but never a session's id."""
    second = await open_session(client, scene.token, claims={"locale": "en-GB"})
    await answer(
        await client.get(f"{PROFILES}/{scene.token}?fields=email", headers={"Vault-Purpose": "ticket 4711"})
    )
    response = await client.get(f"{PROFILES}/{scene.token}/export")
    body = await answer(response)
    sessions: list[Any] = body.pop("sessions")
    openings: list[Any] = body.pop("openings")
    assert [body.pop(name) for name in ("former", "app_data", "shares")] == [[], [], []]

    assert body == await answer(await client.get(f"{PROFILES}/{scene.token}"))
    assert {session["handle"]: session["claims"] for session in sessions} == {
        scene.handle: {"role": "reader"},
        second["handle"]: {"locale": "en-GB"},
    }
    assert [(one["action"], one["purpose"], one["fields"], one["by"]) for one in openings] == [
        ("profile.revealed", "ticket 4711", ["email"], "test"),
        ("profile.exported", None, None, "test"),
    ]
    assert "tvs_" not in await response.text()
