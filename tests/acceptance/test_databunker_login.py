"""A web app that keeps its sessions by the vendor's SDK: log in, look at yourself, log out; and time passes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer
from databunkerpro import DatabunkerproAPI

from tests.clock import FakeClock
from vault import wiring
from vault.http.app import make_app
from vault.installation import Vault

MINUTE = 60
EMAIL = "ada@example.org"


def login_app(api: DatabunkerproAPI) -> web.Application:
    """Return the app. It proves nobody: that is not what this is about."""

    async def ask(call: Any, *arguments: Any) -> Any:
        return await asyncio.to_thread(call, *arguments)

    async def login(request: web.Request) -> web.Response:
        user = await ask(api.get_user, "email", (await request.json())["email"])
        session = str(uuid4())
        data = {"userToken": user["token"], "role": "editor"}
        assert (await ask(api.upsert_session, session, data, {"finaltime": "30m"}))["status"] == "ok"
        response = web.json_response({})
        response.set_cookie("session", session, httponly=True)
        return response

    async def me(request: web.Request) -> web.Response:
        found = await ask(api.get_session, request.cookies.get("session", ""))
        if found["status"] != "ok":
            return web.json_response({}, status=401)
        user = await ask(api.get_user, "token", found["sessiondata"]["userToken"])
        return web.json_response({"name": user["profile"]["name"], "role": found["sessiondata"]["role"]})

    async def logout(request: web.Request) -> web.Response:
        await ask(api.delete_session, request.cookies.get("session", ""))
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.post("/login", login), web.get("/me", me), web.post("/logout", logout)])
    return app


@pytest.fixture
async def browser(vault: Vault) -> AsyncIterator[TestClient[Any, Any]]:
    """A browser at the app, whose vault is on a port of its own; Ada has an account."""
    async with TestServer(make_app(vault)) as served:
        api = DatabunkerproAPI(str(served.make_url("/")), await wiring.first_access_key(vault))
        made = await asyncio.to_thread(api.create_user, {"email": EMAIL, "name": "Ada"})
        assert made["status"] == "ok"
        async with TestClient(TestServer(login_app(api)), cookie_jar=CookieJar(unsafe=True)) as client:
            yield client


async def seen(browser: TestClient[Any, Any]) -> Any:
    """Return what /me shows, or its status."""
    async with browser.get("/me") as response:
        return await response.json() if response.status == 200 else response.status


ADA = {"name": "Ada", "role": "editor"}


async def test_a_logout_ends_the_session(browser: TestClient[Any, Any]) -> None:
    """The cookie is still there, and opens nothing."""
    assert await seen(browser) == 401
    await browser.post("/login", json={"email": EMAIL})
    assert await seen(browser) == ADA
    await browser.post("/logout")
    assert await seen(browser) == 401


async def test_a_session_ends_with_its_time(browser: TestClient[Any, Any], clock: FakeClock) -> None:
    """30m is half an hour to the second, however often it is used; the next login begins anew."""
    await browser.post("/login", json={"email": EMAIL})
    for _ in range(2):
        clock.advance(15 * MINUTE - 1)
        assert await seen(browser) == ADA
    clock.advance(2)
    assert await seen(browser) == 401
    await browser.post("/login", json={"email": EMAIL})
    assert await seen(browser) == ADA
