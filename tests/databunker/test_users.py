"""Users, one at a time: as they were stored, changed, versioned, and ended."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import msgspec
import pytest

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault import wiring
from vault.config import Config
from vault.installation import Vault
from vault.ports import Wanted

PATCHES: dict[str, tuple[Json, list[Json], Json]] = {
    "add": ({}, [{"op": "add", "path": "/a", "value": None}], {"a": None}),
    "remove": ({"a": 1}, [{"op": "remove", "path": "/a"}], {}),
    "replace": ({"a": 1}, [{"op": "replace", "path": "/a", "value": [2]}], {"a": [2]}),
    "move": ({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
    "copy": ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": 1, "b": 1}),
    "test": ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}),
}
DAY = 86_400


async def actions(vault: Vault, token: str) -> list[str]:
    """Return what the trail tells of a person."""
    return [event.action for event in await vault.audit.events(Wanted(token), 0, 99)]


async def versions(bunker: Bunker, token: str) -> list[int]:
    """Return which versions there are."""
    listed = await bunker.ok("UserListVersions", mode="token", identity=token)
    return [one["version"] for one in listed["versions"]]


@pytest.mark.parametrize("mode", ["login", "email", "phone", "custom"])
async def test_a_user_is_found_by_each_index(
    bunker: Bunker, person: Callable[..., Awaitable[str]], mode: str
) -> None:
    """Short phones, and values that are numbers, are stored and found as well."""
    profile = {
        "login": "ada",
        "email": "Ada@Example.org",
        "phone": "112",
        "custom": 7,
        "deep": {"list": [1, None]},
    }
    token = await person(**profile)
    found = await bunker.ok("UserGet", mode=mode, identity=profile[mode])
    assert found == {"token": token, "profile": profile, "version": 1}


async def test_two_users_do_not_share_a_value(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """Neither when they are created nor when they are changed."""
    await person(email="ada@example.org")
    token = await person(email="bea@example.org")
    taken = {"email": "ADA@example.org"}
    await bunker.refused(409, "Duplicate index: email", "UserCreate", profile=taken)
    await bunker.refused(
        409, "Duplicate index: email", "UserUpdate", mode="token", identity=token, profile=taken
    )
    operations = [{"op": "replace", "path": "/email", "value": "ada@example.org"}]
    await bunker.refused(
        409, "Duplicate index: email", "UserPatch", mode="token", identity=token, patch=operations
    )
    assert await versions(bunker, token) == [1]


async def test_an_update_is_merged(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """What is not named stays, null takes out, and the index follows."""
    token = await person(email="ada@example.org", name="Ada", address={"city": "London", "zip": "1"})
    merged = {"email": "new@example.org", "name": None, "address": {"city": "Paris"}}
    assert await bunker.ok("UserUpdate", mode="email", identity="ada@example.org", profile=merged) == {}
    found = await bunker.ok("UserGet", mode="email", identity="new@example.org")
    assert found["profile"] == {"email": "new@example.org", "address": {"city": "Paris", "zip": "1"}}
    assert (found["token"], found["version"]) == (token, 2)
    await bunker.refused(
        404, "The user record was not found", "UserGet", mode="email", identity="ada@example.org"
    )


@pytest.mark.parametrize("operation", PATCHES)
async def test_a_patch_is_applied(
    bunker: Bunker, person: Callable[..., Awaitable[str]], operation: str
) -> None:
    """All six operations."""
    before, operations, after = PATCHES[operation]
    token = await person(**before)
    assert await bunker.ok("UserPatch", mode="token", identity=token, patch=operations) == {}
    assert (await bunker.ok("UserGet", mode="token", identity=token))["profile"] == after


async def test_a_patch_that_does_not_fit(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """It is a conflict, and nothing has changed; what is no patch is malformed."""
    token = await person(a=1)
    fails = [{"op": "remove", "path": "/a"}, {"op": "test", "path": "/a", "value": 2}]
    assert (await bunker("UserPatch", mode="token", identity=token, patch=fails))[0] == 409
    assert (await bunker("UserPatch", mode="token", identity=token, patch=[{"op": "nope", "path": "/a"}]))[
        0
    ] == 400
    assert await bunker.ok("UserGet", mode="token", identity=token) == {
        "token": token, "profile": {"a": 1}, "version": 1,
    }  # fmt: skip


async def test_a_deleted_user_is_gone(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """With all versions; the value is free for another."""
    token = await person(email="ada@example.org")
    await bunker.ok("UserUpdate", mode="token", identity=token, profile={"a": 1})
    assert await bunker.ok("UserDelete", mode="email", identity="ada@example.org") == {}
    for method in ("UserGet", "UserListVersions", "UserDelete"):
        await bunker.refused(404, "The user record was not found", method, mode="token", identity=token)
    assert await person(email="ada@example.org") != token


# --- versions -----------------------------------------------------------------------------------------------


async def test_versions_are_listed_and_opened(
    bunker: Bunker, person: Callable[..., Awaitable[str]], clock: FakeClock
) -> None:
    """Each has the time at which it came to be, and the MD5 of its JSON."""
    token, began = await person(n=1), clock.now() // 1000
    for n in (2, 3):
        clock.advance(10)
        await bunker.ok("UserUpdate", mode="token", identity=token, profile={"n": n})

    listed = (await bunker.ok("UserListVersions", mode="token", identity=token))["versions"]

    assert listed == [
        {
            "version": n,
            "optime": began + 10 * (n - 1),
            "md5": hashlib.md5(b'{"n":%d}' % n, usedforsecurity=False).hexdigest(),
        }
        for n in (1, 2, 3)
    ]
    for version in (1, 2, 3, "2"):
        found = await bunker.ok("UserGet", mode="token", identity=token, version=version)
        assert (found["profile"], found["version"]) == ({"n": int(version)}, int(version))
    for version in (4, 99):
        message = "There is no such version of this profile."
        await bunker.refused(404, message, "UserGet", mode="token", identity=token, version=version)


@pytest.mark.parametrize(("kept", "left"), [(2, [3, 4, 5]), (0, [5])])
async def test_no_more_versions_are_kept_than_the_settings_say(
    serving: Callable[..., AbstractAsyncContextManager[Bunker]], kept: int, left: list[int]
) -> None:
    """The oldest go, and with none at all there is the profile alone."""
    async with serving(versions=kept) as bunker:
        token = (await bunker.ok("UserCreate", profile={"n": 1}))["token"]
        for n in range(2, 6):
            await bunker.ok("UserUpdate", mode="token", identity=token, profile={"n": n})
        assert await versions(bunker, token) == left


async def test_opening_a_version_is_recorded(
    bunker: Bunker, memory: Vault, person: Callable[..., Awaitable[str]]
) -> None:
    """It is a reveal like any other, and says of which version; a list tells of the content and is one too."""
    token = await person(n=1)
    await bunker.ok("UserUpdate", mode="token", identity=token, profile={"n": 2})
    await bunker.ok("UserGet", mode="token", identity=token, version=1)
    await versions(bunker, token)

    *_, opened, listed = await memory.audit.events(Wanted(token), 0, 99)
    assert (opened.action, opened.revealed_version) == ("profile.revealed", 1)
    assert await memory.audit.details(opened) == {"version": 1}
    assert (listed.action, listed.revealed_version) == ("profile.versions_listed", 1)


async def test_a_digest_does_not_tell_of_what_is_hidden(
    bunker: Bunker, person: Callable[..., Awaitable[str]]
) -> None:
    """Whoever is shown a part of a profile gets the digest of what they are shown."""
    token = await person(name="Ada", pin="1234")
    policy = {"Effect": "Allow", "Action": "*", "Resource": "users.profile.name"}
    number = (await bunker.ok("PolicyCreate", policyname="names", policy=policy))["policyid"]
    await bunker.ok("RoleCreate", rolename="clerk")
    await bunker.ok("RoleLinkPolicy", rolename="clerk", policyid=number)
    clerk = bunker.by((await bunker.ok("XTokenCreateForRole", rolename="clerk"))["xtoken"])

    [listed] = (await clerk.ok("UserListVersions", mode="token", identity=token))["versions"]

    shown = (await clerk.ok("UserGet", mode="token", identity=token))["profile"]
    assert shown == {"name": "Ada", "pin": "***"}
    assert listed["md5"] == hashlib.md5(msgspec.json.encode(shown), usedforsecurity=False).hexdigest()
    copies = [{"op": "copy", "from": "/pin", "path": "/name"}]
    assert (await clerk("UserPatch", mode="token", identity=token, patch=copies))[0] == 403


# --- how long -----------------------------------------------------------------------------------------------


async def test_a_user_without_times_says_nothing_of_them(
    bunker: Bunker, person: Callable[..., Awaitable[str]]
) -> None:
    """There is no end."""
    token = await person()
    assert set(await bunker.ok("UserGet", mode="token", identity=token)) == {"token", "profile", "version"}


async def test_a_final_time_ends_a_user(bunker: Bunker, clock: FakeClock) -> None:
    """At that very second, whatever was done in between."""
    ends = clock.now() // 1000 + 100 * DAY
    token = (await bunker.ok("UserCreate", profile={}, finaltime="100d"))["token"]
    clock.advance(100 * DAY - 1)
    await bunker.ok("UserUpdate", mode="token", identity=token, profile={"a": 1})
    found = await bunker.ok("UserGet", mode="token", identity=token)
    assert (found["finaltime"], found["expirationtime"]) == (ends, ends)
    assert "slidingtime" not in found
    clock.advance(1)
    await bunker.refused(404, "The user record was not found", "UserGet", mode="token", identity=token)


@pytest.mark.parametrize("use", ["UserGet", "UserUpdate"])
async def test_a_used_profile_slides(bunker: Bunker, clock: FakeClock, use: str) -> None:
    """Each use puts its end off, to the hard end at most."""
    began = clock.now() // 1000
    wanted = {"slidingtime": "10d", "finaltime": "25d"}
    token = (await bunker.ok("UserCreate", profile={}, **wanted))["token"]
    used = {"mode": "token", "identity": token} | ({"profile": {}} if use == "UserUpdate" else {})
    ends = []
    for _ in range(3):
        clock.advance(8 * DAY)
        await bunker.ok(use, **used)
        found = await bunker.ok("UserGet", mode="token", identity=token)
        ends.append((found["expirationtime"] - began) // DAY)
        assert (found["slidingtime"], found["finaltime"]) == (10 * DAY, began + 25 * DAY)
    assert ends == [18, 25, 25]
    clock.advance(DAY)
    await bunker.refused(404, "The user record was not found", use, **used)


async def test_an_unused_profile_ends_with_its_window(bunker: Bunker, clock: FakeClock) -> None:
    """A look at a list of all people is nobody's use of it."""
    token = (await bunker.ok("UserCreate", profile={"login": "ada"}, slidingtime="1d"))["token"]
    clock.advance(DAY - 1)
    unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
    assert (await bunker.ok("BulkListAllUsers", unlockuuid=unlock))["total"] == 1
    clock.advance(1)
    await bunker.refused(404, "The user record was not found", "UserGet", mode="token", identity=token)


async def test_a_profile_that_is_read_all_the_time_is_seldom_written(
    bunker: Bunker, memory: Vault, clock: FakeClock
) -> None:
    """The end moves in steps of a tenth of the window, a minute at most; it may be early by one, and never late."""
    token = (await bunker.ok("UserCreate", profile={}, slidingtime="100s"))["token"]
    ends = set()
    for _ in range(40):
        clock.advance(1)
        await bunker.ok("UserGet", mode="token", identity=token)
        row = await memory.profiles._store.find(token)
        assert row is not None
        assert row.expires_at is not None
        assert 90_000 < row.expires_at - clock.now() <= 100_000
        ends.add(row.expires_at)
    assert len(ends) == 5


async def test_sliding_survives_in_files(kept: Bunker, vault: Vault, clock: FakeClock) -> None:
    """In SQLite as in memory: put off when read, and erased when it has ended."""
    token = (await kept.ok("UserCreate", profile={"a": 1}, slidingtime="1h"))["token"]
    clock.advance(3000)
    await kept.ok("UserUpdate", mode="token", identity=token, profile={"a": 2})
    clock.advance(3000)
    found = await kept.ok("UserGet", mode="token", identity=token)
    assert found["expirationtime"] == clock.now() // 1000 + 3600
    clock.advance(3600)
    await vault.profiles.sweep(9)
    assert await vault.documents.count("version") == 0
    assert (await kept("UserGet", mode="token", identity=token))[0] == 404


async def test_a_life_is_capped(config: Config, bunker: Bunker, clock: FakeClock) -> None:
    """What asks for more than the settings allow gets what they allow."""
    most = config.databunker.max_final_time
    for times in ({"finaltime": "99y"}, {"slidingtime": "99y"}):
        token = (await bunker.ok("UserCreate", profile={}, **times))["token"]
        found = await bunker.ok("UserGet", mode="token", identity=token)
        assert found["expirationtime"] == clock.now() // 1000 + most


async def test_an_event_of_a_change_says_nothing_of_values(
    bunker: Bunker, memory: Vault, person: Callable[..., Awaitable[str]]
) -> None:
    """The trail tells that it was changed and erased, by whom, and that is all."""
    token = await person(pin="1234")
    await bunker.ok("UserUpdate", mode="token", identity=token, profile={"pin": "5678"})
    await bunker.ok("UserDelete", mode="token", identity=token)
    assert await actions(memory, token) == ["profile.created", "profile.changed", "profile.erased"]
    for event in await memory.audit.events(Wanted(token), 0, 99):
        assert b"1234" not in (said := msgspec.json.encode(await memory.audit.presented(event)))
        assert b"5678" not in said


# --- whoever may --------------------------------------------------------------------------------------------

FORBIDDEN: dict[str, Json] = {
    "UserUpdate": {"profile": {"admin": True}},
    "UserPatch": {"patch": [{"op": "add", "path": "/admin", "value": True}]},
    "UserDelete": {},
}


async def test_a_persons_own_token(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """It sees its own record and versions, changes nothing, and learns nothing of others."""
    token = await person(email="ada@example.org")
    other = await person(email="bea@example.org")
    text = (await bunker.ok("XTokenCreateForUser", mode="token", identity=token))["xtoken"]
    own = bunker.by(text)
    assert (await own.ok("UserGet", mode="email", identity="ada@example.org"))["token"] == token
    assert await versions(own, token) == [1]
    for method, said in FORBIDDEN.items():
        assert (await own(method, mode="token", identity=token, **said))[0] == 403
    for identity in (other, "00000000-0000-4000-8000-000000000000"):
        assert await own("UserGet", mode="token", identity=identity) == (
            403, {"status": "error", "message": "API access denied"},
        )  # fmt: skip


async def test_a_new_user_joins_a_group(bunker: Bunker) -> None:
    """The group is looked for first: where it is not, nobody is created."""
    await bunker.ok("GroupCreate", groupname="clients")
    await bunker.ok("RoleCreate", rolename="parent")
    made = await bunker.ok("UserCreate", profile={}, groupname="clients", rolename="parent")
    found = await bunker.ok("UserGet", mode="token", identity=made["token"])
    assert [(one["groupname"], one["rolename"]) for one in found["grouproles"]] == [("clients", "parent")]
    assert (await bunker("UserCreate", profile={"login": "ada"}, groupname="none"))[0] == 404
    await bunker.refused(404, "The user record was not found", "UserGet", mode="login", identity="ada")


async def test_no_versions_are_kept_that_nobody_can_read(config: Config) -> None:
    """A vault that does not serve this wire keeps none."""
    without = replace(
        config,
        storage=replace(config.storage, url="memory:"),
        databunker=replace(config.databunker, enabled=False),
    )
    async with wiring.open_vault(without, None) as vault:
        head = await vault.profiles.create({"a": 1})
        await vault.profiles.replace(head.token, {"a": 2}, None)
        assert await vault.documents.count("version") == 0


async def test_who_moves_in_is_called_as_before(bunker: Bunker) -> None:
    """By root alone, under a token that is nobody's and never was somebody's who was erased."""
    token = "0b0c9a5e-6f0e-4d39-8a53-0e6d2c1f7a10"
    assert await bunker.ok("UserCreate", profile={"n": 1}, usertoken=token) == {"token": token}
    await bunker.refused(409, "Duplicate index: token", "UserCreate", profile={"n": 2}, usertoken=token)
    await bunker.ok("UserDelete", mode="token", identity=token)
    await bunker.refused(409, "Duplicate index: token", "UserCreate", profile={"n": 2}, usertoken=token)
    await bunker.refused(400, "Bad UUID", "UserCreate", profile={"n": 2}, usertoken="x")
