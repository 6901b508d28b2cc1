"""The description of the API: a right OpenAPI 3.1 document, and what it shows is so."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.http.conversation import READERS, Client, Door, Json, Scene, name_of, problem
from tests.http.openapi import DOCUMENT, Description, parameters_of, references
from vault.access import SCOPES
from vault.http.native import OPERATIONS
from vault.http.native.fields import HANDLE_EXAMPLE, SESSION_ID_EXAMPLE, TOKEN_EXAMPLE
from vault.http.native.operation import PREFIX
from vault.tokens import is_handle, is_session_id, is_user_token


@pytest.fixture
async def described(anonymous: Client) -> Description:
    """The document as it is served: without an access key, since it holds no data."""
    response = await anonymous.get("/openapi.json")
    assert (response.status, response.content_type) == (200, "application/json")
    return Description(await response.json())


async def test_the_document_has_the_form_of_openapi_3_1(described: Description) -> None:
    """Every member is one that the specification knows, at its place and of its type."""
    faults = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator(DOCUMENT).iter_errors(described.document)
    ]
    assert faults == []


async def test_every_schema_is_json_schema_2020_12(described: Description) -> None:
    """As 3.1 has it: no 'nullable', and nothing that a validator would choke on."""
    schemas = list(described.schemas())
    assert len(schemas) > 100
    for schema in schemas:
        Draft202012Validator.check_schema(schema)
        assert "nullable" not in schema
        assert not isinstance(schema.get("exclusiveMinimum"), bool)


async def test_every_reference_leads_somewhere(described: Description) -> None:
    """And every component is referred to."""
    components = described.document["components"]["schemas"]
    targets = {f"#/components/schemas/{name}" for name in components}
    assert set(references(described.document)) == targets


async def test_every_call_is_described(described: Description) -> None:
    """No more and no less than what is served."""
    assert {name for name, _ in described.operations()} == {
        f"{operation.method} {PREFIX}{operation.path}" for operation in OPERATIONS
    }


async def test_every_call_says_what_it_is(described: Description) -> None:
    """A name of its own, a summary, the scope it needs, and each part of its path."""
    names = [operation["operationId"] for _, operation in described.operations()]
    assert len(set(names)) == len(names)
    scopes = {f"{one.method} {PREFIX}{one.path}": one.scope for one in OPERATIONS}
    for name, operation in described.operations():
        assert scopes[name] in SCOPES
        assert f"`{scopes[name]}`" in operation["description"]
        parameters = operation["parameters"]
        assert [one["name"] for one in parameters if one["in"] == "path"] == parameters_of(name)
        assert len({(one["in"], one["name"].lower()) for one in parameters}) == len(parameters)
        reads = any(f"{one.method} {PREFIX}{one.path}" == name and one.body for one in OPERATIONS)
        assert ("requestBody" in operation) == reads


async def test_every_call_names_its_headers(described: Description) -> None:
    """Session-Id where a session is meant, If-Match where an update may be lost, a key where something is created,
    and why it is done wherever that is recorded."""
    found: dict[str, list[str]] = {}
    for name, operation in described.operations():
        for one in operation["parameters"]:
            if one["in"] == "header":
                found.setdefault(one["name"], []).append(name.replace(PREFIX, ""))
                assert one.get("required", False) == (one["name"] == "Session-Id")
    not_recorded = {"GET /sessions/current"}
    audited = [name.replace(PREFIX, "") for name, _ in described.operations()]
    audited = [name for name in audited if name not in not_recorded]
    assert found == {
        "Idempotency-Key": ["POST /profiles", "POST /profiles/batch", "POST /sessions"],
        "If-Match": ["PUT /profiles/{token}", "PATCH /profiles/{token}"],
        "Session-Id": [
            "GET /sessions/current", "PATCH /sessions/current", "DELETE /sessions/current",
            "POST /sessions/current/rotate",
        ],
        "Vault-Purpose": audited,
        "Vault-Request-Metadata": audited,
    }  # fmt: skip


async def test_an_access_key_is_asked_for(described: Description) -> None:
    """By a scheme that is declared."""
    (asked,) = described.document["security"]
    scheme = described.document["components"]["securitySchemes"][next(iter(asked))]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert not any("security" in operation for _, operation in described.operations())


async def test_every_call_has_its_problems(described: Description) -> None:
    """401, 403, 429 and 503 for all; what cannot be read for those that read; all in the one form."""
    for name, operation in described.operations():
        answers = operation["responses"]
        wanted = {"401", "403", "429", "503"} | (
            {"400", "408", "413", "415", "422"} if "requestBody" in operation else set()
        )
        assert answers.keys() >= wanted, name
        for status, answered in answers.items():
            if status >= "400":
                media = answered["content"]["application/problem+json"]
                assert media["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert media["example"]["status"] == int(status)
                assert f"`{media['example']['code']}`" in answered["description"]


async def test_every_body_has_an_example_that_is_right(described: Description) -> None:
    """Given whole, or put together from the examples of its fields."""
    for name, media in described.media():
        example = media.get("example", described.example(media["schema"]))
        assert example is not ..., name
        assert described.faults(media["schema"], example) == [], name


async def test_every_example_of_a_field_is_right(described: Description) -> None:
    """An example that its own schema refuses would be worse than none."""
    for schema in described.schemas():
        if "example" in schema:
            assert described.faults(schema, schema["example"]) == []


async def test_the_opaque_strings_shown_are_possible() -> None:
    """Whoever pastes an example gets the answer of an unknown one, not that of a malformed one."""
    assert is_user_token(TOKEN_EXAMPLE)
    assert is_handle(HANDLE_EXAMPLE)
    assert is_session_id(SESSION_ID_EXAMPLE)


async def test_a_right_body_is_right_by_the_document(described: Description) -> None:
    """The bodies of these tests, which the service takes."""
    for door in READERS:
        assert described.faults(request_schema(described, door), door.body) == [], door.name


def request_schema(described: Description, door: Door) -> Json:
    """Return the schema of a call's body."""
    operation = dict(described.operations())[f"{door.operation.method} {PREFIX}{door.operation.path}"]
    schema: Json = operation["requestBody"]["content"][door.media_type]["schema"]
    return schema


WRONG = [
    pytest.param("POST /profiles", {}, id="a profile without a profile"),
    pytest.param("POST /profiles", {"profile": []}, id="a list for a profile"),
    pytest.param("POST /profiles", {"profile": {}, "expires_in": 0}, id="no seconds"),
    pytest.param("POST /profiles", {"profile": {}, "expires_in": 1.5}, id="a second and a half"),
    pytest.param("POST /profiles", {"profile": {}, "expires_in": "5"}, id="seconds in quotes"),
    pytest.param("POST /profiles", {"profile": {}, "expires_in": None}, id="null for seconds"),
    pytest.param("POST /profiles", {"profile": {}, "surplus": 1}, id="an unknown field"),
    pytest.param("POST /profiles/batch", {"profiles": {}}, id="an object for a batch"),
    pytest.param("POST /profiles/lookup", {}, id="looking up nothing"),
    pytest.param("POST /profiles/lookup", {"email": "a", "login": "b"}, id="looking up two"),
    pytest.param("POST /profiles/lookup", {"email": 5}, id="looking up a number"),
    pytest.param("POST /sessions", {"user_token": "x"}, id="a token that cannot be"),
    pytest.param("POST /sessions", {"user_token": None}, id="null for a token"),
    pytest.param("POST /sessions", {"claims": []}, id="a list for claims"),
    pytest.param("PATCH /sessions/current", {}, id="a change of nothing"),
    pytest.param("POST /sessions/current/rotate", {"reauthenticated": "yes"}, id="yes for true"),
]


@pytest.mark.parametrize(("name", "body"), WRONG)
async def test_a_wrong_body_is_wrong_by_the_document(
    client: Client, described: Description, scene: Scene, name: str, body: Any
) -> None:
    """What the service refuses for its form, the document refuses as well: a client may check beforehand."""
    (door,) = (door for door in READERS if door.name == name)
    url, headers = door.path(scene), door.headers(scene)
    await problem(
        await client.request(door.operation.method, url, json=body, headers=headers), 422, "invalid"
    )
    assert described.faults(request_schema(described, door), body) != []


async def test_the_names_of_the_calls_are_known_to_these_tests() -> None:
    """A call that is added is added to the table of right bodies too, and so to every table made from it."""
    assert all(door.body is not None for door in READERS)
    assert {name_of(door.operation) for door in READERS} == {name_of(one) for one in OPERATIONS if one.body}
