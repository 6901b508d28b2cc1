"""Calls about the audit trail."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web

from vault.audit import PAGE
from vault.http.native import schemas
from vault.http.native.operation import Call, Operation, answer, load_query
from vault.http.native.times import rfc3339
from vault.ports import Wanted
from vault.records import Event

NDJSON = "application/x-ndjson"

_QUERY = schemas.AuditQuery()
_EXPORT_QUERY = schemas.AuditExportQuery()


async def read(call: Call) -> web.Response:
    """Return a page of events, the oldest first."""
    query = load_query(_QUERY, call.request)
    limit = query.get("limit", 100)
    events = await call.vault.audit.events(_wanted(query), query.get("after", 0), limit)
    return answer(
        {
            "events": [await _present(call, event) for event in events],
            "next": events[-1].sequence if len(events) == limit else None,
        }
    )


async def export(call: Call) -> web.Response:
    """Return all events, one a line; that it was asked for is one of them."""
    query = load_query(_EXPORT_QUERY, call.request)
    await call.vault.audit.record(call.vault.audit.event("audit.exported"))
    return web.Response(body=_lines(call, query), content_type=NDJSON)


async def _lines(call: Call, query: dict[str, Any]) -> AsyncIterator[bytes]:
    after = query.get("after", 0)
    while events := await call.vault.audit.events(_wanted(query), after, PAGE):
        yield b"".join([msgspec.json.encode(await _present(call, event)) + b"\n" for event in events])
        after = events[-1].sequence


def _wanted(query: dict[str, Any]) -> Wanted:
    return Wanted(query.get("token"), query.get("actor"), query.get("action"))


async def _present(call: Call, event: Event) -> dict[str, Any]:
    return {**await call.vault.audit.presented(event), "at": rfc3339(event.at)}


OPERATIONS = (
    Operation(
        "GET", "/audit", read, "Read the audit trail, page by page",
        scope="audit:read", query=_QUERY, answer=schemas.AuditPage(),
    ),
    Operation(
        "GET", "/audit/export", export, "Export the audit trail, one event a line",
        scope="audit:read", query=_EXPORT_QUERY, answer=schemas.AuditEvent(), media_type=NDJSON,
    ),
)  # fmt: skip
