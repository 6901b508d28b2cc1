"""The audit trail on the wire: who may read it, which part of it, page by page and as one stream."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.http.conversation import ADA, NOBODY, Client, answer, create, problem, read
from tests.http.openapi import Description
from vault.http.native.audit import NDJSON
from vault.http.native.operation import PREFIX
from vault.installation import Vault

AUDIT, EXPORT = f"{PREFIX}/audit", f"{PREFIX}/audit/export"


async def listed(client: Client, query: str = "", **headers: str) -> list[dict[str, Any]]:
    """Return the events of one page."""
    body = await answer(await client.get(f"{AUDIT}{query}", headers=headers))
    found: list[dict[str, Any]] = body["events"]
    return found


async def lines(client: Client, query: str = "") -> list[dict[str, Any]]:
    """Return the events of an export."""
    async with client.get(f"{EXPORT}{query}") as response:
        assert (response.status, response.content_type) == (200, NDJSON)
        assert response.headers["Cache-Control"] == "no-store"
        text = await response.text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("path", [AUDIT, EXPORT])
async def test_only_who_may_read_the_trail_does(
    anonymous: Client, key_for: Callable[..., Awaitable[str]], path: str
) -> None:
    """The scope audit:read, or admin; whoever may do all else may not."""
    await problem(await anonymous.get(path), 401, "unauthenticated")
    others = {"profiles:read", "profiles:bulk", "profiles:erase", "sessions:read"}
    for scopes, status in ((others, 403), ({"audit:read"}, 200), ({"admin"}, 200)):
        headers = {"Authorization": f"Bearer {await key_for(*scopes)}"}
        response = await anonymous.get(path, headers=headers)
        assert response.status == status
        await response.read()
    headers = {"Authorization": f"Bearer {await key_for('audit:read')}"}
    await problem(await anonymous.get(f"{PREFIX}/profiles/{NOBODY}", headers=headers), 403, "scope_missing")


async def test_an_event_is_shown_with_its_details_opened(client: Client) -> None:
    """All that it says, its place in the chain, and nothing of MACs, digests or boxes."""
    token = await create(client, ADA)
    path = f"{PREFIX}/profiles/{token}?fields=email"
    response = await client.get(path, headers={"Vault-Purpose": "ticket 4711"})
    assert response.status == 200

    event = (await listed(client, f"?token={token}"))[-1]

    assert re.fullmatch("[0-9a-f]{16}", event.pop("actor"))
    assert re.fullmatch("[0-9a-f]{64}", event.pop("link"))
    assert isinstance(event.pop("sequence"), int)
    assert event == {
        "at": "2027-01-15T08:00:00.000Z",
        "tenant": "default",
        "action": "profile.revealed",
        "outcome": "ok",
        "user_token": token,
        "request_id": response.headers["X-Request-Id"],
        "purpose": "ticket 4711",
        "revealed_version": 1,
        "details": {"fields": ["email"]},
    }


async def test_filters_are_those_of_the_query(client: Client, vault: Vault) -> None:
    """Of a person, by an actor, an action, behind a sequence; in a page and in an export alike."""
    token, other = await create(client, ADA), await create(client, {"email": "bea@example.org"})
    await read(client, token)
    await vault.profiles.get(other)  # by the vault itself
    everything = await listed(client, "?limit=1000")
    actor = everything[-2]["actor"]
    cases: dict[str, Callable[[dict[str, Any]], bool]] = {
        f"token={token}": lambda one: one["user_token"] == token,
        f"actor={actor}": lambda one: one["actor"] == actor,
        "actor=vault": lambda one: one["actor"] == "vault",
        "action=profile.revealed": lambda one: one["action"] == "profile.revealed",
        f"token={token}&action=profile.created&actor={actor}": lambda one: (
            one["user_token"] == token and one["action"] == "profile.created"
        ),
        "after=4": lambda one: one["sequence"] > 4,
        "action=nothing": lambda one: False,
    }
    for query, fits in cases.items():
        expected = [one for one in everything if fits(one)]
        page = [
            one for one in await listed(client, f"?{query}&limit=1000") if one["sequence"] <= len(everything)
        ]
        whole = [one for one in await lines(client, f"?{query}") if one["sequence"] <= len(everything)]
        assert page == whole == expected, query


async def test_pages_lead_to_the_end(client: Client) -> None:
    """Each names the next; together they are the trail, once each and in order; behind the end is nothing."""
    token = await create(client, ADA)
    for _ in range(11):
        await read(client, token)
    whole = await listed(client, "?limit=1000")
    for limit in (1, 4, len(whole), len(whole) + 1):
        found, after, pages = [], 0, 0
        while after is not None:
            body = await answer(await client.get(f"{AUDIT}?limit={limit}&after={after}"))
            assert len(body["events"]) <= limit
            found += body["events"]
            after, pages = body["next"], pages + 1
        assert found == whole
        assert pages == len(whole) // limit + 1
    assert [one["sequence"] for one in whole] == list(range(1, len(whole) + 1))
    assert len(await listed(client)) == len(whole) <= 100  # what a page holds by default


async def test_an_export_is_everything_and_an_event_itself(client: Client) -> None:
    """One event a line, more than are read at a time, in order, the export's own as the last."""
    token = await create(client, ADA)
    tokens = [token] * 3
    unlocked = await answer(
        await client.post(f"{PREFIX}/profiles/bulk/unlock", json={"reason": "a test"}), 201
    )
    body = {"unlock": unlocked["unlock"], "tokens": tokens}
    for _ in range(2):
        await answer(await client.post(f"{PREFIX}/profiles/bulk/read", json=body))
    batch = {"profiles": [{"profile": {"n": n}} for n in range(600)]}
    await answer(await client.post(f"{PREFIX}/profiles/batch", json=batch))

    found = await lines(client)

    assert [one["sequence"] for one in found] == list(range(1, len(found) + 1))
    assert len(found) > 600
    assert found[-1]["action"] == "audit.exported"
    assert found == [one for after in (0, 500) for one in (await listed(client, f"?limit=500&after={after}"))]


WRONG = {
    "no number": "after=x",
    "a number below nought": "after=-1",
    "a number too large for a database": "after=9223372036854775808",
    "a page of nothing": "limit=0",
    "a page that is too large": "limit=1001",
    "an unknown name": "person=1",
    "a name twice": "after=1&after=2",
}


@pytest.mark.parametrize("query", WRONG.values(), ids=WRONG)
async def test_a_wrong_query_is_refused(client: Client, query: str) -> None:
    """With the name that is wrong; an export is then no event."""
    for path in (AUDIT, EXPORT):
        told = await problem(await client.get(f"{path}?{query}"), 422, "invalid")
        assert told["errors"].keys() == {query.partition("=")[0]}
    assert [one for one in await listed(client) if one["action"] == "audit.exported"] == []


async def test_the_answers_are_as_described(client: Client) -> None:
    """Pages by their schema; an export by that of one event, line for line."""
    token = await create(client, ADA)
    await client.get(
        f"{PREFIX}/profiles/{token}", headers={"Vault-Request-Metadata": '{"agent": {"id": 12}}'}
    )
    described = Description(await (await client.get("/openapi.json")).json())
    page = described.answers(f"GET {AUDIT}")["200"]["content"]["application/json"]["schema"]
    line = described.answers(f"GET {EXPORT}")["200"]["content"][NDJSON]["schema"]

    assert described.faults(page, await answer(await client.get(AUDIT))) == []
    assert [described.faults(line, one) for one in await lines(client)].count([]) == len(await listed(client))
    assert described.faults(line, {"sequence": "1"}) != []


async def test_what_was_erased_is_shown_without_its_details(client: Client) -> None:
    """The event stays, and says that there was a person; what was sealed of it is gone."""
    token = await create(client, ADA)
    await answer(await client.get(f"{PREFIX}/profiles/{token}?fields=email"))
    assert [one["details"] for one in await listed(client, f"?token={token}")] == [
        None,
        {"fields": ["email"]},
    ]
    assert (await client.delete(f"{PREFIX}/profiles/{token}")).status == 200

    told = await listed(client, f"?token={token}")

    assert [(one["action"], one["details"]) for one in told] == [
        ("profile.created", None), ("profile.revealed", None), ("profile.erased", None),
    ]  # fmt: skip
