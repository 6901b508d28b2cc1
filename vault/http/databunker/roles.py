"""Roles in Databunker's words."""

from marshmallow import fields

from vault.http.databunker.method import Call, Method, Said, Scalar
from vault.http.databunker.references import new_name, reference, reference_of


async def create(call: Call) -> Said:
    """Make a role."""
    role = await call.vault.roles.create(call.body["rolename"], call.body.get("roledesc"))
    return {"roleid": role.id}


async def update(call: Call) -> Said:
    """Change a role."""
    body = call.body
    await call.vault.roles.update(reference_of("role", body), new_name("role", body), body.get("roledesc"))
    return None


async def link_policy(call: Call) -> Said:
    """Link a policy to a role."""
    role, policy = reference_of("role", call.body), reference_of("policy", call.body)
    await call.vault.roles.link(role, await call.vault.policies.find(policy))
    return None


METHODS = (
    Method("RoleCreate", create, {"rolename": Scalar(required=True), "roledesc": fields.String()}),
    Method("RoleUpdate", update, {**reference("role"), "roledesc": fields.String()}),
    Method("RoleLinkPolicy", link_policy, {**reference("role"), **reference("policy")}),
)
