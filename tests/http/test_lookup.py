"""Finding a person by e-mail, login, phone or custom value."""

from typing import Any

import pytest

from tests.clock import FakeClock
from tests.http.conversation import MERGE, Client, Json, answer, create, problem
from vault.http.native.operation import PREFIX

LOOKUP = f"{PREFIX}/profiles/lookup"


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        pytest.param({"email": "ada@example.org"}, {"email": "ada@example.org"}, id="an e-mail as it is"),
        pytest.param(
            {"email": "Ada@Example.ORG"}, {"email": " aDA@eXAMPLE.org "}, id="an e-mail in another case"
        ),
        pytest.param(
            {"email": "jos\u00e9@example.org"}, {"email": "jose\u0301@example.org"}, id="NFC and NFD"
        ),
        pytest.param(
            {"email": "a@bücher.example"}, {"email": "a@xn--bcher-kva.example"}, id="an IDNA domain"
        ),
        pytest.param({"email": "STRASSE@example.org"}, {"email": "straße@example.org"}, id="a sharp s"),
        pytest.param({"login": "Ada.L"}, {"login": "ada.l"}, id="a login in another case"),
        pytest.param({"login": "Пётр"}, {"login": "ПЁТР"}, id="a login in Cyrillic"),
        pytest.param(
            {"phone": "+1 (201) 555-0123"}, {"phone": "+12015550123"}, id="a phone without its signs"
        ),
        pytest.param(
            {"phone": "(201) 555-0123"}, {"phone": "+12015550123"}, id="a phone of the default country"
        ),
        pytest.param({"phone": 12015550123}, {"phone": "+1 201 555 0123"}, id="a phone kept as a number"),
        pytest.param({"phone": "ext. 7"}, {"phone": "ext. 7"}, id="a phone that is none"),
        pytest.param(
            {"custom": "Order-77"}, {"custom": " Order-77 "}, id="a custom value within white space"
        ),
        pytest.param({"custom": "a\x00b"}, {"custom": "a\x00b"}, id="a custom value that holds NUL"),
    ],
)
async def test_a_person_is_found_by_any_spelling(client: Client, kept: Json, asked: Json) -> None:
    """Spellings that mean one value find one person, and stand for one person."""
    token = await create(client, kept)
    assert await answer(await client.post(LOOKUP, json=asked)) == {"token": token}
    body = await problem(await client.post(f"{PREFIX}/profiles", json={"profile": asked}), 409, "duplicate")
    assert list(body["errors"]) == list(asked)


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        pytest.param({"email": "ada@example.org"}, {"email": "eve@example.org"}, id="another value"),
        pytest.param(
            {"email": "ada@example.org"}, {"login": "ada@example.org"}, id="the value of another field"
        ),
        pytest.param({"login": "ada"}, {"login": "ad"}, id="the beginning of a value"),
        pytest.param({"login": "ada"}, {"login": "%"}, id="a wildcard"),
        pytest.param({"custom": "Order-77"}, {"custom": "order-77"}, id="a custom value in another case"),
        pytest.param({"email": ""}, {"email": ""}, id="an empty value, which is nobody's"),
        pytest.param({"email": None}, {"email": "None"}, id="the word for an absent value"),
        pytest.param(
            {"inner": {"email": "a@b.org"}}, {"email": "a@b.org"}, id="a value that is not at the top"
        ),
    ],
)
async def test_what_is_not_the_value_finds_nobody(client: Client, kept: Json, asked: Json) -> None:
    """404 is the answer, whatever else is stored."""
    await create(client, kept)
    await problem(await client.post(LOOKUP, json=asked), 404, "profile_not_found")


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        pytest.param({}, "body", id="no field"),
        pytest.param({"email": "a@b.org", "login": "a"}, "body", id="two fields"),
        pytest.param({"name": "Ada"}, "name", id="a field that is not indexed"),
        pytest.param({"email": None}, "email", id="null"),
        pytest.param({"email": ["a@b.org"]}, "email", id="a list"),
        pytest.param({"email": True}, "email", id="a boolean"),
        pytest.param({"email": {"$ne": ""}}, "email", id="an object"),
    ],
)
async def test_a_lookup_asks_for_exactly_one_text(client: Client, asked: Any, named: str) -> None:
    """Anything else is refused by name, and the value is not repeated."""
    body = await problem(await client.post(LOOKUP, json=asked), 422, "invalid")
    assert named in body["errors"]
    assert "a@b.org" not in str(body)


async def test_a_changed_value_is_found_and_the_old_is_free(client: Client, clock: FakeClock) -> None:
    """The index follows every change, and someone else may have what was given up."""
    token = await create(client, {"email": "old@example.org"}, expires_in=60)
    headers = {"Content-Type": MERGE}
    patch = b'{"email": "new@example.org"}'
    await answer(await client.patch(f"{PREFIX}/profiles/{token}", data=patch, headers=headers))

    await problem(await client.post(LOOKUP, json={"email": "old@example.org"}), 404, "profile_not_found")
    assert await answer(await client.post(LOOKUP, json={"email": "new@example.org"})) == {"token": token}
    await create(client, {"email": "old@example.org"})
    clock.advance(60)
    await problem(await client.post(LOOKUP, json={"email": "new@example.org"}), 404, "profile_not_found")
