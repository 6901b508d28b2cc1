"""What goes wrong outside the vault's own rules: unknown paths, stores that fail, and our own mistakes."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.http.conversation import ADA, DOORS, Client, Scene, answer, current, problem, read, sign_in
from tests.http.tripwire import Tripwire
from vault.errors import StoreUnavailable, TamperedBox
from vault.http.native.operation import PREFIX

Log = Callable[[], list[dict[str, Any]]]

BOTH = frozenset({"profiles", "sessions", "unlocks", "audit"})
SECRET = "secret value of ada@example.org"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
async def test_an_unknown_path_is_a_problem(anonymous: Client, method: str) -> None:
    """404 in the one form of all refusals, also outside the API, and without the path in it."""
    for path in ("/", "/nope", "/api", "/api/v1", f"{PREFIX}/nope", "/healthz/", "/docs/nope", "/%00", "/é"):
        response = await anonymous.request(method, path)
        if method == "HEAD":
            assert (response.status, response.content_type) == (404, "application/problem+json")
        else:
            body = await problem(response, 404, "not_found")
            assert "nope" not in json.dumps(body)


METHODS = {"GET", "PUT", "PATCH", "DELETE"}
NO_METHODS = {
    "reading all profiles": ("GET", f"{PREFIX}/profiles", {"POST"}),
    "erasing all profiles": ("DELETE", f"{PREFIX}/profiles", {"POST"}),
    "posting to a profile": ("POST", f"{PREFIX}/profiles/x", METHODS),
    "asking what there is": ("OPTIONS", f"{PREFIX}/profiles/x", METHODS),
    "posting an export": ("POST", f"{PREFIX}/profiles/x/export", {"GET"}),
    "reading all sessions": ("GET", f"{PREFIX}/sessions", {"POST"}),
    "reading a session by its handle": ("GET", f"{PREFIX}/sessions/x", {"DELETE"}),
    "replacing a session": ("PUT", f"{PREFIX}/sessions/current", {"GET", "PATCH", "DELETE"}),
    "rotating by following a link": ("GET", f"{PREFIX}/sessions/current/rotate", {"POST"}),
    "posting to what only answers": ("POST", "/healthz", {"GET"}),
    "erasing the numbers": ("DELETE", "/metrics", {"GET"}),
    "replacing the description": ("PUT", "/openapi.json", {"GET"}),
    "changing the page": ("PATCH", "/docs", {"GET"}),
}


async def test_an_unknown_method_is_a_problem(anonymous: Client) -> None:
    """405 says which methods there are, and no others."""
    for sentence, (method, path, allowed) in NO_METHODS.items():
        response = await anonymous.request(method, path)
        await problem(response, 405, "method_not_allowed")
        assert {name.strip() for name in response.headers["Allow"].split(",")} == allowed, sentence


async def test_a_mistake_of_ours_tells_nothing(
    log: Log, watched: Client, watched_scene: Scene, wire: Tripwire
) -> None:
    """An exception that nobody expected is 500, and neither the answer nor the log holds its text."""
    wire.fault, wire.failing = RuntimeError(SECRET), BOTH
    for door in DOORS:
        before = len(log())
        body = await problem(await door.knock(watched, watched_scene), 500, "internal_error")
        assert not any(word in json.dumps(body) for word in ("secret", "ada@", "RuntimeError", "Traceback"))
        (line,) = (line for line in log()[before:] if line["event"] == "request.failed")
        assert (line["error"], line["level"], line["request_id"]) == (
            "RuntimeError",
            "error",
            body["request_id"],
        )
    assert not any(word in json.dumps(log()) for word in ("secret", "ada@", "Traceback"))


@pytest.mark.parametrize(
    "failing", [BOTH, frozenset({"access"})], ids=["its own stores", "that of access keys"]
)
async def test_a_store_that_fails_is_503(
    watched: Client, watched_scene: Scene, wire: Tripwire, clock: FakeClock, failing: frozenset[str]
) -> None:
    """Neither alive nor dead, neither known nor unknown: the caller is told to try again, and when."""
    clock.advance(1)
    wire.fault, wire.failing = StoreUnavailable(), failing
    for door in DOORS:
        response = await door.knock(watched, watched_scene)
        is_recorded_first = door.operation.path == "/audit/export" and "audit" in failing
        await problem(response, 503, "audit_unavailable" if is_recorded_first else "store_unavailable")
        assert int(response.headers["Retry-After"]) >= 1
    wire.fault = None
    await answer(await current(watched, watched_scene.session_id))
    assert (await read(watched, watched_scene.token)) == ADA


async def test_a_session_is_read_where_only_sliding_fails(
    watched: Client, watched_scene: Scene, wire: Tripwire, clock: FakeClock
) -> None:
    """It was just read as alive; that its window did not slide can only shorten its life."""
    before = await answer(await current(watched, watched_scene.session_id))
    clock.advance(600)
    wire.fault, wire.failing = StoreUnavailable(), frozenset({"sessions.touch"})
    assert await answer(await current(watched, watched_scene.session_id)) == before


async def test_a_box_that_does_not_open_is_told_to_the_log_alone(
    log: Log, watched: Client, watched_scene: Scene, wire: Tripwire
) -> None:
    """The operator learns what kind of damage it is; the caller that something is wrong."""
    wire.fault, wire.failing = TamperedBox(), frozenset({"sessions.find"})
    body = await problem(await current(watched, watched_scene.session_id), 500, "internal_error")
    assert "box" not in json.dumps(body)
    (line,) = (line for line in log() if line["event"] == "box.unreadable")
    assert line["code"] == "box_tampered"


async def test_the_service_is_alive_but_not_ready_without_its_store(watched: Client, wire: Tripwire) -> None:
    """A load balancer takes it out, and nobody restarts it for that."""
    wire.fault, wire.failing = StoreUnavailable(), frozenset({"housekeeping"})
    assert (await watched.get("/healthz")).status == 200
    response = await watched.get("/readyz")
    await problem(response, 503, "store_unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    wire.fault = None
    assert (await watched.get("/readyz")).status == 200


@pytest.mark.parametrize(
    "fault", [RuntimeError(SECRET), StoreUnavailable()], ids=["a mistake", "a failing store"]
)
async def test_a_login_that_fails_leaves_nothing_half_done(
    watched: Client, watched_scene: Scene, wire: Tripwire, fault: Exception
) -> None:
    """The same request under the same key succeeds once the store is back, as if for the first time."""
    headers, body = {"Idempotency-Key": "login-1"}, {"user_token": watched_scene.token}
    wire.fault, wire.failing = fault, frozenset({"sessions.insert"})
    assert (await watched.post(f"{PREFIX}/sessions", json=body, headers=headers)).status in (500, 503)
    wire.fault = None
    response = await watched.post(f"{PREFIX}/sessions", json=body, headers=headers)
    session = await answer(response, 201)
    assert "Idempotent-Replayed" not in response.headers
    await answer(await current(watched, session["session_id"]))


async def test_a_log_line_holds_no_value(log: Log, client: Client, scene: Scene) -> None:
    """One line a request, with the route's template: no token, no id, no query, no value."""
    scenes, done = [scene], []
    for door in DOORS:
        response = await door.knock(client, scenes[-1], path=door.path(scenes[-1]) + "?fields=ada")
        done.append((response.headers["X-Request-Id"], PREFIX + door.operation.path, response))
        if response.status < 300:  # it may have ended the session or the person
            await client.delete(f"{PREFIX}/profiles/{scenes[-1].token}")
            scenes.append(await sign_in(client))
    await client.close()  # lines are written in bulk, the last ones at the end

    for request_id, template, response in done:
        (line,) = (line for line in log() if line["event"] == "request" and line["request_id"] == request_id)
        assert (line["route"], line["method"], line["status"]) == (template, response.method, response.status)
        assert line["key_id"]
    text = json.dumps(log())
    for one in scenes:
        assert not any(value in text for value in (one.token, one.session_id, one.handle))
    assert not any(value in text for value in ("tvk_", "tvs_", "tsh_", "ada", "Paris", "London"))


async def test_the_numbers_hold_no_value(client: Client, scene: Scene) -> None:
    """Labels are templates, codes and key ids: a path that is not ours is counted under one name."""
    await current(client, scene.session_id)
    await client.get(f"{PREFIX}/profiles/{scene.token}")
    await client.get(f"/{scene.token}?email=ada@example.org")
    text = await (await client.get("/metrics")).text()
    assert f'route="{PREFIX}/profiles/{{token}}"' in text
    assert re.search(r'route="[^"]*unmatched[^"]*"', text)
    assert not any(
        value in text for value in (scene.token, scene.session_id, "ada@example.org", "tvs_", "tvk_")
    )
