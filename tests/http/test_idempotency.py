"""A request that is sent twice is done once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.clock import FakeClock
from tests.http.conversation import Client, answer, create, current, problem
from tests.http.files import all_bytes, besides_the_trail, contents, counts, events
from vault.http.native.operation import PREFIX

DAY = 86_400

#: The three calls that create: where, a body, another body, the status, and what the rows are called.
CREATING = [
    pytest.param(
        "/profiles", {"profile": {"email": "a@example.org"}}, {"profile": {"email": "b@example.org"}}, 201,
        "vault.profiles", id="a profile",
    ),
    pytest.param(
        "/profiles/batch", {"profiles": [{"profile": {"email": "a@example.org"}}, {"profile": 5}]},
        {"profiles": [{"profile": {}}]}, 200, "vault.profiles", id="a batch",
    ),
    pytest.param(
        "/sessions", {"claims": {"role": "editor"}, "expires_in": 100}, {"claims": {"role": "reader"}}, 201,
        "sessions.sessions", id="a session",
    ),
]  # fmt: skip
creating = pytest.mark.parametrize(("path", "body", "other", "status", "table"), CREATING)


async def send(client: Client, path: str, body: Any, key: str = "key-1", **headers: str) -> ClientResponse:
    """Send a request under an Idempotency-Key."""
    return await client.post(PREFIX + path, json=body, headers={"Idempotency-Key": key, **headers})


@creating
async def test_a_repeated_request_gets_the_first_answer(
    client: Client, clock: FakeClock, data: Path, path: str, body: Any, other: Any, status: int, table: str
) -> None:
    """Byte for byte, with a header that says so; one row is made, and nothing is written by the repetition.

    But that a session's id was given out once more is an event.
    """
    first = await send(client, path, body)
    assert first.status == status
    assert "Idempotent-Replayed" not in first.headers
    kept, recorded = besides_the_trail(contents(data)), events(data)

    clock.advance(5)
    second = await send(client, path, body)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (second.status, await second.read()) == (status, await first.read())
    assert [second.headers.get(name) for name in ("Location", "ETag")] == [
        first.headers.get(name) for name in ("Location", "ETag")
    ]
    assert besides_the_trail(contents(data)) == kept
    assert events(data) == recorded + [("session.opened", "ok")] * (path == "/sessions")
    assert counts(data)[table] == 1


@creating
async def test_a_key_stands_for_one_request(
    client: Client, data: Path, path: str, body: Any, other: Any, status: int, table: str
) -> None:
    """The same key with another body is refused, and the first answer is still there."""
    first = await send(client, path, body)
    await problem(await send(client, path, other), 422, "idempotency_key_reused")
    assert counts(data)[table] == 1
    again = await send(client, path, body)
    assert (again.status, await again.read()) == (status, await first.read())


@creating
async def test_without_a_key_or_under_another_it_is_another_request(
    client: Client, data: Path, path: str, body: Any, other: Any, status: int, table: str
) -> None:
    """Only the same key means the same request."""
    await answer(await send(client, path, other), status)
    for response in (
        await send(client, path, other, "key-2"),
        await client.post(PREFIX + path, json=other),
        await client.post(PREFIX + path, json=other),
    ):
        assert "Idempotent-Replayed" not in response.headers


@creating
async def test_two_callers_never_meet(
    client: Client,
    key_for: Callable[..., Awaitable[str]],
    path: str,
    body: Any,
    other: Any,
    status: int,
    table: str,
) -> None:
    """The same key under another access key is another request, which sees nothing of the first answer."""
    await answer(await send(client, path, body), status)
    mine = await send(client, path, other, Authorization=f"Bearer {await key_for('admin')}")
    await answer(mine, status)
    assert "Idempotent-Replayed" not in mine.headers


async def test_two_calls_never_meet(client: Client) -> None:
    """The same key at another path is another request."""
    await answer(await send(client, "/profiles", {"profile": {}}), 201)
    await answer(await send(client, "/sessions", {}), 201)
    body = await answer(await send(client, "/profiles/batch", {"profiles": []}))
    assert body["created"] == 0


@creating
async def test_twenty_at_once_create_one(
    client: Client, data: Path, path: str, body: Any, other: Any, status: int, table: str
) -> None:
    """Whichever comes first is done; the others are answered with its answer."""
    answers = await asyncio.gather(*(send(client, path, body) for _ in range(20)))

    assert [response.status for response in answers] == [status] * 20
    assert len({await response.read() for response in answers}) == 1
    assert sum("Idempotent-Replayed" not in response.headers for response in answers) == 1
    assert counts(data)[table] == 1


@creating
async def test_an_answer_is_kept_for_24_hours(
    client: Client, clock: FakeClock, path: str, body: Any, other: Any, status: int, table: str
) -> None:
    """In the last millisecond it is still known; at the end it is forgotten, and the key is free."""
    await answer(await send(client, path, body), status)
    clock.advance(DAY - 0.001)
    assert (await send(client, path, body)).headers["Idempotent-Replayed"] == "true"
    clock.advance(0.001)
    response = await send(client, path, other)
    assert response.status == status
    assert "Idempotent-Replayed" not in response.headers


async def test_a_repeated_login_gets_the_same_session(client: Client) -> None:
    """The id that was lost on its way comes again, and is alive."""
    token = await create(client, {"login": "ada"})
    bodies = [await answer(await send(client, "/sessions", {"user_token": token}), 201) for _ in range(2)]
    assert bodies[0]["session_id"] == bodies[1]["session_id"]
    assert (await answer(await current(client, bodies[0]["session_id"])))["user_token"] == token


async def test_a_repeated_login_does_not_revive(client: Client) -> None:
    """The answer is repeated after a logout too, but its session stays ended."""
    first = await answer(await send(client, "/sessions", {}), 201)
    await client.delete(f"{PREFIX}/sessions/current", headers={"Session-Id": first["session_id"]})
    assert await answer(await send(client, "/sessions", {}), 201) == first
    await problem(await current(client, first["session_id"]), 404, "session_not_found")


async def test_a_refusal_is_not_kept(client: Client) -> None:
    """What failed may be tried again under the same key, and then succeeds."""
    owner = await create(client, {"email": "a@example.org"})
    body = {"profile": {"email": "a@example.org"}}
    await problem(await send(client, "/profiles", body), 409, "duplicate")
    await client.delete(f"{PREFIX}/profiles/{owner}")
    response = await send(client, "/profiles", body)
    await answer(response, 201)
    assert "Idempotent-Replayed" not in response.headers


async def test_a_kept_answer_is_sealed(client: Client, data: Path) -> None:
    """Neither the key nor a session's id lies in the files."""
    body = await answer(await send(client, "/sessions", {}, "a-telling-key"), 201)
    everything = all_bytes(data)
    assert counts(data)["sessions.answers"] == 1
    assert b"a-telling-key" not in everything
    assert body["session_id"].encode() not in everything


@creating
@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 256, id="256 characters"),
        pytest.param("schlüssel", id="not ASCII"),
        pytest.param("a\tb", id="a tab inside"),
    ],
)
async def test_a_key_has_a_form(
    client: Client, data: Path, path: str, body: Any, other: Any, status: int, table: str, key: str
) -> None:
    """1 to 255 printable ASCII characters: anything else is refused before a write."""
    before = contents(data)
    response = await send(client, path, body, key)
    await problem(response, 400, "malformed")
    assert contents(data) == before


@pytest.mark.parametrize(
    "key", ["x", "x" * 255, json.dumps("quoted, as the draft writes it"), "; DROP TABLE answers"]
)
async def test_any_printable_key_will_do(client: Client, key: str) -> None:
    """The key is a name and is not interpreted."""
    first = await answer(await send(client, "/profiles", {"profile": {}}, key), 201)
    assert await answer(await send(client, "/profiles", {"profile": {}}, key), 201) == first
