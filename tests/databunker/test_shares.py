import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault.installation import Vault
from vault.ports import Wanted

Person = Callable[..., Awaitable[str]]

ANN = {"login": "ann", "email": "ann@example.org", "name": "Ann", "address": {"city": "Oslo", "zip": "0150"}}
GONE = "There is no such record."


@pytest.fixture
def stranger(bunker: Bunker) -> Bunker:
    """Somebody without a token."""
    return bunker.by("")


async def share(bunker: Bunker, **said: Any) -> str:
    """Share something of Ann's."""
    record = (await bunker.ok("SharedRecordCreate", mode="login", identity="ann", **said))["recorduuid"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", record)
    return str(record)


async def shown(bunker: Bunker, record: str) -> Any:
    """Return what a share shows."""
    return (await bunker.ok("SharedRecordGet", recorduuid=record))["data"]


FIELDS: dict[str, tuple[Json, Json]] = {
    "those that are listed": (
        {"fields": "name, address.city,shoe"},
        {"name": "Ann", "address": {"city": "Oslo"}},
    ),
    "all where none is listed": ({}, ANN),
    "all for an empty list": ({"fields": ""}, ANN),
    "nothing that is not there": ({"fields": "shoe,name.first"}, {}),
}


@pytest.mark.parametrize(("said", "seen"), FIELDS.values(), ids=FIELDS)
async def test_a_share_shows_fields(
    said: Json, seen: Json, bunker: Bunker, stranger: Bunker, person: Person
) -> None:
    """To whoever has its id, however that is written, and to nobody else."""
    await person(**ANN)
    record = await share(bunker, partner="courier", **said)
    assert await shown(stranger, record) == seen
    assert await shown(stranger, record.upper()) == seen
    assert await shown(bunker.by("no token"), record) == seen


async def test_a_share_shows_what_is_there_by_then(bunker: Bunker, stranger: Bunker, person: Person) -> None:
    """It holds no values of its own."""
    await person(**ANN)
    record = await share(bunker, fields="name")
    await bunker.ok("UserUpdate", mode="login", identity="ann", profile={"name": "Anna"})
    assert await shown(stranger, record) == {"name": "Anna"}


LIVES = {
    "a day unless it is said": ({}, 86_400),
    "minutes, and not months": ({"finaltime": "30m"}, 1800),
    "as long as it is said": ({"finaltime": "2h"}, 7200),
    "a month at most": ({"finaltime": "1y"}, 30 * 86_400),
}


@pytest.mark.parametrize(("said", "seconds"), LIVES.values(), ids=LIVES)
async def test_a_share_ends(
    said: Json, seconds: int, bunker: Bunker, stranger: Bunker, person: Person, clock: FakeClock
) -> None:
    """At the very moment of its end."""
    await person(**ANN)
    record = await share(bunker, fields="name", **said)
    clock.advance(seconds - 0.001)
    assert await shown(stranger, record) == {"name": "Ann"}
    clock.advance(0.001)
    await stranger.refused(404, GONE, "SharedRecordGet", recorduuid=record)


async def test_what_is_gone_is_answered_as_what_never_was(
    bunker: Bunker, stranger: Bunker, person: Person, clock: FakeClock, memory: Vault
) -> None:
    """An unknown id, no id, one that is over, of somebody erased, of somebody who has ended: nothing is opened."""
    await person(**ANN)
    over, erased = await share(bunker, finaltime="1s"), await share(bunker)
    brief = await bunker.ok("UserCreate", profile={"login": "brief"}, finaltime="1s")
    [ended] = (
        await bunker.ok("SharedRecordCreate", mode="token", identity=brief["token"], finaltime="1h")
    ).values()
    clock.advance(1)
    await bunker.ok("UserDelete", mode="login", identity="ann")
    before = await memory.audit.count(Wanted())

    for record in (over, erased, ended, str(uuid4()), "x", "1", over + "\n"):
        await stranger.refused(404, GONE, "SharedRecordGet", recorduuid=record)

    assert await memory.audit.count(Wanted()) == before
    assert await memory.documents.count("share") == 1  # of the one who has ended, whom no sweep has met


async def test_an_opening_is_recorded(
    bunker: Bunker, stranger: Bunker, person: Person, memory: Vault
) -> None:
    """As the public's, with the fields that were shown; and that there is a share. No event holds its id."""
    token = await person(**ANN)
    record = await share(bunker, fields="name,email", partner="courier")
    await shown(stranger, record)

    [made] = await memory.audit.events(Wanted(action="share.created"), 0, 9)
    assert (made.user_token, await memory.audit.details(made)) == (
        token,
        {"fields": ["name", "email"], "partner": "courier"},
    )
    [opened] = await memory.audit.events(Wanted(token, action="profile.revealed"), 0, 9)
    assert (opened.actor, opened.purpose) == ("public", "shared record")
    assert await memory.audit.details(opened) == {"fields": ["name", "email"]}
    for event in await memory.audit.events(Wanted(), 0, 99):
        assert record not in repr((event, await memory.audit.details(event)))


async def test_a_share_is_opened_so_often_a_minute(
    bunker: Bunker, stranger: Bunker, person: Person, clock: FakeClock
) -> None:
    """Each opening is an event, and the trail is not for strangers to fill; another share has its own minute."""
    await person(**ANN)
    record, other = await share(bunker), await share(bunker)
    for _ in range(60):
        await shown(stranger, record)
    message = "This record is opened too often; try again after Retry-After."
    await stranger.refused(429, message, "SharedRecordGet", recorduuid=record)
    await shown(stranger, other)
    clock.advance(1)
    await shown(stranger, record)


async def test_app_data_is_shared(bunker: Bunker, stranger: Bunker, person: Person, memory: Vault) -> None:
    """Fields of it instead of the profile's; without it there is nothing to share, nor to show."""
    token = await person(**ANN)
    ann = {"mode": "login", "identity": "ann", "appname": "shipping"}
    await bunker.refused(404, GONE, "SharedRecordCreate", **ann)
    await bunker.ok("AppdataCreate", **ann, appdata={"name": "A. Nn", "street": "Main 1"})
    some, whole = (
        await share(bunker, appname="shipping", fields="street"),
        await share(bunker, appname="shipping"),
    )

    assert await shown(stranger, some) == {"street": "Main 1"}
    assert await shown(stranger, whole) == {"name": "A. Nn", "street": "Main 1"}
    events = await memory.audit.events(Wanted(token, action="appdata.revealed"), 0, 9)
    assert [(one.actor, await memory.audit.details(one)) for one in events] == [
        ("public", {"appname": "shipping", "version": 1, "fields": ["street"]}),
        ("public", {"appname": "shipping", "version": 1}),
    ]
    await bunker.ok("AppdataDelete", **ann)
    await stranger.refused(404, GONE, "SharedRecordGet", recorduuid=some)


async def test_a_share_is_its_tenants(bunker: Bunker, stranger: Bunker, person: Person) -> None:
    """Who asks elsewhere is told what anybody is who asks for nothing."""
    await person(**ANN)
    await bunker.ok("TenantCreate", tenantname="acme")
    acme = bunker.by(bunker.token, "acme")
    await acme.ok("UserCreate", profile={**ANN, "name": "Acme's Ann"})
    ours, theirs = await share(bunker, fields="name"), await share(acme, fields="name")

    assert await shown(stranger, ours) == {"name": "Ann"}
    assert await shown(bunker.by("", "acme"), theirs) == {"name": "Acme's Ann"}
    await stranger.refused(404, GONE, "SharedRecordGet", recorduuid=theirs)
    await bunker.by("", "acme").refused(404, GONE, "SharedRecordGet", recorduuid=ours)


async def test_who_may_not_open_app_data_may_not_share_it(bunker: Bunker, person: Person) -> None:
    """Though they may share profiles; whoever may do both may."""
    await person(**ANN)
    ann = {"mode": "login", "identity": "ann", "appname": "shipping"}
    await bunker.ok("AppdataCreate", **ann, appdata={"street": "Main 1"})
    await bunker.ok("RoleCreate", rolename="clerk")
    policy: Json = {"Effect": "Allow", "Action": ["SharedRecordCreate"], "Resource": ["*"]}
    await bunker.ok("PolicyCreate", policyname="share", policy=policy)
    await bunker.ok("RoleLinkPolicy", rolename="clerk", policyname="share")
    clerk = bunker.by((await bunker.ok("XTokenCreateForRole", rolename="clerk"))["xtoken"])

    await share(clerk)
    await clerk.refused(403, "API access denied", "SharedRecordCreate", **ann)
    policy["Action"] = ["SharedRecordCreate", "AppdataGet"]
    await bunker.ok("PolicyUpdate", policyname="share", policy=policy)
    await share(clerk, appname="shipping")


WRONG: dict[str, tuple[int, str, Json]] = {
    "nobody": (404, "The user record was not found", {"identity": "nobody"}),
    "no field between commas": (400, "The fields parameter has an incorrect format", {"fields": "name,,x"}),
    "no list but text": (400, "The fields parameter has an incorrect format", {"fields": ["name"]}),
    "no name of an application": (400, "The appname parameter has an incorrect format", {"appname": "a/b"}),
    "no time": (400, "The finaltime parameter has an incorrect format", {"finaltime": "soon"}),
    "a partner that is a novel": (
        400,
        "The partner parameter has an incorrect format",
        {"partner": "x" * 257},
    ),
}


@pytest.mark.parametrize(("status", "message", "said"), WRONG.values(), ids=WRONG)
async def test_what_cannot_be_shared(
    status: int, message: str, said: Json, bunker: Bunker, person: Person, memory: Vault
) -> None:
    """It is told, and nothing is kept."""
    await person(**ANN)
    await bunker.refused(
        status, message, "SharedRecordCreate", **{"mode": "login", "identity": "ann", **said}
    )
    assert await memory.documents.count("share") == 0


async def test_an_unknown_token_is_nobodys(bunker: Bunker) -> None:
    """Nothing is shared of nobody."""
    message = "The user record was not found"
    await bunker.refused(404, message, "SharedRecordCreate", mode="token", identity=str(uuid4()))
    await bunker.refused(400, "Missing API request parameters: recorduuid", "SharedRecordGet")


async def test_people_share_nothing_themselves(bunker: Bunker, person: Person) -> None:
    """A token of ten minutes must not make one of thirty days."""
    await person(**ANN)
    own = await bunker.ok("XTokenCreateForUser", mode="login", identity="ann")
    ann = bunker.by(own["xtoken"])
    await ann.refused(403, "API access denied", "SharedRecordCreate", mode="login", identity="ann")
    assert await shown(ann, await share(bunker, fields="name")) == {"name": "Ann"}


async def test_no_file_holds_the_id_of_a_share(kept: Bunker, data: Path) -> None:
    """What is kept of a bearer secret is its digest; fields and partner are sealed."""
    await kept.ok("UserCreate", profile=ANN)
    record = await share(kept, fields="shoesize", partner="courier-4711")
    held = _on_disk(data)
    assert b"share/" in held
    for secret in (record, "shoesize", "courier-4711"):
        assert secret.encode() not in held


def _on_disk(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
