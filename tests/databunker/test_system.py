import asyncio
import base64
import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault import values, wiring
from vault.crypto.keyring_file import KeyringFile
from vault.crypto.keyring_text import MOST_SLOTS
from vault.documents import NewDocument
from vault.errors import SwitchedOff
from vault.installation import Vault
from vault.ports import Wanted
from vault.sessions import Wanted as NewSession
from vault.tenant_folder import locked
from vault.unlock import changing, open_unlock, recovery

Person = Callable[..., Awaitable[str]]


# --- numbers -------------------------------------------------------------------------------------------------


async def test_what_there_is_is_counted(
    memory: Vault, bunker: Bunker, person: Person, clock: FakeClock
) -> None:
    """As of now and not as of the last round: people, tokens, and the sessions that live."""

    async def stats() -> Json:
        said = (await bunker.ok("SystemGetSystemStats"))["stats"]
        assert isinstance(said, dict)
        return said

    assert await stats() == {"numusers": 0, "numtenants": 1, "numtokens": 0, "numsessions": 0}
    await memory.documents.add_all([NewDocument(values.KIND, "a", {}), NewDocument("xtoken", "b", {})])
    for name in ("ann", "bea"):
        token = await person(login=name)
        await memory.sessions.open(NewSession(token, {}, 600, 60))
    assert await stats() == {"numusers": 2, "numtenants": 1, "numtokens": 1, "numsessions": 2}
    clock.advance(60)
    assert (await stats())["numsessions"] == 0


async def test_the_sdk_can_read_the_metrics(bunker: Bunker, person: Person) -> None:
    """As it parses them: a name, labels, and a plain number; every number of the vault's own is there."""
    await person(login="ann")
    async with bunker.http.get("/metrics") as response:
        assert response.status == 200
        lines = [line for line in (await response.text()).split("\n") if line and not line.startswith("#")]

    parsed = [re.match(r"^([a-zA-Z0-9_]+)(?:{([^}]+)})?\s+([0-9.]+)$", line) for line in lines]
    told = {match[1] for match in parsed if match}
    assert {"vault_requests_total", "vault_live_sessions", "vault_alarms_total"} <= told


# --- reports -------------------------------------------------------------------------------------------------

NASTY: dict[str, Any] = {
    "login": "ann",
    "name": '<script>alert("x")</script>',
    'key "><img src=x onerror=alert(1)>': "it's & co.",
    "address": {"city": "Köln", "lines": ["a", {"<b>": 1}]},
    "empty": {},
    "none": None,
    "is": True,
    "$token": "${now}",
}


async def a_full_life(vault: Vault, person: Person) -> str:
    """Keep somebody about whom something of everything is held."""
    token = await person(**NASTY)
    await vault.sessions.open(NewSession(token, {"role": "editor"}, 600, 60))
    await vault.documents.add_all(
        [
            NewDocument("appdata", f"{token}/shop", {"version": 1, "data": {"size": "<XL>"}}, token),
            NewDocument("secret", f"{token}/1", {"digest": "not to be shown"}, token),
        ]
    )
    return token


async def test_a_report_tells_all_that_is_held(
    memory: Vault, bunker: Bunker, person: Person, clock: FakeClock
) -> None:
    """Profile, sessions, records and who opened it; that it was asked for is in the trail, and in the report."""
    token, now = await a_full_life(memory, person), clock.time // 1000

    report = (await bunker.ok("SystemGetUserReport", mode="login", identity="ann"))["report"]

    opening = report["openings"].pop()
    assert report == {
        "token": token,
        "profile": NASTY,
        "version": 1,
        "createdtime": now,
        "updatedtime": now,
        "finaltime": None,
        "sessions": [
            {"createdtime": now, "lasttime": now, "finaltime": now + 600, "sessiondata": {"role": "editor"}}
        ],
        "records": [
            {
                "type": "appdata",
                "name": "shop",
                "createdtime": now,
                "updatedtime": now,
                "finaltime": None,
                "data": {"version": 1, "data": {"size": "<XL>"}},
            },
            {"type": "secret", "createdtime": now, "updatedtime": now, "finaltime": None},
        ],
        "openings": [],
    }
    assert (opening["eventtype"], opening["timestamp"]) == ("profile.exported", now)
    assert len(await memory.audit.events(Wanted(token, action="profile.exported"), 0, 9)) == 1


async def test_a_page_tells_the_same_to_people(memory: Vault, bunker: Bunker, person: Person) -> None:
    """Every name and value is on it, as text and nothing else; it needs nothing from anywhere."""
    token = await a_full_life(memory, person)

    page = (await bunker.ok("SystemGetUserHTMLReport", mode="token", identity=token))["html"]

    tags = set(re.findall(r"<(/?[a-z0-9!]+)", page.lower()))
    allowed = ["!doctype", "html", "head", "meta", "title", "style", "body"]
    allowed += ["h1", "h2", "p", "code", "table", "tr", "th", "td"]
    assert tags <= {f"{end}{name}" for end in ("", "/") for name in allowed}
    assert not re.search(r"<[^>]*(src|href|onerror|url\()", page)
    text = html.unescape(re.sub(r"<[^>]*>", " ", page))
    for told in (
        token, '<script>alert("x")</script>', 'key "><img src=x onerror=alert(1)>', "it's & co.", "address.city",
        "Köln", "address.lines.1.<b>", "true", "${now}", "editor", "<XL>", "profile.exported", "appdata", "secret",
        "2027-01-15 08:00:00 UTC",
    ):  # fmt: skip
        assert told in text, told
    assert "not to be shown" not in page


async def test_a_person_may_have_its_own_report_alone(memory: Vault, bunker: Bunker, person: Person) -> None:
    """With its own token."""
    ann, bea = await person(login="ann"), await person(login="bea")
    own = bunker.by(await memory.grants.issue("user", user_token=ann))

    for method in ("SystemGetUserReport", "SystemGetUserHTMLReport"):
        assert ann in str(await own.ok(method, mode="token", identity=ann))
        await own.refused(403, "API access denied", method, mode="token", identity=bea)


async def test_who_is_shown_a_part_gets_a_report_of_that_part(
    memory: Vault, bunker: Bunker, person: Person
) -> None:
    """The profile as its policy shows it, and of all else that it is there, without what is in it."""
    token = await a_full_life(memory, person)
    policy = {
        "Effect": "Allow",
        "Action": "System*",
        "Resource": ["users.profile.login", "users.profile.address.city"],
    }
    await bunker.ok("RoleCreate", rolename="clerk")
    await bunker.ok("PolicyCreate", policyname="part", policy=policy)
    await bunker.ok("RoleLinkPolicy", rolename="clerk", policyname="part")
    clerk = bunker.by((await bunker.ok("XTokenCreateForRole", rolename="clerk"))["xtoken"])

    report = (await clerk.ok("SystemGetUserReport", mode="token", identity=token))["report"]
    page = (await clerk.ok("SystemGetUserHTMLReport", mode="token", identity=token))["html"]

    assert report["profile"]["login"] == "ann"
    assert report["profile"]["name"] == "***"
    assert report["profile"]["address"] == {"city": "Köln"}
    assert [record["type"] for record in report["records"]] == ["appdata", "secret"]
    for hidden in ("XL", "editor", "script"):
        assert hidden not in str(report)
        assert hidden not in page


async def test_there_is_no_report_about_nobody(bunker: Bunker) -> None:
    """A person who is not there is told as in every method."""
    for method in ("SystemGetUserReport", "SystemGetUserHTMLReport"):
        await bunker.refused(404, "The user record was not found", method, mode="login", identity="nobody")


# --- the key that unlocks --------------------------------------------------------------------------------


def said_of(shares: tuple[str, ...]) -> dict[str, str]:
    """Return shares as parameters."""
    return dict(zip(("key1", "key2", "key3"), shares, strict=True))


@pytest.fixture
def shares(vault: Vault, data: Path) -> list[str]:
    """Five shares of what unlocks the keyring."""
    config = vault.config.keyring
    return list(recovery.make(data / config.file, config.unlock, data).texts)


async def test_three_shares_make_another_key(
    kept: Bunker, vault: Vault, shares: list[str], data: Path
) -> None:
    """It unlocks the keyring beside the one before, the vault serves on, and only the trail tells of it."""
    made = (await kept.ok("SystemGenerateWrappingKey", **said_of(tuple(shares[1:4]))))["wrappingkey"]

    assert len(base64.b64decode(made, validate=True)) == 32
    (data / "other.key").write_text(made)
    (data / "other.key").chmod(0o600)
    path = data / vault.config.keyring.file
    for source in ("file:other.key", vault.config.keyring.unlock):
        assert KeyringFile(path, open_unlock(source, data)).read().active("data").version == 1
    assert (await kept("UserCreate", profile={"login": "ann"}))[0] == 200
    [event] = await vault.audit.events(Wanted(action="keyring.rewrapped"), 0, 9)
    assert event.outcome == "ok"
    assert made not in str(await vault.audit.presented(event))
    async with wiring.open_vault(vault.config, data) as again:  # with its settings as they are
        assert await again.profiles.lookup("login", "ann")


@pytest.fixture
async def tenants(vault: Vault, data: Path) -> list[Path]:
    """The keyrings of two tenants that are being served."""
    assert vault.tenants is not None
    return [
        data / "tenants" / str((await vault.tenants.create(name))[0].id) / "keyring.json"
        for name in ("acme", "apex")
    ]


async def test_the_key_unlocks_all_tenants_too(
    kept: Bunker, vault: Vault, tenants: list[Path], shares: list[str], data: Path
) -> None:
    """Whoever sets ``keyring.unlock`` to it, and drops what unlocked them before, locks nobody out."""
    made = (await kept.ok("SystemGenerateWrappingKey", **said_of(tuple(shares[:3]))))["wrappingkey"]

    for name in ("acme", "apex"):
        assert (await kept.by(kept.token, name)("UserCreate", profile={"login": "ann"}))[0] == 200
    (data / "other.key").write_text(made)
    (data / "other.key").chmod(0o600)
    source = "file:other.key"
    changing.keep_only(data / "keyring.json", source, source, data, beside=tenants)
    settings = replace(vault.config, keyring=replace(vault.config.keyring, unlock=source))
    async with wiring.open_vault(settings, data) as again:
        assert again.tenants is not None
        for name in ("acme", "apex"):
            assert await (await again.tenants.of(name)).profiles.lookup("login", "ann")


async def test_a_tenant_whose_keyring_does_not_open_holds_up_the_key(
    kept: Bunker, vault: Vault, tenants: list[Path], shares: list[str], data: Path
) -> None:
    """A key that would lock it out is not made: no keyring is changed, and the trail tells of the try."""
    changing.add(tenants[1], vault.config.keyring.unlock, "file:other.key", data)
    changing.keep_only(tenants[1], "file:other.key", "file:other.key", data)
    paths = [data / "keyring.json", *tenants]
    before = [path.read_bytes() for path in paths]

    await kept.refused(500, "Internal error", "SystemGenerateWrappingKey", **said_of(tuple(shares[:3])))

    assert [path.read_bytes() for path in paths] == before
    [event] = await vault.audit.events(Wanted(action="keyring.rewrapped"), 0, 9)
    assert event.outcome == "keyring_error"


async def test_no_tenant_is_made_or_ended_meanwhile(
    kept: Bunker, vault: Vault, tenants: list[Path], shares: list[str], data: Path
) -> None:
    """The key waits for whoever does so, in any process, since a tenant that is being made would be left out."""
    before = tenants[0].read_bytes()
    with locked(data) as is_mine:
        assert is_mine
        call = asyncio.create_task(kept.ok("SystemGenerateWrappingKey", **said_of(tuple(shares[:3]))))
        done, _ = await asyncio.wait([call], timeout=0.5)  # a call takes a tenth of it
        assert not done
        assert tenants[0].read_bytes() == before
    await call
    assert tenants[0].read_bytes() != before


async def test_a_tenant_makes_no_key_of_its_own(
    kept: Bunker, vault: Vault, tenants: list[Path], shares: list[str]
) -> None:
    """Neither its root nor the installation's in its name, nor the program itself: it would open that one alone."""
    assert vault.tenants is not None
    before, said = tenants[0].read_bytes(), said_of(tuple(shares[:3]))
    acme = await vault.tenants.of("acme")
    root = await acme.grants.issue("root")
    for wire in (kept.by(root), kept.by(root, "acme"), kept.by(kept.token, "acme")):
        await wire.refused(403, "API access denied", "SystemGenerateWrappingKey", **said)
    with pytest.raises(SwitchedOff):
        await acme.wrapping.renew(shares[:3])
    assert tenants[0].read_bytes() == before


async def test_any_three_shares_do(kept: Bunker, shares: list[str]) -> None:
    """A key is another each time."""
    made = [
        (await kept.ok("SystemGenerateWrappingKey", **said_of(triple)))["wrappingkey"]
        for triple in list(combinations(shares, 3))[::4]
    ]
    assert len(set(made)) == len(made) == 3


WRONG = {
    "one of them twice": lambda shares: (shares[0], shares[1], shares[1]),
    "of another key": lambda shares: tuple(recovery.split(bytes(32))[:3]),
    "one of another key": lambda shares: (*shares[:2], recovery.split(bytes(32))[0]),
    "no words": lambda shares: (*shares[:2], "lovelace"),
    "an empty one": lambda shares: (*shares[:2], ""),
    "a word changed": lambda shares: (*shares[:2], shares[2].rpartition(" ")[0] + " academic"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
async def test_wrong_shares_change_nothing(
    change: Callable[[list[str]], tuple[str, ...]], kept: Bunker, vault: Vault, shares: list[str], data: Path
) -> None:
    """All alike are refused, which is in the trail; the keyring is byte for byte as it was."""
    path = data / vault.config.keyring.file
    before = path.read_bytes()

    await kept.refused(403, "API access denied", "SystemGenerateWrappingKey", **said_of(change(shares)))

    assert path.read_bytes() == before
    [event] = await vault.audit.events(Wanted(action="keyring.rewrapped"), 0, 9)
    assert (event.outcome, await vault.audit.told(event)) == ("denied", None)


async def test_a_keyring_is_never_given_more_slots_than_can_be_read(
    kept: Bunker, vault: Vault, shares: list[str], data: Path
) -> None:
    """The sixteenth slot is the last; whoever asks for another is told what to do, and the vault still starts."""
    said = said_of(tuple(shares[:3]))
    for _ in range(MOST_SLOTS - 1):
        await kept.ok("SystemGenerateWrappingKey", **said)

    status, answer = await kept("SystemGenerateWrappingKey", **said)
    assert (status, "keys rewrap --only" in answer["message"]) == (409, True)
    events = await vault.audit.events(Wanted(action="keyring.rewrapped"), 0, MOST_SLOTS)
    assert sorted(event.outcome for event in events) == ["keyring_error"] + ["ok"] * (MOST_SLOTS - 1)
    async with wiring.open_vault(vault.config, data) as again:
        assert await again.access.list()


async def test_only_the_root_of_the_installation_may(memory: Vault, bunker: Bunker, person: Person) -> None:
    """Neither a person nor a role, whatever its policies say."""
    said = said_of(("a", "b", "c"))
    person_token = await memory.grants.issue("user", user_token=await person(login="ann"))
    policy = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    await bunker.ok("RoleCreate", rolename="clerk")
    await bunker.ok("PolicyCreate", policyname="all", policy=policy)
    await bunker.ok("RoleLinkPolicy", rolename="clerk", policyname="all")
    role_token = (await bunker.ok("XTokenCreateForRole", rolename="clerk"))["xtoken"]
    await bunker.by(role_token).ok("SystemGetSystemStats")
    for token in (person_token, role_token):
        await bunker.by(token).refused(403, "API access denied", "SystemGenerateWrappingKey", **said)


async def test_a_vault_in_memory_has_no_such_key(bunker: Bunker) -> None:
    """There is no keyring file: the call is switched off."""
    await bunker.refused(
        403,
        "Only an installation has such a key, and one in memory has no keyring file.",
        "SystemGenerateWrappingKey",
        **said_of(("a", "b", "c")),
    )
    await bunker.refused(
        400, "Missing API request parameters: key2, key3", "SystemGenerateWrappingKey", key1="a"
    )


async def test_there_is_no_license(bunker: Bunker) -> None:
    """Any key is answered alike: none is needed, and none is kept."""
    for said in ({"licensekey": "x"}, {"licensekey": 7}, {}):
        answer = await bunker.ok("SystemSetLicenseKey", **said)
        assert answer == {"message": "This vault needs no license key; nothing was changed."}


@pytest.mark.parametrize(
    "name", ["SystemGetUserProfiles", "SystemSearchUserProfiles", "SystemDeleteUserProfiles"]
)
async def test_what_reaches_across_tenants_is_not_there(name: str, bunker: Bunker) -> None:
    """Tenants share nothing, so nothing is asked of all of them."""
    await bunker.refused(404, "The API request was not found", name, mode="login", identity="ann")
