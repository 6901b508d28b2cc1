"""Tokens of single values: cards, e-mail addresses, texts."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault import wiring
from vault.card_tokens import check_digit
from vault.config import Config
from vault.errors import PurposeMissing
from vault.http.app import make_app
from vault.installation import Vault
from vault.ports import Wanted
from vault.records import Rails
from vault.values import Lifetime
from vault.values import Wanted as Single

CARD = "5467047429390590"
DAY, MONTH = 86_400, 31 * 86_400


@pytest.fixture
def config(config: Config) -> Config:
    """A vault that takes few records at a time, and keeps none for longer than a year."""
    return replace(config, limits=replace(config.limits, batch_profiles=4, profile_body=1024))


async def token(bunker: Bunker, record: Any = CARD, tokentype: str = "creditcard", **said: Any) -> Json:
    """Keep one value; return its tokens."""
    return await bunker.ok("TokenCreate", tokentype=tokentype, record=record, **said)


async def gone(bunker: Bunker, *tokens: str) -> None:
    """None of these leads anywhere."""
    for one in tokens:
        await bunker.refused(404, "Token not found", "TokenGet", token=one)


async def actions(vault: Vault) -> list[tuple[str, str | None]]:
    """Return what the trail says of values, and of which."""
    events = await vault.audit.events(Wanted(), 0, 99)
    return [(event.action, event.user_token) for event in events if event.action.startswith("value.")]


# --- one ------------------------------------------------------------------------------------------------------


async def test_a_card_has_two_tokens(bunker: Bunker) -> None:
    """Both open it; the second looks like a card's number, and is another."""
    made = await token(bunker)
    assert set(made) == {"tokenuuid", "tokenbase"}
    base = made["tokenbase"]
    assert (len(base), base.isdigit(), base[-1]) == (len(CARD), True, check_digit(base[:-1]))
    assert base != CARD
    for one in (made["tokenuuid"], made["tokenuuid"].upper(), base, int(base)):
        found = await bunker.ok("TokenGet", token=one)
        assert found == {"record": CARD, "tokentype": "creditcard"}


KEPT: dict[str, tuple[str, Any]] = {
    "a card that fails Luhn": ("creditcard", "5467047429390591"),
    "a card of ten digits": ("creditcard", "1234567890"),
    "a card of nineteen digits": ("creditcard", "1234567890123456789"),
    "a card that is a number": ("creditcard", 5467047429390590),
    "an address": ("email", "  Ada@Example.org "),
    "an address that is none": ("email", "ada"),
    "a text": ("text", "Zürich \u0000 e\u0301 😀"),
    "a number": ("text", 7),
}


@pytest.mark.parametrize(("tokentype", "record"), KEPT.values(), ids=KEPT)
async def test_a_value_comes_out_as_it_went_in(bunker: Bunker, tokentype: str, record: Any) -> None:
    """Nothing is made neat; only cards have a token that looks like a number."""
    made = await token(bunker, record, tokentype)
    assert ("tokenbase" in made) == (tokentype == "creditcard")
    found = await bunker.ok("TokenGet", token=made["tokenuuid"])
    assert (found["record"], type(found["record"])) == (record, type(record))
    assert found["tokentype"] == tokentype


WRONG: dict[str, tuple[Any, Any, str]] = {
    **{
        f"of type {name}": (name, "1", "tokentype parameter has an incorrect format: must be one of")
        for name in ("phone", "date", "unixtime", "str", "CREDITCARD", "")
    },
    "of no type": (None, "1", "Missing API request parameters: tokentype"),
    "nothing": ("text", None, "Missing API request parameters: record"),
    "empty": ("text", "", "record parameter has an incorrect format: must be text or a whole number"),
    "an object": (
        "text",
        {"a": 1},
        "record parameter has an incorrect format: must be text or a whole number",
    ),
    "true": ("text", True, "record parameter has an incorrect format: must be text or a whole number"),
    "too long": ("text", "x" * 1025, "record parameter has an incorrect format: must be at most 1024 bytes"),
    "a card with spaces": ("creditcard", "5467 0474 2939 0590", "must be 10 to 19 digits"),
    "a card with dashes": ("creditcard", "5467-0474-2939-0590", "must be 10 to 19 digits"),
    "a card in other digits": ("creditcard", "٥٤٦٧٠٤٧٤٢٩٣٩٠٥٩٠", "must be 10 to 19 digits"),
    "a card of nine digits": ("creditcard", "123456789", "must be 10 to 19 digits"),
    "a card of twenty digits": ("creditcard", "12345678901234567890", "must be 10 to 19 digits"),
}


@pytest.mark.parametrize(("tokentype", "record", "message"), WRONG.values(), ids=WRONG)
async def test_what_is_no_value_is_refused(
    memory: Vault, bunker: Bunker, tokentype: Any, record: Any, message: str
) -> None:
    """With 400; it is not repeated in the answer, nothing is kept, and nothing recorded."""
    body = {"tokentype": tokentype, "record": record}
    if len(str(record)) > 1000:  # a body of that size would be refused before: a bulk has more room
        status, answer = await bunker("TokenCreateBulk", records=[body])
        assert (status, answer["errors"][0]["reason"]) == (
            200,
            message.replace("parameter has an incorrect format: ", ""),
        )
    else:
        status, answer = await bunker("TokenCreate", **body)
        assert status == 400
        assert message in answer["message"]
        assert not record or str(record) not in str(answer)
    assert await memory.documents.count("value") == 0
    assert await actions(memory) == []


async def test_each_call_makes_another_token(bunker: Bunker) -> None:
    """Unless it asks for the one of the value: whoever sees two tokens does not learn that they are of one card."""
    one, two = await token(bunker), await token(bunker)
    assert one["tokenuuid"] != two["tokenuuid"]
    assert one["tokenbase"] != two["tokenbase"]


@pytest.mark.parametrize("end", ["tokenuuid", "tokenbase"])
async def test_a_deleted_token_leads_nowhere(memory: Vault, bunker: Bunker, end: str) -> None:
    """By whichever it was deleted: neither opens it, and a second time it is unknown."""
    made, other = await token(bunker, unique=True), await token(bunker)
    assert await bunker.ok("TokenDelete", token=made[end]) == {}
    await gone(bunker, *made.values())
    await bunker.refused(404, "Token not found", "TokenDelete", token=made[end])
    assert await bunker.ok("TokenGet", token=other["tokenbase"])
    assert (await token(bunker, unique=True))["tokenuuid"] != made["tokenuuid"]


@pytest.mark.parametrize(
    "text",
    ["invalid-token", "0" * 16, "00000000-0000-4000-8000-000000000000", CARD, "x" * 900, "%", "value/a"],
)
async def test_an_unknown_token(bunker: Bunker, text: str) -> None:
    """Whatever it looks like, and if it is the very card: not found."""
    await token(bunker)
    await gone(bunker, text)


async def test_a_persons_token_is_no_values(bunker: Bunker) -> None:
    """And the other way around."""
    made = await token(bunker, "a", "text")
    person = (await bunker.ok("UserCreate", profile={"login": "ada"}))["token"]
    await gone(bunker, person)
    status, _ = await bunker("UserGet", mode="token", identity=made["tokenuuid"])
    assert status == 404


async def test_a_value_is_in_no_repr(memory: Vault) -> None:
    """Neither as it comes nor as it is kept: what is logged by mistake tells nothing."""
    wanted = Single("creditcard", CARD)
    kept = await memory.values.create_many([wanted], Lifetime(), unique=False)
    assert CARD not in repr((wanted, kept))


# --- unique ---------------------------------------------------------------------------------------------------


async def test_the_token_of_a_value(bunker: Bunker) -> None:
    """Asked for it, every call gives the same: one, many, and a number for its digits; other values have others."""
    made = await token(bunker, unique=True)
    assert await token(bunker, unique=True) == made
    assert await token(bunker, int(CARD), unique=True) == made
    bulk = await bunker.ok(
        "TokenCreateBulk", records=[{"tokentype": "creditcard", "record": CARD}], unique=True
    )
    assert bulk["duplicates"] == [{**made, "record": CARD, "tokentype": "creditcard"}]
    others = [
        await token(bunker, unique=False),
        await token(bunker, CARD, "text", unique=True),
        await token(bunker, CARD, "email", unique=True),
        await token(bunker, CARD + "0", unique=True),
        await token(bunker, CARD[::-1], unique=True),
    ]
    assert len({one["tokenuuid"] for one in (made, *others)}) == 6


async def test_of_many_who_race_all_get_one_token(kept: Bunker) -> None:
    """Single calls and bulks at once, in files: one is made, and nobody fails."""
    records = [{"tokentype": "text", "record": "a"}, {"tokentype": "text", "record": "b"}]
    singles = [token(kept, "a", "text", unique=True) for _ in range(8)]
    bulks = [kept.ok("TokenCreateBulk", records=records, unique=True) for _ in range(4)]
    said = await asyncio.gather(*singles, *bulks)
    found = {one["tokenuuid"] for one in said[:8]}
    for bulk in said[8:]:
        rows = bulk["created"] + bulk["duplicates"]
        found |= {row["tokenuuid"] for row in rows if row["record"] == "a"}
    assert len(found) == 1


async def test_its_end_begins_anew(bunker: Bunker, clock: FakeClock) -> None:
    """The same call again makes the same token live as long as if it came now; also for good."""
    made = await token(bunker, unique=True, finaltime="10d")
    clock.advance(9 * DAY)
    assert await token(bunker, unique=True, finaltime="10d") == made
    clock.advance(9 * DAY)
    assert await bunker.ok("TokenGet", token=made["tokenbase"])
    assert await token(bunker, unique=True) == made
    clock.advance(9 * 365 * DAY)
    assert await bunker.ok("TokenGet", token=made["tokenbase"])


async def test_a_value_that_has_ended_has_another_token(bunker: Bunker, clock: FakeClock) -> None:
    """Before any sweep: the old ones lead nowhere, and the sweep takes nothing from the new."""
    made = await token(bunker, unique=True, finaltime="10d")
    clock.advance(10 * DAY)
    fresh = await token(bunker, unique=True)
    assert fresh["tokenuuid"] != made["tokenuuid"]
    assert fresh["tokenbase"] != made["tokenbase"]
    await gone(bunker, *made.values())
    assert await bunker.ok("TokenGet", token=fresh["tokenbase"])


# --- how long it lives ----------------------------------------------------------------------------------------

ENDS: dict[str, tuple[dict[str, Any], int | None]] = {
    "for good": ({}, None),
    "ten days": ({"finaltime": "10d"}, 10 * DAY),
    "a month and not a minute": ({"finaltime": "1m"}, MONTH),
    "seconds as a number": ({"finaltime": 90}, 90),
    "until a time": ({"finaltime": 1_800_000_000 + 90}, 90),
    "longer than it may": ({"finaltime": "3y"}, 365 * DAY),
    "unused": ({"slidingtime": "1d"}, DAY),
    "unused, or at all": ({"slidingtime": "20d", "finaltime": "10d"}, 10 * DAY),
}


@pytest.mark.parametrize(("times", "seconds"), ENDS.values(), ids=ENDS)
async def test_a_value_ends(
    memory: Vault, bunker: Bunker, clock: FakeClock, times: Json, seconds: int | None
) -> None:
    """At the very second; then both tokens are unknown, and a sweep leaves nothing of it."""
    made = await token(bunker, **times)
    unused = await token(bunker, **times)
    clock.advance((seconds or 10 * 365 * DAY) - 1)
    assert await memory.documents.count("value") == 2
    assert await bunker.ok("TokenGet", token=made["tokenbase"])
    clock.advance(1)
    if seconds is None:
        assert await bunker.ok("TokenGet", token=unused["tokenbase"])
        return
    await gone(bunker, *unused.values())
    assert await memory.documents.sweep(10) >= 1


async def test_a_value_that_is_used_lives_on(bunker: Bunker, clock: FakeClock) -> None:
    """Each opening, by one or in bulk, puts its end off by the window, and never past the last."""
    made = await token(bunker, slidingtime="1d", finaltime="3d")
    clock.advance(90)
    unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
    assert (await bunker.ok("BulkListTokens", unlockuuid=unlock, tokens=[made["tokenbase"]]))["total"] == 1
    for seconds in (DAY - 60, DAY - 200, DAY - 60):
        clock.advance(seconds)
        assert await bunker.ok("TokenGet", token=made["tokenuuid"])
    clock.advance(229)
    assert await bunker.ok("TokenGet", token=made["tokenuuid"])
    clock.advance(1)
    await gone(bunker, *made.values())


@pytest.mark.parametrize("time", ["soon", "-1d", "0", 0, True, "1x"])
async def test_a_time_that_is_none(bunker: Bunker, time: Any) -> None:
    """It is refused by its name."""
    for name in ("finaltime", "slidingtime"):
        await bunker.refused(
            400,
            f"The {name} parameter has an incorrect format",
            "TokenCreate",
            tokentype="text",
            record="a",
            **{name: time},
        )


# --- many -----------------------------------------------------------------------------------------------------


async def test_many_are_kept_at_once(bunker: Bunker) -> None:
    """Each is judged on its own: what came before, and twice, is told apart, and what is wrong by its place."""
    before = await token(bunker, unique=True)
    records = [
        {"tokentype": "creditcard", "record": CARD},
        {"tokentype": "text", "record": "a"},
        {"tokentype": "phone", "record": "+15550100"},
        {"tokentype": "text", "record": "a"},
    ]
    said = await bunker.ok("TokenCreateBulk", records=records, unique=True, finaltime="12m")
    [row] = said["created"]
    assert (row["tokentype"], row["record"], set(row)) == ("text", "a", {"tokenuuid", "tokentype", "record"})
    assert said["duplicates"] == [{**before, "tokentype": "creditcard", "record": CARD}, row]
    reason = "tokentype must be one of creditcard, email, text"
    assert said["errors"] == [{"index": 2, "tokentype": "phone", "reason": reason}]
    assert said["num"] == 1
    assert said["summary"] == {"created": 1, "duplicates": 2, "errors": 1, "total": 4}


async def test_many_are_all_new_unless_asked_for(bunker: Bunker) -> None:
    """The same card twice is two tokens."""
    said = await bunker.ok("TokenCreateBulk", records=[{"tokentype": "creditcard", "record": CARD}] * 3)
    assert len({row["tokenbase"] for row in said["created"]}) == said["num"] == 3
    assert said["summary"] == {"created": 3, "duplicates": 0, "errors": 0, "total": 3}


@pytest.mark.parametrize("record", [None, 7, "text", [], {}, {"tokentype": "text"}, {"record": "a"}])
async def test_a_record_that_is_none(bunker: Bunker, record: Any) -> None:
    """It is an error of its own, and the others are kept."""
    said = await bunker.ok("TokenCreateBulk", records=[record, {"tokentype": "text", "record": "a"}])
    assert [one["index"] for one in said["errors"]] == [0]
    assert said["num"] == 1


async def test_too_few_and_too_many(bunker: Bunker) -> None:
    """No record at all, or more than a transaction takes."""
    one = {"tokentype": "text", "record": "a"}
    await bunker.refused(400, "The records parameter has an incorrect format", "TokenCreateBulk", records=[])
    await bunker.refused(400, "Missing API request parameters: records", "TokenCreateBulk")
    too_many = "The {} parameter has an incorrect format: at most 4 at a time"
    await bunker.refused(400, too_many.format("records"), "TokenCreateBulk", records=[one] * 5)
    unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
    for method in ("BulkListTokens", "BulkDeleteTokens"):
        await bunker.refused(400, too_many.format("tokens"), method, unlockuuid=unlock, tokens=["a"] * 5)


async def test_many_are_opened_and_deleted(bunker: Bunker) -> None:
    """By either token; a value that is named twice comes once, and what is unknown is passed over."""
    card, text = await token(bunker), await token(bunker, "a", "text")
    unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
    tokens = [card["tokenbase"], text["tokenuuid"], "nobody", card["tokenuuid"]]
    rows = [
        {**card, "tokentype": "creditcard", "record": CARD},
        {**text, "tokentype": "text", "record": "a"},
    ]
    assert await bunker.ok("BulkListTokens", unlockuuid=unlock, tokens=tokens) == {"rows": rows, "total": 2}
    assert await bunker.ok("BulkDeleteTokens", unlockuuid=unlock, tokens=tokens) == {"deleted": 2}
    assert await bunker.ok("BulkDeleteTokens", unlockuuid=unlock, tokens=tokens) == {"deleted": 0}
    assert await bunker.ok("BulkListTokens", unlockuuid=unlock, tokens=tokens) == {"rows": [], "total": 0}
    await gone(bunker, *card.values(), *text.values())


@pytest.mark.parametrize("method", ["BulkListTokens", "BulkDeleteTokens"])
async def test_many_need_an_unlock(memory: Vault, bunker: Bunker, clock: FakeClock, method: str) -> None:
    """A made-up one, another caller's and one that is over are refused alike; nothing is opened or deleted."""
    made = await token(bunker)
    unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
    other, _ = await memory.access.create("other", {"admin"})
    message = "The unlockuuid value was not found or is not valid"
    await bunker.refused(403, message, method, unlockuuid="nonsense", tokens=list(made.values()))
    await bunker.by(other).refused(403, message, method, unlockuuid=unlock, tokens=list(made.values()))
    clock.advance(60)
    await bunker.refused(403, message, method, unlockuuid=unlock, tokens=list(made.values()))
    await bunker.refused(400, "Missing API request parameters: unlockuuid", method, tokens=[])
    assert [action for action, _ in await actions(memory)] == ["value.created"]
    assert await bunker.ok("TokenGet", token=made["tokenbase"])


# --- who, and what is recorded --------------------------------------------------------------------------------


async def test_what_is_done_is_recorded(memory: Vault, bunker: Bunker) -> None:
    """By the value's own token: kept, kept anew, opened, deleted; what was not found leaves no event."""
    made = (await token(bunker, unique=True))["tokenuuid"]
    await token(bunker, unique=True)
    await bunker.ok("TokenGet", token=made)
    await bunker.ok("TokenDelete", token=made)
    await gone(bunker, made)
    told = [f"value.{what}" for what in ("created", "renewed", "revealed", "erased")]
    assert await actions(memory) == [(action, made) for action in told]


async def test_an_opening_counts_against_the_budget(memory: Vault, bunker: Bunker) -> None:
    """A stolen root token does not empty the vault of its cards; and what is refused is not shown."""
    made = [await token(bunker) for _ in range(3)]
    text, _ = await memory.access.create("root", {"admin"}, rails=Rails(reveals_per_hour=2))
    thief = bunker.by(text)
    assert await thief.ok("TokenGet", token=made[0]["tokenbase"])
    unlock = (await thief.ok("BulkListUnlock"))["unlockuuid"]
    bases = [one["tokenbase"] for one in made]
    status, answer = await thief("BulkListTokens", unlockuuid=unlock, tokens=bases)
    assert (status, CARD in str(answer)) == (429, False)
    assert (await thief("TokenGet", token=made[1]["tokenbase"]))[0] == 200
    assert (await thief("TokenGet", token=made[2]["tokenbase"]))[0] == 429


async def test_an_opening_asks_for_its_purpose(config: Config, clock: FakeClock) -> None:
    """Where the settings say that nothing is opened without one; a bulk names it with its unlock."""
    settings = replace(
        config,
        storage=replace(config.storage, url="memory:"),
        audit=replace(config.audit, require_purpose=True),
    )
    async with wiring.open_vault(settings, None, clock=clock) as vault:
        made = await vault.values.create(Single("text", "a"), Lifetime(), unique=False)
        for opening in (vault.values.get(made.token), vault.values.get_many([made.token])):
            with pytest.raises(PurposeMissing):
                await opening
        assert await actions(vault) == [("value.created", made.token)]
        async with TestClient(TestServer(make_app(vault))) as http:
            bunker = Bunker(http, await wiring.first_access_key(vault))
            unlock = (await bunker.ok("BulkListUnlock"))["unlockuuid"]
            assert (await bunker.ok("BulkListTokens", unlockuuid=unlock, tokens=[made.token]))["total"] == 1


METHODS = ("TokenCreate", "TokenCreateBulk", "TokenGet", "TokenDelete", "BulkListTokens", "BulkDeleteTokens")


@pytest.mark.parametrize("method", METHODS)
async def test_a_person_may_not(bunker: Bunker, method: str) -> None:
    """A person's own token is about their own record, and a value is nobody's; nor is anybody let in without one."""
    person = (await bunker.ok("UserCreate", profile={"login": "ada"}))["token"]
    xtoken = (await bunker.ok("XTokenCreateForUser", mode="token", identity=person))["xtoken"]
    await bunker.by(xtoken).refused(403, "API access denied", method)
    await bunker.by("").refused(403, "Access denied", method)
