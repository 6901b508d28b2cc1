"""Bodies that are not what they should be: refused by every call that reads one, with nothing written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.http.conversation import MERGE, PATCH, PROBLEM, READERS, Client, Scene, answer, problem
from tests.http.files import contents
from vault.config import Config, Limits
from vault.http.native.operation import PREFIX


@pytest.fixture
def config() -> Config:
    """Limits that no body of these tables reaches: they are not what is tested here."""
    return Config(limits=Limits(session_body=262_144))


BOMBS = {
    "100,000 arrays that open": b"[" * 100_000,
    "100,000 objects that open": b'{"a":' * 40_000,
    "33 levels of arrays": b"[" * 33 + b"]" * 33,
    "33 levels of objects": b'{"a":' * 33 + b"1" + b"}" * 33,
    "33 levels of both": b'{"a":[' * 16 + b"{}" + b"]}" * 16,
}

MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \r\n\t",
    "a form": b"profile=1&email=a@example.org",
    "XML": b"<?xml version='1.0'?><profile/>",
    "half an object": b'{"profile": {"email": "a@exam',
    "two objects": b"{}{}",
    "an object and more": b"{} trailing",
    "a comma at the end": b'{"profile": {},}',
    "single quotes": b"{'profile': {}}",
    "a comment": b'{"profile": {} /* none */}',
    "a key without quotes": b"{profile: {}}",
    "a number with a leading zero": b'{"a": 01}',
    "a hexadecimal number": b'{"a": 0x10}',
    "a line feed inside a text": b'{"a": "x\ny"}',
    "a key twice": b'{"profile": {}, "profile": {}}',
    "a key twice, with one value": b'{"a": 1, "a": 1}',
    "a key twice, deep inside": b'{"profile": {"a": [{"b": 1, "b": 2}]}}',
    "a key twice, once in escapes": b'{"email": "a", "\\u0065mail": "b"}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": [-Infinity]}',
    "a float beyond all floats": b'{"a": 1e999}',
    "a whole number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a whole number of 65 bits": b'{"a": 18446744073709551616}',
    "a negative number of 65 bits": b'{"a": -9223372036854775809}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "the other half": b'{"a": "x\\udfffy"}',
    "half a pair in a key": b'{"\\uD83D": 1}',
    "halves in the wrong order": b'{"a": "\\ude00\\ud83d"}',
    "bytes that are not UTF-8": b'{"a": "\xff\xfe"}',
    "an overlong slash": b'{"a": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "a letter cut in two": b'{"a": "\xe2\x82"}',
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32-le"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NUL bytes": b"\x00" * 64,
}


async def refusals(client: Client, scene: Scene, bodies: dict[str, bytes]) -> dict[str, set[str]]:
    """Return, by body, what the calls that read one make of it."""
    found: dict[str, set[str]] = {}
    for sentence, body in bodies.items():
        for door in READERS:
            response = await door.knock(client, scene, body)
            answered = await response.json(content_type=None)
            fields = " ".join(answered.get("errors", {}))
            text = f"{response.status} {response.content_type} {answered.get('code')} {fields}"
            found.setdefault(sentence, set()).add(text.strip())
    return found


@pytest.mark.parametrize("bodies", [MALFORMED, BOMBS], ids=["malformed", "too deep"])
async def test_what_is_not_json_is_refused(
    client: Client, scene: Scene, data: Path, bodies: dict[str, bytes]
) -> None:
    """400 by every call that reads a body, with no field to name, and neither file changes."""
    before = contents(data)
    refused = {f"400 {PROBLEM} malformed"}
    assert await refusals(client, scene, bodies) == dict.fromkeys(bodies, refused)
    assert contents(data) == before


async def test_32_levels_are_not_too_deep(client: Client, scene: Scene) -> None:
    """The bound itself is allowed: what such a body is refused for, if it is, is not its form."""
    body = b'{"claims":' * 31 + b"{}" + b"}" * 31
    for door in READERS:
        assert (await door.knock(client, scene, body)).status in (200, 422), door.name


WRONG_TYPES = {
    "none": None,
    "text": "text/plain",
    "a form": "application/x-www-form-urlencoded",
    "several parts": "multipart/form-data; boundary=x",
    "other JSON": "application/vnd.api+json",
    "JSON's cousin": "text/json",
    "a list of types": "text/plain, application/json",
    "a type that goes on": "application/json-seq",
    "a problem": "application/problem+json",
    "no type at all": "nonsense",
}


async def test_another_content_type_is_refused(client: Client, scene: Scene, data: Path) -> None:
    """415 for a body that would be right but for its type: a page of another site can send text/plain unasked."""
    before = contents(data)
    for door in READERS:
        for wrong in WRONG_TYPES.values():
            headers = {name: value for name, value in door.headers(scene).items() if name != "Content-Type"}
            response = await client.request(
                door.operation.method,
                door.path(scene),
                data=json.dumps(door.body).encode(),
                headers=headers | ({} if wrong is None else {"Content-Type": wrong}),
                skip_auto_headers=["Content-Type"],
            )
            await problem(response, 415, "unsupported_media_type")
    assert contents(data) == before


async def test_each_call_has_its_own_content_type(client: Client, scene: Scene, data: Path) -> None:
    """A patch is not read as a profile, and a profile is not read as a patch."""
    before = contents(data)
    for door in READERS:
        assert door.operation.body is not None
        for other in {"application/json", MERGE, PATCH} - door.operation.body.schemas.keys():
            response = await door.knock(client, scene, headers={"Content-Type": other})
            await problem(response, 415, "unsupported_media_type")
    assert contents(data) == before


@pytest.mark.parametrize("suffix", ["; charset=utf-8", ";charset=UTF-8", "; profile=x"])
async def test_a_content_type_may_have_parameters(client: Client, suffix: str) -> None:
    """They say nothing that would change how JSON is read; nor does the case of the type."""
    headers = {"Content-Type": f"Application/JSON{suffix}"}
    await answer(await client.post(f"{PREFIX}/profiles", data=b'{"profile": {}}', headers=headers), 201)


@pytest.mark.parametrize("surplus", ["surplus", "expires-in", "token", "_schema", "a.b", "сюрприз"])
async def test_an_unknown_field_is_refused_by_name(
    client: Client, scene: Scene, data: Path, surplus: str
) -> None:
    """A misspelled field must not be passed over; what it holds is not repeated."""
    before = contents(data)
    for door in READERS:
        if door.media_type in (MERGE, PATCH):
            continue  # these have no fields of their own
        body = json.dumps({**door.body, surplus: "a value"}).encode()
        found = await problem(await door.knock(client, scene, body), 422, "invalid")
        assert list(found["errors"]) == [surplus], door.name
        assert "a value" not in json.dumps(found)
    assert contents(data) == before


@pytest.mark.parametrize("body", [None, "text", 5, 1.5, True, [], [[]], {}, [5], ["x"], [None]], ids=repr)
async def test_a_body_has_its_type(client: Client, scene: Scene, data: Path, body: Any) -> None:
    """Calls that expect an object refuse whatever is none, and the list of operations whatever is none."""
    before = contents(data)
    for door in READERS:
        all_optional = door.media_type == MERGE or door.name.startswith("POST /sessions")
        if (body == {} and all_optional) or (body == [] and door.media_type == PATCH):
            continue  # these are right
        found = await problem(await door.knock(client, scene, json.dumps(body).encode()), 422, "invalid")
        assert found["errors"], door.name
    assert contents(data) == before
