"""People come in, log in through a web app, and are all still there after a restart."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from yarl import URL

from tests.acceptance.people import LOCALES, WIDE_EVERY, WIDE_FIELDS, other_spelling, people
from tests.program import PATIENCE, Program

COUNT, BATCH = 10_000, 1_000
CONCURRENCY = 32
LOGIN_APP = Path(__file__).parents[2] / "docs" / "examples" / "login_app.py"
COOKIE = "__Host-session"
ADA = {
    "email": "Ада@почта.example",
    "password": "лошадь батарея скрепка",
    "first_name": "Ада 🦊",
    "city": "東京",
}
CREDENTIALS = {name: ADA[name] for name in ("email", "password")}

SIGN_IN_SCOPES = "profiles:write,profiles:read,profiles:lookup,sessions:write,sessions:revoke"


def caller(program: Program, key: str) -> aiohttp.ClientSession:
    """Return a client of the program's API."""
    return aiohttp.ClientSession(
        f"{program.url}/api/v1/",
        headers={"Authorization": f"Bearer {key}"},
        connector=aiohttp.TCPConnector(limit=CONCURRENCY),
    )


async def for_each(items: Iterable[Any], work: Callable[[Any], Awaitable[Any]]) -> list[Any]:
    """Do the work for every item, some at once, and return the results in order."""
    todo = list(items)
    results = [None] * len(todo)
    numbered = iter(enumerate(todo))

    async def worker() -> None:
        for number, item in numbered:
            results[number] = await work(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(CONCURRENCY):
            workers.create_task(worker())
    return results


async def ask(client: aiohttp.ClientSession, method: str, path: str, status: int, **options: Any) -> Any:
    """Make a call, which must be answered so, and return its JSON."""
    async with client.request(method, path, **options) as answer:
        text = await answer.text()
        assert answer.status == status, (method, path, answer.status, text)
        return json.loads(text) if text else None


def access_key(data: Path, name: str, scopes: str) -> str:
    """Make an access key as an operator does."""
    command = [sys.executable, "-m", "vault", "access", "create", "--data", str(data), "--json"]
    done = subprocess.run(
        [*command, "--name", name, "--scopes", scopes], capture_output=True, check=True, timeout=PATIENCE
    )
    return json.loads(done.stdout)["access_key"]


@contextmanager
def login_app(program: Program) -> Iterator[URL]:
    """Run the example beside a running vault, on a port of its own."""
    environment = {
        **os.environ,
        "VAULT_URL": program.url,
        "VAULT_SESSION_KEY": access_key(program.data, "web", "sessions:read"),
        "VAULT_SIGNIN_KEY": access_key(program.data, "sign-in", SIGN_IN_SCOPES),
        "PORT": "0",
    }
    with subprocess.Popen([sys.executable, LOGIN_APP], stdout=subprocess.PIPE, env=environment) as process:
        try:
            yield URL(process.stdout.readline().decode().split()[-1])
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def browser(app: URL) -> aiohttp.ClientSession:
    """Return a client that keeps cookies as a browser does, for which this machine is a secure place."""
    jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=app)
    return aiohttp.ClientSession(app, cookie_jar=jar)


def session_of(client: aiohttp.ClientSession, app: URL) -> str:
    """Return the session id that the client would send."""
    return client.cookie_jar.filter_cookies(app)[COOKIE].value


def with_cookie(session_id: str) -> dict[str, str]:
    """Return the header that presents a session id."""
    return {"Cookie": f"{COOKIE}={session_id}"}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A running vault on a port that it keeps after a restart."""
    with Program(tmp_path / "data", tmp_path, "--port", str(unused_port())) as running:
        yield running


class Imported:
    """The people as the vault has them, and the calls that prove it."""

    def __init__(self) -> None:
        self.profiles = people(COUNT)
        self.tokens: list[str] = []
        self.live: list[str] = []
        self.revoked: list[str] = []

    async def store(self, client: aiohttp.ClientSession) -> None:
        """Import everybody, in batches."""

        async def batch(start: int) -> list[str]:
            entries = [{"profile": profile} for profile in self.profiles[start : start + BATCH]]
            done = await ask(client, "POST", "profiles/batch", 200, json={"profiles": entries})
            assert (done["created"], done["failed"]) == (BATCH, 0)
            return [result["token"] for result in done["results"]]

        parts = await for_each(range(0, COUNT, BATCH), batch)
        self.tokens = [token for part in parts for token in part]

    async def read_each(self, client: aiohttp.ClientSession) -> None:
        """Read each profile, which must equal what was sent."""

        async def read(number: int) -> None:
            held = await ask(client, "GET", f"profiles/{self.tokens[number]}", 200)
            assert held["profile"] == self.profiles[number]

        await for_each(range(COUNT), read)

    async def look_up(self, client: aiohttp.ClientSession, step: int = 1) -> None:
        """Look people up by their e-mail, in one of its spellings."""

        async def look_up(number: int) -> None:
            spelled = other_spelling(self.profiles[number]["email"], number)
            found = await ask(client, "POST", "profiles/lookup", 200, json={"email": spelled})
            assert found["token"] == self.tokens[number], spelled

        await for_each(range(0, COUNT, step), look_up)

    async def log_in(self, client: aiohttp.ClientSession) -> None:
        """Open a session for one in forty people, and end every fifth of these again."""

        async def open_one(token: str) -> str:
            opened = await ask(
                client, "POST", "sessions", 201, json={"user_token": token, "claims": {"role": "r1"}}
            )
            return opened["session_id"]

        async def end_one(session_id: str) -> None:
            await ask(client, "DELETE", "sessions/current", 204, headers={"Session-Id": session_id})

        opened = await for_each(self.tokens[::40], open_one)
        self.revoked = opened[::5]
        self.live = sorted(set(opened) - set(self.revoked))
        await for_each(self.revoked, end_one)

    async def look_at_sessions(self, client: aiohttp.ClientSession) -> None:
        """The live ones must live, the revoked ones be dead."""

        async def look(expected: tuple[str, int]) -> None:
            session_id, status = expected
            await ask(client, "GET", "sessions/current", status, headers={"Session-Id": session_id})

        await for_each([(session_id, 200) for session_id in self.live], look)
        await for_each([(session_id, 404) for session_id in self.revoked], look)


def test_the_people_are_many_and_diverse() -> None:
    """The import covers twenty locales and more, many scripts, emoji, and profiles of 120 fields."""
    everybody = people(COUNT)
    text = json.dumps(everybody, ensure_ascii=False)
    assert len({person["locale"] for person in everybody}) == len(LOCALES) >= 20
    assert len({person["email"].casefold() for person in everybody}) == COUNT
    assert sum(len(person) == WIDE_FIELDS for person in everybody) == COUNT // WIDE_EVERY
    for script in ("Ж", "ع", "李", "木", "김", "अ", "א", "ส", "Ω", "ğ", "ß", "🦊", "🏳️‍🌈"):
        assert script.casefold() in text.casefold(), script


@pytest.mark.timeout(300)  # ten seconds on two idle cores, a minute beside other work
async def test_ten_thousand_people_and_their_sessions_survive_a_restart(program: Program) -> None:
    """Whatever was imported, looked up, logged in and logged out is exactly so after SIGTERM and a new start."""
    everybody = Imported()
    admin = program.access_key
    async with caller(program, admin) as client:
        await everybody.store(client)
        await everybody.read_each(client)
        await everybody.look_up(client)
        await everybody.log_in(client)
        await everybody.look_at_sessions(client)
    with login_app(program) as app:
        async with browser(app) as visitor:
            await ask(visitor, "POST", "/signup", 201, json=ADA)
            await ask(visitor, "POST", "/login", 200, json=CREDENTIALS)
            logged_out = session_of(visitor, app)
            await ask(visitor, "POST", "/logout", 200, json={})
            await ask(visitor, "POST", "/login", 200, json=CREDENTIALS)
            assert program.stop() == 0
            program.start()
            assert (await ask(visitor, "GET", "/me", 200))["first_name"] == ADA["first_name"]
        async with aiohttp.ClientSession(app) as thief:
            await ask(thief, "GET", "/me", 401, headers=with_cookie(logged_out))
    assert program.access_key == admin
    async with caller(program, admin) as client:
        await everybody.read_each(client)
        await everybody.look_up(client, step=20)
        await everybody.look_at_sessions(client)


async def test_a_web_app_logs_people_in_and_out(program: Program) -> None:
    """Login, me and logout work by a cookie, and a cookie of before the logout opens nothing any more."""
    with login_app(program) as app:
        async with browser(app) as visitor:
            await ask(visitor, "GET", "/me", 401)
            await ask(visitor, "POST", "/signup", 201, json=ADA)
            await ask(visitor, "GET", "/me", 401)
            await ask(visitor, "POST", "/login", 200, json=CREDENTIALS)
            session_id = session_of(visitor, app)
            assert await ask(visitor, "GET", "/me", 200) == {
                "first_name": ADA["first_name"],
                "claims": {"roles": ["member"], "auth_method": "password"},
            }
            await ask(visitor, "POST", "/logout", 200, json={})
            assert COOKIE not in visitor.cookie_jar.filter_cookies(app)
            await ask(visitor, "GET", "/me", 401)
            await ask(visitor, "GET", "/me", 401, headers=with_cookie(session_id))


async def test_the_cookie_is_out_of_reach_of_scripts_other_sites_and_plain_http(program: Program) -> None:
    """Both the cookie and its deletion are __Host-, Secure, HttpOnly, SameSite=Lax, without a domain (T32)."""
    with login_app(program) as app:
        async with browser(app) as visitor:
            await ask(visitor, "POST", "/signup", 201, json=ADA)
            for path, body in (("/login", CREDENTIALS), ("/logout", {})):
                async with visitor.post(path, json=body) as answer:
                    (cookie,) = answer.headers.getall("Set-Cookie")
                    assert answer.headers["Cache-Control"] == "no-store"
                pair, *attributes = (part.strip() for part in cookie.split(";"))
                assert pair.startswith(f"{COOKIE}=")
                assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
                assert not any(attribute.lower().startswith("domain") for attribute in attributes)
                assert any(attribute == "Max-Age=0" for attribute in attributes) == (path == "/logout")


async def test_a_login_never_keeps_an_id(program: Program) -> None:
    """A second login gives another id and ends the first; an id planted before a login is not taken over (T8, T20)."""
    planted = "tvs_" + "A" * 43
    with login_app(program) as app:
        async with browser(app) as visitor:
            await ask(visitor, "POST", "/signup", 201, json=ADA)
            await ask(visitor, "POST", "/login", 200, json=CREDENTIALS, headers=with_cookie(planted))
            first = session_of(visitor, app)
            await ask(visitor, "POST", "/login", 200, json=CREDENTIALS)
            second = session_of(visitor, app)
        assert len({planted, first, second}) == 3
        async with aiohttp.ClientSession(app) as stranger:
            for session_id, status in ((planted, 401), (first, 401), (second, 200)):
                await ask(stranger, "GET", "/me", status, headers=with_cookie(session_id))


async def test_the_login_says_nothing_about_who_has_an_account(program: Program) -> None:
    """An unknown e-mail and a wrong password get one answer, and no cookie."""
    with login_app(program) as app:
        async with browser(app) as visitor:
            await ask(visitor, "POST", "/signup", 201, json=ADA)
            wrong = await ask(visitor, "POST", "/login", 401, json={**CREDENTIALS, "password": "x" * 20})
            unknown = await ask(
                visitor, "POST", "/login", 401, json={**CREDENTIALS, "email": "nobody@x.example"}
            )
            assert wrong == unknown
            assert COOKIE not in visitor.cookie_jar.filter_cookies(app)
            await ask(visitor, "POST", "/signup", 409, json={**ADA, "email": "АДА@ПОЧТА.example"})


HOSTILE: dict[str, tuple[int, dict[str, Any]]] = {
    "a form of another site": (415, {"data": {"email": "a", "password": "b"}}),
    "text that is JSON": (415, {"data": b"{}", "headers": {"Content-Type": "text/plain"}}),
    "no object": (400, {"json": ["email", "password"]}),
    "an object without a password": (400, {"json": {"email": "a@b.example"}}),
    "half a surrogate pair": (400, {"json": {"email": "a@b.example", "password": "\ud800"}}),
    "an e-mail that is a number": (400, {"json": {"email": 1, "password": "x" * 20}}),
}


async def test_the_web_app_refuses_what_it_does_not_expect(program: Program) -> None:
    """Hostile input gets a 4xx, and a cookie that cannot be an id is no reason to fail."""
    with login_app(program) as app:
        async with aiohttp.ClientSession(app) as stranger:
            for path in ("/signup", "/login"):
                for status, options in HOSTILE.values():
                    await ask(stranger, "POST", path, status, **options)
            for cookie in ("", "x", '"tvs_\\015\\012evil: 1"', "tvs_" + "é" * 43, "a" * 4000):
                await ask(stranger, "GET", "/me", 401, headers=with_cookie(cookie))


async def test_a_vault_out_of_reach_logs_nobody_out(program: Program) -> None:
    """While the vault is down every question is answered 503, and afterwards the same cookie works again (T25)."""
    with login_app(program) as app:
        async with browser(app) as visitor:
            await ask(visitor, "POST", "/signup", 201, json=ADA)
            await ask(visitor, "POST", "/login", 200, json=CREDENTIALS)
            assert program.stop() == 0
            await ask(visitor, "GET", "/me", 503)
            await ask(visitor, "POST", "/logout", 503, json={})
            await ask(visitor, "POST", "/login", 503, json=CREDENTIALS)
            program.start()
            await ask(visitor, "GET", "/me", 200)
