"""Who may call: access keys and their scopes, judged before anything else is looked at."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.http.conversation import (
    DOORS,
    Client,
    Door,
    Scene,
    anonymised,
    answer,
    current,
    problem,
)
from tests.http.tripwire import Tripwire
from vault import wiring
from vault.access import SCOPES, VERDICT_LIFETIME
from vault.config import Config, Storage
from vault.http.app import make_app
from vault.http.native.operation import PREFIX
from vault.installation import Vault

KeyFor = Callable[..., Awaitable[str]]

every_call = pytest.mark.parametrize("door", [pytest.param(door, id=door.name) for door in DOORS])


def bearer(key: str) -> dict[str, str]:
    """Return the header that presents a key."""
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def strangers(vault: Vault, key_for: KeyFor, clock: FakeClock) -> dict[str, str | None]:
    """What callers present who are nobody, each by a sentence."""
    expired, revoked, suspended, alive = (
        await key_for("admin", expires_in=1),
        await key_for("admin"),
        await key_for("admin"),
        await key_for("admin"),
    )
    clock.advance(1)
    await vault.access.revoke(revoked.split("_")[1])
    await vault.access.suspend(suspended.split("_")[1])
    key_id, secret = alive.split("_", 2)[1:]
    return {
        "no header": None,
        "an empty header": "",
        "another scheme": f"Basic {alive}",
        "a key without a scheme": alive,
        "a scheme without a key": "Bearer",
        "a scheme and a space": "Bearer ",
        "no key at all": "Bearer secret",
        "the word of the demo": "Bearer DEMO",
        "an unknown key": f"Bearer tvk_{'0' * 16}_{'A' * 43}",
        "another secret": f"Bearer tvk_{key_id}_{'A' * 43}",
        "another id": f"Bearer tvk_{'0' * 16}_{secret}",
        "a secret that goes on": f"Bearer {alive}A",
        "a secret cut short": f"Bearer {alive[:-1]}",
        "an id in capitals": f"Bearer tvk_{'A' * 16}_{secret}",
        "two keys": f"Bearer {alive} {alive}",
        "a session's id": "Bearer tvs_" + "A" * 43,
        "other scripts": "Bearer tvk_ключ",
        "SQL": "Bearer tvk_' OR '1'='1_x",
        "an expired key": f"Bearer {expired}",
        "a revoked key": f"Bearer {revoked}",
        "a suspended key": f"Bearer {suspended}",
    }


async def test_nobody_learns_why_a_key_is_refused(
    anonymous: Client, strangers: dict[str, str | None]
) -> None:
    """Missing, malformed, unknown, wrong, expired, revoked and suspended keys get one answer, byte for byte."""
    answers = {}
    for sentence, presented in strangers.items():
        headers = {} if presented is None else {"Authorization": presented}
        response = await anonymous.get(f"{PREFIX}/profiles/x", headers=headers)
        body = await problem(response, 401, "unauthenticated")
        assert response.headers["WWW-Authenticate"].startswith("Bearer "), sentence
        assert "errors" not in body
        answers[sentence] = await anonymised(response), sorted(response.headers.keys())
    assert {repr(one) for one in answers.values()} == {repr(answers["no header"])}, answers


async def test_every_call_wants_a_key_before_all_else(
    watched: Client, watched_scene: Scene, wire: Tripwire
) -> None:
    """401 comes before the path's token, the session's id, the query or the body are looked at."""
    for door in DOORS:
        for presented in ("", "Bearer tvk_nonsense", f"Bearer tvk_{'0' * 16}_{'A' * 43}"):
            response = await hostile(watched, door, presented)
            await problem(response, 401, "unauthenticated")
    assert set(wire.calls) <= {"access.find"}


async def test_every_call_wants_its_own_scope_before_all_else(
    watched: Client, watched_vault: Vault, watched_scene: Scene, wire: Tripwire
) -> None:
    """A key with all scopes but this one gets 403 that names it; of the stores only that of keys is asked, and only
    the trail told, once."""
    for door in DOORS:
        scope = door.operation.scope
        key, _ = await watched_vault.access.create("test", set(SCOPES) - {scope, "admin"})
        wire.calls.clear()
        for response in (
            await door.knock(watched, watched_scene, headers={**bearer(key), "Idempotency-Key": "k"}),
            await door.knock(watched, watched_scene, b"x" * 20_000, headers=bearer(key)),
            await hostile(watched, door, f"Bearer {key}"),
        ):
            body = await problem(response, 403, "scope_missing")
            assert f"'{scope}'" in body["detail"]
        assert wire.calls == ["access.find", "audit.append"], door.name
    assert (await current(watched, watched_scene.session_id)).status == 200


async def hostile(client: Client, door: Door, authorization: str) -> ClientResponse:
    """Make a call in which everything is wrong: ids, query, headers, content type and body."""
    nowhere = Scene("no-token", "x" * 3000, "no-handle")
    headers = {
        "Authorization": authorization,
        "If-Match": "x",
        "Idempotency-Key": "",
        "Content-Type": "text/plain",
    }
    return await door.knock(client, nowhere, b"{{{", path=door.path(nowhere) + "?x=1", headers=headers)


@every_call
async def test_a_call_needs_no_other_scope(client: Client, key_for: KeyFor, scene: Scene, door: Door) -> None:
    """Its own scope is enough."""
    headers = bearer(await key_for(door.operation.scope))
    body = json.dumps(await door.unlocked_body(client, headers)).encode() if door.media_type else None
    response = await door.knock(client, scene, body, headers=headers)
    assert response.status == door.operation.status, await response.text()


@every_call
async def test_admin_includes_every_scope(watched: Client, watched_scene: Scene, door: Door) -> None:
    """The first access key may do everything."""
    body = json.dumps(await door.unlocked_body(watched)).encode() if door.media_type else None
    assert (await door.knock(watched, watched_scene, body)).status == door.operation.status


@pytest.mark.parametrize(
    ("scopes", "status", "code"),
    [
        pytest.param(None, 401, "unauthenticated", id="no key"),
        pytest.param({"sessions:read"}, 403, "scope_missing", id="a key without the scope"),
    ],
)
async def test_a_refused_caller_sends_no_body(
    anonymous: Client, key_for: KeyFor, scopes: set[str] | None, status: int, code: str
) -> None:
    """The answer comes while the body is still awaited, so that strangers cannot make the vault read."""
    key = await key_for(*scopes) if scopes else ""
    reader, writer = await asyncio.open_connection(anonymous.server.host, anonymous.server.port)
    head = f"POST {PREFIX}/profiles HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n".encode())
    first = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
    writer.close()
    await writer.wait_closed()
    assert first.split()[1] == str(status).encode(), code


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_has_no_case(anonymous: Client, key_for: KeyFor, scheme: str) -> None:
    """As RFC 9110, 11.1 has it."""
    headers = {"Authorization": f"{scheme} {await key_for('admin')}"}
    await problem(await anonymous.get(f"{PREFIX}/profiles/x", headers=headers), 404, "profile_not_found")


async def test_a_key_dies_at_the_millisecond_of_its_end(
    anonymous: Client, key_for: KeyFor, clock: FakeClock
) -> None:
    """However often it was used just before."""
    headers = bearer(await key_for("admin", expires_in=1))
    clock.advance(0.999)
    assert (await anonymous.get(f"{PREFIX}/profiles/x", headers=headers)).status == 404
    clock.advance(0.001)
    await problem(await anonymous.get(f"{PREFIX}/profiles/x", headers=headers), 401, "unauthenticated")


async def test_a_revocation_is_obeyed_at_once_where_it_was_made(
    anonymous: Client, vault: Vault, key_for: KeyFor
) -> None:
    """The process that revokes a key forgets its verdict on it."""
    key = await key_for("admin")
    assert (await anonymous.get(f"{PREFIX}/profiles/x", headers=bearer(key))).status == 404
    await vault.access.revoke(key.split("_")[1])
    await problem(await anonymous.get(f"{PREFIX}/profiles/x", headers=bearer(key)), 401, "unauthenticated")


async def test_a_revocation_elsewhere_is_obeyed_within_the_verdict_lifetime(
    anonymous: Client, key_for: KeyFor, config: Config, data: Path, clock: FakeClock
) -> None:
    """Another process on the same files revokes; here the key opens nothing once the last verdict has aged."""
    assert VERDICT_LIFETIME <= 1000
    key = await key_for("admin")
    assert (await anonymous.get(f"{PREFIX}/profiles/x", headers=bearer(key))).status == 404
    async with wiring.open_vault(config, data, clock=clock) as elsewhere:
        await elsewhere.access.revoke(key.split("_")[1])
    clock.advance(VERDICT_LIFETIME / 1000)
    await problem(await anonymous.get(f"{PREFIX}/profiles/x", headers=bearer(key)), 401, "unauthenticated")


async def test_the_word_of_the_demo_opens_a_demo_alone(clock: FakeClock) -> None:
    """There it may do everything."""
    memory = Config(storage=Storage(url="memory:"))
    async with (
        wiring.open_vault(memory, None, clock=clock, demo=True) as vault,
        TestClient(TestServer(make_app(vault)), headers=bearer("DEMO")) as client,
    ):
        await answer(await client.post(f"{PREFIX}/profiles", json={"profile": {}}), 201)
