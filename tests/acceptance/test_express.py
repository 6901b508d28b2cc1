"""A real Express application over the real program, with the npm package @databunker/session-store, unpatched."""

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.program import PATIENCE, Program

HERE = Path(__file__).parent / "express"

#: Seconds for npm, which fetches some seventy small packages.
INSTALL = 90

IDS = {
    "ids as Express makes them": ("", r"[A-Za-z0-9_-]{32}"),
    "ids as the store's own example makes them": ("1", r"[0-9a-f-]{36}"),
}

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="needs node and npm"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application with its packages."""
    folder = Path(shutil.copytree(HERE, tmp_path_factory.mktemp("express") / "app"))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm install took more than {INSTALL} s")
    if done.returncode:
        pytest.skip(f"npm install failed: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program."""
    home = tmp_path_factory.mktemp("vault")
    with Program(home / "data", home) as running:
        yield running


@contextmanager
def application(folder: Path, program: Program, uuids: str) -> Iterator[str]:
    """Run the application and yield its URL."""
    environment = {
        **os.environ,
        "VAULT_URL": program.url,
        "VAULT_TOKEN": program.access_key,
        "UUIDS": uuids,
    }
    errors = (folder / "errors.log").open("a")
    node = subprocess.Popen(
        ["node", "app.js"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
    )
    try:
        assert node.stdout is not None
        line = node.stdout.readline()
        assert line.startswith("listening on "), (folder / "errors.log").read_text()
        yield f"http://127.0.0.1:{line.split()[-1]}"
        assert node.poll() is None, (folder / "errors.log").read_text()  # it lives, whatever it was answered
    finally:
        node.terminate()
        node.wait(timeout=PATIENCE)
        if node.stdout is not None:
            node.stdout.close()
        errors.close()


class Browser:
    """Keeps cookies."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def __call__(self, method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Ask the application."""
        async with self.http.request(method, path, json=body or None) as response:
            return response.status, await response.json()


@pytest.fixture(params=IDS)
async def stage(
    request: pytest.FixtureRequest, installed: Path, program: Program
) -> AsyncIterator[tuple[Browser, str]]:
    """A browser before the running application, and the shape of its ids."""
    uuids, shape = IDS[request.param]
    with application(installed, program, uuids) as url:
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, not of a name
        async with aiohttp.ClientSession(
            url, cookie_jar=jar, timeout=aiohttp.ClientTimeout(PATIENCE)
        ) as http:
            yield Browser(http), shape


async def vault(program: Program, method: str, **said: Any) -> dict[str, Any]:
    """Call the vault as its root."""
    headers = {"X-Bunker-Token": program.access_key}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{program.url}/v2/{method}", json=said) as response,
    ):
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def test_login_me_logout(stage: tuple[Browser, str], program: Program) -> None:
    """A session works from login to logout, is its person's meanwhile, and its cookie opens nothing afterwards."""
    browser, shape = stage
    person = (await vault(program, "UserCreate", profile={"name": "Ada"}))["token"]
    assert await browser("GET", "/me") == (401, {})

    _, made = await browser("POST", "/login", userToken=person, role="editor")
    assert re.fullmatch(shape, made["id"])
    for seen in (1, 2):
        assert await browser("GET", "/me") == (200, {"userToken": person, "role": "editor", "seen": seen})
    listed = (await vault(program, "SessionListUserSessions", mode="token", identity=person))["rows"]
    assert [row["sessionuuid"] for row in listed] == [made["id"]]
    assert {name: listed[0]["sessiondata"][name] for name in ("userToken", "role", "seen")} == {
        "userToken": person, "role": "editor", "seen": 2,
    }  # fmt: skip

    cookie = {one.key: one.value for one in browser.http.cookie_jar}
    assert await browser("POST", "/logout") == (200, {})
    browser.http.cookie_jar.update_cookies(cookie)  # whoever kept the cookie
    assert await browser("GET", "/me") == (401, {})
    assert (await vault(program, "SessionListUserSessions", mode="token", identity=person))["rows"] == []


async def test_erasing_the_person_logs_out(stage: tuple[Browser, str], program: Program) -> None:
    """Once a person is erased, the browser's next request is nobody's, and the application goes on."""
    browser, _ = stage
    person = (await vault(program, "UserCreate", profile={"name": "Grace"}))["token"]
    await browser("POST", "/login", userToken=person, role="editor")
    assert (await browser("GET", "/me"))[0] == 200

    headers = {"Authorization": f"Bearer {program.access_key}"}
    async with browser.http.delete(f"{program.url}/api/v1/profiles/{person}", headers=headers) as response:
        assert response.status == 200

    assert await browser("GET", "/me") == (401, {})
