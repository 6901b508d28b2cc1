"""Every method with every kind of wrong request: one answer each, in JSON, and nothing is written."""

import io
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.databunker.conftest import Bunker
from vault.http.databunker import METHODS
from vault.http.databunker.method import Method

Json = dict[str, Any]

#: What nobody's parameter is.
WRONG: Mapping[str, Any] = {
    "a list": [1], "an object where text is meant": {"a": [1]}, "a fraction": 1.5, "true": True, "nothing": "",
}  # fmt: skip

#: All but those that anybody may call.
GUARDED = [method for method in METHODS if not method.public]

#: They may change: the trail, and what processes say of themselves.
AUDIT = (
    "audit_events",
    "audit_details",
    "audit_end",
    "audit_checkpoints",
    "sqlite_sequence",
    "processes",
    "leases",
)


def everything(data: Path) -> dict[str, list[Any]]:
    """Return all rows of all tables, but for the trail and what processes say of themselves."""
    found = {}
    for file in [*data.rglob("vault.db"), *data.rglob("sessions.db")]:
        with closing(sqlite3.connect(file)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                if table not in AUDIT:
                    found[f"{file}:{table}"] = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
    return found


def required(method: Method) -> list[str]:
    """Return the parameters that a method cannot do without."""
    return [name for name, declared in method.takes.items() if declared.required]


async def test_without_a_valid_token(kept: Bunker, data: Path) -> None:
    """No token and a wrong one are the same 403 at every method, before anything is read."""
    before = everything(data)
    for method in GUARDED:
        for token in ("", "DEMO", str(uuid4()), f"tvk_{'0' * 16}_{'A' * 43}"):
            for said in ({}, {name: [1] for name in method.takes}):
                await kept.by(token).refused(403, "Access denied", method.name, **said)
        await kept.by(kept.token, tenant="nobody").refused(403, "Access denied", method.name)
    assert everything(data) == before


async def test_a_role_that_may_not(kept: Bunker, data: Path) -> None:
    """A role without a policy may call no method, whatever it says."""
    await kept.ok("RoleCreate", rolename="nobody")
    clerk = kept.by((await kept.ok("XTokenCreateForRole", rolename="nobody"))["xtoken"])
    before = everything(data)
    for method in GUARDED:
        await clerk.refused(403, "API access denied", method.name)
        await clerk.refused(403, "API access denied", method.name, **dict.fromkeys(method.takes, "x"))
    assert everything(data) == before


async def test_another_tenants_token(kept: Bunker, data: Path) -> None:
    """The root of one tenant is nobody at another, and may not touch the installation."""
    made = await kept.ok("TenantCreate", tenantname="acme")
    before = everything(data)
    for method in GUARDED:
        await kept.by(made["xtoken"], tenant="default").refused(403, "Access denied", method.name)
        if method.installation:
            await kept.by(made["xtoken"], tenant="acme").refused(403, "API access denied", method.name)
    assert everything(data) == before


async def test_parameters_that_are_missing(kept: Bunker, data: Path) -> None:
    """No body, an empty one, and nulls say the same: what is missing."""
    before = everything(data)
    for method in METHODS:
        if names := required(method):
            message = f"Missing API request parameters: {', '.join(names)}"
            await kept.refused(400, message, method.name)
            await kept.refused(400, message, method.name, **dict.fromkeys(method.takes))
    assert everything(data) == before


async def test_parameters_of_a_wrong_type(kept: Bunker, data: Path) -> None:
    """Each is refused, and not quoted; of a batch each entry is, and the others are not."""
    before = everything(data)
    for method in METHODS:
        for wrong in WRONG.values():
            for name in required(method):
                said = dict.fromkeys(required(method), "token") | {name: wrong}
                if isinstance(wrong, dict) and name in ("profile", "sessiondata", "appdata", "policy"):
                    continue  # these are objects
                status, answer = await kept(method.name, **said)
                assert 400 <= status < 500 or len(answer["errors"]) == len(wrong), (method.name, name, wrong)
                assert str(wrong) not in answer.get("message", "") or wrong in ("", True)
    assert everything(data) == before


#: Bodies that are no JSON object.
BODIES = {
    "no JSON": b"{", "a list": b"[]", "text": b'"x"', "no Unicode": b"\xff\xfe", "a key twice": b'{"a":1,"a":2}',
    "NaN": b'{"a":NaN}', "too deep": b"[" * 500 + b"]" * 500,
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_is_no_json_object(bunker: Bunker, body: bytes) -> None:
    """It is a 400."""
    headers = {"X-Bunker-Token": bunker.token, "Content-Type": "application/json"}
    async with bunker.http.post("/v2/UserGet", data=body, headers=headers) as response:
        assert (response.status, await response.json()) == (
            400,
            {"status": "error", "message": "Failed to decode the request body"},
        )


async def test_a_body_over_the_limit(bunker: Bunker) -> None:
    """20 MB where a profile may have 256 KiB."""
    headers = {"X-Bunker-Token": bunker.token, "Content-Type": "application/json"}
    body = b'{"profile":{"a":"' + b"x" * 20_000_000 + b'"}}'
    async with bunker.http.post("/v2/UserCreate", data=io.BytesIO(body), headers=headers) as response:
        assert response.status == 413
        assert (await response.json())["status"] == "error"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "path", ["/v2/UserGet", "/v2/Nope", "/v2/", "/v2/a/b", "/v1/sessions", "/v1/session/"]
)
async def test_whatever_is_not_posted(bunker: Bunker, method: str, path: str) -> None:
    """It is a 404 in JSON with a status, on every path of the wire."""
    async with bunker.http.request(method, path, headers={"X-Bunker-Token": bunker.token}) as response:
        assert response.status == 404
        assert (await response.json())["status"] == "error"


async def test_another_path(bunker: Bunker) -> None:
    """Whoever shows a token of this wire is answered in its words everywhere."""
    async with bunker.http.get("/nope", headers={"X-Bunker-Token": "x"}) as response:
        assert (response.status, await response.json()) == (
            404, {"status": "error", "message": "endpoint is missing"},
        )  # fmt: skip
