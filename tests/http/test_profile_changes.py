"""Changing a profile: whole, in parts, and only if nobody else was faster."""

import asyncio
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
    answer,
    create,
    problem,
    read,
)
from vault.http.native.operation import PREFIX

PROFILES = f"{PREFIX}/profiles"
PERSON: Json = {
    "email": "ada@example.org",
    "name": "Ada",
    "address": {"city": "London", "zip": "N1"},
    "tags": ["a"],
}

#: Three ways to set the city.
CHANGES = [
    pytest.param("PUT", "application/json", {"profile": {"city": "Paris"}}, id="replacing"),
    pytest.param("PATCH", MERGE, {"city": "Paris"}, id="merging"),
    pytest.param("PATCH", PATCH, [{"op": "add", "path": "/city", "value": "Paris"}], id="patching"),
]
any_change = pytest.mark.parametrize(("method", "media_type", "body"), CHANGES)


async def change(client: Client, method: str, token: str, media_type: str, body: Any, *if_match: str) -> Any:
    """Send a change, with each If-Match on a line of its own."""
    headers = [("Content-Type", media_type), *(("If-Match", tag) for tag in if_match)]
    return await client.request(method, f"{PROFILES}/{token}", data=json.dumps(body), headers=headers)


@any_change
async def test_a_change_makes_the_next_revision(
    client: Client, clock: FakeClock, method: str, media_type: str, body: Any
) -> None:
    """The answer is the new head, whose ETag is that of the next read; the time of creation stays."""
    token = await create(client, ADA)
    clock.advance(1)
    response = await change(client, method, token, media_type, body)
    head = await answer(response)

    assert response.headers["ETag"] == '"2"'
    assert (head["token"], head["revision"]) == (token, 2)
    assert head["created_at"] == "2027-01-15T08:00:00.000Z"
    assert head["updated_at"] == "2027-01-15T08:00:01.000Z"
    after = await client.get(f"{PROFILES}/{token}")
    assert after.headers["ETag"] == '"2"'
    assert (await answer(after))["profile"]["city"] == "Paris"


async def test_replacing_leaves_nothing_of_the_old(client: Client) -> None:
    """The old e-mail finds nobody any more, and the new one finds the person."""
    token = await create(client, PERSON)
    new = {"email": "lovelace@example.org"}
    await answer(await client.put(f"{PROFILES}/{token}", json={"profile": new}))

    assert await read(client, token) == new
    await problem(
        await client.post(f"{PROFILES}/lookup", json={"email": PERSON["email"]}), 404, "profile_not_found"
    )
    assert await answer(await client.post(f"{PROFILES}/lookup", json=new)) == {"token": token}


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        pytest.param({}, PERSON, id="an empty patch changes nothing"),
        pytest.param({"name": "A."}, {**PERSON, "name": "A."}, id="a value takes the place of another"),
        pytest.param({"phone": "1"}, {**PERSON, "phone": "1"}, id="what was absent is added"),
        pytest.param({"tags": None}, {k: v for k, v in PERSON.items() if k != "tags"}, id="null removes"),
        pytest.param({"gone": None}, PERSON, id="null for what is absent does nothing"),
        pytest.param(
            {"address": {"zip": None, "city": "Oslo"}},
            {**PERSON, "address": {"city": "Oslo"}},
            id="objects merge",
        ),
        pytest.param({"tags": ["b"]}, {**PERSON, "tags": ["b"]}, id="lists do not"),
        pytest.param(
            {"name": {"x": None}}, {**PERSON, "name": {}}, id="an object over a text loses its nulls"
        ),
        pytest.param({"tags": [None]}, {**PERSON, "tags": [None]}, id="null inside a list stays"),
        pytest.param(
            {"a.b": 1, "": 2, "_schema": 3}, {**PERSON, "a.b": 1, "": 2, "_schema": 3}, id="odd keys"
        ),
    ],
)
async def test_a_merge_patch_follows_rfc_7396(client: Client, patch: Json, result: Json) -> None:
    """null removes, objects merge, all else replaces."""
    token = await create(client, PERSON)
    await answer(await change(client, "PATCH", token, MERGE, patch))
    assert await read(client, token) == result


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        pytest.param([], PERSON, id="no operation changes nothing"),
        pytest.param(
            [{"op": "add", "path": "/tags/-", "value": "b"}], {**PERSON, "tags": ["a", "b"]}, id="add"
        ),
        pytest.param([{"op": "add", "path": "/x", "value": None}], {**PERSON, "x": None}, id="add null"),
        pytest.param(
            [{"op": "remove", "path": "/address/zip"}], {**PERSON, "address": {"city": "London"}}, id="remove"
        ),
        pytest.param(
            [{"op": "replace", "path": "/name", "value": {"a": 1}}],
            {**PERSON, "name": {"a": 1}},
            id="replace",
        ),
        pytest.param(
            [{"op": "copy", "from": "/name", "path": "/tags/0"}], {**PERSON, "tags": ["Ada", "a"]}, id="copy"
        ),
        pytest.param(
            [{"op": "move", "from": "/address/city", "path": "/city"}],
            {**PERSON, "address": {"zip": "N1"}, "city": "London"},
            id="move",
        ),
        pytest.param(
            [
                {"op": "test", "path": "/name", "value": "Ada"},
                {"op": "replace", "path": "", "value": {"a": 1}},
            ],
            {"a": 1},
            id="a test that holds, then the whole",
        ),
        pytest.param(
            [{"op": "add", "path": "/x", "value": 1, "comment": "unknown members are ignored"}],
            {**PERSON, "x": 1},
            id="an unknown member",
        ),
    ],
)
async def test_a_json_patch_follows_rfc_6902(client: Client, operations: list[Json], result: Json) -> None:
    """Operations happen in order, each on what the one before has left."""
    token = await create(client, PERSON)
    await answer(await change(client, "PATCH", token, PATCH, operations))
    assert await read(client, token) == result


@pytest.mark.parametrize(
    ("operations", "status", "code"),
    [
        pytest.param(
            [{"op": "test", "path": "/name", "value": "Eve"}], 409, "patch_failed", id="a test fails"
        ),
        pytest.param([{"op": "remove", "path": "/gone"}], 409, "patch_failed", id="a path leads nowhere"),
        pytest.param([{"op": "add", "path": "/tags/9", "value": 1}], 409, "patch_failed", id="past the end"),
        pytest.param(
            [{"op": "replace", "path": "", "value": [1]}], 422, "invalid", id="the result is a list"
        ),
        pytest.param(
            [{"op": "replace", "path": "/email", "value": True}], 422, "invalid", id="a boolean e-mail"
        ),
        pytest.param([{"op": "add", "path": "name", "value": 1}], 422, "invalid", id="not a pointer"),
        pytest.param([{"op": "copy", "path": "/x"}], 422, "invalid", id="copying from nowhere"),
        pytest.param([{"op": "add", "path": "/x"}], 422, "invalid", id="adding nothing"),
        pytest.param([{"op": "grow", "path": "/x"}], 422, "invalid", id="an unknown operation"),
        pytest.param(
            [{"op": "test", "path": "/tags", "value": ["a"]}] * 1001, 422, "invalid", id="1,001 of them"
        ),
    ],
)
async def test_a_patch_that_fails_changes_nothing(
    client: Client, operations: list[Json], status: int, code: str
) -> None:
    """What came before the operation that failed is undone, and the refusal quotes nothing of the profile."""
    token = await create(client, PERSON)
    first = {"op": "add", "path": "/first", "value": 1}
    body = await problem(await change(client, "PATCH", token, PATCH, [first, *operations]), status, code)

    after = await client.get(f"{PROFILES}/{token}")
    assert after.headers["ETag"] == '"1"'
    assert (await answer(after))["profile"] == PERSON
    assert "Ada" not in json.dumps(body)


#: What If-Match says of a profile whose revision is 2, and whether that is a match.
TAGS: dict[str, tuple[str, bool]] = {
    "the revision that is stored": ('"2"', True),
    "any revision": ("*", True),
    "white space around": (' "2" ', True),
    "one of a list": ('"7", "2"', True),
    "a strong tag beside a weak one": ('W/"7","2"', True),
    "an older revision": ('"1"', False),
    "a revision yet to come": ('"3"', False),
    "a list without it": ('"1", "3"', False),
    "a weak tag, which never matches (RFC 9110, 13.1.1)": ('W/"2"', False),
    "no quotes": ("2", False),
    "another spelling of the number": ('"02"', False),
    "a quote too few": ('"2', False),
    "a digit of another script": ("٢", False),
    "a quoted star": ('"*"', False),
    "nothing": ("", False),
    "a number of 5,000 digits": ('"' + "2" * 5000 + '"', False),
}


@any_change
async def test_a_change_happens_only_to_what_was_read(
    client: Client, method: str, media_type: str, body: Any
) -> None:
    """If-Match names revisions; a tag that is not ours matches nothing, and then nothing is changed."""
    for sentence, (tag, matches) in TAGS.items():
        token = await create(client, {"city": "London"})
        await answer(await client.put(f"{PROFILES}/{token}", json={"profile": {"city": "London"}}))
        response = await change(client, method, token, media_type, body, tag)
        if matches:
            assert (response.status, (await response.json())["revision"]) == (200, 3), sentence
        else:
            await problem(response, 412, "revision_mismatch")
        assert await read(client, token) == {"city": "Paris" if matches else "London"}, sentence


@any_change
async def test_tags_may_stand_on_several_lines(
    client: Client, method: str, media_type: str, body: Any
) -> None:
    """Two If-Match headers are one list (RFC 9110, 5.3)."""
    token = await create(client, ADA)
    await answer(await change(client, method, token, media_type, body, '"7"', '"1"'))


@any_change
async def test_a_change_of_nobody_is_not_found(
    client: Client, method: str, media_type: str, body: Any
) -> None:
    """An unknown token is 404 also where a revision was named."""
    for tags in ([], ['"1"']):
        await problem(await change(client, method, NOBODY, media_type, body, *tags), 404, "profile_not_found")


@any_change
async def test_no_update_is_lost_where_all_name_their_revision(
    client: Client, method: str, media_type: str, body: Any
) -> None:
    """Of 20 changes of one revision at once exactly one wins; the others are told to read again."""
    token = await create(client, ADA)
    text = json.dumps(body)
    bodies = [json.loads(text.replace("Paris", f"city {n}")) for n in range(20)]
    calls = [change(client, method, token, media_type, sent, '"1"') for sent in bodies]
    answers = await asyncio.gather(*calls)

    assert sorted(response.status for response in answers) == [200] + [412] * 19
    (winner,) = (n for n, response in enumerate(answers) if response.status == 200)
    after = await answer(await client.get(f"{PROFILES}/{token}"))
    assert (after["revision"], after["profile"]["city"]) == (2, f"city {winner}")


async def test_no_update_is_lost_where_none_names_a_revision(client: Client) -> None:
    """20 merge patches at once are all applied, each on what the others have left."""
    token = await create(client, ADA)
    answers = await asyncio.gather(
        *(change(client, "PATCH", token, MERGE, {f"field_{n}": n}) for n in range(20))
    )

    assert [response.status for response in answers] == [200] * 20
    assert sorted([(await response.json())["revision"] for response in answers]) == list(range(2, 22))
    assert await read(client, token) == {**ADA, **{f"field_{n}": n for n in range(20)}}


@pytest.mark.parametrize("field", ["email", "login", "phone", "custom"])
async def test_no_two_people_have_one_value(client: Client, field: str) -> None:
    """Creating and changing are refused with the field's name and never the value; nothing is half changed."""
    taken = "+44 20 7946 0958" if field == "phone" else "Taken.Value@example.org"
    await create(client, {field: taken})
    own = {field: "+44 20 7946 0111" if field == "phone" else "own@example.org", "login": "own-login"}
    token = await create(client, own)

    wanted = {"login": "new-login", "email": "new@example.org", field: taken}
    operations = [{"op": "add", "path": f"/{name}", "value": value} for name, value in wanted.items()]
    for response in (
        await client.post(PROFILES, json={"profile": wanted}),
        await client.put(f"{PROFILES}/{token}", json={"profile": wanted}),
        await change(client, "PATCH", token, MERGE, wanted),
        await change(client, "PATCH", token, PATCH, operations),
    ):
        body = await problem(response, 409, "duplicate")
        assert list(body["errors"]) == [field]
        assert taken not in json.dumps(body)
        assert not any(word in json.dumps(body) for word in ("7946", "Taken", "taken.value"))
    assert await read(client, token) == own
    # The values that came with the refused one are still free.
    await create(client, {name: value for name, value in wanted.items() if name != field})


async def test_a_person_may_keep_and_respell_an_own_value(client: Client) -> None:
    """One's own e-mail in another spelling is no duplicate."""
    token = await create(client, ADA)
    await answer(await change(client, "PATCH", token, MERGE, {"email": "ADA@EXAMPLE.ORG"}))
    assert (await read(client, token))["email"] == "ADA@EXAMPLE.ORG"
