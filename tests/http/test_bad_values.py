"""Fields of the wrong type or out of bounds: refused by name, the value not repeated, nothing written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.http.conversation import (
    MERGE,
    NOBODY,
    PATCH,
    READERS,
    Client,
    Door,
    Json,
    Scene,
    answer,
    create,
    problem,
)
from tests.http.files import contents
from vault.http.native.fields import TOKEN_EXAMPLE
from vault.http.native.operation import PREFIX

BY_NAME = {door.name: door for door in READERS}
KEEPING = [BY_NAME["POST /profiles"], BY_NAME["PUT /profiles/{token}"]]
OPENING = BY_NAME["POST /sessions"]
ROTATING = BY_NAME["POST /sessions/current/rotate"]


async def refused(client: Client, scene: Scene, data: Path, door: Door, body: Any, named: str) -> Json:
    """Send a body and return the refusal, which names one field and left both files as they were."""
    before = contents(data)
    found = await problem(await door.knock(client, scene, json.dumps(body).encode()), 422, "invalid")
    assert list(found["errors"]) == [named], door.name
    assert contents(data) == before
    return found


@pytest.mark.parametrize("profile", [None, [], ["a"], "secret text", 987654, 1.5, True, ...], ids=repr)
async def test_a_profile_is_an_object(client: Client, scene: Scene, data: Path, profile: Any) -> None:
    """Anything else, or none, is refused."""
    for door in KEEPING:
        body = {} if profile is ... else {"profile": profile}
        found = await refused(client, scene, data, door, body, "profile")
        assert "secret text" not in json.dumps(found)
        assert "987654" not in json.dumps(found)


NO_DURATIONS: list[Any] = [
    True, False, None, "5", "", 1.9, 0.5, 0, -1, -0.0, 1e308, -1e308, 10**10 + 1, 2**63, [], [5], {}, {"s": 5}
]  # fmt: skip


async def test_a_duration_is_a_whole_number_of_seconds(client: Client, scene: Scene, data: Path) -> None:
    """At least one, and not a text, a boolean or a fraction, which would be cut in silence."""
    for seconds in NO_DURATIONS:
        for door in KEEPING:
            await refused(client, scene, data, door, {"profile": {}, "expires_in": seconds}, "expires_in")
        for name in ("expires_in", "idle_timeout"):
            await refused(client, scene, data, OPENING, {name: seconds}, name)


@pytest.mark.parametrize("seconds", [142, 142.0], ids=repr)
async def test_a_whole_number_may_be_written_as_a_float(client: Client, seconds: float) -> None:
    """142.0 is an integer to JSON Schema, so clients may send it."""
    body = {"profile": {}, "expires_in": seconds}
    head = await answer(await client.post(f"{PREFIX}/profiles", json=body), 201)
    assert head["expires_at"] == "2027-01-15T08:02:22.000Z"


NO_TOKENS: list[Any] = [
    None, 5, True, [], {}, "", "x", TOKEN_EXAMPLE.upper(), NOBODY + "\n", " " + NOBODY, NOBODY.replace("-", ""),
    "6ba7b810-9dad-11d1-80b4-00c04fd430c8", NOBODY + "\x00", "urn:uuid:" + NOBODY, "' OR 1=1 --", "１" + NOBODY[1:],
]  # fmt: skip


async def test_a_user_token_that_cannot_be_is_refused(client: Client, scene: Scene, data: Path) -> None:
    """Only a UUID of version 4 in small letters has ever been handed out."""
    for token in NO_TOKENS:
        await refused(client, scene, data, OPENING, {"user_token": token}, "user_token")


@pytest.mark.parametrize("said", ["true", "yes", "", 1, 0, 1.0, 0.0, None, [], {}], ids=repr)
async def test_reauthenticated_is_true_or_false(client: Client, scene: Scene, data: Path, said: Any) -> None:
    """It restarts a lifetime, so nothing that is merely like true will do."""
    await refused(client, scene, data, ROTATING, {"reauthenticated": said}, "reauthenticated")


@pytest.mark.parametrize("field", ["email", "login", "phone", "custom"])
async def test_an_indexed_field_is_a_text_or_a_whole_number(
    client: Client, scene: Scene, data: Path, field: str
) -> None:
    """What cannot be looked up again is refused on every way in."""
    for value in (True, False, [], ["a@example.org"], {}, {"at": "home"}, 1.5):
        profile: Json = {"city": "Oslo", field: value}
        for door in KEEPING:
            await refused(client, scene, data, door, {"profile": profile}, field)
        await refused(client, scene, data, BY_NAME[f"PATCH /profiles/{{token}} as {MERGE}"], profile, field)
        operations = [{"op": "add", "path": f"/{name}", "value": given} for name, given in profile.items()]
        await refused(
            client, scene, data, BY_NAME[f"PATCH /profiles/{{token}} as {PATCH}"], operations, field
        )
        before = contents(data)
        batch = await client.post(f"{PREFIX}/profiles/batch", json={"profiles": [{"profile": profile}]})
        (result,) = (await answer(batch))["results"]
        assert (result["error"]["code"], list(result["error"]["errors"])) == ("invalid", [field])
        assert contents(data) == before


async def test_two_wrong_fields_are_both_named(client: Client, scene: Scene, data: Path) -> None:
    """A caller need not mend them one by one."""
    body = {"profile": [], "expires_in": True, "surplus": 1}
    before = contents(data)
    for door in KEEPING:
        found = await problem(await door.knock(client, scene, json.dumps(body).encode()), 422, "invalid")
        assert sorted(found["errors"]) == ["expires_in", "profile", "surplus"]
    assert contents(data) == before


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        pytest.param({"path": "/a", "value": 1}, "0.op", id="no op"),
        pytest.param({"op": "steal", "path": "/a"}, "0.op", id="an unknown op"),
        pytest.param({"op": 5, "path": "/a"}, "0.op", id="a number for an op"),
        pytest.param({"op": "remove"}, "0.path", id="no path"),
        pytest.param({"op": "remove", "path": None}, "0.path", id="a path that is null"),
        pytest.param({"op": "move", "path": "/a", "from": 5}, "0.from", id="a number for a pointer"),
    ],
)
async def test_an_operation_of_a_patch_has_its_form(
    client: Client, scene: Scene, data: Path, operation: Json, named: str
) -> None:
    """What is wrong is named by its place in the list."""
    await refused(client, scene, data, BY_NAME[f"PATCH /profiles/{{token}} as {PATCH}"], [operation], named)


@pytest.mark.parametrize("value", ["'; DROP TABLE profiles; --", "%s%n{0}", "../../etc/passwd", "${jndi:x}"])
async def test_what_looks_like_code_is_text(client: Client, value: str) -> None:
    """Values are bound, not pasted: they are kept and found like any other."""
    token = await create(client, {"login": value, value: value})
    found = await client.post(f"{PREFIX}/profiles/lookup", json={"login": value})
    assert await answer(found) == {"token": token}
