"""A session takes a new id at login, at a rise of rights, and whenever it is asked to."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.clock import FakeClock
from tests.http.conversation import (
    Client,
    Json,
    Scene,
    answer,
    create,
    current,
    listed,
    open_session,
    problem,
)
from vault.http.native.operation import PREFIX


async def rotate(client: Client, session_id: str, **body: Any) -> ClientResponse:
    """Ask for a new id."""
    url = f"{PREFIX}/sessions/current/rotate"
    return await client.post(url, json=body, headers={"Session-Id": session_id})


async def test_the_old_id_is_dead_at_once(client: Client, scene: Scene) -> None:
    """There is no grace: the new id opens the session, and nothing can be done with the old one."""
    new = await answer(await rotate(client, scene.session_id))
    headers = {"Session-Id": scene.session_id}

    assert new["session_id"] != scene.session_id
    await problem(await current(client, scene.session_id), 404, "session_not_found")
    await problem(await rotate(client, scene.session_id), 404, "session_not_found")
    patch = await client.patch(f"{PREFIX}/sessions/current", json={"claims": {}}, headers=headers)
    await problem(patch, 404, "session_not_found")
    assert (await client.delete(f"{PREFIX}/sessions/current", headers=headers)).status == 204
    await answer(await current(client, new["session_id"]))


async def test_a_rotation_keeps_what_the_session_is(client: Client, clock: FakeClock, scene: Scene) -> None:
    """Handle, person, claims and absolute end stay; only the id and the idle window are new."""
    before = await answer(await current(client, scene.session_id))
    clock.advance(600)
    after = await answer(await rotate(client, scene.session_id))
    session_id = after.pop("session_id")

    kept = ("handle", "user_token", "claims", "created_at", "authenticated_at", "expires_at", "cache_for")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert after["last_seen_at"] == "2027-01-15T08:10:00.000Z"
    assert after["idle_expires_at"] == "2027-01-15T09:10:00.000Z"
    assert await answer(await current(client, session_id)) == after
    assert await listed(client, scene.token) == [scene.handle]


@pytest.mark.parametrize(
    ("body", "claims"),
    [
        pytest.param({}, {"role": "reader", "locale": "de"}, id="no claims: all stay"),
        pytest.param({"claims": {"role": "admin"}}, {"role": "admin"}, id="claims: these and no others"),
        pytest.param({"claims": {}}, {}, id="no claim at all"),
    ],
)
async def test_claims_are_replaced_as_a_whole(client: Client, body: Json, claims: Json) -> None:
    """What the old session carried is not mixed into the new."""
    session = await open_session(client, claims={"role": "reader", "locale": "de"})
    new = await answer(await rotate(client, session["session_id"], **body))
    assert new["claims"] == claims
    assert (await answer(await current(client, new["session_id"])))["claims"] == claims


@pytest.mark.parametrize("body", [{}, {"reauthenticated": False}], ids=["not said", "denied"])
async def test_only_proving_who_one_is_restarts_the_lifetime(
    client: Client, clock: FakeClock, body: Json
) -> None:
    """Without re-authentication the absolute end does not move, however often the id does."""
    session = await open_session(client, expires_in=7200)
    session_id = session["session_id"]
    for _ in range(7):
        clock.advance(900)
        new = await answer(await rotate(client, session_id, **body))
        session_id = new["session_id"]
        assert new["expires_at"] == session["expires_at"]
        assert new["authenticated_at"] == session["authenticated_at"]
        assert new["idle_expires_at"] <= new["expires_at"]
    clock.advance(900)
    await problem(await current(client, session_id), 404, "session_not_found")


async def test_proving_who_one_is_restarts_both_limits(client: Client, clock: FakeClock) -> None:
    """The lifetime that was asked for at first starts again, and so does the idle window."""
    session = await open_session(client, expires_in=7200, idle_timeout=1800)
    clock.advance(1799)
    new = await answer(await rotate(client, session["session_id"], reauthenticated=True))
    assert new["authenticated_at"] == new["last_seen_at"] == "2027-01-15T08:29:59.000Z"
    assert new["expires_at"] == "2027-01-15T10:29:59.000Z"
    assert new["idle_expires_at"] == "2027-01-15T08:59:59.000Z"
    assert new["created_at"] == session["created_at"]


async def test_of_twenty_rotations_one_wins(client: Client, scene: Scene) -> None:
    """There is one successor; whoever was slower holds a dead id."""
    answers = await asyncio.gather(*(rotate(client, scene.session_id) for _ in range(20)))
    assert sorted(response.status for response in answers) == [200] + [404] * 19
    (winner,) = (response for response in answers if response.status == 200)
    await answer(await current(client, (await winner.json())["session_id"]))
    assert await listed(client, scene.token) == [scene.handle]


async def test_no_rotation_survives_a_logout(client: Client, scene: Scene) -> None:
    """Whatever overtakes what, after logging out of the session by its handle it is gone."""
    rotations = [rotate(client, scene.session_id) for _ in range(5)]
    results = await asyncio.gather(
        *rotations[:2], client.delete(f"{PREFIX}/sessions/{scene.handle}"), *rotations[2:]
    )
    assert await listed(client, scene.token) == []
    for response in results:
        if response.status == 200:
            body = await response.json()
            await problem(await current(client, body["session_id"]), 404, "session_not_found")


async def test_a_login_is_a_new_session(client: Client) -> None:
    """An anonymous session never becomes a person's: after login there is another id."""
    anonymous = await open_session(client)
    token = await create(client, {"login": "ada"})
    session = await open_session(client, token)
    assert session["session_id"] != anonymous["session_id"]
    assert (await answer(await rotate(client, anonymous["session_id"])))["user_token"] is None
