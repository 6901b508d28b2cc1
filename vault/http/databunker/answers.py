"""Answers on Databunker's wire: always JSON with ``status``, and one table from the vault's refusals to its words."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from vault.errors import Duplicate, VaultError

#: Code of a refusal: status, and the message that clients match on. None: the vault's own words.
REFUSALS: Mapping[str, tuple[int, str | None]] = {
    "unauthenticated": (403, "Access denied"),
    "network_refused": (403, "Access denied"),
    "scope_missing": (403, "API access denied"),
    "denied": (403, "API access denied"),
    "switched_off": (403, None),
    "unlock_refused": (403, "The unlockuuid value was not found or is not valid"),
    "purpose_missing": (400, None),
    "malformed": (400, "Failed to decode the request body"),
    "unsupported_media_type": (400, "Failed to decode the request body"),
    "invalid": (400, None),
    "claim_refused": (400, None),
    "too_large": (413, None),
    "profile_not_found": (404, "The user record was not found"),
    "session_not_found": (404, "not found"),
    "record_not_found": (404, None),
    "tenant_not_found": (403, "Access denied"),
    "duplicate": (409, None),
    "name_taken": (409, None),
    "request_closed": (409, "This user request is closed"),
    "patch_failed": (409, None),
    "session_limit": (409, None),
    "conflict": (409, None),
    "rate_limited": (429, None),
    "too_many_failures": (429, None),
    "budget_spent": (429, None),
    "audit_unavailable": (503, None),
    "store_unavailable": (503, None),
    "stale_keys": (503, None),
}

UNKNOWN_METHOD = "The API request was not found"
NO_ENDPOINT = "endpoint is missing"
INTERNAL = "Internal error"


def ok(said: Mapping[str, Any] | None = None) -> web.Response:
    """Answer that it went well, with these members beside ``status``."""
    return _answer(200, {"status": "ok", **(said or {})})


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer that it did not."""
    return _answer(status, {"status": "error", "message": message}, headers)


def refusal(refused: VaultError) -> web.Response:
    """Answer a refusal. It never holds a value; whatever is not in the table is the vault's own trouble."""
    status, message = REFUSALS.get(refused.code, (500, INTERNAL))
    if isinstance(refused, Duplicate):
        message = f"Duplicate index: {', '.join(refused.fields)}"
    elif refused.code == "invalid" and refused.fields:
        name, sentence = next(iter(refused.fields.items()))
        message = f"The {name} parameter has an incorrect format: {sentence}".removesuffix(
            ": incorrect format"
        )
    headers = None if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
    return error(status, message or refused.message, headers)


def _answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json"
    )
