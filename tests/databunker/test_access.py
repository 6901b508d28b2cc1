"""Tokens for people and for roles: how long they live, and what they may."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker
from tests.databunker.rules import allow
from vault import wiring
from vault.config import Config
from vault.http.databunker import METHODS
from vault.installation import Vault
from vault.ports import Wanted

Person = Callable[..., Awaitable[str]]

#: What a person may do with their own token, about themselves.
OWN = {
    "AppdataGet",
    "AppdataListUserAppNames",
    "AppdataListVersions",
    "AppdataUpdateRequest",
    "AuditListUserEvents",
    "GroupListUserGroups",
    "SystemGetUserHTMLReport",
    "SystemGetUserReport",
    "UserDeleteRequest",
    "UserGet",
    "UserListVersions",
    "UserPatchRequest",
    "UserRequestCancel",
    "UserRequestGet",
    "UserRequestListUserRequests",
    "UserUpdateRequest",
}

LIFETIMES: dict[str, tuple[dict[str, Any], int]] = {
    "ten minutes unless asked": ({}, 600),
    "shorter where asked": ({"finaltime": "30s"}, 30),
    "longer where asked": ({"finaltime": "2h"}, 7200),
    "m are minutes": ({"finaltime": "3m"}, 180),
    "until a second": ({"finaltime": 1_800_000_000 + 90}, 90),
    "no longer than the settings allow": ({"finaltime": "30d"}, 86_400),
    "unused for as long as asked": ({"slidingtime": "20m"}, 1200),
    "unused for no longer than its end": ({"slidingtime": "20m", "finaltime": "5m"}, 300),
}


async def lives(bunker: Bunker, token: str) -> bool:
    """Whether a token is let in, whatever it may do."""
    _, answer = await bunker.by(token)("UserDelete", mode="login", identity="nobody")
    return bool(answer["message"] != "Access denied")


@pytest.mark.parametrize("case", LIFETIMES)
@pytest.mark.parametrize("kind", ["user", "role"])
async def test_lifetimes(
    bunker: Bunker, person: Person, clock: FakeClock, memory: Vault, case: str, kind: str
) -> None:
    """A token is dead at the very second of its end, and answered as one that never was."""
    asked, seconds = LIFETIMES[case]
    if kind == "user":
        made = await bunker.ok(
            "XTokenCreateForUser", mode="token", identity=await person(login="ada"), **asked
        )
    else:
        await bunker.ok("RoleCreate", rolename="clerk")
        made = await bunker.ok("XTokenCreateForRole", rolename="clerk", **asked)
    [document] = await memory.documents.page("xtoken")
    assert document.expires_at == clock.now() + seconds * 1000
    clock.advance(seconds - 0.001)
    assert [one.id for one in await memory.documents.page("xtoken")] == [document.id]
    clock.advance(0.001)
    assert not await lives(bunker, made["xtoken"])


async def test_a_token_slides(bunker: Bunker, person: Person, clock: FakeClock) -> None:
    """Use keeps it alive until its final end, and no use ends it before."""
    token = await person(login="ada")
    made = await bunker.ok(
        "XTokenCreateForUser", mode="token", identity=token, slidingtime="10m", finaltime="1h"
    )
    for _ in range(6):
        clock.advance(9 * 60)
        assert await lives(bunker, made["xtoken"])
    clock.advance(6 * 60 - 0.001)
    assert await lives(bunker, made["xtoken"])
    clock.advance(0.001)
    assert not await lives(bunker, made["xtoken"])
    made = await bunker.ok("XTokenCreateForUser", mode="token", identity=token, slidingtime="10m")
    clock.advance(600)
    assert not await lives(bunker, made["xtoken"])


async def test_a_token_slides_in_steps(
    bunker: Bunker, person: Person, clock: FakeClock, memory: Vault
) -> None:
    """A use soon after another costs no write."""
    made = await bunker.ok(
        "XTokenCreateForUser", mode="token", identity=await person(login="ada"), slidingtime="1h"
    )
    ends = []
    for seconds in (59, 1, 59, 1):
        clock.advance(seconds)
        assert await lives(bunker, made["xtoken"])
        [document] = await memory.documents.page("xtoken")
        ends.append(document.expires_at or 0)
    assert [end - clock.now() for end in ends] == [3_480_000, 3_540_000, 3_540_000, 3_600_000]


async def test_the_settings_cap_it(config: Config, clock: FakeClock) -> None:
    """``max_token_time`` is the most that a token lives."""
    settings = replace(
        config,
        storage=replace(config.storage, url="memory:"),
        databunker=replace(config.databunker, max_token_time=60),
    )
    async with wiring.open_vault(settings, None, clock=clock) as vault:
        await vault.grants.issue("role", role="1", expires_in=3600)
        await vault.grants.issue("role", role="1", slides=3600)
        await vault.grants.issue("role", role="1")
        ends = [one.expires_at for one in await vault.documents.page("xtoken")]
        assert ends == [clock.now() + 60_000] * 3


async def test_a_persons_token(bunker: Bunker, person: Person) -> None:
    """It reaches that person alone, by whatever they are named, and says whose it is."""
    ada, bob = await person(login="ada", email="ada@example.org"), await person(login="bob")
    made = await bunker.ok("XTokenCreateForUser", mode="login", identity="ada")
    assert made["token"] == ada
    own = bunker.by(made["xtoken"])
    for mode, identity in (("token", ada), ("login", "ada"), ("email", "ADA@example.org")):
        assert (await own.ok("UserGet", mode=mode, identity=identity))["profile"]["login"] == "ada"
    for mode, identity in (("token", bob), ("login", "bob"), ("login", "nobody")):
        await own.refused(403, "API access denied", "UserGet", mode=mode, identity=identity)


def test_what_a_persons_token_may() -> None:
    """Nothing that changes or erases the record, and nothing that is not about it."""
    assert {method.name for method in METHODS if method.own} == OWN & {method.name for method in METHODS}


@pytest.mark.parametrize(
    "method", sorted({method.name for method in METHODS if not method.own and not method.public})
)
async def test_a_persons_token_may_nothing_else(bunker: Bunker, person: Person, method: str) -> None:
    """Every other method denies it before it looks at what was sent."""
    made = await bunker.ok("XTokenCreateForUser", mode="token", identity=await person(login="ada"))
    await bunker.by(made["xtoken"]).refused(403, "API access denied", method)


async def test_a_persons_token_dies_with_them(bunker: Bunker, person: Person) -> None:
    """Whoever is erased has no token left."""
    made = await bunker.ok("XTokenCreateForUser", mode="token", identity=await person(login="ada"))
    assert await lives(bunker, made["xtoken"])
    await bunker.ok("UserDelete", mode="login", identity="ada")
    assert not await lives(bunker, made["xtoken"])


async def test_nobody_there(bunker: Bunker) -> None:
    """There is no token for a person or a role that is not there."""
    await bunker.refused(
        404, "The user record was not found", "XTokenCreateForUser", mode="login", identity="ada"
    )
    unknown = "00000000-0000-4000-8000-000000000000"
    await bunker.refused(
        404, "The user record was not found", "XTokenCreateForUser", mode="token", identity=unknown
    )
    for role in ({"rolename": "clerk"}, {"roleid": 7}):
        await bunker.refused(404, "The role record was not found", "XTokenCreateForRole", **role)
    await bunker.refused(400, "Missing API request parameters: roleid", "XTokenCreateForRole")


async def test_a_role_by_its_number(bunker: Bunker) -> None:
    """Numbers are whole numbers, and may come as their digits; a renamed role keeps its tokens."""
    number = (await bunker.ok("RoleCreate", rolename="clerk"))["roleid"]
    assert isinstance(number, int)
    await bunker.ok("PolicyCreate", policyname="p", policy=allow("GroupListAllGroups"))
    await bunker.ok("RoleLinkPolicy", roleid=number, policyname="p")
    for roleid in (number, str(number)):
        made = await bunker.ok("XTokenCreateForRole", roleid=roleid)
        assert set(made) == {"xtoken"}
    await bunker.ok("RoleUpdate", roleid=number, rolename="renamed")
    assert await bunker.by(made["xtoken"]).ok("GroupListAllGroups") == {"rows": [], "total": 0}


async def test_tokens_are_kept_as_digests(kept: Bunker, vault: Vault) -> None:
    """No file of the vault holds a token, and the trail tells who acted with which."""
    await kept.ok("UserCreate", profile={"login": "ada"})
    made = await kept.ok("XTokenCreateForUser", mode="login", identity="ada", slidingtime="1h")
    await kept.by(made["xtoken"]).ok("UserGet", mode="login", identity="ada")
    events = await vault.audit.events(Wanted(), 0, 100)
    [issued] = [one for one in events if one.action == "access.created" and one.user_token]
    [opened] = [one for one in events if one.action == "profile.revealed"]
    assert opened.actor == ((await vault.audit.details(issued)) or {})["access_key"]
    assert made["xtoken"] not in repr(await vault.documents.page("xtoken"))
