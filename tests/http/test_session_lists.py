"""A person's sessions: seen and ended by their handles."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.clock import FakeClock
from tests.http.conversation import (
    NO_HANDLE,
    NOBODY,
    Client,
    Scene,
    answer,
    create,
    current,
    listed,
    open_session,
    problem,
)
from vault.http.native.operation import PREFIX


@pytest.fixture
async def person(client: Client) -> str:
    """The token of a person."""
    return await create(client, {"login": "ada"})


async def alive(client: Client, *session_ids: str) -> list[bool]:
    """Return which of the sessions live."""
    return [(await current(client, session_id)).status == 200 for session_id in session_ids]


async def test_a_list_shows_live_sessions_the_newest_first(
    client: Client, clock: FakeClock, person: str
) -> None:
    """With what a look-up shows of each, and never with an id; looking at the list slides nothing."""
    sessions = []
    for number in range(4):
        sessions.append(
            await open_session(client, person, claims={"role": f"r{number}"}, expires_in=10 + number)
        )
        clock.advance(1)
    await client.delete(f"{PREFIX}/sessions/{sessions[2]['handle']}")
    await open_session(client)
    await open_session(client, await create(client, {"login": "eve"}))
    clock.advance(6)

    response = await client.get(f"{PREFIX}/profiles/{person}/sessions")
    assert await answer(response) == {
        "sessions": [
            {name: value for name, value in sessions[number].items() if name != "session_id"}
            for number in (3, 1)
        ]
    }
    assert "tvs_" not in await response.text()


async def test_nobody_has_no_sessions(client: Client) -> None:
    """An unknown person's list is empty: whoever may read sessions learns nothing about profiles."""
    for token in (NOBODY, "no-token"):
        assert await listed(client, token) == []


async def test_a_handle_ends_one_session(client: Client, person: str) -> None:
    """The others stay; ending it again, or one that never was, is no error."""
    first, second = await open_session(client, person), await open_session(client, person)
    for handle in (first["handle"], first["handle"], NO_HANDLE, "no-handle"):
        response = await client.delete(f"{PREFIX}/sessions/{handle}")
        assert (response.status, await response.read()) == (204, b"")
    assert await alive(client, first["session_id"], second["session_id"]) == [False, True]


async def test_a_handle_opens_nothing(client: Client, scene: Scene) -> None:
    """It is public: as an id it is as unknown as any other text. Nor does an id do for a handle."""
    await problem(await current(client, scene.handle), 404, "session_not_found")
    assert (await client.delete(f"{PREFIX}/sessions/{scene.session_id}")).status == 204
    assert await alive(client, scene.session_id) == [True]


async def test_an_anonymous_session_is_ended_by_its_handle(client: Client) -> None:
    """It is in nobody's list, and its handle works all the same."""
    session = await open_session(client)
    await client.delete(f"{PREFIX}/sessions/{session['handle']}")
    assert await alive(client, session["session_id"]) == [False]


async def test_all_sessions_of_a_person_end_at_once(client: Client, person: str) -> None:
    """Other people's and nobody's go on, and the person may sign in again."""
    theirs = [(await open_session(client, person))["session_id"] for _ in range(3)]
    other = (await open_session(client, await create(client, {"login": "eve"})))["session_id"]
    nobodys = (await open_session(client))["session_id"]
    response = await client.delete(f"{PREFIX}/profiles/{person}/sessions")

    assert (response.status, await response.read()) == (204, b"")
    assert await alive(client, *theirs, other, nobodys) == [False] * 3 + [True] * 2
    again = await open_session(client, person)
    assert await listed(client, person) == [again["handle"]]


@pytest.mark.parametrize("times", [1, 3])
async def test_one_session_may_be_kept(client: Client, person: str, times: int) -> None:
    """'Log out everywhere else', as often as one likes; the kept one can be rotated and changed on."""
    sessions = [await open_session(client, person) for _ in range(3)]
    keep = sessions[1]
    for _ in range(times):
        url = f"{PREFIX}/profiles/{person}/sessions"
        assert (await client.delete(url, params={"keep": keep["handle"]})).status == 204
    assert await alive(client, *(session["session_id"] for session in sessions)) == [False, True, False]
    assert await listed(client, person) == [keep["handle"]]
    headers = {"Session-Id": keep["session_id"]}
    await answer(await client.post(f"{PREFIX}/sessions/current/rotate", json={}, headers=headers))


@pytest.mark.parametrize("whose", ["nobody's", "another person's", "no handle", "empty"])
async def test_what_cannot_be_kept_is_not(client: Client, person: str, whose: str) -> None:
    """Only a live session of this person survives."""
    mine = await open_session(client, person)
    other = await open_session(client, await create(client, {"login": "eve"}))
    keep = {"nobody's": NO_HANDLE, "another person's": other["handle"], "no handle": "x' OR 1=1", "empty": ""}
    await client.delete(f"{PREFIX}/profiles/{person}/sessions", params={"keep": keep[whose]})
    assert await alive(client, mine["session_id"], other["session_id"]) == [False, True]


async def test_a_misspelled_keep_ends_nothing(client: Client, scene: Scene) -> None:
    """?kepp= must not end the session that was to be kept."""
    url = f"{PREFIX}/profiles/{scene.token}/sessions"
    body = await problem(await client.delete(url, params={"kepp": scene.handle}), 422, "invalid")
    assert list(body["errors"]) == ["kepp"]
    assert await alive(client, scene.session_id) == [True]


async def test_no_login_under_way_survives_the_end_of_all(client: Client, person: str) -> None:
    """A session that was being opened then is either refused, or opened after the end, or dead."""
    opening = [client.post(f"{PREFIX}/sessions", json={"user_token": person}) for _ in range(10)]
    results = await asyncio.gather(*opening[:5], client.delete(f"{PREFIX}/profiles/{person}"), *opening[5:])
    assert results[5].status == 200
    for response in results[:5] + results[6:]:
        if response.status == 201:
            assert await alive(client, (await response.json())["session_id"]) == [False]
        else:
            await problem(response, 404, "profile_not_found")


async def test_a_caller_sees_only_the_claims_of_its_access_key(
    client: Client, person: str, key_for: Callable[..., Awaitable[str]]
) -> None:
    """In every answer that shows a session; what it does not see it does not lose either."""
    claims = {"role": "editor", "locale": "de", "roles": ["a"]}
    headers = {"Authorization": f"Bearer {await key_for('admin', claims=['locale', 'tenant'])}"}
    body = {"user_token": person, "claims": claims}
    opened = await answer(await client.post(f"{PREFIX}/sessions", json=body, headers=headers), 201)
    named = {**headers, "Session-Id": opened["session_id"]}
    url, theirs = f"{PREFIX}/sessions/current", f"{PREFIX}/profiles/{person}"

    seen = [
        opened["claims"],
        (await answer(await client.get(url, headers=named)))["claims"],
        (await answer(await client.patch(url, json={"claims": {"tenant": "t1"}}, headers=named)))["claims"],
        (await answer(await client.get(f"{theirs}/sessions", headers=headers)))["sessions"][0]["claims"],
        (await answer(await client.get(f"{theirs}/export", headers=headers)))["sessions"][0]["claims"],
        (await answer(await client.post(f"{url}/rotate", json={}, headers=named)))["claims"],
    ]
    assert seen == [{"locale": "de"}] * 2 + [{"locale": "de", "tenant": "t1"}] * 4
    (whole,) = (await answer(await client.get(f"{theirs}/sessions")))["sessions"]
    assert whole["claims"] == {**claims, "tenant": "t1"}


async def test_an_access_key_may_see_no_claim_at_all(
    client: Client, scene: Scene, key_for: Callable[..., Awaitable[str]]
) -> None:
    """An empty list of claims shows that there is a session, and whose."""
    headers = {"Authorization": f"Bearer {await key_for('sessions:read', claims=[])}"}
    response = await client.get(
        f"{PREFIX}/sessions/current", headers={**headers, "Session-Id": scene.session_id}
    )
    body = await answer(response)
    assert (body["claims"], body["user_token"]) == ({}, scene.token)
