import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault import wiring
from vault.config import Config
from vault.http.app import make_app
from vault.installation import Vault
from vault.ports import Wanted

Person = Callable[..., Awaitable[str]]

ANN = {"mode": "login", "identity": "ann"}
SHIPPING: Json = {**ANN, "appname": "shipping"}
ADDRESS = {"street": "Main 1", "zip": "0150"}
NONE = "There is no such app data."


@pytest.fixture
async def ann(person: Person) -> str:
    """A person with app data of two applications."""
    return await person(login="ann")


async def data_of(bunker: Bunker, **said: Any) -> Any:
    """Return app data as it is now."""
    return (await bunker.ok("AppdataGet", **{**SHIPPING, **said}))["appdata"]


async def test_app_data_is_kept_beside_the_profile(bunker: Bunker, ann: str) -> None:
    """As it was stored, by application; the profile knows nothing of it."""
    assert await bunker.ok("AppdataCreate", **SHIPPING, appdata=ADDRESS) == {}
    await bunker.ok("AppdataCreate", **ANN, appname="ship", appdata={"n": [1, None, {"x": 0.5}]})

    assert await bunker.ok("AppdataGet", **SHIPPING) == {"appdata": ADDRESS, "version": 1}
    assert await data_of(bunker, mode="token", identity=ann, appname="ship") == {"n": [1, None, {"x": 0.5}]}
    assert await bunker.ok("AppdataListUserAppNames", **ANN) == {"apps": ["shipping", "ship"]}
    assert (await bunker.ok("UserGet", **ANN))["profile"] == {"login": "ann"}


async def test_an_update_merges(bunker: Bunker, ann: str) -> None:
    """Members are put in, and those that are null taken out (RFC 7396)."""
    await bunker.ok("AppdataCreate", **SHIPPING, appdata={**ADDRESS, "at": {"door": 1, "floor": 2}})
    assert await bunker.ok("AppdataUpdate", **SHIPPING, appdata={"zip": "0151", "at": {"floor": None}}) == {}
    assert await data_of(bunker) == {"street": "Main 1", "zip": "0151", "at": {"door": 1}}


async def test_app_data_is_created_once(bunker: Bunker, ann: str, person: Person) -> None:
    """A second is refused and changes nothing; another person has their own."""
    await person(login="bea")
    await bunker.ok("AppdataCreate", **SHIPPING, appdata=ADDRESS)
    message = "This person has app data of this name already."
    await bunker.refused(409, message, "AppdataCreate", **SHIPPING, appdata={})
    assert await data_of(bunker) == ADDRESS
    await bunker.ok("AppdataCreate", mode="login", identity="bea", appname="shipping", appdata={})


LEAST: dict[str, Json] = {
    "AppdataGet": {},
    "AppdataUpdate": {"appdata": {}},
    "AppdataUpdateRequest": {"appdata": {}},
    "AppdataDelete": {},
    "AppdataListVersions": {},
}


@pytest.mark.parametrize("method", LEAST)
async def test_what_is_not_there(
    method: str, bunker: Bunker, person: Person, ann: str, memory: Vault
) -> None:
    """An application without data, a name that is but the head of another's, a former life: 404, and no event."""
    await person(login="bea")
    await bunker.ok("AppdataCreate", mode="login", identity="bea", appname="shipping", appdata=ADDRESS)
    await bunker.ok("AppdataCreate", **ANN, appname="shipping_two", appdata=ADDRESS)
    before = await memory.audit.count(Wanted(action="appdata.revealed"))
    for app in ("shipping", "shipping_tw"):
        message = "There is no such record." if method == "AppdataUpdateRequest" else NONE
        await bunker.refused(404, message, method, **{**SHIPPING, "appname": app, **LEAST[method]})
    assert await memory.audit.count(Wanted(action="appdata.revealed")) == before


@pytest.mark.parametrize("method", ["AppdataCreate", "AppdataListUserAppNames", *LEAST])
async def test_nobody_has_app_data(method: str, bunker: Bunker, ann: str, clock: FakeClock) -> None:
    """Who is unknown, and who has ended and was not swept yet, are answered alike."""
    brief = await bunker.ok("UserCreate", profile={"login": "brief"}, finaltime="1s")
    said = {"appname": "shipping", "appdata": {}}
    await bunker.ok("AppdataCreate", mode="token", identity=brief["token"], **said)
    clock.advance(1)
    for token in (brief["token"], str(uuid4())):
        message = "The user record was not found"
        await bunker.refused(404, message, method, mode="token", identity=token, **said)


@pytest.mark.parametrize("method", ["AppdataCreate", *LEAST])
async def test_the_name_of_an_application(method: str, bunker: Bunker, ann: str) -> None:
    """Lower-case letters, digits and underscores; nothing that another path could be made of."""
    for name in ("a", "A1", "1a", "a-b", "a/b", "a b", "é1", "ab\n", "a" * 32, "", 12):
        said = {**ANN, "appname": name, "appdata": {}}
        await bunker.refused(400, "The appname parameter has an incorrect format", method, **said)


async def test_names_are_listed(bunker: Bunker, ann: str, person: Person) -> None:
    """A person's as long as there is data; those of all once and for ever, since they are the programs'."""
    await person(login="bea")
    assert await bunker.ok("AppdataListAppNames") == {"apps": []}
    for login, app in (("ann", "shipping"), ("bea", "shipping"), ("bea", "a" * 31)):
        await bunker.ok("AppdataCreate", mode="login", identity=login, appname=app, appdata={})
    await bunker.ok("AppdataDelete", **SHIPPING)
    await bunker.ok("AppdataDelete", mode="login", identity="bea", appname="a" * 31)

    assert await bunker.ok("AppdataListUserAppNames", **ANN) == {"apps": []}
    assert await bunker.ok("AppdataListUserAppNames", mode="login", identity="bea") == {"apps": ["shipping"]}
    assert await bunker.ok("AppdataListAppNames") == {"apps": ["a" * 31, "shipping"]}


# --- versions ------------------------------------------------------------------------------------------------


async def test_former_versions_are_kept(bunker: Bunker, ann: str, clock: FakeClock) -> None:
    """Each with its time and a digest of its content, and each can be opened; versions start at 1."""
    start, contents = clock.now() // 1000, [{"n": 1}, {"n": 2}, {"n": 3}]
    await bunker.ok("AppdataCreate", **SHIPPING, appdata=contents[0])
    for content in contents[1:]:
        clock.advance(60)
        await bunker.ok("AppdataUpdate", **SHIPPING, appdata=content)

    assert await bunker.ok("AppdataListVersions", **SHIPPING) == {
        "versions": [
            {
                "version": number,
                "optime": start + 60 * (number - 1),
                "md5": hashlib.md5(json.dumps(content, separators=(",", ":")).encode()).hexdigest(),  # noqa: S324
            }
            for number, content in enumerate(contents, 1)
        ]
    }
    for number, content in enumerate(contents, 1):
        said = await bunker.ok("AppdataGet", **SHIPPING, version=number)
        assert said == {"appdata": content, "version": number}
    await bunker.refused(404, NONE, "AppdataGet", **SHIPPING, version=4)


@asynccontextmanager
async def _keeping(most: int, config: Config, clock: FakeClock) -> AsyncIterator[Bunker]:
    settings = replace(
        config,
        storage=replace(config.storage, url="memory:"),
        databunker=replace(config.databunker, versions=most),
        limits=replace(config.limits, profile_body=1024),
    )
    async with (
        wiring.open_vault(settings, None, clock=clock) as vault,
        TestClient(TestServer(make_app(vault))) as http,
    ):
        bunker = Bunker(http, await wiring.first_access_key(vault))
        await bunker.ok("UserCreate", profile={"login": "ann"})
        await bunker.ok("AppdataCreate", **SHIPPING, appdata={"n": 1})
        yield bunker


@pytest.fixture
def keeping(config: Config, clock: FakeClock) -> Callable[[int], AbstractAsyncContextManager[Bunker]]:
    """A vault that keeps so many former versions, of a kilobyte at most, and Ann's app data."""
    return lambda most: _keeping(most, config, clock)


@pytest.mark.parametrize("most", [0, 1, 2])
async def test_as_many_versions_are_kept_as_the_settings_say(
    most: int, keeping: Callable[[int], AbstractAsyncContextManager[Bunker]]
) -> None:
    """The newest of them."""
    async with keeping(most) as bunker:
        for number in range(2, 6):
            await bunker.ok("AppdataUpdate", **SHIPPING, appdata={"n": number})
        versions = (await bunker.ok("AppdataListVersions", **SHIPPING))["versions"]
        assert [one["version"] for one in versions] == list(range(5 - most, 6))
        await bunker.refused(404, NONE, "AppdataGet", **SHIPPING, version=4 - most)


async def test_app_data_has_a_size(keeping: Callable[[int], AbstractAsyncContextManager[Bunker]]) -> None:
    """However it grew; then nothing is changed."""
    async with keeping(2) as bunker:
        await bunker.ok("AppdataUpdate", **SHIPPING, appdata={"a": "x" * 600})
        message = "The appdata parameter has an incorrect format: must be at most 1024 bytes of JSON"
        await bunker.refused(400, message, "AppdataUpdate", **SHIPPING, appdata={"b": "x" * 600})
        assert (await bunker.ok("AppdataGet", **SHIPPING))["version"] == 2


async def test_deleting_takes_all_versions(bunker: Bunker, ann: str, memory: Vault) -> None:
    """Of this application alone; a new life begins at 1 and knows nothing of the one before."""
    await bunker.ok("AppdataCreate", **ANN, appname="shipping_two", appdata={})
    await bunker.ok("AppdataUpdate", **ANN, appname="shipping_two", appdata={"x": 1})
    for _ in range(2):
        await bunker.ok("AppdataCreate", **SHIPPING, appdata={"n": 1})
        await bunker.ok("AppdataUpdate", **SHIPPING, appdata={"n": 2})
        assert await memory.documents.count("appversion") == 2
        await bunker.ok("AppdataDelete", **SHIPPING)
        assert await memory.documents.count("appversion") == 1
    assert await bunker.ok("AppdataListUserAppNames", **ANN) == {"apps": ["shipping_two"]}


async def test_changes_at_once_are_one_after_the_other(kept: Bunker) -> None:
    """On disk: none is lost, and each leaves what it found as a version."""
    await kept.ok("UserCreate", profile={"login": "ann"})
    await kept.ok("AppdataCreate", **SHIPPING, appdata={})
    await asyncio.gather(
        *(kept.ok("AppdataUpdate", **SHIPPING, appdata={f"k{number}": number}) for number in range(8))
    )
    assert await kept.ok("AppdataGet", **SHIPPING) == {
        "appdata": {f"k{number}": number for number in range(8)}, "version": 9,
    }  # fmt: skip
    sizes = [len(await data_of(kept, version=number)) for number in range(1, 10)]
    assert sizes == list(range(9))


async def test_app_data_ends_with_the_person(kept: Bunker, vault: Vault) -> None:
    """On disk: all of it, with the former versions and what waits to be approved."""
    token = (await kept.ok("UserCreate", profile={"login": "ann"}))["token"]
    await kept.ok("AppdataCreate", **SHIPPING, appdata=ADDRESS)
    await kept.ok("AppdataUpdate", **SHIPPING, appdata={"zip": "1"})
    await kept.ok("AppdataUpdateRequest", **SHIPPING, appdata={"zip": "2"})
    assert len(await vault.documents.of_person(token)) == 3
    await kept.ok("UserDelete", **ANN)
    assert await vault.documents.of_person(token) == []
    assert await vault.documents.count("app") == 0


# --- who, and what is told of it -----------------------------------------------------------------------------


async def test_what_is_done_is_recorded(bunker: Bunker, ann: str, memory: Vault) -> None:
    """Each act and each opening, by name and version and never by content; the person sees the openings."""
    await bunker.ok("AppdataCreate", **SHIPPING, appdata=ADDRESS)
    await bunker.ok("AppdataUpdate", **SHIPPING, appdata={"zip": "4711"})
    await bunker.ok("AppdataGet", **SHIPPING)
    await bunker.ok("AppdataListVersions", **SHIPPING)
    await bunker.ok("AppdataDelete", **SHIPPING)

    events = [one for one in await memory.audit.events(Wanted(ann), 0, 99) if "appdata" in one.action]
    app = {"appname": "shipping"}
    assert [(one.action, await memory.audit.details(one)) for one in events] == [
        ("appdata.created", app),
        ("appdata.changed", app),
        ("appdata.revealed", {**app, "version": 2}),
        ("appdata.revealed", {**app, "version": 1}),
        ("appdata.revealed", {**app, "version": 2}),
        ("appdata.deleted", app),
    ]
    assert {one.revealed_version for one in events if one.action == "appdata.revealed"} == {1}
    assert [one.action for one in await memory.audit.openings(ann, {})] == ["appdata.revealed"] * 3


async def test_a_decoys_app_data_rings(bunker: Bunker, ann: str, memory: Vault) -> None:
    """Whoever opens it has opened the decoy."""
    await bunker.ok("AppdataCreate", **SHIPPING, appdata=ADDRESS)
    await memory.alarms.plant(ann, suspends=False)
    for count, method in enumerate(("AppdataGet", "AppdataListVersions"), 1):
        await bunker.ok(method, mode="token", identity=ann, appname="shipping")
        assert await memory.audit.count(Wanted(action="alarm.honey_token")) == count


async def test_a_person_may_read_and_ask(bunker: Bunker, ann: str, person: Person) -> None:
    """With a token of their own: of nobody else, and without a change; a delete and a create would be one."""
    await person(login="bea")
    for login in ("ann", "bea"):
        await bunker.ok(
            "AppdataCreate", mode="login", identity=login, appname="shipping", appdata={"of": login}
        )
    own = bunker.by((await bunker.ok("XTokenCreateForUser", **ANN))["xtoken"])

    assert await data_of(own) == {"of": "ann"}
    assert await own.ok("AppdataListUserAppNames", **ANN) == {"apps": ["shipping"]}
    assert len((await own.ok("AppdataListVersions", **SHIPPING))["versions"]) == 1
    assert await own.ok("AppdataUpdateRequest", **SHIPPING, appdata={"of": "x"})
    for method in ("AppdataCreate", "AppdataUpdate", "AppdataDelete", "AppdataListAppNames"):
        await own.refused(403, "API access denied", method, **SHIPPING, appdata={})
    for method, said in LEAST.items():
        status, _ = await own(method, **{**SHIPPING, "identity": "bea", **said})
        assert status == 403
    assert await data_of(bunker) == {"of": "ann"}


async def test_a_change_may_be_asked_for(bunker: Bunker, ann: str) -> None:
    """It is merged when it is approved, and not before."""
    await bunker.ok("AppdataCreate", **SHIPPING, appdata=ADDRESS)
    said = await bunker.ok("AppdataUpdateRequest", **SHIPPING, appdata={"zip": "4711"})
    assert await data_of(bunker) == ADDRESS
    await bunker.ok("UserRequestApprove", requestuuid=said["requestuuid"])
    assert await bunker.ok("AppdataGet", **SHIPPING) == {"appdata": {**ADDRESS, "zip": "4711"}, "version": 2}
