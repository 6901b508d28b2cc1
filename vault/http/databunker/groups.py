"""Groups in Databunker's words."""

from typing import Any, NamedTuple

from marshmallow import fields

from vault.documents import Document
from vault.groups import Membership
from vault.http.databunker.method import Call, Method, MissingParameters, Said, Scalar, identity
from vault.http.databunker.people import token_of
from vault.http.databunker.references import named, new_name, reference, reference_of


class Place(NamedTuple):
    """A group to put somebody into, and as what."""

    group: Document
    role: Document | None


async def place_of(call: Call, body: dict[str, Any]) -> Place | None:
    """Return the place that ``groupid`` or ``groupname``, and ``roleid`` or ``rolename``, name; None for no group.

    Raises ``RecordNotFound``.
    """
    group, role = named("group", body), named("role", body)
    if group is None:
        return None
    return Place(
        await call.vault.groups.find(group), None if role is None else await call.vault.roles.find(role)
    )


async def roles_of(call: Call, user_token: str) -> list[dict[str, Any]]:
    """Return the ``grouproles`` of a person."""
    return [grouprole(one) for one in await call.vault.groups.of_person(user_token)]


async def create(call: Call) -> Said:
    """Make a group."""
    body = call.body
    group = await call.vault.groups.create(body["groupname"], body.get("groupdesc"), body.get("grouptype"))
    return {"groupid": group.id}


async def get(call: Call) -> Said:
    """Show a group."""
    return _said(await call.vault.groups.find(reference_of("group", call.body)))


async def list_all(call: Call) -> Said:
    """Show all groups."""
    return _rows([_said(group) for group in await call.vault.groups.all()])


async def list_of_user(call: Call) -> Said:
    """Show the groups of a person."""
    found = await call.vault.groups.of_person(await token_of(call))
    return _rows([{**_said(one.group), **grouprole(one)} for one in found])


async def update(call: Call) -> Said:
    """Change a group."""
    body = call.body
    await call.vault.groups.update(
        reference_of("group", body), new_name("group", body), body.get("groupdesc"), body.get("grouptype")
    )
    return None


async def delete(call: Call) -> Said:
    """Delete a group; its people stay."""
    await call.vault.groups.delete(reference_of("group", call.body))
    return None


async def add_user(call: Call) -> Said:
    """Put a person into a group."""
    token, place = await token_of(call), await place_of(call, call.body)
    if place is None:
        raise MissingParameters(["groupid"])
    await call.vault.groups.join(place.group, token, place.role)
    return None


async def delete_user(call: Call) -> Said:
    """Take a person out of a group."""
    token = await token_of(call)
    await call.vault.groups.leave(await call.vault.groups.find(reference_of("group", call.body)), token)
    return None


def _said(group: Document) -> dict[str, Any]:
    return {
        "groupid": group.id,
        "groupname": group.key,
        "groupdesc": group.content["description"] or "",
        "grouptype": group.content["type"] or "",
    }


def grouprole(one: Membership) -> dict[str, Any]:
    """Return a group of a person, and the role there if there is one."""
    role = {"roleid": one.role.id, "rolename": one.role.key} if one.role else {}
    return {"groupid": one.group.id, "groupname": one.group.key, **role}


def _rows(rows: list[dict[str, Any]]) -> Said:
    return {"rows": rows, "total": len(rows)}


_ABOUT = {"groupdesc": fields.String(), "grouptype": fields.String()}

METHODS = (
    Method("GroupCreate", create, {"groupname": Scalar(required=True), **_ABOUT}),
    Method("GroupGet", get, reference("group")),
    Method("GroupListAllGroups", list_all),
    Method("GroupListUserGroups", list_of_user, identity(), own=True),
    Method("GroupUpdate", update, {**reference("group"), **_ABOUT}),
    Method("GroupDelete", delete, reference("group")),
    Method("GroupAddUser", add_user, {**identity(), **reference("group"), **reference("role")}),
    Method("GroupDeleteUser", delete_user, {**identity(), **reference("group")}),
)
