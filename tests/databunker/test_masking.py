"""What is shown of a profile to a role whose policies allow a part of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.databunker.conftest import Bunker
from tests.databunker.rules import Policy, allow, as_role, deny

Person = Callable[..., Awaitable[str]]

PROFILE: dict[str, Any] = {
    "login": "ada",
    "email": "ada@example.org",
    "age": 34,
    "verified": True,
    "tags": ["warm"],
    "nothing": None,
    "address": {"city": "Paris", "zip": "75001", "floor": 3},
    "a.b": "dotted",
}
HIDDEN = {"login": "***", "email": "***", "a.b": "***"}

SHOWN: dict[str, tuple[list[Policy], dict[str, Any]]] = {
    "all of it": ([allow("UserGet", to="*.profile")], PROFILE),
    "one text, the others masked, the rest left out": (
        [allow("UserGet", to="users.profile.email")],
        {**HIDDEN, "email": "ada@example.org"},
    ),
    "values of other types": (
        [allow("UserGet", to=["users.profile.age", "users.profile.tags", "users.profile.nothing"])],
        {**HIDDEN, "age": 34, "tags": ["warm"], "nothing": None},
    ),
    "an object, whole": (
        [allow("UserGet", to="users.profile.address")],
        {**HIDDEN, "address": PROFILE["address"]},
    ),
    "a part of an object": (
        [allow("UserGet", to="users.profile.address.city")],
        {**HIDDEN, "address": {"city": "Paris", "zip": "***"}},
    ),
    "all that is in an object": (
        [allow("UserGet", to="users.profile.address.*")],
        {**HIDDEN, "address": PROFILE["address"]},
    ),
    "what two statements allow": (
        [allow("UserGet", to="users.profile.login"), allow("User*", to="users.profile.age")],
        {**HIDDEN, "login": "ada", "age": 34},
    ),
    "nothing where there is no such field": ([allow("UserGet", to="users.profile.ssn")], HIDDEN),
    "nothing below a plain value": ([allow("UserGet", to="users.profile.email.x")], HIDDEN),
    "a name with a dot is no path": ([allow("UserGet", to="users.profile.a.b")], HIDDEN),
    "what is denied is masked": (
        [allow("UserGet"), deny("UserGet", to=["*.profile.email", "*.profile.address.zip", "*.profile.age"])],
        {
            **{name: value for name, value in PROFILE.items() if name != "age"},
            "email": "***",
            "address": {"city": "Paris", "zip": "***", "floor": 3},
        },
    ),
    "what is denied is masked in what is allowed": (
        [allow("UserGet", to="*.profile.address"), deny("UserGet", to="*.profile.address.zip")],
        {**HIDDEN, "address": {"city": "Paris", "zip": "***", "floor": 3}},
    ),
    "a denial reaches names with a dot": (
        [allow("UserGet"), deny("UserGet", to="*.profile.a.b")],
        {**PROFILE, "a.b": "***"},
    ),
}

#: Methods that a part of a profile is not enough for, with what else they take.
WHOLE: dict[str, dict[str, Any]] = {
    "UserUpdate": {"profile": {"email": "new@example.org"}},
    "UserPatch": {"patch": [{"op": "copy", "from": "/login", "path": "/email"}]},
    "UserDelete": {},
    "UserUpdateRequest": {"profile": {"email": "new@example.org"}},
    "SharedRecordCreate": {"fields": "login"},
    "XTokenCreateForUser": {},
}


@pytest.mark.parametrize("case", SHOWN)
async def test_what_is_shown(bunker: Bunker, case: str) -> None:
    """A text that is hidden is masked, another value left out; what is stored stays as it is."""
    policies, expected = SHOWN[case]
    await bunker.ok("UserCreate", profile=PROFILE)
    clerk = await as_role(bunker, *policies)
    assert (await clerk.ok("UserGet", mode="login", identity="ada"))["profile"] == expected
    assert (await bunker.ok("UserGet", mode="login", identity="ada"))["profile"] == PROFILE


@pytest.mark.parametrize("method", WHOLE)
async def test_what_needs_the_whole(bunker: Bunker, method: str) -> None:
    """A change, a share or a person's own token would show what is hidden."""
    await bunker.ok("UserCreate", profile=PROFILE)
    for name, policies in {
        "part": [allow("*", to=["*.profile.email", "*.xtoken.email"])],
        "denied": [allow("*"), deny("*", to=["*.profile.ssn", "*.xtoken.x"])],
    }.items():
        clerk = await as_role(bunker, *policies, role=name)
        await clerk.refused(403, "API access denied", method, mode="login", identity="ada", **WHOLE[method])
    assert (await bunker.ok("UserGet", mode="login", identity="ada"))["profile"] == PROFILE


async def test_lists_are_masked_too(bunker: Bunker) -> None:
    """Search and bulk reads show the same part."""
    made = await bunker.ok("UserCreate", profile=PROFILE)
    await bunker.ok("GroupCreate", groupname="g")
    await bunker.ok("GroupAddUser", mode="login", identity="ada", groupname="g")
    clerk = await as_role(bunker, allow("*", to="*.profile.email"), allow("BulkListUnlock"))
    unlock = (await clerk.ok("BulkListUnlock"))["unlockuuid"]
    calls: dict[str, dict[str, Any]] = {
        "UserSearch": {"identity": "ada"},
        "BulkListUsers": {"users": [{"mode": "token", "identity": made["token"]}]},
        "BulkListAllUsers": {},
        "BulkListGroupUsers": {"groupname": "g"},
    }
    for method, said in calls.items():
        rows = (await clerk.ok(method, unlockuuid=unlock, **said))["rows"]
        assert [row["profile"] for row in rows] == [{**HIDDEN, "email": "ada@example.org"}], method


async def test_former_versions_and_digests_are_masked(bunker: Bunker) -> None:
    """A former version shows no more than this one, and no digest tells of what is hidden."""
    await bunker.ok("UserCreate", profile={"login": "ada", "email": "ada@example.org"})
    await bunker.ok("UserUpdate", mode="login", identity="ada", profile={"email": "new@example.org"})
    clerk = await as_role(bunker, allow("*", to="*.profile.login"))
    former = await clerk.ok("UserGet", mode="login", identity="ada", version=1)
    assert former["profile"] == {"login": "ada", "email": "***"}
    versions = (await clerk.ok("UserListVersions", mode="login", identity="ada"))["versions"]
    assert len({one["md5"] for one in versions}) == 1


async def test_app_data_is_masked(bunker: Bunker) -> None:
    """A policy on app data shows a part of it; one on profiles shows none of it."""
    await bunker.ok("UserCreate", profile={"login": "ada"})
    named: dict[str, Any] = {"mode": "login", "identity": "ada", "appname": "shop"}
    await bunker.ok("AppdataCreate", **named, appdata={"size": "M", "card": "4111", "visits": 7})
    clerk = await as_role(bunker, allow("*", to="*.appdata.size"))
    assert (await clerk.ok("AppdataGet", **named))["appdata"] == {"size": "M", "card": "***"}
    await clerk.refused(403, "API access denied", "AppdataUpdate", **named, appdata={"size": "L"})
    other = await as_role(bunker, allow("*", to="*.profile"), role="other")
    await other.refused(403, "API access denied", "AppdataGet", **named)
