"""Many profiles in one call."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.http.conversation import Client, answer, create, problem, read
from tests.http.files import besides_the_trail, contents, counts, events
from vault.http.native.operation import PREFIX

BATCH = f"{PREFIX}/profiles/batch"


async def test_a_batch_succeeds_in_parts_and_in_order(client: Client, clock: FakeClock) -> None:
    """Each entry is judged on its own, and answered in its place by a token or by an error that names fields."""
    await create(client, {"email": "taken@example.org"})
    entries: list[Any] = [
        {"profile": {"email": "one@example.org", "n": 1}},
        {"profile": {"email": "TAKEN@example.org"}},
        {"profile": {"email": "two@example.org"}, "expires_in": 60},
        {"profile": {"email": "One@Example.org"}},
        {"profile": {"n": 5}, "extra": 1},
        {"profile": {"login": True}},
        {"profile": {}, "expires_in": 1.9},
        {"profiles": {}},
        "secret text",
        {"profile": {"n": 11}},
    ]
    response = await client.post(BATCH, json={"profiles": entries})
    body = await answer(response)

    assert (body["created"], body["failed"]) == (3, 7)
    assert [result.get("error", {}).get("code") for result in body["results"]] == [
        *(None, "duplicate", None, "duplicate"), *["invalid"] * 5, None
    ]  # fmt: skip
    fields = [list(result["error"]["errors"]) for result in body["results"] if "error" in result]
    assert fields == [
        ["email"],
        ["email"],
        ["extra"],
        ["login"],
        ["expires_in"],
        ["profile", "profiles"],
        ["body"],
    ]
    assert "secret text" not in await response.text()
    tokens = [result["token"] for result in body["results"] if "token" in result]
    assert [await read(client, token) for token in tokens] == [
        entries[0]["profile"],
        entries[2]["profile"],
        {"n": 11},
    ]
    clock.advance(60)
    statuses = [(await client.get(f"{PREFIX}/profiles/{token}")).status for token in tokens]
    assert statuses == [200, 404, 200]


@pytest.mark.parametrize("entry", [None, "text", 5, [], True], ids=repr)
async def test_an_entry_that_is_no_object_fails_alone(client: Client, entry: Any) -> None:
    """The entries beside it are kept."""
    body = await answer(
        await client.post(BATCH, json={"profiles": [{"profile": {}}, entry, {"profile": {}}]})
    )
    assert (body["created"], body["failed"]) == (2, 1)
    assert [list(result) for result in body["results"]] == [["token"], ["error"], ["token"]]


async def test_an_entry_that_fails_leaves_nothing(client: Client, data: Path) -> None:
    """Its other values stay free, and no row and no tag of it is stored; that it was refused is recorded."""
    await create(client, {"email": "taken@example.org"})
    before, recorded = besides_the_trail(contents(data)), events(data)
    entry = {"profile": {"login": "mine", "email": "taken@example.org"}}
    body = await answer(await client.post(BATCH, json={"profiles": [entry]}))

    assert (body["created"], body["failed"]) == (0, 1)
    assert besides_the_trail(contents(data)) == before
    assert events(data) == [*recorded, ("profile.created", "duplicate")]
    await create(client, {"login": "mine"})


async def test_an_empty_batch_is_no_error(client: Client) -> None:
    """Nothing in, nothing out."""
    body = await answer(await client.post(BATCH, json={"profiles": []}))
    assert body == {"created": 0, "failed": 0, "results": []}


async def test_a_batch_may_hold_5000_profiles(client: Client, data: Path) -> None:
    """All are kept, each under a token of its own, in order."""
    profiles = [{"login": f"user {n}", "n": n} for n in range(5000)]
    body = await answer(await client.post(BATCH, json={"profiles": [{"profile": one} for one in profiles]}))

    assert (body["created"], body["failed"]) == (5000, 0)
    tokens = [result["token"] for result in body["results"]]
    assert len(set(tokens)) == 5000
    for n in (0, 1, 63, 64, 2500, 4999):
        assert await read(client, tokens[n]) == profiles[n]
        found = await client.post(f"{PREFIX}/profiles/lookup", json={"login": f"user {n}"})
        assert await answer(found) == {"token": tokens[n]}
    assert counts(data)["vault.profiles"] == 5000


async def test_a_batch_of_5001_is_refused_whole(client: Client, data: Path) -> None:
    """One too many, and none is kept."""
    before = contents(data)
    entries: list[Any] = [{"profile": {}}] * 5001
    await problem(await client.post(BATCH, json={"profiles": entries}), 413, "too_large")
    assert contents(data) == before


@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param({}, "profiles", id="no profiles"),
        pytest.param({"profiles": None}, "profiles", id="null"),
        pytest.param({"profiles": {}}, "profiles", id="an object"),
        pytest.param({"profiles": [], "dry_run": True}, "dry_run", id="an unknown field"),
        pytest.param([], "body", id="a list without a name"),
    ],
)
async def test_what_is_no_batch_is_refused(client: Client, data: Path, body: Any, named: str) -> None:
    """The envelope is judged before any entry."""
    before = contents(data)
    found = await problem(await client.post(BATCH, json=body), 422, "invalid")
    assert list(found["errors"]) == [named]
    assert contents(data) == before


async def test_a_batch_counts_its_bytes_apart(client: Client) -> None:
    """A batch may be larger than one profile may be, since it holds many."""
    entry = {"profile": {"note": "x" * 100_000}}
    assert len(json.dumps(entry)) * 10 > 262_144
    body = await answer(await client.post(BATCH, json={"profiles": [entry] * 10}))
    assert body["created"] == 10
