"""Sessions: opened, looked up, and ended by time or by hand."""

from typing import Any

import pytest

from tests.clock import FakeClock
from tests.http.conversation import (
    MERGE,
    NO_SESSION,
    NOBODY,
    Client,
    Json,
    Scene,
    anonymised,
    answer,
    create,
    current,
    open_session,
    problem,
)
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.tokens import is_handle, is_session_id

SESSIONS = f"{PREFIX}/sessions"
HOUR = 3600


async def test_a_new_session_is_shown_with_its_id(client: Client, clock: FakeClock) -> None:
    """The defaults are 24 hours in all and one hour unused; the id is shown this once."""
    token = await create(client, {"login": "ada"})
    session = await open_session(client, token, claims={"roles": ["editor"], "locale": "en-GB"})
    session_id = session.pop("session_id")

    assert is_session_id(session_id)
    assert is_handle(session["handle"])
    assert session == {
        "user_token": token,
        "claims": {"roles": ["editor"], "locale": "en-GB"},
        "handle": session["handle"],
        "created_at": "2027-01-15T08:00:00.000Z",
        "authenticated_at": "2027-01-15T08:00:00.000Z",
        "last_seen_at": "2027-01-15T08:00:00.000Z",
        "expires_at": "2027-01-16T08:00:00.000Z",
        "idle_expires_at": "2027-01-15T09:00:00.000Z",
        "cache_for": 2,
    }
    response = await current(client, session_id)
    assert await answer(response) == session
    assert session_id not in await response.text()


async def test_an_anonymous_session_stays_nobodys(client: Client, clock: FakeClock) -> None:
    """Without a user token there is a session all the same; no later call gives it a person."""
    session = await open_session(client, claims={"locale": "de"})
    assert session["user_token"] is None
    headers = {"Session-Id": session["session_id"]}

    body = {"claims": {"locale": "fr"}, "user_token": NOBODY}
    await problem(await client.patch(f"{SESSIONS}/current", json=body, headers=headers), 422, "invalid")
    await problem(await client.post(f"{SESSIONS}/current/rotate", json=body, headers=headers), 422, "invalid")
    assert (await answer(await current(client, session["session_id"])))["user_token"] is None
    clock.advance(HOUR)
    await problem(await current(client, session["session_id"]), 404, "session_not_found")


@pytest.mark.parametrize(
    "body",
    [{"user_token": NOBODY}, {"user_token": NOBODY, "claims": {"email": "x"}}],
    ids=["alone", "with a bad claim"],
)
async def test_a_session_of_nobody_cannot_be_opened(client: Client, body: Json) -> None:
    """The person must be in the vault."""
    await problem(await client.post(SESSIONS, json=body), 404, "profile_not_found")


@pytest.mark.parametrize("idle", [10, 100, 3600])
async def test_use_slides_the_idle_window(client: Client, clock: FakeClock, idle: int) -> None:
    """Used a moment before its end it lives for another window; unused it is dead at the very end."""
    session = await open_session(client, idle_timeout=idle)
    for _ in range(3):
        clock.advance(idle - 0.001)
        body = await answer(await current(client, session["session_id"]))
        assert body["last_seen_at"] != session["last_seen_at"]
    clock.advance(idle)
    await problem(await current(client, session["session_id"]), 404, "session_not_found")


@pytest.mark.parametrize(("idle", "step"), [(100, 10), (3600, 60)], ids=["a tenth of the window", "a minute"])
async def test_the_window_slides_in_steps(client: Client, clock: FakeClock, idle: int, step: int) -> None:
    """A busy session costs one write a step; it may therefore end up to one step early, and never late."""
    session = await open_session(client, idle_timeout=idle)
    clock.advance(step - 0.001)
    early = await answer(await current(client, session["session_id"]))
    assert early["last_seen_at"] == session["last_seen_at"]
    assert early["idle_expires_at"] == session["idle_expires_at"]
    clock.advance(0.001)
    late = await answer(await current(client, session["session_id"]))
    assert late["last_seen_at"] > session["last_seen_at"]
    assert late["idle_expires_at"] > session["idle_expires_at"]


async def test_no_use_passes_the_absolute_end(client: Client, clock: FakeClock) -> None:
    """However often it is looked up or changed, a session ends at the millisecond its lifetime does."""
    session = await open_session(client, expires_in=2 * HOUR)
    headers = {"Session-Id": session["session_id"]}
    for _ in range(7):
        clock.advance(HOUR / 4)
        await answer(
            await client.patch(f"{SESSIONS}/current", json={"claims": {"role": "a"}}, headers=headers)
        )
        body = await answer(await current(client, session["session_id"]))
        assert body["expires_at"] == session["expires_at"]
        assert body["idle_expires_at"] <= body["expires_at"]
    clock.advance(HOUR / 4 - 0.001)
    await answer(await current(client, session["session_id"]))
    clock.advance(0.001)
    await problem(await current(client, session["session_id"]), 404, "session_not_found")


async def test_a_clock_that_steps_back_makes_nothing_immortal(client: Client, clock: FakeClock) -> None:
    """A session seen in the future is corrected at its next use, and its absolute end does not move."""
    session = await open_session(client, expires_in=2 * HOUR)
    clock.advance(HOUR - 1)
    await answer(await current(client, session["session_id"]))
    clock.advance(1 - HOUR)
    body = await answer(await current(client, session["session_id"]))
    assert [body[name] for name in ("last_seen_at", "idle_expires_at", "expires_at")] == [
        session[name] for name in ("last_seen_at", "idle_expires_at", "expires_at")
    ]


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        pytest.param({"expires_in": 86_401}, "expires_in", id="more than 24 hours"),
        pytest.param({"idle_timeout": 3601}, "idle_timeout", id="more than an hour unused"),
        pytest.param({"expires_in": 10**10}, "expires_in", id="three centuries"),
    ],
)
async def test_no_session_asks_for_more_than_the_caps(client: Client, wanted: Json, named: str) -> None:
    """Over the cap is refused by name, and not cut in silence."""
    body = await problem(await client.post(SESSIONS, json=wanted), 422, "invalid")
    assert list(body["errors"]) == [named]


async def test_the_caps_themselves_and_a_second_are_fine(client: Client, clock: FakeClock) -> None:
    """The bounds belong to what is allowed; an idle window longer than the lifetime is cut at its end."""
    await open_session(client, expires_in=86_400, idle_timeout=3600)
    short = await open_session(client, expires_in=1, idle_timeout=3600)
    assert short["idle_expires_at"] == short["expires_at"] == "2027-01-15T08:00:01.000Z"
    clock.advance(1)
    await problem(await current(client, short["session_id"]), 404, "session_not_found")


@pytest.mark.parametrize(("left", "cache_for"), [(10, 2), (2, 2), (1.999, 1), (1, 1), (0.999, 0), (0.001, 0)])
async def test_an_answer_may_be_reused_for_a_moment(
    client: Client, clock: FakeClock, left: float, cache_for: int
) -> None:
    """cache_for is what the settings say, and never passes the session's end."""
    session = await open_session(client, expires_in=100, idle_timeout=3600)
    clock.advance(100 - left)
    assert (await answer(await current(client, session["session_id"])))["cache_for"] == cache_for


async def test_logging_out_ends_a_session_at_once_and_for_good(client: Client, clock: FakeClock) -> None:
    """204, then 404 at the next look-up; logging out again is no error."""
    session = await open_session(client)
    headers = {"Session-Id": session["session_id"]}
    for _ in range(2):
        response = await client.delete(f"{SESSIONS}/current", headers=headers)
        assert (response.status, await response.read()) == (204, b"")
        await problem(await current(client, session["session_id"]), 404, "session_not_found")


async def test_unknown_expired_and_revoked_are_one_answer(client: Client, clock: FakeClock) -> None:
    """Nobody learns from a refusal whether a session ever was."""
    expired = (await open_session(client, expires_in=1))["session_id"]
    idle = (await open_session(client, idle_timeout=1))["session_id"]
    ended = (await open_session(client))["session_id"]
    rotated = (await open_session(client))["session_id"]
    person = await create(client, {"login": "ada"})
    revoked = (await open_session(client, person))["session_id"]
    erased_person = await create(client, {"login": "eve"})
    erased = (await open_session(client, erased_person))["session_id"]
    await client.delete(f"{SESSIONS}/current", headers={"Session-Id": ended})
    await client.post(f"{SESSIONS}/current/rotate", json={}, headers={"Session-Id": rotated})
    await client.delete(f"{PREFIX}/profiles/{person}/sessions")
    await client.delete(f"{PREFIX}/profiles/{erased_person}")
    clock.advance(1)

    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"claims": {}}),
        ("POST", "/rotate", {}),
        ("POST", "/rotate", {"reauthenticated": True}),
    ):
        answers = set()
        for session_id in (NO_SESSION, "no id", expired, idle, ended, rotated, revoked, erased):
            url, headers = f"{SESSIONS}/current{path}", {"Session-Id": session_id}
            answers.add(await anonymised(await client.request(method, url, json=body, headers=headers)))
        assert len(answers) == 1
        assert answers.pop()[0] == 404


@pytest.mark.parametrize("swept", [False, True], ids=["not swept yet", "swept"])
async def test_a_session_never_outlives_its_profile(
    client: Client, clock: FakeClock, vault: Vault, swept: bool
) -> None:
    """When the person's profile ends, so do the sessions, at the same millisecond."""
    token = await create(client, {}, expires_in=60)
    session = await open_session(client, token)
    clock.advance(59.999)
    body = await answer(await current(client, session["session_id"]))
    assert body["expires_at"] == "2027-01-15T08:01:00.000Z"
    clock.advance(0.001)
    if swept:
        await vault.housekeeping.round()
    await problem(await current(client, session["session_id"]), 404, "session_not_found")
    assert await answer(await client.get(f"{PREFIX}/profiles/{token}/sessions")) == {"sessions": []}


async def test_signing_in_again_does_not_outlive_the_profile(client: Client, clock: FakeClock) -> None:
    """Re-authentication restarts the lifetime, but only as far as the profile lives."""
    token = await create(client, {}, expires_in=60)
    session = await open_session(client, token)
    clock.advance(30)
    body: dict[str, Any] = {"reauthenticated": True}
    headers = {"Session-Id": session["session_id"]}
    rotated = await answer(await client.post(f"{SESSIONS}/current/rotate", json=body, headers=headers))
    assert rotated["expires_at"] == rotated["idle_expires_at"] == "2027-01-15T08:01:00.000Z"


async def test_no_session_is_opened_for_a_profile_that_has_expired(client: Client, clock: FakeClock) -> None:
    """Not swept yet is gone all the same."""
    token = await create(client, {}, expires_in=60)
    clock.advance(60)
    await problem(await client.post(SESSIONS, json={"user_token": token}), 404, "profile_not_found")


async def test_a_change_of_the_profile_ends_no_session(client: Client, scene: Scene) -> None:
    """Only erasing and expiring do."""
    url, headers = f"{PREFIX}/profiles/{scene.token}", {"Content-Type": MERGE}
    await answer(await client.patch(url, data=b'{"city": "Oslo"}', headers=headers))
    await answer(await current(client, scene.session_id))


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST", "DELETE"])
async def test_a_call_about_a_session_must_name_one(client: Client, method: str) -> None:
    """Without the header the request cannot be read."""
    path = "/current/rotate" if method == "POST" else "/current"
    body: Json | None = {"claims": {}} if method in ("PATCH", "POST") else None
    await problem(await client.request(method, SESSIONS + path, json=body), 400, "malformed")
