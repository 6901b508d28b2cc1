"""Roles and policies on the wire: what a role's token may, at once."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.databunker.conftest import Bunker
from tests.databunker.rules import allow, as_role, deny
from vault.http.databunker import METHODS
from vault.installation import Vault
from vault.ports import Wanted

Person = Callable[..., Awaitable[str]]

NOBODY = "00000000-0000-4000-8000-000000000000"


async def test_roles(bunker: Bunker) -> None:
    """A role has a name and a number; a name is taken once."""
    made = await bunker.ok("RoleCreate", rolename="clerk", roledesc="who answers")
    await bunker.refused(409, "The role record already exists", "RoleCreate", rolename="clerk")
    await bunker.ok("RoleUpdate", roleid=made["roleid"], rolename="scribe")
    await bunker.ok("RoleUpdate", rolename="scribe", roledesc="who writes")
    await bunker.ok("RoleCreate", rolename="clerk")
    await bunker.refused(
        409, "The role record already exists", "RoleUpdate", roleid=made["roleid"], rolename="clerk"
    )
    await bunker.refused(404, "The role record was not found", "RoleUpdate", rolename="nobody", roledesc="x")
    await bunker.refused(400, "Missing API request parameters: roleid", "RoleUpdate", roledesc="x")
    await bunker.refused(400, "Missing API request parameters: rolename", "RoleCreate")


@pytest.mark.parametrize("name", ["7", " clerk", "cl\nerk", "c" * 101])
async def test_names(bunker: Bunker, name: str) -> None:
    """A name is short, visible, and no number: clients send digits as one."""
    status, answer = await bunker("RoleCreate", rolename=name)
    assert (status, answer["message"].startswith("The rolename parameter has an incorrect format")) == (
        400,
        True,
    )


async def test_policies(bunker: Bunker) -> None:
    """A policy comes back as it was sent, by number and by name."""
    policy = {**allow("UserGet"), "Principal": {"Role": "clerk"}}
    number = (await bunker.ok("PolicyCreate", policyname="p", policydesc="d", policy=policy))["policyid"]
    said = {"policyid": number, "policyname": "p", "policydesc": "d", "policy": policy}
    assert await bunker.ok("PolicyGet", policyid=number) == said
    assert await bunker.ok("PolicyGet", policyname="p") == said
    assert await bunker.ok("PolicyListAllPolicies") == {"rows": [said], "total": 1}
    await bunker.ok("PolicyUpdate", policyid=number, policyname="q", policy=[policy])
    said = {**said, "policyname": "q", "policy": [policy]}
    assert await bunker.ok("PolicyGet", policyname="q") == said
    await bunker.refused(404, "The policy record was not found", "PolicyGet", policyname="p")
    await bunker.refused(
        409, "The policy record already exists", "PolicyCreate", policyname="q", policy=policy
    )
    await bunker.refused(400, "Missing API request parameters: policyid", "PolicyGet")


@pytest.mark.parametrize("method", ["PolicyCreate", "PolicyUpdate"])
async def test_what_cannot_be_read_is_refused(bunker: Bunker, method: str) -> None:
    """An unknown operator is a 400 that names the reason, and nothing was changed."""
    await bunker.ok("PolicyCreate", policyname="p", policy=allow("UserGet"))
    wrong = allow("UserGet", Condition={"StringLike": {"a": "a"}})
    name = {"policyname": "new" if method == "PolicyCreate" else "p"}
    status, answer = await bunker(method, policy=wrong, **name)
    assert status == 400
    assert answer["message"].startswith("The policy parameter has an incorrect format: 'Condition' has only")
    rows = (await bunker.ok("PolicyListAllPolicies"))["rows"]
    assert [row["policy"] for row in rows] == [allow("UserGet")]


async def test_what_was_kept_and_cannot_be_read_allows_nothing(
    bunker: Bunker, person: Person, memory: Vault
) -> None:
    """It might have denied: so its role may nothing, whatever else is linked to it."""
    named: dict[str, Any] = {"mode": "token", "identity": await person(login="ada")}
    clerk = await as_role(bunker, allow("UserGet"))
    await bunker.ok("PolicyCreate", policyname="later", policy=deny("UserDelete"))
    await bunker.ok("RoleLinkPolicy", rolename="clerk", policyname="later")
    await clerk.ok("UserGet", **named)
    wrong = {**deny("UserDelete"), "Condition": {"Tomorrow": {"a": "a"}}}
    policy = await memory.policies.find("later")
    await memory.documents.change(policy, lambda held: {**held, "policy": wrong})
    await clerk.refused(403, "API access denied", "UserGet", **named)


async def test_a_role_without_policies_may_nothing(bunker: Bunker) -> None:
    """What no statement matches is denied."""
    await bunker.ok("RoleCreate", rolename="clerk")
    clerk = bunker.by((await bunker.ok("XTokenCreateForRole", rolename="clerk"))["xtoken"])
    await clerk.refused(403, "API access denied", "UserGet", mode="login", identity="ada")


@pytest.mark.parametrize("method", sorted({method.name for method in METHODS if not method.public}))
async def test_no_method_without_leave(bunker: Bunker, method: str) -> None:
    """Every method asks the policies, before it looks at what was sent."""
    clerk = await as_role(bunker, allow("Nothing"))
    await clerk.refused(403, "API access denied", method)


async def test_a_deny_comes_before_any_look_up(bunker: Bunker, person: Person, memory: Vault) -> None:
    """Who is denied does not learn who is there; all there is to record is the refusal, which is about nobody."""
    ada = await person(login="ada")
    clerk = await as_role(bunker, allow("*"), deny("UserGet"))
    before = (await memory.audit.events(Wanted(), 0, 100))[-1].sequence
    for mode, identity in (("login", "ada"), ("login", "bob"), ("token", ada), ("token", NOBODY)):
        await clerk.refused(403, "API access denied", "UserGet", mode=mode, identity=identity)
    [event] = await memory.audit.events(Wanted(), before, 100)
    assert (event.action, event.outcome, event.user_token) == ("access.refused", "denied", None)


async def test_changes_take_effect_at_once(bunker: Bunker, person: Person) -> None:
    """A token that is out may what its role may now."""
    named: dict[str, Any] = {"mode": "token", "identity": await person(login="ada")}
    clerk = await as_role(bunker, allow("UserGet"))
    await clerk.ok("UserGet", **named)
    await bunker.ok("PolicyUpdate", policyname="of clerk", policy=deny("UserGet"))
    await clerk.refused(403, "API access denied", "UserGet", **named)
    await bunker.ok("PolicyCreate", policyname="more", policy=allow("UserGet", "UserListVersions"))
    await bunker.ok("RoleLinkPolicy", rolename="clerk", policyname="more")
    await clerk.refused(403, "API access denied", "UserGet", **named)
    await clerk.ok("UserListVersions", **named)


async def test_links(bunker: Bunker, memory: Vault) -> None:
    """Role and policy are named by number or by name, and have to be there; twice is once."""
    role = (await bunker.ok("RoleCreate", rolename="clerk"))["roleid"]
    policy = (await bunker.ok("PolicyCreate", policyname="p", policy=allow("UserGet")))["policyid"]
    await bunker.ok("RoleLinkPolicy", roleid=role, policyid=str(policy))
    await bunker.ok("RoleLinkPolicy", roleid=str(role), policyname="p")
    assert (await memory.roles.find("clerk")).content["policies"] == [policy]
    await bunker.refused(
        404, "The role record was not found", "RoleLinkPolicy", roleid=policy, policyid=policy
    )
    await bunker.refused(404, "The policy record was not found", "RoleLinkPolicy", roleid=role, policyid=role)
    await bunker.refused(400, "Missing API request parameters: policyid", "RoleLinkPolicy", roleid=role)
    await bunker.refused(400, "Missing API request parameters: roleid", "RoleLinkPolicy", policyid=policy)


async def test_a_principal_is_a_name(bunker: Bunker, person: Person) -> None:
    """A statement for another role is not for this one, though it is linked."""
    named: dict[str, Any] = {"mode": "token", "identity": await person(login="ada")}
    clerk = await as_role(bunker, allow("UserGet", Principal={"Role": "boss"}))
    await clerk.refused(403, "API access denied", "UserGet", **named)
    await bunker.ok(
        "PolicyUpdate", policyname="of clerk", policy=allow("UserGet", Principal={"Role": "clerk"})
    )
    await clerk.ok("UserGet", **named)


async def test_conditions_on_the_request(bunker: Bunker, person: Person) -> None:
    """``request_metadata`` is what a condition asks, and without it the answer is no."""
    named: dict[str, Any] = {"mode": "token", "identity": await person(login="ada")}
    equal = {"StringEquals": {"${request_metadata:purpose}": "fraud"}}
    meet = {"ForAnyValue:ListIntersect": {"${request_metadata:teams}": ["red", "blue"]}}
    clerk = await as_role(bunker, allow("UserGet", to="users.profile.*", Condition={**equal, **meet}))
    await clerk.ok("UserGet", **named, request_metadata={"purpose": "fraud", "teams": ["blue", "green"]})
    for wrong in (
        None,
        {},
        {"purpose": "fraud"},
        {"purpose": "fun", "teams": ["blue"]},
        {"purpose": "fraud", "teams": []},
    ):
        await clerk.refused(403, "API access denied", "UserGet", **named, request_metadata=wrong)


async def test_a_role_may_be_trusted_with_everything(bunker: Bunker) -> None:
    """``*`` on ``*`` is all that is not the installation's own."""
    clerk = await as_role(bunker, allow("*"))
    made = await clerk.ok("UserCreate", profile={"login": "ada"})
    await clerk.ok("RoleCreate", rolename="other")
    await clerk.ok("UserDelete", mode="token", identity=made["token"])


async def test_what_is_changed_is_recorded(bunker: Bunker, memory: Vault) -> None:
    """Each change of who may what is an event, with its names sealed in the details."""
    await as_role(bunker, allow("UserGet"))
    await bunker.ok("RoleUpdate", rolename="clerk", roledesc="x")
    await bunker.ok("PolicyUpdate", policyname="of clerk", policydesc="x", request_metadata={"ticket": "7"})
    events = await memory.audit.events(Wanted(), 0, 100)
    told = [(event.action, await memory.audit.details(event)) for event in events]
    assert [one for one in told if one[0].startswith(("role.", "policy."))] == [
        ("role.created", {"role": "clerk"}),
        ("policy.created", {"policy": "of clerk"}),
        ("role.changed", {"role": "clerk", "linked": "of clerk"}),
        ("role.changed", {"role": "clerk"}),
        ("policy.changed", {"policy": "of clerk", "request_metadata": {"ticket": "7"}}),
    ]
