"""Honey tokens: whoever opens a decoy is shown it, and somebody hears of it at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.http.conversation import ADA, MERGE, Client, anonymised, answer, create, current, problem, sign_in
from tests.settings import UNHELD
from vault import wiring
from vault.acting import by_itself
from vault.alarms import FORMAT
from vault.config import Alarms, Config
from vault.crypto import signed
from vault.errors import StatementRefused
from vault.http.app import make_app
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.ports import Wanted

DECOY = {"email": "decoy@hidden-valley.example", "last_name": "Trice"}
SUSPENSION = 0.5  # seconds in which a verdict on an access key is reused


class AlarmShape(signed.Statement, forbid_unknown_fields=True):
    """What the webhook is sent."""

    sequence: int
    at: int
    tenant: str
    actor: str
    action: str


class Listener:
    """A web server that hears of alarms, and takes them when it is in the mood."""

    def __init__(self) -> None:
        self.status = 204
        self.heard: list[tuple[dict[str, str], str]] = []
        self.event = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        """Hear."""
        self.heard.append((dict(request.headers), await request.text()))
        self.event.set()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    async def next(self) -> str:
        """Wait for what is heard next."""
        async with asyncio.timeout(10):
            await self.event.wait()
        self.event.clear()
        return self.heard[-1][1]


@pytest.fixture
async def listener() -> AsyncIterator[tuple[Listener, str]]:
    """A listener and its address."""
    heard = Listener()
    app = web.Application()
    app.router.add_post("/alarm", heard.take)
    app.router.add_route("*", "/elsewhere", heard.take)
    async with TestServer(app) as server:
        yield heard, str(server.make_url("/alarm"))


@pytest.fixture
def config(listener: tuple[Listener, str]) -> Config:
    """Alarms go to the listener."""
    return Config(access=UNHELD.access, alarms=Alarms(webhook=listener[1]))


@pytest.fixture
async def decoy(vault: Vault) -> str:
    """A honey token that suspends nobody."""
    token = (await vault.profiles.create(DECOY)).token
    await vault.alarms.plant(token, suspends=False)
    return token


async def alarms(vault: Vault) -> list[Any]:
    """Return the events of alarms."""
    return await vault.audit.events(Wanted(action="alarm.honey_token"), 0, 99)


TOUCHES = {
    "opened": ("GET", "/{token}", None, {}),
    "opened in part": ("GET", "/{token}?fields=email", None, {}),
    "exported": ("GET", "/{token}/export", None, {}),
    "looked up": ("POST", "/lookup", {"email": DECOY["email"]}, {}),
    "replaced": ("PUT", "/{token}", {"profile": DECOY}, {}),
    "changed": ("PATCH", "/{token}", {"last_name": "Trice"}, {"Content-Type": MERGE}),
}


@pytest.mark.parametrize(("method", "path", "body", "headers"), TOUCHES.values(), ids=TOUCHES)
async def test_whoever_touches_a_decoy_raises_the_alarm(
    client: Client, vault: Vault, decoy: str, listener: tuple[Listener, str], method: str, path: str, body: Any,
    headers: dict[str, str],
) -> None:  # fmt: skip
    """It is an event by the caller's key, on disk before the answer; it is counted; and the webhook hears of it."""
    url = f"{PREFIX}/profiles{path.format(token=decoy)}"
    data = None if body is None else json.dumps(body)
    response = await client.request(
        method, url, data=data, headers={"Content-Type": "application/json", **headers}
    )
    assert response.status == 200

    (event,) = await alarms(vault)
    admin = (await vault.access.list()).keys[-1].id
    assert (event.actor, event.user_token, event.request_id) == (
        admin,
        decoy,
        response.headers["X-Request-Id"],
    )
    assert json.loads(await listener[0].next())["sequence"] == event.sequence
    assert "vault_alarms_total 1.0" in await (await client.get("/metrics")).text()


async def test_bulk_reads_raise_it_for_each_decoy(client: Client, vault: Vault, decoy: str) -> None:
    """Among others, and in a list of all."""
    other = await create(client, ADA)
    told = await answer(await client.post(f"{PREFIX}/profiles/bulk/unlock", json={"reason": "a test"}), 201)
    for path, body in (("read", {"tokens": [other, decoy]}), ("list", {}), ("read", {"tokens": [other]})):
        await answer(
            await client.post(f"{PREFIX}/profiles/bulk/{path}", json={"unlock": told["unlock"], **body})
        )
    assert [event.user_token for event in await alarms(vault)] == [decoy, decoy]


async def test_other_profiles_raise_none(client: Client, vault: Vault, decoy: str) -> None:
    """Nor does a look-up that finds nobody, nor a session, nor a decoy that is one no more."""
    scene = await sign_in(client)
    await answer(await client.get(f"{PREFIX}/profiles/{scene.token}"))
    await answer(await current(client, scene.session_id))
    await client.post(f"{PREFIX}/profiles/lookup", json={"email": "nobody@example.org"})
    await vault.alarms.remove(decoy)
    await answer(await client.get(f"{PREFIX}/profiles/{decoy}"))
    assert await alarms(vault) == []
    assert "vault_alarms_total 0.0" in await (await client.get("/metrics")).text()


async def test_the_one_who_opens_it_learns_nothing(client: Client, vault: Vault, decoy: str) -> None:
    """The answer is that of any other profile, byte for byte."""
    await vault.alarms.remove(decoy)
    plain = await client.get(f"{PREFIX}/profiles/{decoy}")
    await vault.alarms.plant(decoy, suspends=True)
    raised = await client.get(f"{PREFIX}/profiles/{decoy}")
    assert list(raised.headers) == list(plain.headers)
    assert await anonymised(raised) == await anonymised(plain)
    assert len(await alarms(vault)) == 1


async def test_a_decoy_suspends_the_key_that_opened_it(
    client: Client, vault: Vault, clock: FakeClock
) -> None:
    """The thief gets the decoy and after it nothing, in every process; others go on; an operator may resume it."""
    decoy, other = await create(client, DECOY), await create(client, ADA)
    await vault.alarms.plant(decoy, suspends=True)
    text, row = await vault.access.create("thief", {"profiles:read"})
    thief = {"Authorization": f"Bearer {text}"}

    opened = await answer(await client.get(f"{PREFIX}/profiles/{decoy}", headers=thief))
    assert opened["profile"] == DECOY
    clock.advance(SUSPENSION)
    await problem(await client.get(f"{PREFIX}/profiles/{other}", headers=thief), 401, "unauthenticated")
    await answer(await client.get(f"{PREFIX}/profiles/{other}"))
    events = await vault.audit.events(Wanted(actor=row.id), 0, 9)
    assert [(event.action, event.outcome) for event in events] == [
        ("profile.revealed", "ok"), ("alarm.honey_token", "ok"), ("access.suspended", "honey_token"),
    ]  # fmt: skip
    await vault.access.resume(row.id)
    await answer(await client.get(f"{PREFIX}/profiles/{other}", headers=thief))


async def test_who_has_no_access_key_loses_none(vault: Vault, decoy: str) -> None:
    """Whoever comes past every access key raises the alarm, and that is all."""
    await vault.alarms.plant(decoy, suspends=True)
    with by_itself():
        assert (await vault.profiles.get(decoy)).content == DECOY
    (event,) = await alarms(vault)
    assert event.actor == "vault"


# --- the webhook ---


async def test_the_statement_is_signed_by_the_vault(
    client: Client, vault: Vault, decoy: str, listener: tuple[Listener, str], data: Path, clock: FakeClock
) -> None:
    """It holds under the vault's signing key, names the access key and not the person, and no change of it holds."""
    await answer(await client.get(f"{PREFIX}/profiles/{decoy}"))
    text = await listener[0].next()
    headers = listener[0].heard[0][0]
    assert headers["Content-Type"] == "application/json"

    key = signed.public_key(wiring.keyring_of(data, Config()).read().active("signing"))
    told = signed.check(text, FORMAT, AlarmShape, key).statement
    (event,) = await alarms(vault)
    assert (told["sequence"], told["actor"], told["action"]) == (
        event.sequence,
        event.actor,
        "alarm.honey_token",
    )
    assert (told["at"], told["tenant"]) == (clock.now(), "default")
    for secret in (decoy, *DECOY.values()):
        assert secret not in text
    with pytest.raises(StatementRefused):
        signed.check(text.replace(event.actor, "f" * 16), FORMAT, AlarmShape, key)


@pytest.mark.parametrize("status", [500, 404, 302, 307])
async def test_what_the_webhook_does_not_take_is_told_again(
    client: Client, vault: Vault, decoy: str, listener: tuple[Listener, str], status: int
) -> None:
    """At each round of the chores until it takes it, and then never again; a redirect is not followed."""
    heard = listener[0]
    heard.status = status
    assert (await client.get(f"{PREFIX}/profiles/{decoy}")).status == 200
    first = await heard.next()
    await vault.alarms.deliver()
    assert (len(heard.heard), vault.alarms.undelivered) == (2, 1)
    assert "vault_alarms_undelivered 1.0" in await (await client.get("/metrics")).text()
    heard.status = 200
    await vault.housekeeping.round()
    assert (len(heard.heard), vault.alarms.undelivered) == (3, 0)
    for _ in range(2):
        await vault.housekeeping.round()
    assert [json.loads(text)["sequence"] for _, text in heard.heard] == [json.loads(first)["sequence"]] * 3


async def test_alarms_outlive_the_process_that_raised_them(
    data: Path, clock: FakeClock, listener: tuple[Listener, str]
) -> None:
    """Where nobody could be reached, the next process tells them, the oldest first, and once."""
    nobody = Config(alarms=Alarms(webhook="http://127.0.0.1:9/alarm"))
    async with wiring.open_vault(nobody, data, clock=clock) as vault:
        token = (await vault.profiles.create(DECOY)).token
        await vault.alarms.plant(token, suspends=False)
        for _ in range(3):
            await vault.profiles.get(token)
        await vault.alarms.deliver()
        assert vault.alarms.undelivered == 3
        sequences = [event.sequence for event in await alarms(vault)]
    async with wiring.open_vault(Config(alarms=Alarms(webhook=listener[1])), data, clock=clock) as vault:
        await vault.alarms.deliver()
        await vault.alarms.deliver()
    assert [json.loads(text)["sequence"] for _, text in listener[0].heard] == sequences


async def test_a_webhook_that_never_answers_holds_nobody_up(
    data: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoy is shown at once; the alarm stays undelivered."""
    monkeypatch.setattr("vault.webhook.TIMEOUT", 0.2)
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/alarm"
    async with server, wiring.open_vault(Config(alarms=Alarms(webhook=address)), data, clock=clock) as vault:
        token = (await vault.profiles.create(DECOY)).token
        await vault.alarms.plant(token, suspends=False)
        key, _ = await vault.access.create("support", {"profiles:read"})
        headers = {"Authorization": f"Bearer {key}"}
        async with TestClient(TestServer(make_app(vault)), headers=headers) as client, asyncio.timeout(5):
            await answer(await client.get(f"{PREFIX}/profiles/{token}"))
            await vault.alarms.deliver()
        assert vault.alarms.undelivered == 1
        for writer in held:
            writer.close()


async def test_without_a_webhook_an_alarm_is_an_event_and_a_number(data: Path, clock: FakeClock) -> None:
    """It waits for nobody."""
    async with wiring.open_vault(Config(), data, clock=clock) as vault:
        token = (await vault.profiles.create(DECOY)).token
        await vault.alarms.plant(token, suspends=False)
        await vault.profiles.get(token)
        await vault.alarms.deliver()
        assert (vault.alarms.raised, vault.alarms.undelivered) == (1, 0)
        assert len(await alarms(vault)) == 1
