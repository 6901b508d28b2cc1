"""The older wire, as the npm package @databunker/session-store speaks it."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker
from tests.databunker.test_sessions import Person, listed
from vault import wiring
from vault.http.app import make_app
from vault.installation import Vault

ID = "8c7e9a52-1f6b-4b5e-9a0e-3c2d1e0f9a8b"
EXPRESS = "qCkGqhlJzQ_-1yUoPz9yZ0aXbRr2mWcT"
SESSION = {
    "cookie": {"originalMaxAge": None, "expires": None, "httpOnly": True, "path": "/"},
    "role": "editor",
}
NOW = 1_800_000_000
NOT_FOUND = (404, {"status": "error", "message": "not found"})


async def call(bunker: Bunker, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Ask, as the package does."""
    headers = {"X-Bunker-Token": bunker.token}
    url = URL(str(bunker.http.make_url("/")).removesuffix("/") + path)
    async with bunker.http.session.request(method, url, json=body, headers=headers) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("named", [ID, EXPRESS])
@pytest.mark.parametrize("base", ["", "/"])
async def test_set_get_destroy(bunker: Bunker, clock: FakeClock, named: str, base: str) -> None:
    """What was set comes back whole, with the second of its last use; destroyed, it is what the store understands."""
    path = f"{base}/v1/session/{named}"
    assert await call(bunker, "GET", path) == NOT_FOUND
    assert await call(bunker, "POST", path, SESSION) == (200, {"status": "ok", "session": named})
    told = {"status": "ok", "session": named, "when": NOW, "data": SESSION}
    assert await call(bunker, "GET", path) == (200, told)
    clock.advance(60)
    assert await call(bunker, "GET", path) == (200, {**told, "when": NOW + 60})
    for _ in range(2):
        assert await call(bunker, "DELETE", path) == (200, {"status": "ok"})
    assert await call(bunker, "GET", path) == NOT_FOUND


async def test_expired_is_not_found(bunker: Bunker, clock: FakeClock) -> None:
    """An expired session is answered as one that never was, and not as trouble."""
    await call(bunker, "POST", f"/v1/session/{ID}", SESSION)
    clock.advance(3600)
    assert await call(bunker, "GET", f"/v1/session/{ID}") == NOT_FOUND


COOKIES: dict[str, tuple[dict[str, Any], int]] = {
    "an age": ({"originalMaxAge": 600_000}, 600),
    "an age, and the end that goes with it": (
        {"originalMaxAge": 600_000, "expires": "2027-01-15T08:20:00.000Z"},
        600,
    ),
    "a fixed end": ({"originalMaxAge": None, "expires": "2027-01-15T08:05:00.000Z"}, 300),
    "a fixed end in another zone": ({"expires": "2027-01-15T10:05:00+02:00"}, 300),
    "an end without a zone: UTC": ({"expires": "2027-01-15T08:05:00"}, 300),
    "an age above the cap": ({"originalMaxAge": 10**12}, 3600),
    "an end that has passed": ({"expires": "1970-01-01T00:00:00.000Z"}, 1),
    "an age below nothing": ({"originalMaxAge": -5}, 1),
    "no end at all": ({"originalMaxAge": None, "expires": None}, 3600),
    "what is no time": ({"originalMaxAge": True, "expires": "tomorrow"}, 3600),
}


@pytest.mark.parametrize("sentence", COOKIES)
async def test_the_cookie_bounds_the_session(bunker: Bunker, clock: FakeClock, sentence: str) -> None:
    """A session lives no longer than its cookie, nor than the settings allow."""
    cookie, lives = COOKIES[sentence]
    for named in (ID, EXPRESS):
        await call(bunker, "POST", f"/v1/session/{named}", {"cookie": cookie})
    clock.advance(lives - 1)
    assert (await call(bunker, "GET", f"/v1/session/{ID}"))[0] == 200
    clock.advance(1)
    assert await call(bunker, "GET", f"/v1/session/{EXPRESS}") == NOT_FOUND  # not looked at, so not slid


async def test_a_touch_keeps_a_session_of_an_age_alive(bunker: Bunker, clock: FakeClock) -> None:
    """Express posts the whole session at each request: the age begins anew, up to the longest lifetime."""
    body = {"cookie": {"originalMaxAge": 600_000, "expires": "2027-01-15T08:10:00.000Z"}}
    await call(bunker, "POST", f"/v1/session/{ID}", body)
    for _ in range(24 * 60 // 9 - 1):
        clock.advance(540)
        assert (await call(bunker, "POST", f"/v1/session/{ID}", body))[0] == 200
    assert (await call(bunker, "GET", f"/v1/session/{ID}"))[0] == 200
    clock.advance(540)
    assert await call(bunker, "GET", f"/v1/session/{ID}") == NOT_FOUND


async def test_both_wires_are_one_store(bunker: Bunker, person: Person) -> None:
    """What Express sets, the newer wire gets, lists and deletes; and the other way round."""
    ada = await person(login="ada")
    await call(bunker, "POST", f"/v1/session/{EXPRESS}", {**SESSION, "userToken": ada})
    assert (await bunker.ok("SessionGet", sessionuuid=EXPRESS))["sessiondata"]["role"] == "editor"
    assert await listed(bunker, ada) == [EXPRESS]
    await bunker.ok("SessionDelete", sessionuuid=EXPRESS)
    assert await call(bunker, "GET", f"/v1/session/{EXPRESS}") == NOT_FOUND
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"a": 1})
    assert (await call(bunker, "GET", f"/v1/session/{ID.upper()}"))[1]["data"] == {"a": 1}


REFUSED: dict[str, tuple[str, str, Any, int, str]] = {
    "an id that is a word": ("GET", "me", None, 400, "Bad UUID"),
    "an id of the vault's own": ("DELETE", "tvs_" + "a" * 43, None, 400, "Bad UUID"),
    "a body that is no object": ("POST", ID, [1], 400, "Failed to decode the request body"),
    "no body": ("POST", ID, None, 400, "Failed to decode the request body"),
    "a method it does not have": ("PUT", ID, {}, 404, "endpoint is missing"),
    "a path it does not have": ("GET", f"{ID}/x", None, 404, "endpoint is missing"),
}


@pytest.mark.parametrize("sentence", REFUSED)
async def test_refused(bunker: Bunker, sentence: str) -> None:
    """In JSON, with a message."""
    method, named, body, status, message = REFUSED[sentence]
    answer = await call(bunker, method, f"/v1/session/{named}", body)
    assert answer == (status, {"status": "error", "message": message})


async def test_a_session_too_large(bunker: Bunker) -> None:
    """It is 413, and nothing is kept."""
    status, _ = await call(bunker, "POST", f"/v1/session/{ID}", {"a": "b" * 16_384})
    assert status == 413
    assert await call(bunker, "GET", f"/v1/session/{ID}") == NOT_FOUND


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_nobody_is_let_in_without_the_right(
    bunker: Bunker, memory: Vault, person: Person, method: str
) -> None:
    """A stranger is told nothing, not even that the id is malformed; a person's own token may not either."""
    own = await memory.grants.issue("user", user_token=await person(login="ada"))
    for token, message in (("", "Access denied"), (own, "API access denied")):
        for named in (ID, "me"):
            answer = await call(bunker.by(token), method, f"/v1/session/{named}", {})
            assert answer == (403, {"status": "error", "message": message})


async def test_no_id_is_in_the_log(memory: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    """The id travels in the URL of this wire, and the log tells the template alone."""
    token = await wiring.first_access_key(memory)
    async with TestClient(TestServer(make_app(memory))) as http:  # its log is written out at its end
        for method in ("POST", "GET", "DELETE"):
            assert (await call(Bunker(http, token), method, f"/v1/session/{EXPRESS}", SESSION))[0] == 200
    said = "".join(capsys.readouterr())
    assert "/v1/session/{uuid}" in said
    assert EXPRESS not in said
    assert "editor" not in said
