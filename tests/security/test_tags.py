"""Whoever can write to vault.db, but has no key, leads no look-up by value to another person."""

import io
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.security.stage import query
from tests.settings import UNHELD
from vault import wiring
from vault.errors import BoxError, ProfileNotFound
from vault.installation import Vault

MISLEADS = "tag.misleads"

ADA = {"email": "ada@example.org", "login": "ada", "phone": "+1 650 253 0000"}
EVE = {"email": "eve@example.org", "login": "eve", "phone": "+1 650 253 0001"}
#: A way to write each value that is not the way it was kept.
SPELLED = {"email": "ada@EXAMPLE.org", "login": "ADA", "phone": "(650) 253-0000"}

#: Statements on vault.db, and the fields of Ada's whose look-up finds nobody after them.
ALTERATIONS = {
    "Eve's token is put beside every tag of Ada's": (
        ("UPDATE tags SET token = :eve WHERE token = :ada",),
        ("email", "login", "phone"),
    ),
    "the tags of both are exchanged": (
        ("UPDATE tags SET token = CASE token WHEN :ada THEN :eve ELSE :ada END",),
        ("email", "login", "phone"),
    ),
    "Eve's token is put beside one tag of Ada's": (
        ("UPDATE tags SET token = :eve WHERE token = :ada AND field = 'email'",),
        ("email",),
    ),
    "and the field is named another as well": (
        ("UPDATE tags SET token = :eve, field = 'custom' WHERE token = :ada AND field = 'login'",),
        ("login",),
    ),
}


@pytest.fixture(params=[False, True], ids=["while nothing serves", "while it serves"])
async def scene(request: pytest.FixtureRequest, data: Path, clock: FakeClock) -> Any:
    """Return a function that alters vault.db and gives a vault with both, and their tokens by name."""
    async with AsyncExitStack() as stack:

        async def after(statements: tuple[str, ...]) -> tuple[Vault, dict[str, str]]:
            vault = await stack.enter_async_context(wiring.open_vault(UNHELD, data, clock=clock))
            tokens = {
                name: (await vault.profiles.create(who)).token for name, who in (("ada", ADA), ("eve", EVE))
            }
            if not request.param:
                await stack.aclose()
            with closing(sqlite3.connect(data / "vault.db", isolation_level=None)) as connection:
                for statement in statements:
                    connection.execute(statement, tokens)
            if not request.param:
                vault = await stack.enter_async_context(wiring.open_vault(UNHELD, data, clock=clock))
            return vault, tokens

        yield after


After = Callable[[tuple[str, ...]], Awaitable[tuple[Vault, dict[str, str]]]]


@pytest.mark.parametrize(("statements", "lost"), ALTERATIONS.values(), ids=ALTERATIONS)
async def test_a_tag_that_leads_to_another_person_finds_nobody(
    statements: tuple[str, ...], lost: tuple[str, ...], scene: After, data: Path, log: io.StringIO
) -> None:
    """A line without ids says so, and the trail has a look-up that found nobody; other values find whom they did."""
    vault, tokens = await scene(statements)
    for field, value in SPELLED.items():
        if field in lost:
            with pytest.raises(ProfileNotFound):
                await vault.profiles.lookup(field, value)
        else:
            assert await vault.profiles.lookup(field, value) == tokens["ada"]
    told = [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == MISLEADS]
    assert len(told) == len(lost)
    assert all(set(line) == {"event", "level", "time"} for line in told)
    noted = query(
        data,
        "SELECT outcome, user_token FROM audit_events WHERE action = 'profile.looked_up' ORDER BY sequence",
        database="vault",
    )
    assert noted == [
        ("profile_not_found", None) if field in lost else ("ok", tokens["ada"]) for field in SPELLED
    ]


async def test_whoever_is_found_is_found_as_before(scene: After, log: io.StringIO) -> None:
    """By each way to write each value, and after it was changed by the new one alone."""
    vault, tokens = await scene(())
    for field in ADA:
        for value in (ADA[field], SPELLED[field]):
            assert await vault.profiles.lookup(field, value) == tokens["ada"]
    await vault.profiles.change(tokens["ada"], lambda content: {**content, "email": "new@example.org"}, None)
    assert await vault.profiles.lookup("email", "new@EXAMPLE.org") == tokens["ada"]
    with pytest.raises(ProfileNotFound):
        await vault.profiles.lookup("email", ADA["email"])
    assert MISLEADS not in log.getvalue()


async def test_a_profile_that_does_not_open_is_not_given_out_on_its_tags_word(scene: After) -> None:
    """It answers as a read of it does, and not as unknown: the e-mail is not free."""
    vault, tokens = await scene(("UPDATE profiles SET box = (SELECT box FROM profiles WHERE token = :eve)",))
    with pytest.raises(BoxError):
        await vault.profiles.lookup("email", ADA["email"])
    assert await vault.profiles.lookup("email", EVE["email"]) == tokens["eve"]
