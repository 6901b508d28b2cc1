"""Tokens and how they are stored: T1 to T7 of docs/security-checklist.md."""

import ast
import asyncio
import base64
import hashlib
import io
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

import vault as package
from tests.clock import FakeClock
from tests.security.stage import (
    API,
    CURRENT,
    ROTATE,
    SESSIONS,
    Client,
    CountingStore,
    a_person,
    a_session,
    all_bytes,
    ask,
    bearer,
    row_counts,
    worker,
)
from vault.errors import SessionNotFound
from vault.http.app import make_app
from vault.installation import Vault
from vault.sessions import Sessions, Wanted
from vault.tokens import new_session_id, session_digest


def test_t01_a_session_id_is_32_random_bytes() -> None:
    """Twice what ASVS asks for, and not a UUID, whose version and variant are no randomness."""
    session_id = new_session_id()

    assert len(base64.urlsafe_b64decode(session_id.removeprefix("tvs_") + "=")) == 32


def test_t01_a_hundred_thousand_ids_all_differ() -> None:
    """No two ids of a long run are the same."""
    assert len({new_session_id() for _ in range(100_000)}) == 100_000


async def test_t01_t02_an_id_is_what_the_system_generator_gave_and_nothing_more(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes come from ``secrets``, and neither person, time nor counter has a part in them."""
    given: list[bytes] = []
    honest = secrets.token_bytes

    def noted(count: int | None = None) -> bytes:
        given.append(honest(count))
        return given[-1]

    monkeypatch.setattr(secrets, "token_bytes", noted)
    opened = await a_session(vault)

    (entropy,) = [drawn for drawn in given if len(drawn) == 32]
    assert opened.session_id == "tvs_" + base64.urlsafe_b64encode(entropy).decode().rstrip("=")


async def test_t02_two_ids_of_one_person_have_nothing_in_common(vault: Vault) -> None:
    """No common run of 7 characters, which chance gives once in two thousand million pairs."""
    person = await a_person(vault)
    one, other = [(await a_session(vault, person)).session_id.removeprefix("tvs_") for _ in range(2)]

    runs = {one[start : start + 7] for start in range(len(one) - 6)}
    assert not [run for run in runs if run in other]


async def test_t03_no_file_backup_or_log_holds_a_usable_id(
    client: Client, vault: Vault, data: Path, log: io.StringIO, tmp_path: Path
) -> None:
    """After a whole conversation no id is in a database, a WAL, a backup or the log, as text or as bytes."""
    person = await a_person(vault)
    key = {"Idempotency-Key": "once"}  # the answer is kept for repeats, id and all, so it must be sealed
    ids = [(await ask(client, "POST", SESSIONS, {"user_token": person}, **key)).body["session_id"]]
    for _ in range(3):
        ids.append((await ask(client, "POST", SESSIONS, {"user_token": person})).body["session_id"])
        assert (await ask(client, "GET", CURRENT, session_id=ids[-1])).status == 200
        ids.append((await ask(client, "POST", ROTATE, {}, session_id=ids[-1])).body["session_id"])
    assert (await ask(client, "DELETE", CURRENT, session_id=ids[-1])).status == 204
    _back_up(data, tmp_path)

    held = all_bytes(data), all_bytes(tmp_path / "backup"), log.getvalue().encode()

    live = session_digest(ids[0])
    assert live in held[0]  # the search does find what is there
    assert live in held[1]
    for session_id in ids:
        secret = session_id.removeprefix("tvs_")
        raw = base64.urlsafe_b64decode(secret + "=")
        for needle in (secret.encode(), raw, raw.hex().encode(), secret[:16].encode()):
            assert not any(needle in place for place in held)


async def test_t04_what_is_stored_is_not_accepted_as_an_id(client: Client, vault: Vault) -> None:
    """Whoever reads the database cannot present what it holds, however it is written."""
    opened = await a_session(vault)
    digest = session_digest(opened.session_id)
    encoded = base64.urlsafe_b64encode(digest).decode().rstrip("=")

    for stolen in (f"tvs_{encoded}", encoded, digest.hex(), opened.view.handle, digest.decode("latin-1")):
        for method, path, body in (("GET", CURRENT, None), ("POST", ROTATE, {})):
            # Bytes that no header may hold never get as far as the vault.
            if stolen.isascii():
                assert (await ask(client, method, path, body, session_id=stolen)).status == 404
        with pytest.raises(SessionNotFound):
            await vault.sessions.current(stolen)
        await vault.sessions.end(stolen)
    assert (await ask(client, "GET", CURRENT, session_id=opened.session_id)).status == 200


def test_t05_no_secret_is_compared_with_an_operator() -> None:
    """Secrets, digests and commitments meet only in ``hmac.compare_digest`` or as keys of an index."""
    telling = ("secret", "digest", "commitment", "presented", "pepper")
    found, used = [], 0
    for path in sorted(Path(package.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            used += isinstance(node, ast.Attribute) and node.attr == "compare_digest"
            if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                continue
            names = [
                getattr(side, "attr", getattr(side, "id", "")) for side in (node.left, *node.comparators)
            ]
            if any(name.endswith(telling) for name in names):
                found.append((path.name, ast.unparse(node)))

    # DEMO is no secret: it is printed in the README, and only ``tokenvault demo`` takes it.
    assert found == [("access.py", "presented == DEMO_KEY")]
    assert used


async def test_t05_a_right_key_id_with_a_wrong_secret_opens_nothing(
    anonymous: Client, key_for: Callable[..., Awaitable[str]]
) -> None:
    """The public half of an access key is worth nothing, and neither is a secret that is off by its last bits."""
    key = await key_for("admin")
    wrong = key[:-2] + ("AA" if key[-2:] != "AA" else "BB")

    for presented, status in ((key, 404), (wrong, 401), (key[:-1], 401)):
        answer = await ask(anonymous, "GET", CURRENT, session_id=new_session_id(), **bearer(presented))
        assert answer.status == status


MALFORMED = {
    "empty": "",
    "a megabyte": "tvs_" + "A" * 1_000_000,
    "one character short": new_session_id()[:-1],
    "one character long": new_session_id() + "A",
    "a line end after it": new_session_id() + "\n",
    "a NUL inside": "tvs_" + "A" * 20 + "\0" + "A" * 22,
    "SQL": "tvs_' OR 1=1 --".ljust(47, "A"),
    "letters of other scripts": "tvs_" + "Ａ" * 43,
    "digits of other scripts": "tvs_" + "٣" * 43,
    "half a surrogate pair": "tvs_" + "\ud800" * 43,
    "another kind of token": new_session_id().replace("tvs_", "tsh_"),
    "standard base64": "tvs_" + "+/" * 21 + "A",
    "upper-case prefix": new_session_id().replace("tvs_", "TVS_"),
}

VERBS: dict[str, Callable[[Sessions, str], Awaitable[Any]]] = {
    "look up": lambda sessions, session_id: sessions.current(session_id),
    "change claims": lambda sessions, session_id: sessions.change_claims(session_id, {}),
    "rotate": lambda sessions, session_id: sessions.rotate(session_id),
    "end": lambda sessions, session_id: sessions.end(session_id),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
async def test_t06_what_cannot_be_an_id_costs_no_digest_and_no_query(
    verb: Callable[[Sessions, str], Awaitable[Any]],
    data: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is refused by its shape alone, and the answer is that of any unknown id."""
    stores: list[CountingStore] = []

    def counting(store: Any) -> CountingStore:
        stores.append(CountingStore(store))
        return stores[-1]

    def no_digest(_: str) -> bytes:
        raise AssertionError("a digest was computed")

    async with worker(data, clock, sessions=counting, profiles=counting) as vault:
        monkeypatch.setattr("vault.sessions.session_digest", no_digest)
        for name, malformed in MALFORMED.items():
            refused = False
            try:
                await verb(vault.sessions, malformed)
            except SessionNotFound:
                refused = True
            assert refused == (verb is not VERBS["end"]), name  # ending what is not there is fine
    assert [store.calls for store in stores] == [[], []]


async def test_t06_other_malformed_strings_cost_no_query_either(data: Path, clock: FakeClock) -> None:
    """Handles and user tokens are judged by their shape before anything is asked of a store."""
    stores: list[CountingStore] = []

    def counting(store: Any) -> CountingStore:
        stores.append(CountingStore(store))
        return stores[-1]

    async with worker(data, clock, sessions=counting, profiles=counting) as vault:
        key, _ = await vault.access.create("test", {"admin"})
        async with TestClient(TestServer(make_app(vault)), headers=bearer(key)) as client:
            for rubbish in ("x", "A" * 4000, "tsh_" + "%00" * 22, "'%20OR%201=1--", "%D9%A3" * 22):
                assert (await ask(client, "DELETE", f"{SESSIONS}/{rubbish}")).status == 204
                assert (await ask(client, "GET", f"{API}/profiles/{rubbish}/sessions")).body == {
                    "sessions": []
                }
                assert (await ask(client, "DELETE", f"{API}/profiles/{rubbish}/sessions")).status == 204
                assert (await ask(client, "POST", SESSIONS, {"user_token": rubbish})).status == 422
    assert [store.calls for store in stores] == [[], []]


@pytest.mark.parametrize(
    "inside", [b"A" * 1_000_000, b"A\0B", b"A\r\n B"], ids=["a megabyte", "NUL", "folded"]
)
async def test_t06_a_header_that_http_forbids_is_refused_by_the_parser(
    anonymous: Client, data: Path, log: io.StringIO, inside: bytes
) -> None:
    """A raw request with such a Session-Id gets 400, leaves no row, and its bytes are not in the log."""
    before, marker = row_counts(data), b"tvs_MARKER"
    server = anonymous.server
    assert isinstance(server, TestServer)

    status = await _raw(server, b"GET " + CURRENT.encode(), b"Session-Id: " + marker + inside)

    assert status == 400
    assert row_counts(data) == before
    assert "MARKER" not in log.getvalue()


async def test_t07_ten_thousand_unknown_ids_leave_nothing_behind(vault: Vault, data: Path) -> None:
    """Guessing makes no row in any table, whatever is tried with the guess."""
    await a_session(vault)
    before = row_counts(data)
    assert before["sessions.sessions"] == 1

    for number in range(10_000):
        guess = new_session_id()
        if number % 10:
            with pytest.raises(SessionNotFound):
                await vault.sessions.current(guess)
            continue
        with pytest.raises(SessionNotFound):
            await vault.sessions.change_claims(guess, {"role": "reader"})
        with pytest.raises(SessionNotFound):
            await vault.sessions.rotate(guess, {"role": "reader"}, reauthenticated=True)
        await vault.sessions.end(guess)

    assert row_counts(data) == before


async def test_t07_an_unknown_id_is_never_adopted(client: Client, vault: Vault) -> None:
    """Neither a cookie nor an id comes back, and the id that was offered stays unknown after a login with it."""
    offered = new_session_id()

    answer = await ask(client, "GET", CURRENT, session_id=offered)
    opened = await ask(client, "POST", SESSIONS, {"user_token": await a_person(vault)}, session_id=offered)

    assert answer.status == 404
    assert "Set-Cookie" not in answer.headers
    assert "tvs_" not in answer.text
    assert opened.body["session_id"] != offered
    assert (await ask(client, "GET", CURRENT, session_id=offered)).status == 404
    refused = await ask(client, "POST", SESSIONS, {"session_id": offered})
    assert refused.status == 422
    with pytest.raises(TypeError):
        Wanted(session_id=offered)  # type: ignore[call-arg]


def test_t03_the_digest_is_sha256_of_the_whole_id() -> None:
    """What is stored is a one-way function of all 256 bits."""
    session_id = new_session_id()

    assert session_digest(session_id) == hashlib.sha256(session_id.encode()).digest()


def _back_up(data: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    for name in ("vault.db", "sessions.db"):
        with (
            closing(sqlite3.connect(data / name)) as source,
            closing(sqlite3.connect(tmp_path / "backup" / name)) as target,
        ):
            source.backup(target)


async def _raw(server: TestServer, request_line: bytes, header: bytes) -> int:
    """Send bytes that no HTTP client would; return the status."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(request_line + b" HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
        return int((await reader.readline()).split()[1])
    finally:
        writer.transport.abort()
