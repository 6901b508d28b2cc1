"""Changes that wait for somebody to approve them."""

from collections.abc import Awaitable, Callable

import pytest

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault.approvals import INTERRUPTED, MOST_OPEN
from vault.installation import Vault
from vault.ports import Wanted

CLOSED = "This user request is closed"
NOBODY = "00000000-0000-4000-8000-000000000000"

ASKED: dict[str, tuple[Json, str, Json]] = {
    "UserUpdateRequest": ({"profile": {"name": None, "age": 37}}, "UserUpdate", {"age": 37}),
    "UserPatchRequest": (
        {"patch": [{"op": "replace", "path": "/name", "value": "Grace"}]},
        "UserPatch",
        {"name": "Grace"},
    ),
}


async def ask(bunker: Bunker, token: str, method: str = "UserUpdateRequest", **said: object) -> str:
    """Ask for a change; return the request's id."""
    said = said or {"profile": {"age": 37}}
    return str((await bunker.ok(method, mode="token", identity=token, **said))["requestuuid"])


async def status(bunker: Bunker, request: str) -> str:
    """Return what became of a request."""
    return str((await bunker.ok("UserRequestGet", requestuuid=request))["request"]["requeststatus"])


@pytest.mark.parametrize("method", ASKED)
async def test_a_request_takes_effect_when_it_is_approved(
    bunker: Bunker, person: Callable[..., Awaitable[str]], clock: FakeClock, method: str
) -> None:
    """Until then nothing has changed; then it is closed."""
    said, verb, after = ASKED[method]
    token = await person(name="Ada")
    request = await ask(bunker, token, method, **said)
    assert await bunker.ok("UserRequestGet", requestuuid=request) == {
        "request": {
            "requestuuid": request,
            "requesttype": verb,
            "token": token,
            "requeststatus": "open",
            "creationtime": clock.now() // 1000,
            **said,
        }
    }
    assert (await bunker.ok("UserGet", mode="token", identity=token))["profile"] == {"name": "Ada"}

    assert await bunker.ok("UserRequestApprove", requestuuid=request, reason="asked by phone") == {}

    found = await bunker.ok("UserGet", mode="token", identity=token)
    assert (found["profile"], found["version"]) == (after, 2)
    told = (await bunker.ok("UserRequestGet", requestuuid=request))["request"]
    assert (told["requeststatus"], told["reason"]) == ("approved", "asked by phone")
    for decision in ("UserRequestApprove", "UserRequestCancel"):
        await bunker.refused(409, CLOSED, decision, requestuuid=request)
    assert (await bunker.ok("UserGet", mode="token", identity=token))["version"] == 2


async def test_an_approved_deletion(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """The person is erased, and all requests about them."""
    token = await person()
    other, request = (
        await ask(bunker, token),
        await ask(bunker, token, "UserDeleteRequest", request_metadata={}),
    )
    await bunker.ok("UserRequestApprove", requestuuid=request)
    await bunker.refused(404, "The user record was not found", "UserGet", mode="token", identity=token)
    for gone in (request, other):
        assert (await bunker("UserRequestGet", requestuuid=gone))[0] == 404
        assert (await bunker("UserRequestApprove", requestuuid=gone))[0] == 404


async def test_a_cancelled_request_changes_nothing(
    bunker: Bunker, person: Callable[..., Awaitable[str]]
) -> None:
    """It is closed, for good."""
    token = await person(name="Ada")
    request = await ask(bunker, token)
    assert await bunker.ok("UserRequestCancel", requestuuid=request) == {}
    for decision in ("UserRequestApprove", "UserRequestCancel"):
        await bunker.refused(409, CLOSED, decision, requestuuid=request)
    assert await status(bunker, request) == "cancelled"
    assert (await bunker.ok("UserGet", mode="token", identity=token))["version"] == 1


async def test_what_cannot_be_done_stays_open(bunker: Bunker, person: Callable[..., Awaitable[str]]) -> None:
    """The approval is refused as the change would be, and may be given again when that is mended."""
    other = await person(email="ada@example.org")
    token = await person()
    request = await ask(bunker, token, profile={"email": "ada@example.org"})
    await bunker.refused(409, "Duplicate index: email", "UserRequestApprove", requestuuid=request)
    assert await status(bunker, request) == "open"
    await bunker.ok("UserDelete", mode="token", identity=other)
    await bunker.ok("UserRequestApprove", requestuuid=request)
    assert (await bunker.ok("UserGet", mode="email", identity="ada@example.org"))["token"] == token


async def test_an_interrupted_approval_may_be_given_again(
    bunker: Bunker, memory: Vault, person: Callable[..., Awaitable[str]], clock: FakeClock
) -> None:
    """While one is on its way another is refused, so nothing is done twice; after a minute it was interrupted."""

    async def interrupted(_: str, __: Json) -> None:
        raise KeyboardInterrupt  # as if the process had ended here

    token = await person(list=[])
    request = await ask(
        bunker, token, "UserPatchRequest", patch=[{"op": "add", "path": "/list/-", "value": 1}]
    )
    patch, memory.approvals.verbs["UserPatch"] = memory.approvals.verbs["UserPatch"], interrupted
    with pytest.raises(KeyboardInterrupt):
        await memory.approvals.approve(request)
    memory.approvals.verbs["UserPatch"] = patch

    await bunker.refused(409, CLOSED, "UserRequestApprove", requestuuid=request)
    clock.advance(INTERRUPTED / 1000)
    await bunker.ok("UserRequestApprove", requestuuid=request)
    assert (await bunker.ok("UserGet", mode="token", identity=token))["profile"] == {"list": [1]}


@pytest.mark.parametrize("method", ["UserUpdateRequest", "UserPatchRequest", "UserDeleteRequest"])
async def test_nothing_is_asked_of_nobody(bunker: Bunker, method: str) -> None:
    """A request is about somebody who is there."""
    said = {**ASKED[method][0]} if method in ASKED else {}
    for mode, identity in (("token", NOBODY), ("email", "nobody@example.org")):
        await bunker.refused(
            404, "The user record was not found", method, mode=mode, identity=identity, **said
        )


async def test_a_request_that_is_not_there(bunker: Bunker) -> None:
    """Malformed is told from unknown."""
    for method in ("UserRequestGet", "UserRequestApprove", "UserRequestCancel"):
        assert (await bunker(method, requestuuid=NOBODY))[0] == 404
        await bunker.refused(400, "Bad UUID", method, requestuuid="request")


async def test_requests_are_listed(
    bunker: Bunker, person: Callable[..., Awaitable[str]], clock: FakeClock
) -> None:
    """Those about a person, or about everybody with an unlock, page by page; not what they ask for."""
    ada, bea = await person(login="ada"), await person()
    requests = [await ask(bunker, ada) for _ in range(12)]
    last = await ask(bunker, bea, "UserDeleteRequest", request_metadata={})

    first = await bunker.ok("UserRequestListUserRequests", mode="login", identity="ada")
    assert (first["total"], [row["requestuuid"] for row in first["rows"]]) == (12, requests[:10])
    rest = await bunker.ok("UserRequestListUserRequests", mode="login", identity="ada", offset=10, limit=5)
    assert [row["requestuuid"] for row in rest["rows"]] == requests[10:]
    assert rest["rows"][0] == {
        "requestuuid": requests[10],
        "requesttype": "UserUpdate",
        "token": ada,
        "requeststatus": "open",
        "creationtime": clock.now() // 1000,
    }
    unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
    everybody = await bunker.ok("BulkListAllUserRequests", unlockuuid=unlock, offset=11, limit=100)
    assert (everybody["total"], [row["requestuuid"] for row in everybody["rows"]]) == (
        13,
        [requests[11], last],
    )
    message = "The unlockuuid value was not found or is not valid"
    await bunker.refused(403, message, "BulkListAllUserRequests", unlockuuid=NOBODY)


async def test_a_person_asks_about_themselves_alone(
    bunker: Bunker, person: Callable[..., Awaitable[str]]
) -> None:
    """They see and cancel their own requests, approve none, and learn nothing of others'."""
    ada, bea = await person(), await person()
    own = bunker.by((await bunker.ok("XTokenCreateForUser", mode="token", identity=ada))["xtoken"])
    hers, other = await ask(own, ada), await ask(bunker, bea)

    assert (await own.ok("UserRequestListUserRequests", mode="token", identity=ada))["total"] == 1
    assert await status(own, hers) == "open"
    assert (await own("UserRequestApprove", requestuuid=hers))[0] == 403
    unknown = await own("UserRequestGet", requestuuid=NOBODY)
    assert unknown[0] == 404
    assert await own("UserRequestGet", requestuuid=other) == unknown
    assert await own("UserRequestCancel", requestuuid=other) == unknown
    assert (await own("UserRequestListUserRequests", mode="token", identity=bea))[0] == 403
    await own.ok("UserRequestCancel", requestuuid=hers)
    assert [await status(bunker, one) for one in (hers, other)] == ["cancelled", "open"]


async def test_requests_are_recorded(
    bunker: Bunker, memory: Vault, person: Callable[..., Awaitable[str]]
) -> None:
    """Who asked, who looked at what is asked for, who decided, and how it ended; never what was asked for."""
    await person(email="ada@example.org")
    token = await person()
    request = await ask(bunker, token, profile={"email": "ada@example.org"})
    await status(bunker, request)
    await bunker("UserRequestApprove", requestuuid=request)
    await bunker.ok("UserRequestCancel", requestuuid=request)

    events = await memory.audit.events(Wanted(token), 1, 99)
    told = [(event.action, event.outcome) for event in events if event.action != "profile.created"]
    assert told == [
        ("request.held", "ok"),
        ("profile.revealed", "ok"),
        ("request.approved", "ok"),
        ("request.reopened", "duplicate"),
        ("request.cancelled", "ok"),
    ]
    details = [await memory.audit.details(event) for event in events if event.action.startswith("request.")]
    assert details == [{"request": request, "verb": "UserUpdate"}] * 4


async def test_requests_survive_in_files(kept: Bunker, vault: Vault) -> None:
    """In SQLite as in memory."""
    token = (await kept.ok("UserCreate", profile={"a": 1}))["token"]
    request = await ask(kept, token, profile={"a": 2})
    await kept.ok("UserRequestApprove", requestuuid=request)
    await kept.refused(409, CLOSED, "UserRequestApprove", requestuuid=request)
    assert (await kept.ok("UserGet", mode="token", identity=token))["profile"] == {"a": 2}
    request = await ask(kept, token, "UserDeleteRequest", request_metadata={})
    await kept.ok("UserRequestApprove", requestuuid=request)
    assert await vault.documents.count("request") == 0


async def test_so_many_may_be_open_and_no_more(bunker: Bunker) -> None:
    """One that is decided makes room for another."""
    token = (await bunker.ok("UserCreate", profile={"n": 0}))["token"]
    said = {"mode": "token", "identity": token, "profile": {"n": 1}}
    held = [(await bunker.ok("UserUpdateRequest", **said))["requestuuid"] for _ in range(MOST_OPEN)]
    assert (await bunker("UserUpdateRequest", **said))[0] == 409
    await bunker.ok("UserRequestCancel", requestuuid=held[0])
    await bunker.ok("UserRequestApprove", requestuuid=held[1])
    await bunker.ok("UserUpdateRequest", **said)
