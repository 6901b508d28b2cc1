"""The audit trail in Databunker's words. An event is one of the vault's own: its type is the action."""

import uuid
from typing import Any

from marshmallow import fields

from vault.errors import ProfileNotFound, RecordNotFound
from vault.http.databunker.method import Call, Method, Said, identity, page, page_of
from vault.http.databunker.people import BadUuid, token_of
from vault.ports import Wanted
from vault.records import Event

#: Bits of a version 8 UUID (RFC 9562, 5.8): the sequence before the version, then of the link what there is room for.
_SEQUENCE, _LINK_A, _LINK_B = 48, 12, 62


async def list_user_events(call: Call) -> Said:
    """Return a page of a person's events, the oldest first: a page does not move while others are recorded."""
    wanted, (offset, limit) = Wanted(await token_of(call)), page_of(call.body)
    total = await call.vault.audit.count(wanted)
    if not total:  # whoever was ever kept has an event
        raise ProfileNotFound
    events = await call.vault.audit.events(wanted, 0, limit, offset)
    return {"rows": [row_of(event) for event in events], "total": total}


async def get_event(call: Call) -> Said:
    """Open an event."""
    try:
        wanted = uuid.UUID(call.body["auditeventuuid"])
    except ValueError:
        raise BadUuid from None
    sequence = wanted.int >> 128 - _SEQUENCE
    found = await call.vault.audit.events(Wanted(), sequence - 1, 1) if sequence else []
    if not found or uuid_of(found[0]) != wanted:
        raise RecordNotFound
    [event] = found
    return {**row_of(event), "details": await call.vault.audit.told(event) or {}}


def uuid_of(event: Event) -> uuid.UUID:
    """Return the UUID of an event: its place in the trail and the head of its link, so that it names no other.

    Nothing is kept for it, and it is found again by its place. An event that was altered since has another.
    """
    link = int.from_bytes(event.link, "big") >> 8 * len(event.link) - _LINK_A - _LINK_B
    high, low = link >> _LINK_B, link & (1 << _LINK_B) - 1
    return uuid.UUID(int=event.sequence << 128 - _SEQUENCE | 8 << 76 | high << 64 | 2 << 62 | low)


def row_of(event: Event) -> dict[str, Any]:
    """Return an event without its details; the time in seconds."""
    return {
        "auditeventuuid": str(uuid_of(event)),
        "eventtype": event.action,
        "timestamp": event.at // 1000,
        "outcome": event.outcome,
        "actor": event.actor,
        "token": event.user_token,
        "requestid": event.request_id,
        "purpose": event.purpose,
    }


METHODS = (
    Method("AuditListUserEvents", list_user_events, {**identity(), **page()}, own=True),
    Method("AuditGetEvent", get_event, {"auditeventuuid": fields.String(required=True)}),
)
