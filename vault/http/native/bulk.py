"""Calls that open many profiles at once."""

from typing import Any

from aiohttp import web

from vault.config import Limits
from vault.http.native import schemas
from vault.http.native.operation import Call, Operation, answer, json_body
from vault.http.native.profiles import present_profile
from vault.http.native.times import rfc3339
from vault.http.purpose import check_purpose


async def unlock(call: Call) -> web.Response:
    """Give leave, for the reason that is named."""
    check_purpose(call.body["reason"], "reason")
    unlocked = await call.vault.bulk.unlock(call.body["reason"])
    return answer({"unlock": unlocked.unlock, "expires_at": rfc3339(unlocked.expires_at)}, 201)


async def read(call: Call) -> web.Response:
    """Open the profiles that are named; unknown ones are left out."""
    opened = await call.vault.bulk.read(call.body["unlock"], call.body["tokens"])
    return answer({"profiles": [present_profile(profile, call.caller) for profile in opened]})


async def page(call: Call) -> web.Response:
    """Open the next profiles, in the order of their tokens."""
    body = call.body
    opened, following = await call.vault.bulk.page(
        body["unlock"], body.get("after", ""), body.get("limit", 100)
    )
    found: list[Any] = [present_profile(profile, call.caller) for profile in opened]
    return answer({"profiles": found, "next": following})


def _body(limits: Limits) -> int:
    return limits.profile_body


_REFUSALS = ("unlock_refused", "purpose_missing", "budget_spent")

OPERATIONS = (
    Operation(
        "POST", "/profiles/bulk/unlock", unlock, "Ask for leave to open many profiles: 60 seconds, for a named reason",
        scope="profiles:bulk", body=json_body(schemas.NewUnlock(), _body), status=201, answer=schemas.Unlock(),
    ),
    Operation(
        "POST", "/profiles/bulk/read", read, "Open many profiles by their tokens; unknown ones are left out",
        scope="profiles:bulk", body=json_body(schemas.BulkRead(), _body), answer=schemas.OpenedProfiles(),
        refusals=_REFUSALS,
    ),
    Operation(
        "POST", "/profiles/bulk/list", page, "Open all profiles, page by page",
        scope="profiles:bulk", body=json_body(schemas.BulkList(), _body), answer=schemas.OpenedPage(),
        refusals=_REFUSALS,
    ),
)  # fmt: skip
