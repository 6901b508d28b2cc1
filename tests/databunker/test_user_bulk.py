"""Users, many at a time."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from io import BytesIO
from typing import Any

import msgspec
import pytest

from tests.databunker.conftest import Bunker, Json
from vault.config import Config
from vault.installation import Vault
from vault.ports import Wanted

NOBODY = "00000000-0000-4000-8000-000000000000"


def people(count: int, fields: int) -> list[Json]:
    """Return records of people with that many fields each."""
    more = {f"field_{n}": "x" * 30 for n in range(fields - 1)}
    return [{"profile": {"email": f"p{n}@example.org", **more}} for n in range(count)]


async def unlocked(bunker: Bunker) -> str:
    """Ask for leave to read in bulk."""
    return str((await bunker.ok("BulkListUnlock"))["unlockuuid"])


# --- created ------------------------------------------------------------------------------------------------


async def test_four_thousand_users_of_120_fields(kept: Bunker, vault: Vault) -> None:
    """One body of 20 MB makes them all, in their order, and nothing of them is lost."""
    records = people(4000, 120)
    body = msgspec.json.encode({"records": records, "finaltime": "100d", "slidingtime": "30d"})
    assert len(body) > 20_000_000
    headers = {"X-Bunker-Token": kept.token, "Content-Type": "application/json"}
    async with kept.http.post("/v2/UserCreateBulk", data=BytesIO(body), headers=headers) as response:
        made = msgspec.json.decode(await response.read())
    assert (response.status, made["status"], made["errors"]) == (200, "ok", [])
    assert [one["profile"] for one in made["created"]] == [one["profile"] for one in records]
    assert await vault.profiles.count() == 4000
    last = made["created"][-1]
    found = await kept.ok("UserGet", mode="email", identity="p3999@example.org")
    assert (found["token"], found["profile"]) == (last["token"], last["profile"])
    assert found["expirationtime"] < found["finaltime"]


async def test_each_record_is_judged_on_its_own(
    bunker: Bunker, person: Callable[..., Awaitable[str]]
) -> None:
    """What goes is created, what does not is told with its reason, and the answer is a 200."""
    await person(email="ada@example.org")
    await bunker.ok("GroupCreate", groupname="clients")
    records: list[Any] = [
        {"profile": {"email": "bea@example.org"}, "groupname": "clients"},
        {"profile": {"email": "ADA@example.org"}},
        {"profile": {"email": "bea@example.org"}},
        {"profile": {"login": "eve"}, "groupname": "none"},
        {"profile": {"login": "fay"}, "groupid": {"no": "number"}},
        {"profile": None},
        {"profile": ["no object"]},
        "no record",
        {"profile": {"login": "gil"}, "rolename": None},
    ]
    made = await bunker.ok("UserCreateBulk", records=records)
    bea, gil = (one.pop("token") for one in made["created"])
    assert made == {
        "created": [{"profile": {"email": "bea@example.org"}}, {"profile": {"login": "gil"}}],
        "errors": [
            {"profile": {"email": "ADA@example.org"}, "reason": "Duplicate index: email"},
            {"profile": {"email": "bea@example.org"}, "reason": "Duplicate index: email"},
            {"profile": {"login": "eve"}, "reason": "There is no such group or role"},
            {
                "profile": {"login": "fay"},
                "reason": "The groupid parameter has an incorrect format: incorrect format",
            },
            {"profile": None, "reason": "The profile parameter has an incorrect format: must be an object"},
            {
                "profile": ["no object"],
                "reason": "The profile parameter has an incorrect format: must be an object",
            },
            {"profile": None, "reason": "The profile parameter has an incorrect format: must be an object"},
        ],
    }
    found = await bunker.ok("UserGet", mode="email", identity="bea@example.org")
    assert (found["token"], [one["groupname"] for one in found["grouproles"]]) == (bea, ["clients"])
    assert (await bunker.ok("UserGet", mode="login", identity="gil"))["token"] == gil


async def test_a_profile_that_is_too_large_does_not_hold_up_the_others(
    bunker: Bunker, config: Config
) -> None:
    """The body may be large; one profile of it may not."""
    large = {"profile": {"notes": "x" * config.limits.profile_body}}
    made = await bunker.ok("UserCreateBulk", records=[large, {"profile": {}}])
    assert (len(made["created"]), len(made["errors"])) == (1, 1)
    assert "bytes of JSON" in made["errors"][0]["reason"]


async def test_too_many_records(bunker: Bunker, memory: Vault, config: Config) -> None:
    """They are refused as a whole."""
    many = [{"profile": {}}] * (config.limits.batch_profiles + 1)
    assert (await bunker("UserCreateBulk", records=many))[0] == 413
    users = [{"mode": "token", "identity": NOBODY}] * len(many)
    assert (await bunker("UserDeleteBulk", users=users))[0] == 413
    assert await memory.profiles.count() == 0


# --- deleted ------------------------------------------------------------------------------------------------


async def test_many_are_deleted(bunker: Bunker, memory: Vault) -> None:
    """By any index, without an unlock; who is unknown, or named twice, is not counted."""
    made = await bunker.ok("UserCreateBulk", records=people(250, 1))
    tokens = [one["token"] for one in made["created"]]
    users = [
        *({"mode": "token", "identity": token} for token in tokens[:200]),
        {"mode": "email", "identity": "P0@example.org"},
        {"mode": "email", "identity": "p240@example.org"},
        {"mode": "email", "identity": "nobody@example.org"},
        {"mode": "token", "identity": NOBODY},
    ]
    assert await bunker.ok("UserDeleteBulk", users=users) == {"deleted_count": 201}
    assert await memory.profiles.count() == 49
    erased = await memory.audit.events(Wanted(action="profile.erased"), 0, 999)
    assert {event.user_token for event in erased} == {*tokens[:200], tokens[240]}


@pytest.mark.parametrize(
    ("users", "message"),
    [
        pytest.param(None, "Missing API request parameters: users", id="none"),
        pytest.param([{"mode": "token", "identity": "x"}], "Bad UUID", id="one that cannot be"),
        pytest.param(
            [{"mode": "email"}], "The users parameter has an incorrect format", id="one without identity"
        ),
        pytest.param(["x"], "The users parameter has an incorrect format", id="no user at all"),
    ],
)
async def test_nobody_is_deleted_by_a_call_that_is_wrong(
    bunker: Bunker, person: Callable[..., Awaitable[str]], users: list[Any] | None, message: str
) -> None:
    """Whoever else it names stays."""
    token = await person()
    named = None if users is None else [{"mode": "token", "identity": token}, *users]
    await bunker.refused(400, message, "UserDeleteBulk", users=named)
    await bunker.ok("UserGet", mode="token", identity=token)


# --- searched -----------------------------------------------------------------------------------------------


async def test_a_search_tries_the_indexes(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """With an at sign it is an e-mail address, else a login, a phone or a custom value; nobody is found twice."""
    ada = await person(email="ada@example.org", login="12025550123", phone="12025550123")
    bea = await person(custom="12025550123", login="bea@example.org")
    unlock = await unlocked(bunker)
    found: dict[str, list[str]] = {}
    for value in ("Ada@example.org", "12025550123", "bea@example.org", "nobody"):
        rows = (await bunker.ok("UserSearch", identity=value, unlockuuid=unlock))["rows"]
        found[value] = [row["token"] for row in rows]
    assert found == {"Ada@example.org": [ada], "12025550123": [ada, bea], "bea@example.org": [], "nobody": []}


async def test_a_search_shows_users_whole(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """A row is what UserGet answers."""
    token = await person(login="ada")
    [row] = (await bunker.ok("UserSearch", identity="ada", unlockuuid=await unlocked(bunker)))["rows"]
    assert row == await bunker.ok("UserGet", mode="token", identity=token)


async def test_a_search_needs_an_unlock(
    bunker: Bunker, memory: Vault, person: Callable[..., Awaitable[str]]
) -> None:
    """Without one, nothing is even looked up."""
    await person(login="ada")
    message = "The unlockuuid value was not found or is not valid"
    await bunker.refused(403, message, "UserSearch", identity="ada", unlockuuid=NOBODY)
    assert await memory.audit.events(Wanted(action="profile.looked_up"), 0, 9) == []


async def test_a_search_may_be_switched_off(
    serving: Callable[..., AbstractAsyncContextManager[Bunker]],
) -> None:
    """Then no unlock helps."""
    async with serving(list_users=False) as bunker:
        unlock = await unlocked(bunker)
        await bunker.refused(403, "UserSearch is disabled", "UserSearch", identity="ada", unlockuuid=unlock)
