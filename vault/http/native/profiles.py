"""Calls about profiles."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from vault.access import Caller
from vault.app_data import AppRecord, records_in
from vault.audit import Opening
from vault.config import Limits
from vault.errors import Invalid, TooLarge, VaultError
from vault.http.native import schemas
from vault.http.native.operation import PREFIX, Body, Call, Operation, answer, json_body, load, load_query
from vault.http.native.sessions import present_session
from vault.http.native.times import rfc3339, rfc3339_or_none
from vault.patches import json_patch, merge_patch
from vault.profile_views import BatchEntry, NewContent, Profile, ProfileHead
from vault.shares import Share, shares_in
from vault.versions import heads_in

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_NEW_PROFILE = schemas.NewProfile()
_PROFILE_QUERY = schemas.ProfileQuery()
_ETAG = re.compile(r'"([1-9][0-9]{0,17})"')


async def create(call: Call) -> web.Response:
    """Keep a profile."""
    head = await call.vault.profiles.create(call.body["profile"], call.body.get("expires_in"), call.attempt)
    headers = {"Location": f"{PREFIX}/profiles/{head.token}", **_etag(head)}
    return answer(_present_head(head), 201, headers)


async def create_batch(call: Call) -> web.Response:
    """Keep many profiles; partial success is success."""
    entries = call.body["profiles"]
    most = call.vault.config.limits.batch_profiles
    if len(entries) > most:
        raise TooLarge(f"A batch may hold at most {most} profiles.")
    results = await call.vault.profiles.create_many(
        [_batch_entry(entry, call) for entry in entries], call.attempt
    )
    created = sum(1 for entry in results if entry.token is not None)
    return answer(
        {
            "created": created,
            "failed": len(results) - created,
            "results": [_present_entry(entry) for entry in results],
        }
    )


async def read(call: Call) -> web.Response:
    """Open a profile, whole or some fields."""
    query = load_query(_PROFILE_QUERY, call.request)
    wanted = query["fields_"].split(",") if "fields_" in query else None
    profile = await call.vault.profiles.get(call.request.match_info["token"], wanted)
    return answer(present_profile(profile, call.caller, wanted), headers=_etag(profile.head))


async def replace(call: Call) -> web.Response:
    """Replace a profile whole."""
    head = await call.vault.profiles.replace(
        call.request.match_info["token"], call.body["profile"], _if_match(call)
    )
    return answer(_present_head(head), headers=_etag(head))


async def patch(call: Call) -> web.Response:
    """Change parts of a profile."""
    apply = merge_patch if call.request.content_type == MERGE_PATCH else json_patch
    head = await call.vault.profiles.change(
        call.request.match_info["token"], lambda content: apply(content, call.body), _if_match(call)
    )
    return answer(_present_head(head), headers=_etag(head))


async def erase(call: Call) -> web.Response:
    """Erase a person: sessions, profile and index; answer with the receipt."""
    receipt = await call.vault.profiles.erase(call.request.match_info["token"])
    return answer(msgspec.Raw(receipt.encode().strip()))


async def lookup(call: Call) -> web.Response:
    """Find whose value it is."""
    ((field, value),) = call.body.items()
    return answer({"token": await call.vault.profiles.lookup(field, value)})


async def export(call: Call) -> web.Response:
    """Return all that is held about a person."""
    held = await call.vault.export(call.request.match_info["token"])
    return answer(
        {
            **present_profile(held.profile, call.caller),
            "sessions": [present_session(view, call.caller) for view in held.sessions],
            "openings": [_present_opening(opening) for opening in held.openings],
            "former": [
                {"revision": head.revision, "updated_at": rfc3339(head.updated_at)}
                for head in heads_in(held.documents, held.profile)
            ],
            "app_data": [_present_app(*one, call.caller) for one in records_in(held.documents)],
            "shares": [_present_share(share) for share in shares_in(held.documents)],
        }
    )


def _present_app(record: AppRecord, former: Sequence[AppRecord], caller: Caller) -> dict[str, Any]:
    """Return app data; without its content for whoever is shown a part of profiles only."""
    return {
        "app": record.app,
        "version": record.version,
        "updated_at": rfc3339(record.updated_at),
        "data": record.data if caller.fields is None and not caller.masked else None,
        "former": [{"version": one.version, "updated_at": rfc3339(one.updated_at)} for one in former],
    }


def _present_share(share: Share) -> dict[str, Any]:
    return {
        "created_at": rfc3339(share.created_at),
        "expires_at": rfc3339_or_none(share.expires_at),
        "fields": share.fields,
        "app": share.app,
        "partner": share.partner,
    }


def _present_opening(opening: Opening) -> dict[str, Any]:
    return {
        "at": rfc3339(opening.at),
        "by": opening.by,
        "action": opening.action,
        "purpose": opening.purpose,
        "fields": opening.fields,
    }


def present_profile(profile: Profile, caller: Caller, wanted: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a profile as this caller may see it, whole or only the ``wanted`` paths."""
    return {**_present_head(profile.head), "profile": caller.view(profile.text, wanted)}


def _present_head(head: ProfileHead) -> dict[str, Any]:
    return {
        "token": head.token,
        "revision": head.revision,
        "key_version": head.key_version,
        "created_at": rfc3339(head.created_at),
        "updated_at": rfc3339(head.updated_at),
        "expires_at": rfc3339_or_none(head.expires_at),
    }


def _present_entry(entry: BatchEntry) -> dict[str, Any]:
    if entry.token is not None:
        return {"token": entry.token}
    return {"error": {"code": entry.code, "errors": {name: [text] for name, text in entry.fields.items()}}}


def _batch_entry(entry: Any, call: Call) -> NewContent | VaultError:
    try:
        loaded = load(_NEW_PROFILE, entry)
    except Invalid as error:
        return error
    return NewContent(loaded["profile"], loaded.get("expires_in"))


def _etag(head: ProfileHead) -> dict[str, str]:
    return {"ETag": f'"{head.revision}"'}


def _if_match(call: Call) -> list[int] | None:
    """Return the revisions named in If-Match; None where any will do. A tag that is not ours matches nothing."""
    lines = call.request.headers.getall("If-Match", None)
    if lines is None or lines == ["*"]:
        return None
    header = ",".join(lines)  # a list may come in several lines (RFC 9110, 5.3)
    # Weak tags never match here (RFC 9110, 13.1.1), so W/"3" must not be read as "3".
    tags = [_ETAG.fullmatch(tag.strip()) for tag in header.split(",")]
    return [int(tag[1]) for tag in tags if tag]


def _profile_body(limits: Limits) -> int:
    return limits.profile_body


_NOT_FOUND = ("profile_not_found",)
_REVEAL_REFUSALS = (*_NOT_FOUND, "purpose_missing", "budget_spent")
_CHANGE_REFUSALS = (*_NOT_FOUND, "duplicate", "revision_mismatch", "conflict")

OPERATIONS = (
    Operation(
        "POST", "/profiles", create, "Keep a profile; get its user token",
        scope="profiles:write", body=json_body(_NEW_PROFILE, _profile_body), status=201, answer=schemas.ProfileHead(),
        idempotent=True, refusals=("duplicate",),
    ),
    Operation(
        "POST", "/profiles/batch", create_batch, "Keep up to 5,000 profiles; each is judged on its own",
        scope="profiles:write", body=json_body(schemas.NewProfiles(), lambda limits: limits.batch_body),
        answer=schemas.BatchAnswer(), idempotent=True,
    ),
    Operation(
        "POST", "/profiles/lookup", lookup, "Find a user token by e-mail, login, phone or custom value",
        scope="profiles:lookup", body=json_body(schemas.Lookup(), _profile_body),
        answer=schemas.FoundToken(), refusals=_NOT_FOUND,
    ),
    Operation(
        "GET", "/profiles/{token}", read, "Open a profile, whole or the fields asked for",
        scope="profiles:read", answer=schemas.OpenedProfile(), query=_PROFILE_QUERY, refusals=_REVEAL_REFUSALS,
    ),
    Operation(
        "PUT", "/profiles/{token}", replace, "Replace a profile",
        scope="profiles:write", body=json_body(schemas.Replacement(), _profile_body),
        answer=schemas.ProfileHead(), headers=schemas.IfMatch(), refusals=_CHANGE_REFUSALS,
    ),
    Operation(
        "PATCH", "/profiles/{token}", patch, "Change parts of a profile (RFC 7396 or RFC 6902)",
        scope="profiles:write",
        body=Body({MERGE_PATCH: schemas.MergePatch(), JSON_PATCH: schemas.JsonPatch(many=True)}, _profile_body),
        answer=schemas.ProfileHead(), headers=schemas.IfMatch(), refusals=(*_CHANGE_REFUSALS, "patch_failed"),
    ),
    Operation(
        "DELETE", "/profiles/{token}", erase, "Erase a person, and get a signed receipt",
        scope="profiles:erase", answer=schemas.ErasureReceipt(), refusals=_NOT_FOUND,
    ),
    Operation(
        "GET", "/profiles/{token}/export", export, "Export all that is held about a person",
        scope="profiles:read", answer=schemas.Export(), refusals=_REVEAL_REFUSALS,
    ),
)  # fmt: skip
