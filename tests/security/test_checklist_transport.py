"""What travels, and what is told to whom: T26 to T32 of docs/security-checklist.md."""

import importlib.util
import io
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from http.cookies import SimpleCookie
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.security.stage import (
    API,
    CURRENT,
    HOUR,
    ROTATE,
    SESSIONS,
    Answer,
    Client,
    CountingStore,
    a_person,
    a_session,
    ask,
    bearer,
    worker,
)
from vault.access import SCOPES
from vault.http.app import make_app
from vault.http.native import OPERATIONS
from vault.installation import Vault
from vault.tokens import new_handle, new_session_id, new_user_token, session_digest

LOGIN_APP = Path(__file__).parents[2] / "docs" / "examples" / "login_app.py"


def filled(path: str) -> str:
    """Put strings of the right shape into a route's template."""
    return API + path.replace("{token}", new_user_token()).replace("{handle}", new_handle())


# --- T26, T27 -------------------------------------------------------------------------------------------------


async def test_t26_no_url_takes_or_shows_a_session_id(client: Client, vault: Vault) -> None:
    """An id in a path or a query does nothing, and no answer points to one in a URL."""
    person = await a_person(vault)
    opened = await ask(client, "POST", SESSIONS, {"user_token": person})
    session_id = opened.body["session_id"]

    assert "tvs_" not in str(opened.headers)
    assert (await ask(client, "DELETE", f"{SESSIONS}/{session_id}")).status == 204  # as any unknown handle
    for method, path in (("GET", f"{SESSIONS}/{session_id}"), ("PATCH", f"{SESSIONS}/{session_id}")):
        assert (await ask(client, method, path)).status == 405
    for name in ("Session-Id", "session_id", "id"):
        assert (await ask(client, "GET", f"{CURRENT}?{name}={session_id}")).status == 400
        assert (await ask(client, "DELETE", f"{CURRENT}?{name}={session_id}")).status == 400
    assert (await ask(client, "GET", CURRENT, session_id=session_id)).status == 200


async def test_t26_the_published_description_has_the_id_in_a_header_only(client: Client) -> None:
    """Path and query parameters of the whole API are user tokens, handles, field names, and which part of the trail is
    wanted: by whom (an access key's public id), what, from where, how many. Never a session's id or a key."""
    document = (await ask(client, "GET", "/openapi.json")).body
    parameters = {
        (parameter["in"], parameter["name"])
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for parameter in operation.get("parameters", [])
    }

    assert {name for place, name in parameters if place in ("path", "query")} <= {
        "token",
        "handle",
        "keep",
        "fields",
        "actor",
        "action",
        "after",
        "limit",
    }
    assert ("header", "Session-Id") in parameters


async def test_t27_every_answer_says_no_store(
    client: Client, anonymous: Client, key_for: Callable[..., Awaitable[str]]
) -> None:
    """Granted, refused for lack of a key or a scope, not understood: no cache may keep any of it."""
    for operation in OPERATIONS:
        poor = await key_for("profiles:lookup" if operation.scope != "profiles:lookup" else "profiles:read")
        path = filled(operation.path)
        answers = [
            await ask(client, operation.method, path, {}, session_id=new_session_id()),
            await ask(client, operation.method, path, [1], session_id="rubbish"),
            await ask(anonymous, operation.method, path),
            await ask(anonymous, operation.method, path, **bearer(poor)),
            await ask(client, "OPTIONS", path),
        ]

        assert (answers[2].status, answers[3].status) == (401, 403)
        assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


async def test_t27_answers_with_sessions_say_no_store(client: Client, vault: Vault) -> None:
    """Also the answers that succeed, and a path that does not exist."""
    person = await a_person(vault)
    opened = await ask(client, "POST", SESSIONS, {"user_token": person})
    session_id = opened.body["session_id"]
    answers = [
        opened,
        await ask(client, "GET", CURRENT, session_id=session_id),
        await ask(client, "PATCH", CURRENT, {"claims": {"role": "reader"}}, session_id=session_id),
        await ask(client, "GET", f"{API}/profiles/{person}/sessions"),
        await ask(client, "GET", f"{API}/profiles/{person}/export"),
        await ask(client, "POST", ROTATE, {}, session_id=session_id),
        await ask(client, "DELETE", CURRENT, session_id=session_id),
        await ask(client, "GET", f"{API}/nowhere"),
    ]

    assert [answer.status for answer in answers] == [201, 200, 200, 200, 200, 200, 204, 404]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


# --- T28 ------------------------------------------------------------------------------------------------------


async def test_t28_logs_metrics_errors_and_reprs_hold_no_id_token_or_handle(
    client: Client, vault: Vault, clock: FakeClock, log: io.StringIO
) -> None:
    """A whole conversation, refusals and rubbish included, at the lowest log level."""
    person = await a_person(vault, first_name="Wilhelmina")
    key = client.session.headers["Authorization"].split()[1]
    opened = await ask(client, "POST", SESSIONS, {"user_token": person, "claims": {"role": "stargazer"}})
    rotated = await ask(client, "POST", ROTATE, {}, session_id=opened.body["session_id"])
    ids = [opened.body["session_id"], rotated.body["session_id"], new_session_id()]
    refusals: list[Answer] = []
    for session_id in ids:
        await ask(client, "GET", CURRENT, session_id=session_id)
        refusals += [
            await ask(client, "PATCH", CURRENT, {"claims": {"role": "Wilhelmina"}}, session_id=session_id),
            await ask(client, "GET", f"{SESSIONS}/{session_id}"),
            await ask(client, "POST", SESSIONS, {"session_id": session_id}),
            await ask(client, "POST", SESSIONS, {"user_token": session_id}),
            await ask(client, "POST", SESSIONS, {}, **{"Idempotency-Key": session_id * 6}),
            await ask(client, "GET", f"{API}/nowhere/{session_id}"),
            await ask(client, "GET", f"{API}/profiles/{person}?fields={session_id}&unknown={session_id}"),
        ]
    refusals.append(await ask(client, "GET", CURRENT, session_id=ids[0], **bearer(key[:-4] + "AAAA")))
    for token in (person, new_user_token()):
        await ask(client, "GET", f"{API}/profiles/{token}/sessions")
    await ask(client, "DELETE", f"{SESSIONS}/{opened.body['handle']}")
    clock.advance(25 * HOUR)
    view = (await a_session(vault, person)).view
    await vault.housekeeping.round()
    metrics = (await ask(client, "GET", "/metrics")).text
    await client.close()  # the lines of the last requests are written at the end

    told = (
        log.getvalue() + metrics + repr(view) + repr(vault.sessions) + "".join(each.text for each in refusals)
    )
    assert all(answer.status >= 400 for answer in refusals)
    for needle in ("session.opened", '"event":"request"', "/api/v1/sessions/current"):
        assert needle in log.getvalue()  # the search does search
    secret = key.split("_")[2]
    for needle in (*ids, person, opened.body["handle"], view.handle, secret, "Wilhelmina", "stargazer"):
        assert needle not in told
        assert needle.removeprefix("tvs_")[:16] not in told
    for session_id in ids:
        assert session_digest(session_id).hex()[:16] not in told


# --- T29 ------------------------------------------------------------------------------------------------------


async def dead_ids(vault: Vault, clock: FakeClock) -> dict[str, str]:
    """Return ids that are not alive, by the reason."""
    expired = await a_session(vault)
    clock.advance(HOUR)
    person, erased = await a_person(vault), await a_person(vault)
    revoked, by_handle, rotated, swept_away = [await a_session(vault) for _ in range(4)]
    with_all, with_person = await a_session(vault, person), await a_session(vault, erased)
    await vault.sessions.end(revoked.session_id)
    await vault.sessions.end_handle(by_handle.view.handle)
    await vault.sessions.end_all(person)
    await vault.profiles.erase(erased)
    await vault.sessions.rotate(rotated.session_id)
    await vault.profiles.erase(swept_away.view.user_token or "")
    return {
        "unknown": new_session_id(),
        "malformed": "tvs_x",
        "not even close": "0",
        "expired": expired.session_id,
        "revoked": revoked.session_id,
        "revoked by handle": by_handle.session_id,
        "revoked with all": with_all.session_id,
        "rotated": rotated.session_id,
        "erased": with_person.session_id,
    }


def told(answer: Answer) -> tuple[Any, ...]:
    """Return all of an answer but what names the single request: its id and the second it came in."""
    body = None if answer.body is None else {**answer.body, "request_id": "…"}
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers.pop("x-request-id")
    assert headers.pop("date")
    length = int(headers.pop("content-length", "0")) - (len(answer.body["request_id"]) if answer.body else 0)
    return answer.status, body, headers, length


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", CURRENT, None, 404),
        ("PATCH", CURRENT, {"claims": {"role": "reader"}}, 404),
        ("POST", ROTATE, {}, 404),
        ("DELETE", CURRENT, None, 204),
    ],
    ids=["look up", "change", "rotate", "log out"],
)
async def test_t29_unknown_expired_revoked_and_malformed_are_one_answer(
    client: Client, vault: Vault, clock: FakeClock, method: str, path: str, body: object, status: int
) -> None:
    """Status, body and headers are equal, but for the id and date of the request."""
    ids = await dead_ids(vault, clock)
    answers = {
        name: told(await ask(client, method, path, body, session_id=session_id))
        for name, session_id in ids.items()
    }

    assert answers["unknown"][0] == status
    assert {name for name, answer in answers.items() if answer != answers["unknown"]} == set()


async def test_t29_unknown_and_erased_persons_are_one_answer(
    client: Client, vault: Vault, clock: FakeClock
) -> None:
    """Opening a session tells a stranger no more about tokens than looking one up does about ids."""
    erased, expired = await a_person(vault), await a_person(vault, expires_in=60)
    await vault.profiles.erase(erased)
    clock.advance(60)

    answers = [
        told(await ask(client, "POST", SESSIONS, {"user_token": token}))
        for token in (new_user_token(), erased, expired)
    ]

    assert answers[0][0] == 404
    assert answers == [answers[0]] * 3


# --- T30, T31 -------------------------------------------------------------------------------------------------


async def test_t30_who_may_not_ask_is_told_so_before_any_look_up(data: Path, clock: FakeClock) -> None:
    """Without a key 401, with every scope but the needed one 403, and no store of sessions or profiles is asked."""
    stores: list[CountingStore] = []

    def counting(store: Any) -> CountingStore:
        stores.append(CountingStore(store))
        return stores[-1]

    async with worker(data, clock, sessions=counting, profiles=counting) as vault:
        opened = await a_session(vault)
        keys = {
            scope: (await vault.access.create("test", set(SCOPES) - {scope, "admin"}))[0]
            for scope in {operation.scope for operation in OPERATIONS}
        }
        for store in stores:
            store.calls.clear()
        async with TestClient(TestServer(make_app(vault))) as client:
            for operation in OPERATIONS:
                refusals = {"": 401, "tvk_x": 401, "DEMO": 401, keys[operation.scope]: 403}
                for (key, status), session_id in product(
                    refusals.items(), (opened.session_id, new_session_id())
                ):
                    headers = bearer(key) if key else {}
                    answer = await ask(
                        client, operation.method, filled(operation.path), {}, session_id=session_id, **headers
                    )
                    assert answer.status == status
    assert [store.calls for store in stores] == [[], []]


async def test_t31_guesses_are_counted_for_each_access_key_and_block_nobody(
    anonymous: Client, vault: Vault, key_for: Callable[..., Awaitable[str]]
) -> None:
    """The counter of the key that guessed rises, another's does not, and the guesser's real visitors still get in."""
    noisy, quiet = await key_for("sessions:read"), await key_for("sessions:read")
    opened = await a_session(vault)

    for _ in range(200):
        assert (
            await ask(anonymous, "GET", CURRENT, session_id=new_session_id(), **bearer(noisy))
        ).status == 404
    for key in (noisy, quiet):
        assert (
            await ask(anonymous, "GET", CURRENT, session_id=opened.session_id, **bearer(key))
        ).status == 200

    metrics = (await ask(anonymous, "GET", "/metrics")).text
    counted = re.findall(
        r'^vault_refusals_total\{code="session_not_found",key_id="(\w+)"\} (\S+)', metrics, re.M
    )
    assert counted == [(noisy.split("_")[1], "200.0")]


# --- T32 ------------------------------------------------------------------------------------------------------


def example() -> ModuleType:
    """Import the example by its path, as it is no part of the package."""
    spec = importlib.util.spec_from_file_location("login_app_of_the_checklist", LOGIN_APP)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def web_app(
    anonymous: Client, key_for: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """The example web application, beside a vault."""
    sign_in = ("profiles:write", "profiles:read", "profiles:lookup", "sessions:write", "sessions:revoke")
    monkeypatch.setenv("VAULT_URL", str(anonymous.make_url("/")))
    monkeypatch.setenv("VAULT_SESSION_KEY", await key_for("sessions:read"))
    monkeypatch.setenv("VAULT_SIGNIN_KEY", await key_for(*sign_in))
    async with TestClient(TestServer(example().make_app())) as client:
        yield client


async def test_t32_the_cookie_of_the_example_has_every_guard(web_app: Client, vault: Vault) -> None:
    """__Host-, Secure, HttpOnly, SameSite, the whole path and no domain; a login never keeps the id it came with."""
    person = {"email": "ada@example.org", "password": "correct horse battery", "first_name": "Ada"}
    assert (await ask(web_app, "POST", "/signup", person)).status == 201
    planted = new_session_id()
    stale = {"Cookie": f"__Host-session={planted}"}

    first = await ask(web_app, "POST", "/login", person, **stale)
    cookie = _cookie(first)
    cookie_header = {"Cookie": f"__Host-session={cookie.value}"}
    second = await ask(web_app, "POST", "/login", person, **cookie_header)

    assert first.status == 200
    assert (bool(cookie["secure"]), bool(cookie["httponly"]), cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"], cookie["max-age"], cookie["expires"]) == ("/", "", "", "")
    assert len({planted, cookie.value, _cookie(second).value}) == 3
    assert (await ask(web_app, "GET", "/me", **cookie_header)).status == 401  # ended by the second login
    fresh = {"Cookie": f"__Host-session={_cookie(second).value}"}
    assert (await ask(web_app, "GET", "/me", **fresh)).status == 200


async def test_t32_logging_out_ends_the_session_and_forgets_the_cookie(web_app: Client, vault: Vault) -> None:
    """The vault is asked first, so a copy of the cookie is worth nothing afterwards."""
    person = {"email": "bob@example.org", "password": secrets.token_urlsafe(20)}
    await ask(web_app, "POST", "/signup", person)
    cookie = _cookie(await ask(web_app, "POST", "/login", person))
    copied = {"Cookie": f"__Host-session={cookie.value}"}

    out = await ask(web_app, "POST", "/logout", {}, **copied)

    assert (_cookie(out).value, _cookie(out)["max-age"], bool(_cookie(out)["secure"])) == ("", "0", True)
    assert (await ask(web_app, "GET", "/me", **copied)).status == 401


def _cookie(answer: Answer) -> Any:
    return SimpleCookie(answer.headers["Set-Cookie"])["__Host-session"]
