"""Tokens, handles and session ids that cannot be: refused before any store is asked."""

from urllib.parse import quote

import pytest

from tests.http.conversation import (
    DOORS,
    NO_SESSION,
    NOBODY,
    Client,
    Door,
    Json,
    Scene,
    anonymised,
    create,
    open_session,
    problem,
    raw,
)
from tests.http.tripwire import Tripwire
from vault.http.native.operation import PREFIX

NO_TOKENS = {
    "a word": "secret",
    "a UUID in capitals": NOBODY.upper().replace("1", "A"),
    "a UUID of version 1": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "a UUID without hyphens": NOBODY.replace("-", ""),
    "a UUID and a line feed": NOBODY + "\n",
    "a UUID and NUL": NOBODY + "\x00",
    "a UUID in full-width digits": "１" + NOBODY[1:],
    "SQL": "' OR '1'='1",
    "a wildcard": "%",
    "another folder": "../../etc/passwd",
    "5,000 characters": "1" * 5000,
    "emoji": "👩‍👩‍👧",
    "a session's id": NO_SESSION,
    "a digest": "0" * 64,
}

NO_SESSION_IDS = {
    "a word": "secret",
    "an empty text": "",
    "one character too few": NO_SESSION[:-1],
    "one character too many": NO_SESSION + "A",
    "another prefix": "tvk_" + NO_SESSION[4:],
    "a sign that is not base64url": NO_SESSION[:-1] + "+",
    "another script": NO_SESSION[:-1] + "А",
    "SQL": "' OR '1'='1' --",
    "bytes that are not UTF-8": "tvs_\udcff\udcfe",
    "5,000 characters": "tvs_" + "A" * 5000,
    "two ids": f"{NO_SESSION}, {NO_SESSION}",
    "a handle": "tsh_" + "A" * 22,
    "a digest in hex": "0" * 64,
}


def doors(part: str) -> list[Door]:
    """Return the calls whose path has this part."""
    return [door for door in DOORS if part in door.operation.path]


async def test_a_token_that_cannot_be_asks_no_store(
    watched: Client, watched_scene: Scene, wire: Tripwire
) -> None:
    """The path's token is judged by its form; whoever it is, the answer is that of an unknown person."""
    for door in doors("{token}"):
        unknown = await anonymised(await door.knock(watched, Scene(NOBODY, "", "")))
        wire.calls.clear()
        for sentence, token in NO_TOKENS.items():
            response = await door.knock(watched, Scene(quote(token, safe=""), "", ""))
            assert await anonymised(response) == unknown, (door.name, sentence)
        assert set(wire.calls) <= {"access.find"}, door.name


async def test_a_session_id_that_cannot_be_asks_no_store(
    watched: Client, watched_scene: Scene, wire: Tripwire
) -> None:
    """The header is judged by its form before any digest or query; the answer is that of an unknown session."""
    for door in doors("/sessions/current"):
        unknown = await send_id(watched, door, NO_SESSION)
        wire.calls.clear()
        for sentence, session_id in NO_SESSION_IDS.items():
            assert await send_id(watched, door, session_id) == unknown, (door.name, sentence)
        assert set(wire.calls) <= {"access.find"}, door.name


async def send_id(client: Client, door: Door, session_id: str) -> tuple[bytes, bytes]:
    """Make the call with any bytes as Session-Id; return status line and body without the request's id."""
    body = b'{"claims": {}}' if door.media_type else b""
    head = (
        f"{door.operation.method} {PREFIX}{door.operation.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: {client.session.headers['Authorization']}\r\n"
        f"Content-Type: {door.media_type}\r\nContent-Length: {len(body)}\r\nSession-Id: "
    )
    text = session_id.encode(errors="surrogateescape")
    answered = await raw(client, head.encode() + text + b"\r\n\r\n" + body)
    head_bytes, _, answer_body = answered.partition(b"\r\n\r\n")
    lines = dict(line.split(b": ", 1) for line in head_bytes.split(b"\r\n")[1:])
    return head_bytes.split(b"\r\n")[0], answer_body.replace(lines[b"X-Request-Id"], b"")


async def test_a_handle_that_cannot_be_asks_no_store(
    watched: Client, watched_scene: Scene, wire: Tripwire
) -> None:
    """Ending it is no error, and nothing is asked or ended."""
    for handle in ("secret", "tsh_" + "A" * 21, "tsh_" + "A" * 23, "' OR 1=1", "%", "tsh_\x00", "é"):
        response = await watched.delete(f"{PREFIX}/sessions/{quote(handle, safe='')}")
        assert response.status == 204
    assert set(wire.calls) <= {"access.find"}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"x" * 1_000_000, id="a megabyte"),
        pytest.param(b"tvs_secret\x00secret", id="NUL inside"),
        pytest.param(b"tvs_secret\x07secret", id="a bell inside"),
    ],
)
async def test_a_header_that_http_forbids_is_refused(
    watched: Client, watched_scene: Scene, wire: Tripwire, value: bytes
) -> None:
    """4xx, by HTTP's own parser: no handler is reached, and no store is asked."""
    for header in ("Session-Id", "Authorization", "Idempotency-Key", "If-Match"):
        request = f"GET {PREFIX}/sessions/current HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}: "
        answered = await raw(watched, request.encode() + value + b"\r\n\r\n")
        assert answered.split()[1].startswith(b"4"), (header, answered[:100])
    assert wire.calls == []


async def test_ids_that_were_never_given_write_nothing(watched: Client, wire: Tripwire) -> None:
    """Whoever guesses ids fills no table: looking up is all that is asked of the store."""
    for number in range(100):
        session_id = f"tvs_{number:043d}"
        response = await watched.get(f"{PREFIX}/sessions/current", headers={"Session-Id": session_id})
        await problem(response, 404, "session_not_found")
    assert set(wire.calls) <= {"access.find", "access.insert", "sessions.find", *STARTING}


#: What a start asks the stores, before anybody has called.
STARTING = {"audit.end", "profiles.unfinished_erasures", "profiles.expired", "profiles.purge_answers"}


async def test_an_id_is_read_from_its_header_alone(watched: Client, watched_scene: Scene) -> None:
    """In the query, in the path or in a body it is not looked for: it would be written into logs on the way."""
    session_id, url = watched_scene.session_id, f"{PREFIX}/sessions/current"
    for path in (f"{url}?session_id={session_id}", f"{url}?Session-Id={session_id}"):
        await problem(await watched.get(path), 400, "malformed")
    assert (await watched.get(f"{PREFIX}/sessions/{session_id}")).status == 405
    body: Json = {"claims": {}, "session_id": session_id}
    response = await watched.patch(url, json=body, headers={"Session-Id": session_id})
    await problem(response, 422, "invalid")
    assert await create(watched, {}) != await create(watched, {})
    await open_session(watched)
