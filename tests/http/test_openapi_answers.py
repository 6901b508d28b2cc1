"""Every answer of every call, as it is given, against the document that describes it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.http.conversation import (
    DOORS,
    NO_HANDLE,
    NO_SESSION,
    NOBODY,
    PATCH,
    PROBLEM,
    READERS,
    Client,
    Door,
    Json,
    Scene,
    create,
    name_of,
    problem,
)
from tests.http.openapi import Description
from tests.http.tripwire import Tripwire
from tests.settings import UNHELD
from vault.config import Config, Limits, Sessions
from vault.errors import StoreUnavailable
from vault.http.native.audit import NDJSON
from vault.http.native.operation import PREFIX
from vault.records import Rails

#: Answers that take another writer at the very moment, or the setting audit.require_purpose; other tests show them.
RARE = {
    "PATCH /sessions/current": {"409"},
    "POST /sessions/current/rotate": {"409"},
    "GET /profiles/{token}": {"400"},
    "GET /profiles/{token}/export": {"400"},
}

STRANGER = Scene(NOBODY, NO_SESSION, NO_HANDLE)

every_call = pytest.mark.parametrize("door", [pytest.param(door, id=door.name) for door in DOORS])


@pytest.fixture
def config() -> Config:
    """Limits that are soon reached."""
    return Config(
        limits=Limits(profile_body=2000, batch_body=2000, session_body=2000),
        sessions=Sessions(max_per_person=1, at_limit="refuse"),
        access=UNHELD.access,
    )


class Drive:
    """Makes a call in every way that is answered otherwise. ``taken`` is another person's e-mail."""

    def __init__(self, client: Client, door: Door, wire: Tripwire) -> None:
        self.client = client
        self.door = door
        self.wire = wire

    async def knock(self, scene: Scene, **how: Any) -> ClientResponse:
        """Make the call once."""
        return await self.door.knock(self.client, scene, **how)

    async def answers(self, scene: Scene, limited_key: str) -> AsyncIterator[ClientResponse]:
        """Yield every answer that the call can be brought to give."""
        yield await self.knock(scene, headers={"Authorization": ""})
        for _ in range(2):  # lacks the scope, and then has made its one request of this minute
            yield await self.knock(scene, headers={"Authorization": f"Bearer {limited_key}"})
        self.wire.fault, self.wire.failing = (
            StoreUnavailable(),
            frozenset({"profiles", "sessions", "unlocks", "audit"}),
        )
        yield await self.knock(scene)
        self.wire.fault = None
        if "{token}" in self.door.operation.path or "current" in self.door.operation.path:
            yield await self.knock(STRANGER)
        if "current" in self.door.operation.path:
            url = PREFIX + self.door.operation.path
            headers = {"Content-Type": self.door.media_type or ""}
            yield await self.client.request(self.door.operation.method, url, data=b"{}", headers=headers)
        if self.door.operation.query:
            yield await self.knock(scene, path=self.door.path(scene) + "?surplus=1")
        for body in self.bad_bodies(scene):
            yield await self.knock(scene, data=body)
        if self.door.media_type:
            yield await self.knock(scene, headers={"Content-Type": "text/plain"})
        if self.door.operation.audited:
            for headers in self.BAD_REASONS:
                yield await self.knock(scene, headers=headers)
        if self.door.operation.method in ("PUT", "PATCH"):
            yield await self.knock(scene, headers={"If-Match": '"77"'})
        if self.door.operation.idempotent:
            yield await self.knock(scene, headers={"Idempotency-Key": ""})
            yield await self.knock(scene, headers={"Idempotency-Key": "k"})
            yield await self.knock(scene, headers={"Idempotency-Key": "k"})
            yield await self.knock(
                scene, data=self.OTHER[name_of(self.door.operation)], headers={"Idempotency-Key": "k"}
            )
        else:
            body = await self.door.unlocked_body(self.client)
            yield await self.knock(scene, data=json.dumps(body).encode() if self.door.media_type else None)

    #: A purpose that names somebody, and what is no JSON.
    BAD_REASONS = ({"Vault-Purpose": "ada@example.org"}, {"Vault-Request-Metadata": "{"})

    OTHER: Mapping[str, bytes] = {
        "POST /profiles": b'{"profile": {}}', "POST /profiles/batch": b'{"profiles": []}', "POST /sessions": b"{}",
    }  # fmt: skip

    def bad_bodies(self, scene: Scene) -> list[bytes]:
        """Return bodies that are refused, each for another reason."""
        if not self.door.media_type:
            return []
        claims = b'{"claims": {"role": "ada@example.org"}}'
        opening = b'{"user_token": "%s"}'
        by_call = {
            "POST /profiles": [b'{"profile": {"email": "taken@example.org"}}'],
            "PUT /profiles/{token}": [b'{"profile": {"email": "taken@example.org"}}'],
            "POST /profiles/lookup": [b'{"email": "nobody@example.org"}', b'{"email": "a", "login": "b"}'],
            "POST /profiles/batch": [b'{"profiles": [{"profile": {"email": "taken@example.org"}}, 5]}'],
            "POST /sessions": [claims, opening % NOBODY.encode(), opening % scene.token.encode()],
            "PATCH /sessions/current": [claims],
            "POST /sessions/current/rotate": [claims],
            "PATCH /profiles/{token}": [b'{"email": "taken@example.org"}'],
        }
        own = by_call.get(
            name_of(self.door.operation), [b'{"surplus": 1}', json.dumps(self.door.body).encode()]
        )
        if self.door.media_type == PATCH:
            own = [
                b'[{"op": "add", "path": "/email", "value": "taken@example.org"}]',
                b'[{"op": "remove", "path": "/gone"}]',
            ]
        return [b"{{{", b"null", b"x" * 3000, *own]


@every_call
async def test_every_answer_is_as_described(
    watched: Client,
    watched_scene: Scene,
    wire: Tripwire,
    limited_key: Callable[[str], Awaitable[str]],
    door: Door,
) -> None:
    """Status, media type, body and code are in the document; and what the document names does occur."""
    described = Description(await (await watched.get("/openapi.json")).json())
    answers = described.answers(f"{door.operation.method} {PREFIX}{door.operation.path}")
    await create(watched, {"email": "taken@example.org"})
    drive = Drive(watched, door, wire)
    seen: dict[str, set[str]] = {}
    async for response in drive.answers(watched_scene, await limited_key(door.operation.scope)):
        status = str(response.status)
        assert status in answers, (status, await response.text())
        content = answers[status].get("content")
        if content is None:
            assert await response.read() == b""
            seen.setdefault(status, set())
            continue
        assert response.content_type in content
        text = await response.text()
        body: Json = {}
        for part in text.splitlines() if response.content_type == NDJSON else [text]:
            body = json.loads(part)
            assert described.faults(content[response.content_type]["schema"], body) == []
        seen.setdefault(status, set()).update({body["code"]} if "code" in body else ())

    for status, codes in seen.items():
        described_codes = set(re.findall(r"`(\w+)`", answers[status]["description"]))
        assert codes <= described_codes, status
    rare = RARE.get(name_of(door.operation), set())
    several = door.operation.body is not None and len(door.operation.body.schemas) > 1
    slow = {"408"} if door.media_type else set()  # the test below
    assert seen.keys() >= answers.keys() - rare - slow - ({"409"} if several else set())


@pytest.mark.parametrize("config", [Config(limits=Limits(body_timeout=0))], ids=["no seconds for a body"])
async def test_a_body_that_does_not_come_is_answered_as_described(client: Client) -> None:
    """By every call that reads one: 408, in the form that the document gives."""
    described = Description(await (await client.get("/openapi.json")).json())

    async def half() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    for door in READERS:
        response = await door.knock(client, STRANGER, data=half())
        told = await problem(response, 408, "request_timeout")
        answered = described.answers(f"{door.operation.method} {PREFIX}{door.operation.path}")["408"]
        assert answered["description"] == "`request_timeout`"
        assert described.faults(answered["content"][PROBLEM]["schema"], told) == []


@pytest.fixture
def limited_key(watched_vault: Any) -> Callable[[str], Awaitable[str]]:
    """Make an access key that lacks a scope and may make one request a minute."""

    async def make(scope: str) -> str:
        other = "profiles:read" if scope != "profiles:read" else "sessions:read"
        text, _ = await watched_vault.access.create("limited", {other}, rails=Rails(per_minute=1))
        return str(text)

    return make
