"""Tenants: vaults of their own, each found by header, by host or by token, and nothing of one seen in another."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault import wiring
from vault.acting import Acting, acting
from vault.config import Config
from vault.errors import TenantNotFound
from vault.grants import DEFAULT_LIFETIME, digest
from vault.http.app import make_app
from vault.installation import Vault
from vault.ports import Wanted
from vault.tenants import Tenants

ADA = {"email": "ada@example.org", "name": "Ada"}
DENIED: Json = {"status": "error", "message": "Access denied"}


@pytest.fixture
def config(config: Config) -> Config:
    """Settings with a domain whose sub-domains are tenants."""
    return replace(config, databunker=replace(config.databunker, domain="vault.example.org"))


@pytest.fixture(params=["memory", "files"])
def wire(request: pytest.FixtureRequest) -> Bunker:
    """The wire with a root token, over either kind of store."""
    found: Bunker = request.getfixturevalue("bunker" if request.param == "memory" else "kept")
    return found


async def made(wire: Bunker, name: str) -> Bunker:
    """Make a tenant; return the wire with its root token and no header."""
    return wire.by((await wire.ok("TenantCreate", tenantname=name, tenantorg=name.title()))["xtoken"])


def tenants_of(vault: Vault) -> Tenants[Vault]:
    """Return the tenants of an installation."""
    assert vault.tenants is not None
    return vault.tenants


async def test_a_tenant_is_made_found_renamed_and_ended(wire: Bunker) -> None:
    """Its number stays, its name moves, its token works on, and after its end it is nobody."""
    told = await wire.ok("TenantCreate", tenantname="acme", tenantorg="Acme", email="root@acme.example")
    assert isinstance(told["tenantid"], int)
    acme = wire.by(told["xtoken"])
    token = (await acme.ok("UserCreate", profile=ADA))["token"]
    found = await wire.ok("TenantGet", tenantid=told["tenantid"])
    assert found.pop("creationtime") > 0
    row = {
        "tenantid": told["tenantid"],
        "tenantname": "acme",
        "tenantorg": "Acme",
        "email": "root@acme.example",
    }
    assert found == row
    await wire.ok("TenantUpdate", tenantid=str(told["tenantid"]), tenantname="apex", tenantorg="Apex")
    found = await wire.ok("TenantGet", tenantid=told["tenantid"])
    assert (found["tenantname"], found["tenantorg"], found["email"]) == ("apex", "Apex", "root@acme.example")
    for name in (None, "apex"):
        assert (await wire.by(told["xtoken"], name).ok("UserGet", mode="token", identity=token))[
            "profile"
        ] == ADA
    await wire.by(told["xtoken"], "acme").refused(
        403, "Access denied", "UserGet", mode="token", identity=token
    )
    await wire.ok("TenantDelete", tenantid=told["tenantid"])
    for name in (None, "apex"):
        assert await wire.by(told["xtoken"], name)("UserGet", mode="token", identity=token) == (403, DENIED)
    await wire.by(wire.token, "apex").refused(403, "Access denied", "UserGet", mode="token", identity=token)
    for method in ("TenantGet", "TenantUpdate", "TenantDelete"):
        await wire.refused(404, "The tenant record was not found", method, tenantid=told["tenantid"])
    again = await wire.ok("TenantCreate", tenantname="apex")
    assert again["tenantid"] != told["tenantid"]
    await wire.by(again["xtoken"]).refused(
        404, "The user record was not found", "UserGet", mode="email", identity=ADA["email"]
    )


async def test_nothing_leaks_across(wire: Bunker) -> None:
    """The same person lives in three vaults under three tokens, and each root finds its own alone."""
    acme, apex = await made(wire, "acme"), await made(wire, "apex")
    tokens = [(await each.ok("UserCreate", profile=ADA))["token"] for each in (wire, acme, apex)]
    assert len(set(tokens)) == 3
    for each, own in zip((wire, acme, apex), tokens, strict=True):
        assert (await each.ok("UserGet", mode="email", identity="ADA@example.org"))["token"] == own
        for other in set(tokens) - {own}:
            await each.refused(404, "The user record was not found", "UserGet", mode="token", identity=other)
    await acme.ok("UserDelete", mode="token", identity=tokens[1])
    assert (await apex.ok("UserGet", mode="email", identity="ada@example.org"))["token"] == tokens[2]


async def test_header_host_or_token_decides(wire: Bunker) -> None:
    """The header before the host, the host before the token; an access key is root of each, and of none unsaid."""
    acme = await made(wire, "acme")
    await made(wire, "apex")
    token = (await acme.ok("UserCreate", profile=ADA))["token"]

    async def status(bunker_token: str, host: str, header: str | None) -> int:
        headers = {"X-Bunker-Token": bunker_token, "Host": host}
        headers |= {} if header is None else {"X-Bunker-Tenant": header}
        body = {"mode": "token", "identity": token}
        async with wire.http.post("/v2/UserGet", json=body, headers=headers) as response:
            return response.status

    plain, sub = "localhost", "acme.vault.example.org:8443"
    for root in (acme.token, wire.token):
        assert await status(root, sub, None) == 200
        assert await status(root, sub, "") == 200
        assert await status(root, plain, "acme") == 200
    assert await status(acme.token, plain, None) == 200
    assert await status(wire.token, plain, None) == 404
    assert await status(wire.token, sub, "apex") == 404
    assert await status(acme.token, sub, "apex") == 403
    assert await status(acme.token, "apex.vault.example.org", None) == 403
    assert await status(acme.token, plain, "default") == 403
    assert await status(acme.token, "a.b.vault.example.org", None) == 200  # names no tenant


WRONG = {
    "another tenant's token": ("apex", None),
    "a tenant that there is not": ("nope", None),
    "a tenant that cannot be": ("NO/../pe", None),
    "a token that there is not": ("acme", "7c9e6679-7425-4de4-944b-e07fc1f90ae7"),
    "no token": ("acme", ""),
}


@pytest.mark.parametrize(("header", "token"), WRONG.values(), ids=WRONG)
async def test_one_answer_for_whatever_does_not_fit(bunker: Bunker, header: str, token: str | None) -> None:
    """Another tenant's token says no more than none at all."""
    acme = await made(bunker, "acme")
    await made(bunker, "apex")
    wrong = bunker.by(acme.token if token is None else token, header)
    assert await wrong("UserGet", mode="email", identity="ada@example.org") == (403, DENIED)


async def test_tokens_that_a_tenant_issues_find_it(wire: Bunker, clock: FakeClock) -> None:
    """A person's token needs no header, not after a rename either, and is nobody's when it has ended."""
    told = await wire.ok("TenantCreate", tenantname="acme")
    acme = wire.by(told["xtoken"])
    token = (await acme.ok("UserCreate", profile=ADA))["token"]
    own = wire.by((await acme.ok("XTokenCreateForUser", mode="token", identity=token))["xtoken"])
    await wire.ok("TenantUpdate", tenantid=told["tenantid"], tenantname="apex")
    for each in (own, wire.by(own.token, "apex")):
        assert (await each.ok("UserGet", mode="token", identity=token))["profile"] == ADA
    await wire.by(own.token, "default").refused(403, "Access denied", "UserGet", mode="token", identity=token)
    clock.advance(DEFAULT_LIFETIME)
    assert await own("UserGet", mode="token", identity=token) == (403, DENIED)
    assert (await acme.ok("UserGet", mode="token", identity=token))["token"] == token  # root's lives on


async def test_what_is_remembered_of_tokens_goes(vault: Vault, clock: FakeClock) -> None:
    """With the token's end, or its tenant's; and it is no more than digests."""
    tenants = tenants_of(vault)
    tenant, root = await tenants.create("acme")
    acme = await tenants.of("acme")
    person = (await acme.profiles.create(ADA)).token
    await acme.grants.issue("user", user_token=person, expires_in=60)
    assert await vault.documents.count("tenant-token") == 2
    clock.advance(60)
    assert await vault.documents.count("tenant-token") == 1
    await acme.grants.issue("user", user_token=person)
    await tenants.delete(tenant.id)
    assert await vault.documents.count("tenant-token") == 0
    assert await vault.documents.count("tenant") == 0
    assert root not in str(await vault.documents.page("tenant"))


NAMES = {
    "acme": 200,
    "a": 200,
    "1a-b2": 200,
    "a" * 63: 200,
    "a" * 64: 400,
    "Acme": 400,
    "a_b": 400,
    "a.b": 400,
    "-a": 400,
    "a-": 400,
    "42": 400,
    "": 400,
    "ä": 400,
    "a\n": 400,
    "default": 409,
    "taken": 409,
}


@pytest.mark.parametrize(("name", "status"), NAMES.items(), ids=map(repr, NAMES))
async def test_a_name_is_a_label_of_a_host_name(bunker: Bunker, name: str, status: int) -> None:
    """No other is taken, to make a tenant or to rename one; one that is taken stays who it was."""
    taken = await bunker.ok("TenantCreate", tenantname="taken")
    assert (await bunker("TenantCreate", tenantname=name))[0] == status
    other = await bunker.ok("TenantCreate", tenantname="other")
    found, answer = await bunker("TenantUpdate", tenantid=other["tenantid"], tenantname=name)
    assert found == (409 if status == 200 else status)
    if found == 409:
        assert answer["message"] == "Duplicate tenant name"
    assert (await bunker.ok("TenantGet", tenantid=taken["tenantid"]))["tenantname"] == "taken"
    assert (await bunker.ok("TenantGet", tenantid=other["tenantid"]))["tenantname"] == "other"


async def test_tenants_are_listed_in_pages(wire: Bunker) -> None:
    """In the order in which they came, with how many there are; also in the counts of the whole."""
    for number in range(3):
        await made(wire, f"t{number}")
    told = await wire.ok("TenantListTenants", offset=1, limit=1)
    assert (told["total"], [row["tenantname"] for row in told["rows"]]) == (3, ["t1"])
    assert len((await wire.ok("TenantListTenants"))["rows"]) == 3
    assert (await wire.ok("TenantListTenants", offset=3))["rows"] == []
    assert (await wire.ok("SystemGetSystemStats"))["stats"]["numtenants"] == 4  # and the default one


METHODS: dict[str, Json] = {
    "TenantCreate": {"tenantname": "evil"},
    "TenantGet": {"tenantid": 1},
    "TenantUpdate": {"tenantid": 1, "tenantname": "evil"},
    "TenantDelete": {"tenantid": 1},
    "TenantListTenants": {},
}


@pytest.mark.parametrize("method", METHODS)
async def test_tenants_are_the_installations_to_make(bunker: Bunker, memory: Vault, method: str) -> None:
    """A tenant's root may not, nor may the root of ``default`` in a tenant's name, nor a role that may do all else."""
    acme = await made(bunker, "acme")
    everything = {"Effect": "Allow", "Principal": {"Role": "clerk"}, "Action": ["*"], "Resource": ["*"]}
    await bunker.ok("RoleCreate", rolename="clerk")
    await bunker.ok("PolicyCreate", policyname="all", policy=everything)
    await bunker.ok("RoleLinkPolicy", rolename="clerk", policyname="all")
    clerk = (await bunker.ok("XTokenCreateForRole", rolename="clerk"))["xtoken"]
    for wrong in (acme, bunker.by(bunker.token, "acme"), bunker.by(clerk)):
        await wrong.refused(403, "API access denied", method, **METHODS[method])
    assert [one.name for one in await tenants_of(memory).page()] == ["acme"]


async def test_one_vault_however_many_ask_at_once(vault: Vault, data: Path, config: Config) -> None:
    """All who come first wait for the same opening; who goes away meanwhile ends it for nobody."""
    await tenants_of(vault).create("acme")
    async with wiring.open_vault(config, data) as again:
        tenants = tenants_of(again)
        gone = asyncio.create_task(tenants.of("acme"))
        await asyncio.sleep(0)
        rest = [asyncio.create_task(tenants.of("acme")) for _ in range(20)]
        gone.cancel()
        first, *others = await asyncio.gather(*rest)
        assert all(each is first for each in others)
        assert tenants.opened == [first]
        assert first.tenants is None


async def test_of_two_who_make_one_name_one_does(vault: Vault, data: Path, config: Config) -> None:
    """Also in two processes: the other is told that the name is taken, and leaves nothing."""
    async with wiring.open_vault(config, data) as again:
        both = [tenants_of(each).create("acme") for each in (vault, again, vault, again)]
        ended = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(each).__name__ for each in ended) == ["NameTaken"] * 3 + ["tuple"]
        assert len([one for one in (data / "tenants").iterdir() if any(one.iterdir())]) == 1


async def test_nobody_clears_what_another_process_is_making(vault: Vault, data: Path, config: Config) -> None:
    """Whoever makes one meanwhile waits until it is there."""
    async with wiring.open_vault(config, data) as again:
        first = asyncio.create_task(tenants_of(vault).create("acme"))
        while not await again.documents.count("tenant"):
            pass
        await tenants_of(again).create("apex")
        await first
        assert [one.name for one in await tenants_of(again).page()] == ["acme", "apex"]
        for name in ("acme", "apex"):
            await tenants_of(again).of(name)


async def test_what_another_process_ends_is_ended_here(vault: Vault, data: Path, config: Config) -> None:
    """From its next call on, and its keys leave this process with the next round."""
    tenant, token = await tenants_of(vault).create("acme")
    async with wiring.open_vault(config, data) as again:
        other = tenants_of(again)
        await other.of("acme")
        await tenants_of(vault).delete(tenant.id)
        with pytest.raises(TenantNotFound):
            await other.of("acme")
        assert await other.of_token(digest(token)) is None
        assert len(other.opened) == 1
        await other.round()
        assert other.opened == []


async def test_each_tenant_has_its_own_keys_and_files(vault: Vault, data: Path) -> None:
    """Nothing of the installation's vault opens a tenant's box, nor the other way round."""
    tenants = tenants_of(vault)
    tenant, _ = await tenants.create("acme")
    folder = data / "tenants" / str(tenant.id)
    assert {path.name for path in folder.iterdir()} >= {
        "keyring.json", "vault.db", "sessions.db", "erasures.ndjson",
    }  # fmt: skip
    for path in (data / "tenants", folder, *folder.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
    assert not (folder / "unlock.key").exists()
    assert (await tenants.of("acme")).tenant == str(tenant.id)


@pytest.fixture
async def broken(vault: Vault, data: Path, config: Config, clock: FakeClock) -> AsyncIterator[Vault]:
    """A vault opened anew, one of whose two tenants has lost its database."""
    for name in ("acme", "apex"):
        tenant, _ = await tenants_of(vault).create(name)
    await tenants_of(vault).close()
    (data / "tenants" / str(tenant.id) / "vault.db").unlink()
    async with wiring.open_vault(config, data, clock=clock) as again:
        yield again


async def test_a_tenant_that_does_not_open_is_its_own_trouble(broken: Vault) -> None:
    """It is answered as a store that is not there, and every other works; the numbers tell of it."""
    async with TestClient(TestServer(make_app(broken))) as http:
        root = Bunker(http, await wiring.first_access_key(broken))
        await root.ok("UserCreate", profile=ADA)
        await root.by(root.token, "acme").ok("UserCreate", profile=ADA)
        for _ in range(2):
            assert (await root.by(root.token, "apex")("UserCreate", profile=ADA))[0] == 503
        await tenants_of(broken).round()
        async with http.get("/metrics") as response:
            numbers = await response.text()
        assert "vault_tenants 2.0" in numbers
        assert "vault_tenants_closed 1.0" in numbers
        async with http.get("/readyz") as response:
            assert response.status == 200


async def test_another_root_token_takes_the_place_of_the_one_before(bunker: Bunker, memory: Vault) -> None:
    """The one before is nobody's from then on."""
    acme = await made(bunker, "acme")
    (tenant,) = await tenants_of(memory).page()
    fresh = bunker.by(await tenants_of(memory).renew_root(tenant.id))
    await fresh.ok("UserCreate", profile=ADA)
    assert await acme("UserGet", mode="email", identity="ada@example.org") == (403, DENIED)
    assert await bunker.by(acme.token, "acme")("UserGet", mode="email", identity="x@example.org") == (
        403,
        DENIED,
    )


async def test_the_trail_tells_of_tenants(vault: Vault) -> None:
    """In the installation's own: that they were made, changed and ended; in theirs, what was done in them."""
    tenants = tenants_of(vault)
    tenant, _ = await tenants.create("acme")
    await tenants.update(tenant.id, org="Acme")
    acme = await tenants.of("acme")
    await acme.profiles.create(ADA)
    theirs = await acme.audit.events(Wanted(None, None, None), 0, 100)
    assert {event.tenant for event in theirs} == {str(tenant.id)}
    assert {"access.created", "profile.created"} <= {event.action for event in theirs}
    await tenants.delete(tenant.id)
    ours = await vault.audit.events(Wanted(None, None, None), 0, 100)
    told = [event.action for event in ours if event.action.startswith("tenant.")]
    assert told == ["tenant.created", "tenant.updated", "tenant.deleted"]
    assert "profile.created" not in {event.action for event in ours}


async def test_what_a_vault_does_by_itself_is_nobodys_doing(vault: Vault) -> None:
    """What a tenant's vault does when it is opened is not in the name of whoever asked for it first."""
    before = acting.set(Acting("request", "0123456789abcdef"))
    try:
        await tenants_of(vault).create("acme")
    finally:
        acting.reset(before)
    acme = await tenants_of(vault).of("acme")
    events = await acme.audit.events(Wanted(None, None, None), 0, 100)
    actors = {event.action: event.actor for event in events}
    assert actors == {"key.added": "vault", "access.created": "0123456789abcdef"}


async def test_an_older_word_of_a_tenant_destroys_nothing(vault: Vault, data: Path, config: Config) -> None:
    """A vault that was restored from the moment at which a tenant was made leaves that tenant's folder as it is."""
    tenant, _ = await tenants_of(vault).create("acme")
    await vault.documents.change(
        await vault.documents.get("tenant", "acme"), lambda said: {**said, "state": "making"}
    )
    await tenants_of(vault).round()
    assert await tenants_of(vault).page() == []
    keyring = data / "tenants" / str(tenant.id) / "keyring.json"
    assert keyring.exists()
    assert any("is no tenant's" in sentence for sentence in await wiring.check(config, data))
