"""Policies in Databunker's words."""

from typing import Any

from marshmallow import fields

from vault.documents import Document
from vault.http.databunker.method import Call, Method, Said, Scalar
from vault.http.databunker.references import new_name, reference, reference_of


async def create(call: Call) -> Said:
    """Keep a policy."""
    body = call.body
    policy = await call.vault.policies.create(body["policyname"], body["policy"], body.get("policydesc"))
    return {"policyid": policy.id}


async def update(call: Call) -> Said:
    """Change a policy."""
    body = call.body
    await call.vault.policies.update(
        reference_of("policy", body), new_name("policy", body), body.get("policy"), body.get("policydesc")
    )
    return None


async def get(call: Call) -> Said:
    """Show a policy."""
    return _said(await call.vault.policies.find(reference_of("policy", call.body)))


async def list_all(call: Call) -> Said:
    """Show all policies."""
    rows = [_said(policy) for policy in await call.vault.policies.all()]
    return {"rows": rows, "total": len(rows)}


def _said(policy: Document) -> dict[str, Any]:
    return {
        "policyid": policy.id,
        "policyname": policy.key,
        "policydesc": policy.content["description"] or "",
        "policy": policy.content["policy"],
    }


METHODS = (
    Method(
        "PolicyCreate",
        create,
        {
            "policyname": Scalar(required=True),
            "policy": fields.Raw(required=True),
            "policydesc": fields.String(),
        },
    ),
    Method(
        "PolicyUpdate", update, {**reference("policy"), "policy": fields.Raw(), "policydesc": fields.String()}
    ),
    Method("PolicyGet", get, reference("policy")),
    Method("PolicyListAllPolicies", list_all),
)
