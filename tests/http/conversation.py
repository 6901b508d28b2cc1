"""What tests say to the service, and what they make of its answers."""

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from vault.http.native import OPERATIONS
from vault.http.native.operation import PREFIX, Operation

Client = TestClient[Any, Any]
Json = dict[str, Any]

PROBLEM = "application/problem+json"
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"

ADA: Json = {"email": "ada@example.org", "last_name": "Lovelace", "address": {"city": "London"}}
NOBODY = "11111111-2222-4333-8444-555555555555"
NO_SESSION = "tvs_" + "A" * 43
NO_HANDLE = "tsh_" + "A" * 22
NO_UNLOCK = "tvu_" + "A" * 43

#: A right body for each call that reads one; bulk reads need leave besides (``Door.unlocked_body``).
BODIES: Mapping[str, Any] = {
    "POST /profiles": {"profile": {"email": "new@example.org", "city": "Oslo"}},
    "POST /profiles/batch": {"profiles": [{"profile": {"email": "one@example.org"}}, {"profile": {}}]},
    "POST /profiles/lookup": {"email": "ada@example.org"},
    "PUT /profiles/{token}": {"profile": {"email": "ada@example.org", "city": "Paris"}},
    "PATCH /profiles/{token}": {"city": "Paris"},
    "POST /sessions": {"claims": {"role": "editor"}},
    "PATCH /sessions/current": {"claims": {"role": "editor"}},
    "POST /sessions/current/rotate": {"claims": {"role": "editor"}},
    "POST /profiles/bulk/unlock": {"reason": "ticket 4711"},
    "POST /profiles/bulk/read": {"unlock": NO_UNLOCK, "tokens": [NOBODY]},
    "POST /profiles/bulk/list": {"unlock": NO_UNLOCK},
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A person who is signed in."""

    token: str
    session_id: str
    handle: str


@dataclass(frozen=True, slots=True)
class Door:
    """A call of the API, read as one of its media types (None: it reads no body)."""

    operation: Operation
    media_type: str | None

    @property
    def name(self) -> str:
        """The call as the table of the API writes it, with its media type where there are several."""
        several = self.operation.body is not None and len(self.operation.body.schemas) > 1
        return name_of(self.operation) + (f" as {self.media_type}" if several else "")

    @property
    def body(self) -> Any:
        """A right body."""
        if self.media_type == PATCH:
            return [{"op": "add", "path": "/city", "value": "Paris"}]
        return BODIES.get(name_of(self.operation))

    def path(self, scene: Scene) -> str:
        """Where the call goes for this person."""
        return PREFIX + self.operation.path.format(token=scene.token, handle=scene.handle)

    def headers(self, scene: Scene) -> dict[str, str]:
        """What the call names outside path and body."""
        headers = {"Content-Type": self.media_type} if self.media_type else {}
        return headers | ({"Session-Id": scene.session_id} if "/current" in self.operation.path else {})

    async def unlocked_body(self, client: Client, headers: Mapping[str, str] | None = None) -> Any:
        """Return a right body that holds the leave which it needs, given to whom the headers name."""
        if not isinstance(self.body, dict) or "unlock" not in self.body:
            return self.body
        url = f"{PREFIX}/profiles/bulk/unlock"
        leave = await answer(await client.post(url, json={"reason": "ticket 4711"}, headers=headers), 201)
        return {**self.body, "unlock": leave["unlock"]}

    async def knock(
        self,
        client: Client,
        scene: Scene,
        data: Any = None,
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ClientResponse:
        """Make the call: with these bytes, or else with a right body."""
        if data is None and self.media_type:
            data = json.dumps(self.body).encode()
        return await client.request(
            self.operation.method,
            path or self.path(scene),
            data=data,
            headers={**self.headers(scene), **(headers or {})},
        )


def name_of(operation: Operation) -> str:
    """Return the call as the table of the API writes it."""
    return f"{operation.method} {operation.path}"


DOORS = tuple(
    Door(operation, media_type)
    for operation in OPERATIONS
    for media_type in (operation.body.schemas if operation.body else (None,))
)
READERS = tuple(door for door in DOORS if door.media_type)


async def answer(response: ClientResponse, status: int = 200) -> Any:
    """Return what a call that went well says."""
    assert response.status == status, (response.status, await response.text())
    assert response.headers["Cache-Control"] == "no-store"
    return await response.json()


async def problem(response: ClientResponse, status: int, code: str) -> Json:
    """Return a refusal, after looking at its form (RFC 9457)."""
    body: Json = json.loads(await response.read())
    assert (response.status, body.get("code")) == (status, code), body
    assert response.content_type == PROBLEM
    assert body.keys() - {"errors"} == {"type", "title", "status", "code", "detail", "request_id"}
    assert body["status"] == status
    assert body["type"] == f"urn:tokenization-vault:problem:{code}"
    assert body["request_id"] == response.headers["X-Request-Id"]
    return body


async def anonymised(response: ClientResponse) -> tuple[int, bytes]:
    """Return status and body without the request's id, which is all that may differ between two answers."""
    body = await response.read()
    return response.status, body.replace(response.headers["X-Request-Id"].encode(), b"")


async def create(client: Client, profile: Json, **more: Any) -> str:
    """Keep a profile and return its token."""
    body = await answer(await client.post(f"{PREFIX}/profiles", json={"profile": profile, **more}), 201)
    return str(body["token"])


async def read(client: Client, token: str) -> Json:
    """Return a profile's content."""
    body = await answer(await client.get(f"{PREFIX}/profiles/{token}"))
    content: Json = body["profile"]
    return content


async def open_session(client: Client, token: str | None = None, **more: Any) -> Json:
    """Open a session and return the answer."""
    person = {} if token is None else {"user_token": token}
    body: Json = await answer(await client.post(f"{PREFIX}/sessions", json={**person, **more}), 201)
    return body


async def sign_in(client: Client) -> Scene:
    """Keep a profile and open a session for it."""
    token = await create(client, ADA)
    session = await open_session(client, token, claims={"role": "reader"})
    return Scene(token, session["session_id"], session["handle"])


async def current(client: Client, session_id: str) -> ClientResponse:
    """Look a session up."""
    return await client.get(f"{PREFIX}/sessions/current", headers={"Session-Id": session_id})


async def listed(client: Client, token: str) -> list[str]:
    """Return the handles of a person's sessions."""
    body = await answer(await client.get(f"{PREFIX}/profiles/{token}/sessions"))
    return [session["handle"] for session in body["sessions"]]


async def raw(client: Client, request: bytes) -> bytes:
    """Send bytes that no HTTP client would send, and return all bytes of the answer."""

    def exchange() -> bytes:
        # A plain socket: the server may answer and close before it has read everything, and then an event
        # loop that is still writing throws the answer away.
        answered = b""
        with socket.create_connection((client.server.host, client.server.port), timeout=10) as connection:
            with suppress(ConnectionError):
                connection.sendall(request)
            with suppress(ConnectionError):
                while piece := connection.recv(65_536):
                    answered += piece
        return answered

    return await asyncio.to_thread(exchange)
