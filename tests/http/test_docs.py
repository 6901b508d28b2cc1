"""The page that shows the description: served whole by ourselves."""

import asyncio
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.http.conversation import Client
from vault.http.native import OPERATIONS


class Links(HTMLParser):
    """Collects what a page loads, and what runs or styles without being loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._inside: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note addresses, and handlers written into the page."""
        self.loaded += [
            value or "" for name, value in attributes if name in ("src", "href", "action", "data")
        ]
        self.inline += [name for name, _ in attributes if name.startswith("on") or name == "style"]
        self._inside = tag if tag in ("script", "style") else None

    def handle_data(self, data: str) -> None:
        """Note scripts and styles written into the page."""
        if self._inside and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave the element."""
        self._inside = None


async def links(client: Client) -> Links:
    """Return what the page loads."""
    page = Links()
    page.feed(await (await client.get("/docs")).text())
    return page


async def test_the_page_loads_only_from_ourselves(anonymous: Client) -> None:
    """Every asset is a path on this service, and it is there; nothing is written into the page itself."""
    page = await links(anonymous)
    assets = [address for address in page.loaded if address != "data:,"]
    assert len(assets) >= 3
    assert page.inline == []
    for address in assets:
        assert re.match(r"/(?!/)", address), address
        response = await anonymous.get(address)
        assert response.status == 200, address
        assert len(await response.read()) > 0
        kind = {"css": "text/css", "js": "text/javascript"}[address.rpartition(".")[2]]
        assert response.content_type == kind
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_shows_the_document_of_this_service(anonymous: Client) -> None:
    """And asks no validator elsewhere what it thinks of it."""
    start = await (await anonymous.get("/docs/start.js")).text()
    assert '"/openapi.json"' in start
    assert "validatorUrl: null" in start
    assert "://" not in start
    assert (await anonymous.get("/openapi.json")).status == 200


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"]
)
async def test_a_policy_forbids_every_other_host(anonymous: Client, path: str) -> None:
    """Nothing by default, and no source but this service; no eval, no inline script, no frame around it."""
    response = await anonymous.get(path)
    assert response.status == 200
    policy = dict(
        part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    sources = {source for sources in policy.values() for source in sources.split()}
    assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert response.headers["Referrer-Policy"] == "no-referrer"


async def test_the_page_needs_no_access_key(anonymous: Client) -> None:
    """It holds no data: whoever tries a call from it has to give a key of one's own."""
    response = await anonymous.get("/docs")
    text = await response.text()
    assert (response.status, response.content_type) == (200, "text/html")
    assert "tvk_" not in text
    assert "persistAuthorization: false" in await (await anonymous.get("/docs/start.js")).text()


@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui-bundle.js"])
async def test_a_browser_is_told_what_else_the_page_may_not(anonymous: Client, path: str) -> None:
    """No frame, no referrer, no sharing with other origins, no devices; and nothing about TLS without TLS."""
    headers = (await anonymous.get(path)).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    granted = dict(each.strip().split("=") for each in headers["Permissions-Policy"].split(","))
    assert {"camera", "microphone", "geolocation"} <= set(granted)
    assert set(granted.values()) == {"()"}
    assert "Strict-Transport-Security" not in headers


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
async def test_a_browser_shows_every_call_and_has_nothing_to_refuse(
    anonymous: Client, tmp_path: Path
) -> None:
    """Under all these headers the page works: no part of it is blocked, and each operation is there."""
    assert BROWSER is not None
    browser = await asyncio.create_subprocess_exec(
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", str(anonymous.make_url("/docs")),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        shown, told = await asyncio.wait_for(browser.communicate(), 60)
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()
    assert shown.count(b'class="opblock opblock-') == len(OPERATIONS), told.decode()
    assert b"Content Security Policy" not in told
    assert b"Refused to" not in told
