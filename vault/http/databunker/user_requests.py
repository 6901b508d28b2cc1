"""Requests of users: changes of a profile that wait for somebody to approve them."""

from collections.abc import Awaitable, Callable
from typing import Any

from marshmallow import fields

from vault.approvals import Held
from vault.http.databunker.method import Call, Method, Said, identity, page, page_of
from vault.http.databunker.people import BadUuid, token_of
from vault.tokens import is_bearer_uuid


def hold(verb: str, *names: str) -> Callable[[Call], Awaitable[Said]]:
    """Return what keeps a request for this verb, with these parameters of it."""

    async def handle(call: Call) -> Said:
        said = {name: call.body[name] for name in names}
        return {"requestuuid": await call.vault.approvals.hold(verb, await token_of(call), said)}

    return handle


async def get(call: Call) -> Said:
    """Open a request."""
    held = await call.vault.approvals.get(_id(call), of=call.grant.user_token)
    return {"request": {**_row(held), **held.said}}


async def list_of_user(call: Call) -> Said:
    """List the requests about a person."""
    held = await call.vault.approvals.of_person(await token_of(call))
    offset, limit = page_of(call.body)
    return {"total": len(held), "rows": [_row(one) for one in held[offset : offset + limit]]}


async def list_all(call: Call) -> Said:
    """List the requests about everybody."""
    await call.vault.bulk.enter(call.body["unlockuuid"])
    held, total = await call.vault.approvals.page(*page_of(call.body))
    return {"total": total, "rows": [_row(one) for one in held]}


async def approve(call: Call) -> Said:
    """Do what was asked for."""
    await call.vault.approvals.approve(_id(call), call.body.get("reason"))
    return None


async def cancel(call: Call) -> Said:
    """Close a request without doing anything."""
    await call.vault.approvals.cancel(_id(call), call.body.get("reason"), of=call.grant.user_token)
    return None


def _id(call: Call) -> str:
    request_id = str(call.body["requestuuid"]).lower()
    if not is_bearer_uuid(request_id):
        raise BadUuid
    return request_id


def _row(held: Held) -> dict[str, Any]:
    said = {
        "requestuuid": held.id,
        "requesttype": held.verb,
        "token": held.user_token,
        "requeststatus": held.status,
        "reason": held.reason,
        "creationtime": held.created_at // 1000,
        "decisiontime": held.decided_at and held.decided_at // 1000,
    }
    return {name: value for name, value in said.items() if value is not None}


_REQUEST = {"requestuuid": fields.String(required=True)}
_DECISION = {**_REQUEST, "reason": fields.String()}

METHODS = (
    Method(
        "UserUpdateRequest",
        hold("UserUpdate", "profile"),
        {**identity(), "profile": fields.Dict(required=True)},
        own=True,
    ),
    Method(
        "UserPatchRequest",
        hold("UserPatch", "patch"),
        {**identity(), "patch": fields.List(fields.Raw(), required=True)},
        own=True,
    ),
    Method("UserDeleteRequest", hold("UserDelete"), identity(), own=True),
    Method("UserRequestGet", get, _REQUEST, own=True),
    Method("UserRequestListUserRequests", list_of_user, {**identity(), **page()}, own=True),
    Method("UserRequestApprove", approve, _DECISION),
    Method("UserRequestCancel", cancel, _DECISION, own=True),
    Method("BulkListAllUserRequests", list_all, {"unlockuuid": fields.String(required=True), **page()}),
)
