"""Calls about sessions. A session's id travels in the ``Session-Id`` header or in a body, never in a URL."""

from typing import Any

import msgspec
from aiohttp import web

from vault.access import Caller
from vault.config import Limits
from vault.errors import Malformed
from vault.http.native import schemas
from vault.http.native.operation import Call, Operation, answer, json_body, load_query
from vault.http.native.times import rfc3339
from vault.http.prompt import PromptAnswer
from vault.session_views import OpenedSession, SessionView
from vault.sessions import Wanted

_KEEP_QUERY = schemas.KeepQuery()


async def open_session(call: Call) -> web.Response:
    """Open a session."""
    body = call.body
    wanted = Wanted(
        body.get("user_token"), body.get("claims", {}), body.get("expires_in"), body.get("idle_timeout")
    )
    return answer(_present_opened(await call.vault.sessions.open(wanted, call.attempt), call.caller), 201)


async def read(call: Call) -> web.Response:
    """Look a session up: the hot path."""
    view = await call.vault.sessions.current(_session_id(call))
    if call.caller.claims is not None:
        return answer(present_session(view, call.caller))
    if not view.wire:
        view.wire = msgspec.json.encode(present_session(view, call.caller))
    return PromptAnswer(view.wire)


async def change(call: Call) -> web.Response:
    """Change claims."""
    view = await call.vault.sessions.change_claims(_session_id(call), call.body["claims"])
    return answer(present_session(view, call.caller))


async def rotate(call: Call) -> web.Response:
    """Take a new id."""
    opened = await call.vault.sessions.rotate(
        _session_id(call),
        call.body.get("claims"),
        reauthenticated=call.body.get("reauthenticated", False),
    )
    return answer(_present_opened(opened, call.caller))


async def end(call: Call) -> web.Response:
    """Log out."""
    await call.vault.sessions.end(_session_id(call))
    return web.Response(status=204)


async def end_handle(call: Call) -> web.Response:
    """End a session from a list."""
    await call.vault.sessions.end_handle(call.request.match_info["handle"])
    return web.Response(status=204)


async def list_of_person(call: Call) -> web.Response:
    """List a person's live sessions."""
    views = await call.vault.sessions.of_person(call.request.match_info["token"])
    return answer({"sessions": [present_session(view, call.caller) for view in views]})


async def end_all_of_person(call: Call) -> web.Response:
    """End all of a person's sessions."""
    query = load_query(_KEEP_QUERY, call.request)
    await call.vault.sessions.end_all(call.request.match_info["token"], query.get("keep"))
    return web.Response(status=204)


def present_session(view: SessionView, caller: Caller) -> dict[str, Any]:
    """Return a session as this caller may see it: only the claims that its access key names (ASVS 15.3.1)."""
    claims: Any = view.claims
    if caller.claims is not None:
        shown = msgspec.json.decode(view.claims)
        claims = shown and {name: shown[name] for name in shown if name in caller.claims}
    return {
        "user_token": view.user_token,
        "claims": claims,
        "handle": view.handle,
        "created_at": rfc3339(view.created_at),
        "authenticated_at": rfc3339(view.authenticated_at),
        "last_seen_at": rfc3339(view.last_seen_at),
        "expires_at": rfc3339(view.expires_at),
        "idle_expires_at": rfc3339(view.idle_expires_at),
        "cache_for": view.cache_for,
    }


def _present_opened(opened: OpenedSession, caller: Caller) -> dict[str, Any]:
    return {"session_id": opened.session_id, **present_session(opened.view, caller)}


def _session_id(call: Call) -> str:
    session_id = call.request.headers.get("Session-Id")
    if session_id is None:
        raise Malformed("Name the session in the header Session-Id.")
    return session_id


def _session_body(limits: Limits) -> int:
    return limits.session_body


_NOT_FOUND = ("session_not_found",)
_BY_ID = schemas.SessionIdHeader()

OPERATIONS = (
    Operation(
        "POST", "/sessions", open_session, "Open a session; its id is shown once",
        scope="sessions:write", body=json_body(schemas.NewSession(), _session_body), status=201,
        answer=schemas.OpenedSession(), idempotent=True,
        refusals=("profile_not_found", "claim_refused", "session_limit"),
    ),
    Operation(
        "GET", "/sessions/current", read, "Look a session up; slides its idle window",
        scope="sessions:read", headers=_BY_ID, answer=schemas.SessionAnswer(), refusals=_NOT_FOUND, audited=False,
    ),
    Operation(
        "PATCH", "/sessions/current", change, "Change claims",
        scope="sessions:write", headers=_BY_ID, body=json_body(schemas.ClaimChanges(), _session_body),
        answer=schemas.SessionAnswer(), refusals=(*_NOT_FOUND, "claim_refused", "conflict"),
    ),
    Operation(
        "POST", "/sessions/current/rotate", rotate, "Take a new id; the old one is dead at once",
        scope="sessions:write", headers=_BY_ID, body=json_body(schemas.Rotation(), _session_body),
        answer=schemas.OpenedSession(), refusals=(*_NOT_FOUND, "claim_refused", "conflict"),
    ),
    Operation(
        "DELETE", "/sessions/current", end, "Log out; idempotent",
        scope="sessions:revoke", headers=_BY_ID, status=204,
    ),
    Operation(
        "DELETE", "/sessions/{handle}", end_handle, "End the session with this handle; idempotent",
        scope="sessions:revoke", status=204,
    ),
    Operation(
        "GET", "/profiles/{token}/sessions", list_of_person, "List a person's live sessions",
        scope="sessions:read", answer=schemas.SessionList(),
    ),
    Operation(
        "DELETE", "/profiles/{token}/sessions", end_all_of_person,
        "End all of a person's sessions, also those being opened now; one may be kept",
        scope="sessions:revoke", query=_KEEP_QUERY, status=204,
    ),
)  # fmt: skip
