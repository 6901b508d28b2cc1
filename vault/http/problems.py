"""Refusals on the wire: RFC 9457 ``application/problem+json``, one table from code to status."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from vault.errors import VaultError

STATUS: Mapping[str, int] = {
    "unauthenticated": 401,
    "scope_missing": 403,
    "network_refused": 403,
    "rate_limited": 429,
    "too_many_failures": 429,
    "malformed": 400,
    "unsupported_media_type": 415,
    "too_large": 413,
    "invalid": 422,
    "claim_refused": 422,
    "patch_failed": 409,
    "idempotency_key_reused": 422,
    "profile_not_found": 404,
    "session_not_found": 404,
    "duplicate": 409,
    "revision_mismatch": 412,
    "session_limit": 409,
    "conflict": 409,
    "name_taken": 409,
    "record_not_found": 404,
    "purpose_missing": 400,
    "unlock_refused": 403,
    "budget_spent": 429,
    "audit_unavailable": 503,
    "store_unavailable": 503,
    "stale_keys": 503,
    "box_unreadable": 500,
    "box_malformed": 500,
    "box_unknown_key": 500,
    "box_wrong_key": 500,
    "box_tampered": 500,
}

_HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="tokenization-vault"'},
    503: {"Retry-After": "1"},
}

MEDIA_TYPE = "application/problem+json"


def problem(error: VaultError, request_id: str) -> web.Response:
    """Answer a refusal. A box that does not open is told apart in the log, not on the wire."""
    status = STATUS.get(error.code, 500)
    if status == 500:
        return plain_problem(500, request_id)
    errors = {path: [sentence] for path, sentence in error.fields.items()}
    headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return _answer(status, error.code, error.message, request_id, errors, headers)


def plain_problem(status: int, request_id: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer a refusal that HTTP itself has a name for, such as 404 for a path that does not exist."""
    phrase = HTTPStatus(status)
    code = "internal_error" if status == 500 else phrase.name.lower()
    return _answer(status, code, phrase.description or phrase.phrase, request_id, {}, headers)


def _answer(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    errors: Mapping[str, list[str]],
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    body = {
        "type": f"urn:tokenization-vault:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = errors
    response = web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type=MEDIA_TYPE,
        headers={**_HEADERS.get(status, {}), **(headers or {})},
    )
    if status == 408:
        response.force_close()  # there is more to come that nobody waits for (RFC 9110, 15.5.9)
    return response
