"""What the holder of a stolen access key gets, as SECURITY.md has it, where no other test shows it."""

import hashlib
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.security.stage import API, Answer, Client, a_person, ask, bearer
from vault.http.native import OPERATIONS
from vault.installation import Vault
from vault.ports import Wanted
from vault.records import Rails
from vault.tokens import new_unlock

KeyFor = Callable[..., Awaitable[str]]


def with_key(client: Client, key: str) -> Callable[..., Awaitable[Answer]]:
    """Call with an access key."""

    async def call(method: str, path: str, body: object = None, **more: str) -> Answer:
        return await ask(client, method, f"{API}{path}", body, **bearer(key), **more)

    return call


def rails(**bounds: int) -> Any:
    """Return what a key is held to."""
    return Rails(**bounds)


async def outcomes(vault: Vault, action: str) -> list[str]:
    """Return what came of each act of this kind, as the trail has it."""
    return [event.outcome for event in await vault.audit.events(Wanted(action=action), 0, 100)]


async def test_who_may_open_sessions_is_anybody_whose_token_they_know(
    vault: Vault, anonymous: Client, key_for: KeyFor
) -> None:
    """With every claim that the settings allow; the vault proves nobody's identity, its callers do."""
    person = await a_person(vault)
    writer = with_key(anonymous, await key_for("sessions:write"))

    opened = await writer("POST", "/sessions", {"user_token": person, "claims": {"roles": ["admin"]}})

    assert opened.status == 201
    found = await vault.sessions.current(opened.body["session_id"])
    assert (found.user_token, b"admin" in bytes(found.claims)) == (person, True)


async def test_who_may_find_people_learns_that_somebody_is_there(
    vault: Vault, anonymous: Client, key_for: KeyFor
) -> None:
    """A guessed e-mail gives a user token, and nothing opens it; each guess is in the trail."""
    person = await a_person(vault, email="ada@example.org")
    finder = with_key(anonymous, await key_for("profiles:lookup"))

    assert (await finder("POST", "/profiles/lookup", {"email": "ada@example.org"})).body["token"] == person
    assert (await finder("POST", "/profiles/lookup", {"email": "bea@example.org"})).status == 404
    assert (await finder("GET", f"/profiles/{person}")).status == 403
    assert await outcomes(vault, "profile.looked_up") == ["ok", "profile_not_found"]


async def test_who_may_write_profiles_can_test_guesses_and_read_none(
    vault: Vault, anonymous: Client, key_for: KeyFor
) -> None:
    """A guess that holds is told from one that does not; each leaves an event. So is an e-mail that is taken."""
    person = await a_person(vault, email="ada@example.org", city="London")
    writer = with_key(anonymous, await key_for("profiles:write"))
    patch = {"Content-Type": "application/json-patch+json"}

    def guess(city: str) -> Awaitable[Answer]:
        return writer(
            "PATCH", f"/profiles/{person}", [{"op": "test", "path": "/city", "value": city}], **patch
        )

    right, wrong = await guess("London"), await guess("Paris")
    taken = await writer("POST", "/profiles", {"profile": {"email": "ada@example.org"}})

    assert (right.status, wrong.status, taken.status) == (200, 409, 409)
    assert await outcomes(vault, "profile.changed") == ["ok", "patch_failed"]
    for answer in (right, wrong, taken):
        assert "London" not in answer.text
        assert "ada@" not in answer.text
    assert (await writer("GET", f"/profiles/{person}")).status == 403


async def test_who_may_read_the_trail_learns_every_token_and_no_value(
    vault: Vault, anonymous: Client, key_for: KeyFor
) -> None:
    """So profiles:read and audit:read together open everybody; apart, neither does."""
    people = {await a_person(vault, email=f"{name}@example.org") for name in ("ada", "bea")}
    auditor = with_key(anonymous, await key_for("audit:read"))

    told = await auditor("GET", "/audit")

    assert {event["user_token"] for event in told.body["events"]} >= people
    assert "example.org" not in told.text
    assert (await auditor("GET", f"/profiles/{people.pop()}")).status == 403


async def test_who_may_read_in_bulk_opens_everybody_within_the_budget_and_on_record(
    vault: Vault, anonymous: Client, key_for: KeyFor
) -> None:
    """Without leave nothing; with it one event for each profile; beyond the budget nothing again."""
    for _ in range(3):
        await a_person(vault)
    thief = with_key(anonymous, await key_for("profiles:bulk", rails=rails(reveals_per_hour=4)))

    assert (await thief("POST", "/profiles/bulk/list", {"unlock": "tvu_" + "x" * 43})).status == 403
    leave = (await thief("POST", "/profiles/bulk/unlock", {"reason": "monthly invoices"})).body["unlock"]
    first = await thief("POST", "/profiles/bulk/list", {"unlock": leave})
    second = await thief("POST", "/profiles/bulk/list", {"unlock": leave})

    assert (first.status, len(first.body["profiles"])) == (200, 3)
    assert (second.status, second.body["code"]) == (429, "budget_spent")
    assert len(await outcomes(vault, "profile.revealed")) == 3


async def test_a_key_that_reads_profiles_finds_nobody_without_a_token(
    vault: Vault, anonymous: Client, key_for: KeyFor
) -> None:
    """There is no list but that of profiles:bulk; and its budget ends what it opens."""
    people = [await a_person(vault) for _ in range(2)]
    thief = with_key(anonymous, await key_for("profiles:read", rails=rails(reveals_per_day=1)))

    assert (await thief("POST", "/profiles/bulk/unlock", {"reason": "none"})).status == 403
    assert (await thief("POST", "/profiles/lookup", {"email": "person0@example.org"})).status == 403
    assert [(await thief("GET", f"/profiles/{person}")).status for person in people] == [200, 429]


async def test_a_budget_is_a_count_in_the_open(
    vault: Vault, data: Path, anonymous: Client, key_for: KeyFor
) -> None:
    """Who writes to vault.db as well gives a key its budget back; what was opened stays in the trail."""
    person = await a_person(vault)
    thief = with_key(anonymous, await key_for("profiles:read", rails=rails(reveals_per_day=1)))
    assert [(await thief("GET", f"/profiles/{person}")).status for _ in range(2)] == [200, 429]

    with closing(sqlite3.connect(data / "vault.db")) as connection, connection:
        connection.execute("DELETE FROM reveals")

    assert (await thief("GET", f"/profiles/{person}")).status == 200
    assert len(await outcomes(vault, "profile.revealed")) == 2


async def test_leave_for_bulk_reads_is_a_row_in_the_open(
    vault: Vault, data: Path, anonymous: Client, key_for: KeyFor
) -> None:
    """Who writes to vault.db as well makes it without an event; each profile that is opened has one all the same."""
    await a_person(vault)
    key = await key_for("profiles:bulk")
    own = new_unlock()
    row = (hashlib.sha256(own.encode()).digest(), key.split("_")[1], "made up", 2**62)

    with closing(sqlite3.connect(data / "vault.db")) as connection, connection:
        connection.execute(
            "INSERT INTO unlocks (digest, key_id, reason, expires_at) VALUES (?, ?, ?, ?)", row
        )

    opened = await with_key(anonymous, key)("POST", "/profiles/bulk/list", {"unlock": own})
    assert (opened.status, len(opened.body["profiles"])) == (200, 1)
    assert await outcomes(vault, "bulk.unlocked") == []
    assert await outcomes(vault, "profile.revealed") == ["ok"]


def test_no_call_makes_access_keys_or_moves_keys() -> None:
    """Also with admin: rights and keys are given at the command line alone, by whoever is on the machine."""
    assert {operation.path.split("/")[1] for operation in OPERATIONS} == {"profiles", "sessions", "audit"}
