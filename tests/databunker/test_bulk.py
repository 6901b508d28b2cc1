import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault import wiring
from vault.config import Config
from vault.http.app import make_app
from vault.installation import Vault
from vault.ports import Wanted

Person = Callable[..., Awaitable[str]]

REFUSED = "The unlockuuid value was not found or is not valid"
LISTS = ("BulkListUsers", "BulkListAllUsers", "BulkListAllAuditEvents")


async def unlock(bunker: Bunker, **metadata: Any) -> str:
    """Ask for leave."""
    return str((await bunker.ok("BulkListUnlock", request_metadata=metadata))["unlockuuid"])


def asked(method: str, leave: str) -> Json:
    """Return the least that a method takes."""
    users = [{"mode": "login", "identity": "ann"}] if method == "BulkListUsers" else None
    return {"unlockuuid": leave, "users": users}


# --- the unlock ----------------------------------------------------------------------------------------------


async def test_an_unlock_lasts_a_minute(bunker: Bunker, clock: FakeClock) -> None:
    """A UUID, good for any list as often as wanted, in either case; dead at the very moment of its end."""
    async with bunker.http.post("/v2/BulkListUnlock", headers={"X-Bunker-Token": bunker.token}) as response:
        leave = (await response.json())["unlockuuid"]  # a client of theirs sends no body at all
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", leave)
    for seconds in (0, 59.999):
        clock.advance(seconds)
        for method in LISTS:
            await bunker.ok(method, **asked(method, leave))
            await bunker.ok(method, **asked(method, leave.upper()))
    clock.advance(0.001)
    for method in LISTS:
        await bunker.refused(403, REFUSED, method, **asked(method, leave))


async def test_an_unlock_is_its_callers(memory: Vault, bunker: Bunker, person: Person) -> None:
    """Another's, an unknown one and what is none are answered alike, and nobody is opened or looked up."""
    await person(login="ann")
    text, _ = await memory.access.create("another", {"admin"})
    other, theirs = bunker.by(text), await unlock(bunker)
    for leave in (theirs, str(uuid4()), "", theirs[:-1], theirs + "\n", "1"):
        for method in LISTS:
            await other.refused(403, REFUSED, method, **asked(method, leave))
    for action in ("profile.revealed", "profile.looked_up"):
        assert await memory.audit.count(Wanted(action=action)) == 0
    assert len((await bunker.ok("BulkListUsers", **asked("BulkListUsers", theirs)))["rows"]) == 1


async def test_an_unlock_is_its_tenants(bunker: Bunker) -> None:
    """The root of both opens neither with the leave for the other."""
    await bunker.ok("TenantCreate", tenantname="acme")
    acme = bunker.by(bunker.token, "acme")
    theirs, ours = await unlock(acme), await unlock(bunker)
    for method in LISTS:
        await bunker.refused(403, REFUSED, method, **asked(method, theirs))
        await acme.refused(403, REFUSED, method, **asked(method, ours))
        await acme.ok(method, **asked(method, theirs))


async def test_an_unlock_has_to_be_named(bunker: Bunker) -> None:
    """A missing parameter is named, and so is a list without anybody."""
    for method in LISTS[1:]:
        await bunker.refused(400, "Missing API request parameters: unlockuuid", method)
    leave = await unlock(bunker)
    await bunker.refused(400, "Missing API request parameters: users", "BulkListUsers", unlockuuid=leave)
    wrong = "The users parameter has an incorrect format"
    for users in ([], [{"mode": "login"}], [{"mode": "name", "identity": "ann"}], {"mode": "login"}):
        await bunker.refused(400, wrong, "BulkListUsers", unlockuuid=leave, users=users)


REASONS = {
    "a reason": ({"reason": "invoices", "purpose": "another"}, "invoices"),
    "a purpose": ({"purpose": "ticket 4711"}, "ticket 4711"),
    "nothing": ({}, "databunker bulk"),
    "no text": ({"reason": 1, "purpose": ["x"]}, "databunker bulk"),
    "what is personal": ({"reason": "for ada@example.org"}, "databunker bulk"),
    "what is too long": ({"reason": "x" * 129, "purpose": "invoices"}, "invoices"),
}


@pytest.mark.parametrize(("metadata", "reason"), REASONS.values(), ids=REASONS)
async def test_the_reason_is_recorded(
    metadata: Json, reason: str, memory: Vault, bunker: Bunker, person: Person
) -> None:
    """As far as it may be kept in the clear; it is the purpose of whatever is opened."""
    token = await person(login="ann")
    leave = await unlock(bunker, **metadata)
    await bunker.ok("BulkListUsers", unlockuuid=leave, users=[{"mode": "login", "identity": "ann"}])
    await bunker.ok("BulkListAllUsers", unlockuuid=leave)

    [given] = await memory.audit.events(Wanted(action="bulk.unlocked"), 0, 9)
    assert (await memory.audit.details(given) or {})["reason"] == reason
    opened = await memory.audit.events(Wanted(action="profile.revealed"), 0, 9)
    assert [(one.user_token, one.purpose) for one in opened] == [(token, reason)] * 2


# --- people --------------------------------------------------------------------------------------------------


async def test_people_are_listed_without_a_bound(bunker: Bunker) -> None:
    """All who are named, each once, in that order, as UserGet shows them; who is unknown is left out."""
    people = [{"email": f"p{number}@example.org", "n": number} for number in range(150)]
    await bunker.ok("UserCreateBulk", records=[{"profile": one} for one in people])
    users = [{"mode": "email", "identity": one["email"], "extra": 1} for one in reversed(people)]
    users += [{"mode": "login", "identity": "nobody"}, {"mode": "token", "identity": str(uuid4())}, users[0]]

    said = await bunker.ok("BulkListUsers", unlockuuid=await unlock(bunker), users=users)

    assert said["total"] == 150
    assert [row["profile"] for row in said["rows"]] == people[::-1]
    assert said["rows"][0] == await bunker.ok("UserGet", mode="email", identity="p149@example.org")


async def test_a_token_in_a_list_has_to_be_one(bunker: Bunker) -> None:
    """What no token can be is told, as by every method."""
    leave = await unlock(bunker)
    users = [{"mode": "token", "identity": "x"}]
    await bunker.refused(400, "Bad UUID", "BulkListUsers", unlockuuid=leave, users=users)


async def test_all_people_come_in_pages(bunker: Bunker, person: Person, clock: FakeClock) -> None:
    """Each once, however they are cut, and how many there are; whoever has ended is nobody."""
    await bunker.ok("UserCreate", profile={"login": "ended"}, finaltime="10s")
    clock.advance(10)
    tokens = sorted([await person(login=f"p{number}") for number in range(12)])
    leave = await unlock(bunker)

    async def page(**cut: Any) -> tuple[list[str], int]:
        said = await bunker.ok("BulkListAllUsers", unlockuuid=leave, **cut)
        return [row["token"] for row in said["rows"]], said["total"]

    assert await page() == (tokens[:10], 12)
    assert await page(offset=10) == (tokens[10:], 12)
    assert await page(offset="3", limit="2") == (tokens[3:5], 12)
    assert await page(limit=0) == (tokens, 12)
    assert await page(offset=12) == ([], 12)
    assert await page(offset=2**40) == ([], 12)


@pytest.fixture
async def closed(config: Config, clock: FakeClock) -> AsyncIterator[Bunker]:
    """The wire of a vault that lets nobody list people."""
    settings = replace(
        config,
        storage=replace(config.storage, url="memory:"),
        databunker=replace(config.databunker, list_users=False),
    )
    async with (
        wiring.open_vault(settings, None, clock=clock) as vault,
        TestClient(TestServer(make_app(vault))) as http,
    ):
        yield Bunker(http, await wiring.first_access_key(vault))


async def test_lists_of_people_may_be_switched_off(closed: Bunker) -> None:
    """By name, whether there is leave or not; the trail may still be read."""
    for leave in (await unlock(closed), str(uuid4())):
        for method in LISTS[:2]:
            await closed.refused(403, f"{method} is disabled", method, **asked(method, leave))
    await closed.ok("BulkListAllAuditEvents", unlockuuid=await unlock(closed))


# --- the trail -----------------------------------------------------------------------------------------------


async def test_the_whole_trail_comes_in_pages(memory: Vault, bunker: Bunker, person: Person) -> None:
    """The oldest first, each as it can be opened, and how many there are; reading it adds none."""
    token = await person(login="ann")
    leave = await unlock(bunker)
    events = await memory.audit.events(Wanted(), 0, 99)

    said = await bunker.ok("BulkListAllAuditEvents", unlockuuid=leave, limit=100)

    assert [row["eventtype"] for row in said["rows"]] == [event.action for event in events]
    assert said["total"] == len(events)
    [made] = [row for row in said["rows"] if row["eventtype"] == "profile.created"]
    assert made["timestamp"] == events[0].at // 1000
    told = await bunker.ok("AuditGetEvent", auditeventuuid=made["auditeventuuid"])
    assert (told["eventtype"], told["token"]) == ("profile.created", token)
    rest = await bunker.ok("BulkListAllAuditEvents", unlockuuid=leave, offset=1, limit=1)
    assert rest == {"rows": said["rows"][1:2], "total": len(events)}
    past = await bunker.ok("BulkListAllAuditEvents", unlockuuid=leave, offset=999)
    assert past == {"rows": [], "total": len(events)}
