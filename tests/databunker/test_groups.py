"""Groups, who is in them, and what policies make of it."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker
from tests.databunker.rules import allow, as_role, deny
from vault.installation import Vault
from vault.ports import Wanted

Person = Callable[..., Awaitable[str]]

NOBODY = "00000000-0000-4000-8000-000000000000"


async def family(bunker: Bunker, person: Person) -> dict[str, str]:
    """Make a family of a parent and a child, and somebody else."""
    await bunker.ok("GroupCreate", groupname="family")
    for role in ("parent", "child"):
        await bunker.ok("RoleCreate", rolename=role)
    people = {
        name: await person(login=name, email=f"{name}@example.org", age=7) for name in ("ada", "ben", "eve")
    }
    for login, role in (("ada", "parent"), ("ben", "child")):
        await bunker.ok("GroupAddUser", mode="login", identity=login, groupname="family", rolename=role)
    return people


async def test_groups(bunker: Bunker) -> None:
    """A group has a name and a number, is changed, listed and deleted."""
    number = (await bunker.ok("GroupCreate", groupname="g", groupdesc="d", grouptype="t"))["groupid"]
    said = {"groupid": number, "groupname": "g", "groupdesc": "d", "grouptype": "t"}
    assert await bunker.ok("GroupGet", groupid=str(number)) == said
    assert await bunker.ok("GroupGet", groupname="g") == said
    await bunker.refused(409, "The group record already exists", "GroupCreate", groupname="g")
    await bunker.ok("GroupUpdate", groupid=number, groupname="h", groupdesc="e")
    said = {**said, "groupname": "h", "groupdesc": "e"}
    assert await bunker.ok("GroupListAllGroups") == {"rows": [said], "total": 1}
    await bunker.ok("GroupDelete", groupid=number)
    for method in ("GroupGet", "GroupDelete", "GroupUpdate"):
        await bunker.refused(404, "The group record was not found", method, groupid=number)
        await bunker.refused(400, "Missing API request parameters: groupid", method)


async def test_who_is_in_a_group(bunker: Bunker, person: Person) -> None:
    """Somebody is put in with a role or without, gets another, and is taken out."""
    await bunker.ok("GroupCreate", groupname="g")
    role = (await bunker.ok("RoleCreate", rolename="boss"))["roleid"]
    ada = await person(login="ada")
    named: dict[str, Any] = {"mode": "token", "identity": ada}

    async def places() -> list[Any]:
        rows = (await bunker.ok("GroupListUserGroups", **named))["rows"]
        return [(row["groupname"], row.get("rolename")) for row in rows]

    assert await places() == []
    await bunker.ok("GroupAddUser", **named, groupname="g")
    assert await places() == [("g", None)]
    await bunker.ok("GroupAddUser", **named, groupname="g", roleid=role)
    assert await places() == [("g", "boss")]
    [grouprole] = (await bunker.ok("UserGet", **named))["grouproles"]
    assert (grouprole["groupname"], grouprole["roleid"], grouprole["rolename"]) == ("g", role, "boss")
    own = bunker.by((await bunker.ok("XTokenCreateForUser", **named))["xtoken"])
    assert (await own.ok("GroupListUserGroups", **named))["total"] == 1
    await bunker.ok("GroupDeleteUser", **named, groupname="g")
    assert await places() == []
    await bunker.refused(404, "The user is not in the group", "GroupDeleteUser", **named, groupname="g")


async def test_who_is_not_there(bunker: Bunker, person: Person) -> None:
    """Person, group and role have to be."""
    await bunker.ok("GroupCreate", groupname="g")
    ada = await person(login="ada")
    named: dict[str, Any] = {"mode": "token", "identity": ada}
    await bunker.refused(404, "The group record was not found", "GroupAddUser", **named, groupname="h")
    await bunker.refused(
        404, "The role record was not found", "GroupAddUser", **named, groupname="g", rolename="r"
    )
    await bunker.refused(400, "Missing API request parameters: groupid", "GroupAddUser", **named)
    await bunker.refused(
        404, "The user record was not found", "GroupAddUser", mode="token", identity=NOBODY, groupname="g"
    )


async def test_the_end_of_a_person_and_of_a_group(bunker: Bunker, person: Person, memory: Vault) -> None:
    """Who is erased is in no group any more; whose group is deleted is in none either; nothing is left of it."""
    await family(bunker, person)
    await bunker.ok("UserDelete", mode="login", identity="ben")
    assert await memory.documents.count("member") == 1
    await bunker.ok("GroupDelete", groupname="family")
    assert await memory.documents.count("member") == 0
    assert (await bunker.ok("GroupListUserGroups", mode="login", identity="ada"))["rows"] == []
    assert "grouproles" not in await bunker.ok("UserGet", mode="login", identity="ada")


async def test_a_person_comes_with_a_group(bunker: Bunker) -> None:
    """UserCreate puts the new person into a group that is there, and makes nobody for one that is not."""
    await bunker.ok("GroupCreate", groupname="g")
    await bunker.ok("RoleCreate", rolename="r")
    await bunker.ok("UserCreate", profile={"login": "ada"}, groupname="g", rolename="r")
    rows = (await bunker.ok("GroupListUserGroups", mode="login", identity="ada"))["rows"]
    assert [(row["groupname"], row["rolename"]) for row in rows] == [("g", "r")]
    await bunker.refused(
        404, "The group record was not found", "UserCreate", profile={"login": "ben"}, groupname="h"
    )
    await bunker.refused(404, "The user record was not found", "UserGet", mode="login", identity="ben")


async def test_the_people_of_a_group(bunker: Bunker, person: Person) -> None:
    """Under an unlock they are opened, a page at a time, in the order in which they came."""
    people = await family(bunker, person)
    unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
    rows = await bunker.ok("BulkListGroupUsers", unlockuuid=unlock, groupname="family")
    assert rows["total"] == 2
    assert [(row["token"], row["profile"]["login"], row["rolename"]) for row in rows["rows"]] == [
        (people["ada"], "ada", "parent"),
        (people["ben"], "ben", "child"),
    ]
    page = await bunker.ok("BulkListGroupUsers", unlockuuid=unlock, groupname="family", offset=1, limit=1)
    assert ([row["token"] for row in page["rows"]], page["total"]) == ([people["ben"]], 2)
    await bunker.refused(
        404, "The group record was not found", "BulkListGroupUsers", unlockuuid=unlock, groupname="g"
    )


async def test_the_people_of_a_group_need_an_unlock(bunker: Bunker, clock: FakeClock) -> None:
    """One that is over, or another's, opens nothing: not even whether the group is there."""
    refusal = "The unlockuuid value was not found or is not valid"
    unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
    clerk = await as_role(bunker, allow("*"))
    await clerk.refused(403, refusal, "BulkListGroupUsers", unlockuuid=unlock, groupname="g")
    clock.advance(60)
    await bunker.refused(403, refusal, "BulkListGroupUsers", unlockuuid=unlock, groupname="g")


async def test_a_policy_reaches_those_of_a_role(bunker: Bunker, person: Person) -> None:
    """Children are reached and their parents are not; who is not reached is as who is not there."""
    people = await family(bunker, person)
    children = "${target_group_members:role/child}"
    clerk = await as_role(bunker, allow("UserGet", "UserDelete", to=f"{children}.profile"))
    assert (await clerk.ok("UserGet", mode="login", identity="ben"))["profile"]["age"] == 7
    for mode, identity in (
        ("login", "ada"),
        ("login", "eve"),
        ("login", "nobody"),
        ("token", people["eve"]),
        ("token", NOBODY),
    ):
        for method in ("UserGet", "UserDelete"):
            await clerk.refused(403, "API access denied", method, mode=mode, identity=identity)
    assert (await bunker.ok("UserGet", mode="login", identity="ada"))["profile"]["age"] == 7
    await bunker.ok("GroupDeleteUser", mode="login", identity="ben", groupname="family")
    await clerk.refused(403, "API access denied", "UserDelete", mode="login", identity="ben")


async def test_what_is_shown_hangs_on_the_person(bunker: Bunker, person: Person) -> None:
    """Of one role the e-mail is shown, of another the login, of anybody else nothing."""
    await family(bunker, person)
    clerk = await as_role(
        bunker,
        allow("UserGet", "BulkListGroupUsers", to="${target_group_members:role/child}.profile.email"),
        allow("UserGet", "BulkListGroupUsers", to="${target_group_members:role/parent}.profile.login"),
        allow("BulkListUnlock"),
    )
    child, parent = {"email": "ben@example.org", "login": "***"}, {"email": "***", "login": "ada"}
    assert (await clerk.ok("UserGet", mode="login", identity="ben"))["profile"] == child
    assert (await clerk.ok("UserGet", mode="login", identity="ada"))["profile"] == parent
    unlock = (await clerk.ok("BulkListUnlock"))["unlockuuid"]
    rows = await clerk.ok("BulkListGroupUsers", unlockuuid=unlock, groupname="family")
    assert ([row["profile"] for row in rows["rows"]], rows["total"]) == ([parent, child], 2)


async def test_a_list_leaves_out_whom_policies_do_not_reach(
    bunker: Bunker, person: Person, memory: Vault
) -> None:
    """They are not counted, nor opened."""
    people = await family(bunker, person)
    reaching = "${target_group_members:role/child}.profile"
    clerk = await as_role(bunker, allow("BulkListGroupUsers", to=reaching), allow("BulkListUnlock"))
    unlock = (await clerk.ok("BulkListUnlock"))["unlockuuid"]
    rows = await clerk.ok("BulkListGroupUsers", unlockuuid=unlock, groupname="family")
    assert ([row["token"] for row in rows["rows"]], rows["total"]) == ([people["ben"]], 1)
    events = await memory.audit.events(Wanted(), 0, 100)
    assert [one.user_token for one in events if one.action == "profile.revealed"] == [people["ben"]]


async def test_a_list_that_does_not_ask_is_denied(bunker: Bunker, person: Person) -> None:
    """A policy that reaches some people opens no method that is not about one of them."""
    await family(bunker, person)
    children = "${target_group_members:role/child}"
    clerk = await as_role(bunker, allow("*", to=f"{children}.*"), allow("BulkListUnlock"))
    unlock = (await clerk.ok("BulkListUnlock"))["unlockuuid"]
    named = [{"mode": "login", "identity": "ben"}]
    await clerk.refused(403, "API access denied", "BulkListUsers", unlockuuid=unlock, users=named)
    await clerk.refused(403, "API access denied", "BulkListAllUsers", unlockuuid=unlock)
    await clerk.refused(403, "API access denied", "UserSearch", unlockuuid=unlock, identity="ben")
    await clerk.refused(403, "API access denied", "UserDeleteBulk", users=named)
    await clerk.refused(403, "API access denied", "UserCreate", profile={"login": "new"})


async def test_a_denial_of_some_people(bunker: Bunker, person: Person) -> None:
    """It spares the others, and where nobody asks it denies all."""
    await family(bunker, person)
    children = "${target_group_members:role/child}.profile"
    clerk = await as_role(bunker, allow("*"), deny("*", to=children))
    await clerk.ok("UserGet", mode="login", identity="eve")
    await clerk.refused(403, "API access denied", "UserGet", mode="login", identity="ben")
    unlock = (await clerk.ok("BulkListUnlock"))["unlockuuid"]
    await clerk.refused(403, "API access denied", "BulkListAllUsers", unlockuuid=unlock)
    rows = await clerk.ok("BulkListGroupUsers", unlockuuid=unlock, groupname="family")
    assert [row["profile"]["login"] for row in rows["rows"]] == ["ada"]


async def test_a_condition_on_the_group(bunker: Bunker, person: Person) -> None:
    """The groups that the person is in are what ``${target_group_id}`` stands for."""
    await family(bunker, person)
    number = (await bunker.ok("GroupGet", groupname="family"))["groupid"]
    condition = {
        "ForAnyValue:ListIntersect": {"${request_metadata:groups}": "${target_group_id}"},
    }
    clerk = await as_role(bunker, allow("UserGet", to="*.profile", Condition=condition))
    for login, groups, status in (
        ("ben", [number], 200),
        ("ben", [number + 1], 403),
        ("eve", [number], 403),
        ("ben", None, 403),
    ):
        got = await clerk("UserGet", mode="login", identity=login, request_metadata={"groups": groups})
        assert got[0] == status, login


async def test_what_is_changed_is_recorded(bunker: Bunker, person: Person, memory: Vault) -> None:
    """Who came and went is told of each person."""
    people = await family(bunker, person)
    await bunker.ok("GroupUpdate", groupname="family", groupdesc="x")
    await bunker.ok("GroupDeleteUser", mode="login", identity="ada", groupname="family")
    await bunker.ok("GroupDelete", groupname="family")
    events = await memory.audit.events(Wanted(), 0, 100)
    told = [(one.action, one.user_token, await memory.audit.details(one)) for one in events]
    assert [one for one in told if one[0].startswith("group.")] == [
        ("group.created", None, {"group": "family"}),
        ("group.joined", people["ada"], {"group": "family", "role": "parent"}),
        ("group.joined", people["ben"], {"group": "family", "role": "child"}),
        ("group.changed", None, {"group": "family"}),
        ("group.left", people["ada"], {"group": "family"}),
        ("group.deleted", None, {"group": "family"}),
    ]


async def test_groups_are_kept(kept: Bunker) -> None:
    """In SQLite it is the same."""
    await kept.ok("GroupCreate", groupname="g")
    await kept.ok("RoleCreate", rolename="r")
    await kept.ok("UserCreate", profile={"login": "ada"})
    await kept.ok("GroupAddUser", mode="login", identity="ada", groupname="g")
    await kept.ok("GroupAddUser", mode="login", identity="ada", groupname="g", rolename="r")
    unlock = (await kept.ok("BulkListUnlock"))["unlockuuid"]
    rows = await kept.ok("BulkListGroupUsers", unlockuuid=unlock, groupname="g")
    assert [(row["profile"], row["rolename"]) for row in rows["rows"]] == [({"login": "ada"}, "r")]
    clerk = await as_role(kept, allow("UserGet", to="${target_group_members:role/r}.profile"))
    await clerk.ok("UserGet", mode="login", identity="ada")
    await kept.ok("GroupDelete", groupname="g")
    await clerk.refused(403, "API access denied", "UserGet", mode="login", identity="ada")
