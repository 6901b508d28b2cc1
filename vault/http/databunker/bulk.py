"""Bulk reads in Databunker's words: under an unlock, which lasts a minute and is its caller's alone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import marshmallow
from marshmallow import fields, validate

from vault.errors import Invalid, ProfileNotFound, SwitchedOff
from vault.http.databunker.audit import row_of
from vault.http.databunker.method import Call, Method, Said, identity, page, page_of
from vault.http.databunker.people import token_of
from vault.http.databunker.users import user, with_roles
from vault.http.purpose import check_purpose
from vault.ports import Wanted
from vault.profile_views import Profile

#: What is named as the reason of a bulk read by whoever names none that can be kept.
REASON = "databunker bulk"

#: People who are looked up side by side: so their events share transactions.
AT_ONCE = 64


async def unlock(call: Call) -> Said:
    """Give leave to read in bulk."""
    given = await call.vault.bulk.unlock(_reason(call.body.get("request_metadata", {})), as_uuid=True)
    return {"unlockuuid": given.unlock}


async def list_users(call: Call) -> Said:
    """Open the people who are named, all of them; who is unknown is left out."""
    _require_listing(call, "BulkListUsers")
    await call.vault.bulk.enter(call.body["unlockuuid"])
    tokens, named = [], call.body["users"]
    for first in range(0, len(named), AT_ONCE):
        tokens += await asyncio.gather(*(_found(call, one) for one in named[first : first + AT_ONCE]))
    opened = await call.vault.bulk.read(call.body["unlockuuid"], [token for token in tokens if token])
    return {"rows": await _rows(call, opened), "total": len(opened)}


async def list_all_users(call: Call) -> Said:
    """Open a page of all people, in the order of their tokens."""
    _require_listing(call, "BulkListAllUsers")
    opened, total = await call.vault.bulk.slice(call.body["unlockuuid"], *page_of(call.body))
    return {"rows": await _rows(call, opened), "total": total}


async def list_all_audit_events(call: Call) -> Said:
    """Return a page of the whole trail, the oldest first."""
    await call.vault.bulk.enter(call.body["unlockuuid"])
    offset, limit = page_of(call.body)
    events = await call.vault.audit.events(Wanted(), 0, limit, offset)
    return {"rows": [row_of(event) for event in events], "total": await call.vault.audit.count(Wanted())}


async def _found(call: Call, named: dict[str, Any]) -> str | None:
    try:
        return await token_of(call, named)
    except ProfileNotFound:
        return None


async def _rows(call: Call, opened: Sequence[Profile]) -> list[dict[str, Any]]:
    return [await with_roles(call, user(call, profile)) for profile in opened]


def _reason(metadata: dict[str, Any]) -> str:
    """Return the first that says why and may be kept in the clear."""
    for name in ("reason", "purpose"):
        reason = metadata.get(name)
        if isinstance(reason, str):
            try:
                check_purpose(reason, name)
            except Invalid:
                continue
            return reason
    return REASON


def _require_listing(call: Call, name: str) -> None:
    if not call.vault.config.databunker.list_users:
        raise SwitchedOff(f"{name} is disabled")


_UNLOCK = {"unlockuuid": fields.String(required=True)}
_NAMED = marshmallow.Schema.from_dict(dict(identity()), name="Named")(unknown=marshmallow.EXCLUDE)

METHODS = (
    Method("BulkListUnlock", unlock),
    Method(
        "BulkListUsers",
        list_users,
        {
            **_UNLOCK,
            "users": fields.List(fields.Nested(_NAMED), required=True, validate=validate.Length(min=1)),
        },
        limit=lambda limits: limits.batch_body,
    ),
    Method("BulkListAllUsers", list_all_users, {**_UNLOCK, **page()}),
    Method("BulkListAllAuditEvents", list_all_audit_events, {**_UNLOCK, **page()}),
)
