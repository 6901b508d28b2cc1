"""What an access key is held to beside its scopes, and what becomes of keys that are refused."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.clock import FakeClock
from tests.http.conversation import ADA, DOORS, NOBODY, Client, Scene, answer, create, problem
from tests.settings import UNHELD
from vault import wiring
from vault.access import SCOPES, VERDICT_LIFETIME
from vault.config import Access, Config
from vault.errors import AccessKeyNotFound, Invalid
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.records import Rails

KeyFor = Callable[..., Awaitable[str]]
Log = Callable[[], list[dict[str, Any]]]

#: Where the tests' client calls from.
HERE, ELSEWHERE = "127.0.0.0/8", "192.0.2.0/24"


def bearer(key: str, **more: str) -> dict[str, str]:
    """Return the headers that present a key."""
    return {"Authorization": f"Bearer {key}", **more}


def id_of(key: str) -> str:
    """Return the public id of a key."""
    return key.split("_")[1]


async def ask(client: Client, key: str, **headers: str) -> ClientResponse:
    """Ask for a profile that nobody has: 404 for whoever is let in."""
    return await client.get(f"{PREFIX}/profiles/{NOBODY}", headers=bearer(key, **headers))


# --- fields -------------------------------------------------------------------------------------------------

SEEN = {
    "all of it": (Rails(), "", ADA),
    "two fields": (Rails(fields=("email", "address.city")), "", {k: ADA[k] for k in ("email", "address")}),
    "less than it may": (Rails(fields=("email", "last_name")), "?fields=email", {"email": ADA["email"]}),
    "more than it may": (Rails(fields=("email",)), "?fields=email,last_name,address", {"email": ADA["email"]}),
    "nothing": (Rails(fields=()), "?fields=email", {}),
    "a masked field": (Rails(masked=("email",)), "", {**ADA, "email": "***"}),
    "a masked field that it asks for": (
        Rails(masked=("address.city",)), "?fields=address.city", {"address": {"city": "***"}}
    ),
    "a masked object": (Rails(masked=("address",)), "?fields=email,address", {"email": ADA["email"]}),
}  # fmt: skip


@pytest.mark.parametrize(("rails", "query", "seen"), SEEN.values(), ids=SEEN)
async def test_a_key_is_shown_its_fields_alone(
    client: Client, key_for: KeyFor, rails: Rails, query: str, seen: dict[str, Any]
) -> None:
    """Whatever it asks for, in a reading and in an export."""
    token = await create(client, ADA)
    headers = bearer(await key_for("profiles:read", rails=rails))
    read = await answer(await client.get(f"{PREFIX}/profiles/{token}{query}", headers=headers))
    assert read["profile"] == seen
    if not query:
        exported = await answer(await client.get(f"{PREFIX}/profiles/{token}/export", headers=headers))
        assert exported["profile"] == seen


async def test_no_call_shows_what_is_hidden(client: Client, scene: Scene, key_for: KeyFor) -> None:
    """A key with every scope that goes with masks gets no answer with a hidden value in it, from any call."""
    key = await key_for(*set(SCOPES) - {"admin", "profiles:write"}, rails=Rails(fields=("email",)))
    for door in sorted(DOORS, key=lambda door: door.operation.method == "DELETE"):
        text = await (await door.knock(client, scene, headers=bearer(key))).text()
        assert not [value for value in (ADA["last_name"], ADA["address"]["city"]) if value in text], door.name


@pytest.mark.parametrize("scope", ["profiles:write", "admin"])
@pytest.mark.parametrize(
    "rails", [Rails(fields=("email",)), Rails(masked=("email",))], ids=["fields", "masked"]
)
async def test_a_writer_cannot_be_kept_from_fields(vault: Vault, scope: str, rails: Rails) -> None:
    """So no such key is made: a patch could copy what is hidden into what is shown."""
    with pytest.raises(Invalid) as refused:
        await vault.access.create("test", {"profiles:read", scope}, rails=rails)
    ((_, sentence),) = refused.value.fields.items()
    assert scope in sentence
    assert len((await vault.access.list()).keys) == 1


async def test_all_mistakes_are_named_together(vault: Vault) -> None:
    """Those of the rails beside the others."""
    with pytest.raises(Invalid) as refused:
        await vault.access.create("", {"nope"}, 0, rails=Rails(("..",), ("",), ("x",), 0, 0, 0))
    assert set(refused.value.fields) == {
        "name", "scopes", "expires_in", "fields", "masked", "networks", "per_minute",
        "reveals_per_hour", "reveals_per_day",
    }  # fmt: skip


# --- networks -----------------------------------------------------------------------------------------------

BEHIND_A_PROXY = replace(UNHELD, server=replace(UNHELD.server, trusted_proxies=HERE))

PLACES = {
    "from its network": (UNHELD, (HERE,), None, True),
    "from one of several": (UNHELD, (ELSEWHERE, HERE), None, True),
    "from elsewhere": (UNHELD, (ELSEWHERE,), None, False),
    "from elsewhere, over IPv6": (UNHELD, ("::/0",), None, False),
    "with a header that nobody vouches for": (UNHELD, (ELSEWHERE,), "192.0.2.7", False),
    "from its network, past a proxy": (BEHIND_A_PROXY, (ELSEWHERE,), "192.0.2.7", True),
    "from elsewhere, past a proxy": (BEHIND_A_PROXY, (ELSEWHERE,), "203.0.113.9", False),
    "from the proxy itself": (BEHIND_A_PROXY, (ELSEWHERE,), None, False),
}


@pytest.fixture
def config(request: pytest.FixtureRequest) -> Config:
    """Settings that a test names, or those of all tests."""
    chosen: Config = getattr(request, "param", UNHELD)
    return chosen


@pytest.mark.parametrize(
    ("config", "networks", "forwarded", "let_in"), PLACES.values(), ids=PLACES, indirect=["config"]
)
async def test_a_key_opens_from_its_networks_alone(
    anonymous: Client, key_for: KeyFor, networks: tuple[str, ...], forwarded: str | None, let_in: bool
) -> None:
    """Each time it is used, the first time and while it is remembered."""
    key = await key_for("profiles:read", rails=Rails(networks=networks))
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    for _ in range(2):
        response = await ask(anonymous, key, **headers)
        if let_in:
            await problem(response, 404, "profile_not_found")
        else:
            await problem(response, 403, "network_refused")


@pytest.mark.parametrize("config", [BEHIND_A_PROXY], indirect=True, ids=["behind a proxy"])
async def test_a_moved_key_is_not_let_in_on_its_reputation(anonymous: Client, key_for: KeyFor) -> None:
    """That it was valid here a moment ago opens nothing from elsewhere; the refusal is counted under its id."""
    key = await key_for("profiles:read", rails=Rails(networks=(ELSEWHERE,)))
    await problem(await ask(anonymous, key, **{"X-Forwarded-For": "192.0.2.7"}), 404, "profile_not_found")
    await problem(await ask(anonymous, key, **{"X-Forwarded-For": "203.0.113.9"}), 403, "network_refused")
    metrics = await (await anonymous.get("/metrics")).text()
    assert f'vault_refusals_total{{code="network_refused",key_id="{id_of(key)}"}} 1.0' in metrics


# --- requests a minute --------------------------------------------------------------------------------------


async def test_requests_beyond_the_minutes_number_are_refused(
    log: Log, anonymous: Client, key_for: KeyFor, clock: FakeClock
) -> None:
    """429 says when to come again, and then one is let in; another key is not concerned.

    Each is counted, and the first of a minute logged.
    """
    hasty, other = await key_for("profiles:read", rails=Rails(per_minute=7)), await key_for("profiles:read")
    for _ in range(7):
        await problem(await ask(anonymous, hasty), 404, "profile_not_found")
    for _ in range(3):
        response = await ask(anonymous, hasty)
        await problem(response, 429, "rate_limited")
        assert response.headers["Retry-After"] == "9"  # 60/7 = 8.57, rounded up
    await problem(await ask(anonymous, other), 404, "profile_not_found")
    clock.advance(9)
    assert [(await ask(anonymous, hasty)).status for _ in range(2)] == [404, 429]
    clock.advance(60)
    assert [(await ask(anonymous, hasty)).status for _ in range(8)] == [404] * 7 + [429]

    metrics = await (await anonymous.get("/metrics")).text()
    assert f'vault_refusals_total{{code="rate_limited",key_id="{id_of(hasty)}"}} 5.0' in metrics
    told = [line for line in log() if line["event"] == "access.refused"]
    assert [(line["code"], line["key_id"]) for line in told] == [("rate_limited", id_of(hasty))] * 2


async def test_a_call_without_the_scope_counts_too(anonymous: Client, key_for: KeyFor) -> None:
    """Or the bound could be had around by asking for what is refused."""
    key = await key_for("sessions:read", rails=Rails(per_minute=1))
    await problem(await ask(anonymous, key), 403, "scope_missing")
    await problem(await ask(anonymous, key), 429, "rate_limited")


# --- suspension ---------------------------------------------------------------------------------------------


async def test_a_suspended_key_opens_nothing_until_it_is_resumed(
    anonymous: Client, vault: Vault, key_for: KeyFor
) -> None:
    """At once where it is done."""
    key = await key_for("profiles:read")
    await problem(await ask(anonymous, key), 404, "profile_not_found")
    await vault.access.suspend(id_of(key))
    await problem(await ask(anonymous, key), 401, "unauthenticated")
    await vault.access.resume(id_of(key))
    await problem(await ask(anonymous, key), 404, "profile_not_found")


async def test_a_suspension_elsewhere_is_heeded_within_the_verdict_lifetime(
    anonymous: Client, key_for: KeyFor, config: Config, data: Path, clock: FakeClock
) -> None:
    """Another process on the same files suspends and resumes."""
    key = await key_for("profiles:read")
    await problem(await ask(anonymous, key), 404, "profile_not_found")
    async with wiring.open_vault(config, data, clock=clock) as elsewhere:
        await elsewhere.access.suspend(id_of(key))
        clock.advance(VERDICT_LIFETIME / 1000)
        await problem(await ask(anonymous, key), 401, "unauthenticated")
        await elsewhere.access.resume(id_of(key))
    await problem(await ask(anonymous, key), 404, "profile_not_found")


async def test_an_unknown_key_can_be_neither_suspended_nor_resumed(vault: Vault) -> None:
    """It is said so."""
    for verb in (vault.access.suspend, vault.access.resume):
        with pytest.raises(AccessKeyNotFound):
            await verb("0" * 16)


# --- refused keys -------------------------------------------------------------------------------------------

HOLDING = Config(access=Access(failure_hold=100))
STRICT = replace(
    UNHELD,
    access=Access(failure_hold=0, failures_per_minute=3),
    server=replace(UNHELD.server, trusted_proxies=HERE),
)


async def took(client: Client, authorization: str) -> float:
    """Return how many seconds a refusal took."""
    began = perf_counter()
    response = await client.get(f"{PREFIX}/profiles/{NOBODY}", headers={"Authorization": authorization})
    await problem(response, 401, "unauthenticated")
    return perf_counter() - began


@pytest.mark.parametrize("config", [HOLDING], indirect=True, ids=["held 100 ms"])
async def test_a_refusal_takes_as_long_whatever_was_wrong(
    anonymous: Client, vault: Vault, key_for: KeyFor, clock: FakeClock
) -> None:
    """No answer before the moment that is set, and each soon after; a valid key does not wait."""
    expired, revoked, suspended, alive = [
        await key_for("admin", expires_in=seconds) for seconds in (1, None, None, None)
    ]
    clock.advance(1)
    await vault.access.revoke(id_of(revoked))
    await vault.access.suspend(id_of(suspended))
    presented = [
        "", "Basic x", "Bearer nonsense", f"Bearer tvk_{'0' * 16}_{'A' * 43}", f"Bearer {alive[:-1]}!",
        f"Bearer tvk_{id_of(alive)}_{'A' * 43}", f"Bearer {expired}", f"Bearer {revoked}", f"Bearer {suspended}",
    ]  # fmt: skip
    times = await asyncio.gather(*(took(anonymous, each) for each in presented))
    assert min(times) >= 0.1
    assert max(times) < 1

    began = perf_counter()
    assert (await ask(anonymous, alive)).status == 404
    assert perf_counter() - began < 0.1


@pytest.mark.parametrize("config", [HOLDING], indirect=True, ids=["held 100 ms"])
async def test_an_address_that_goes_on_failing_waits_longer(anonymous: Client, clock: FakeClock) -> None:
    """Twice as long with every ten; a minute later it is as before."""
    times = await asyncio.gather(*(took(anonymous, "Bearer x") for _ in range(20)))
    assert min(times) >= 0.1
    assert sorted(times)[9] >= 0.2
    assert max(times) >= 0.4
    clock.advance(60)
    assert await took(anonymous, "Bearer x") < 0.4


@pytest.mark.parametrize("config", [STRICT], indirect=True, ids=["3 a minute"])
async def test_too_many_refused_keys_are_answered_429_and_valid_ones_let_in(
    log: Log, anonymous: Client, key_for: KeyFor, clock: FakeClock
) -> None:
    """By address, of which no word is left in log or metrics; later they are answered 401 again."""
    valid, here = await key_for("profiles:read"), {"X-Forwarded-For": "203.0.113.77"}
    for _ in range(3):
        await problem(await ask(anonymous, "x", **here), 401, "unauthenticated")
    for key in ("x", f"tvk_{id_of(valid)}_{'A' * 43}", ""):
        response = await ask(anonymous, key, **here)
        await problem(response, 429, "too_many_failures")
        assert response.headers["Retry-After"] == "20"
    await problem(await ask(anonymous, valid, **here), 404, "profile_not_found")
    await problem(await ask(anonymous, "x", **{"X-Forwarded-For": "203.0.113.78"}), 401, "unauthenticated")
    clock.advance(20)
    await problem(await ask(anonymous, valid, **here), 404, "profile_not_found")
    await problem(await ask(anonymous, "x", **here), 401, "unauthenticated")

    metrics = await (await anonymous.get("/metrics")).text()
    assert 'vault_refusals_total{code="too_many_failures",key_id=""} 3.0' in metrics
    assert 'vault_refusals_total{code="unauthenticated",key_id=""} 5.0' in metrics
    assert [line["code"] for line in log() if line["event"] == "access.overran"] == ["too_many_failures"]
    assert not [word for word in ("203.0.113", "127.0.0.1") if word in metrics + repr(log())]


@pytest.mark.parametrize("config", [STRICT], indirect=True, ids=["3 a minute"])
async def test_an_ipv6_subscriber_has_one_count(anonymous: Client) -> None:
    """All addresses of a /64 together, and those of the next apart."""
    for number in range(3):
        await problem(
            await ask(anonymous, "x", **{"X-Forwarded-For": f"2001:db8::{number}:1"}), 401, "unauthenticated"
        )
    await problem(
        await ask(anonymous, "x", **{"X-Forwarded-For": "2001:db8::ffff"}), 429, "too_many_failures"
    )
    await problem(await ask(anonymous, "x", **{"X-Forwarded-For": "2001:db8:0:1::1"}), 401, "unauthenticated")
