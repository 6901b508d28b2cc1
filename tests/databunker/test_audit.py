import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.databunker.conftest import Bunker, Json
from vault.http.databunker.audit import uuid_of
from vault.installation import Vault
from vault.ports import Wanted

Person = Callable[..., Awaitable[str]]
NOBODY = "0b0c9a5e-6f0e-4d39-8a53-0e6d2c1f7a10"


async def events_of(bunker: Bunker, token: str, **said: Any) -> list[Json]:
    """Return a page of a person's events."""
    rows = (await bunker.ok("AuditListUserEvents", mode="token", identity=token, **said))["rows"]
    assert isinstance(rows, list)
    return rows


async def test_what_was_done_to_a_person_is_listed(bunker: Bunker, person: Person, clock: FakeClock) -> None:
    """The oldest first, with times in seconds, and nothing of anybody else."""
    ann, bea = await person(login="ann"), await person(login="bea")
    clock.advance(60)
    for token in (ann, bea, ann):
        await bunker.ok("UserGet", mode="token", identity=token)

    said = await bunker.ok("AuditListUserEvents", mode="token", identity=ann)

    assert [row["eventtype"] for row in said["rows"]] == [
        "profile.created",
        "profile.revealed",
        "profile.revealed",
    ]
    assert said["total"] == 3
    now = clock.time // 1000
    assert [row["timestamp"] for row in said["rows"]] == [now - 60, now, now]
    assert {row["token"] for row in said["rows"]} == {ann}
    assert len({row["auditeventuuid"] for row in said["rows"]}) == 3


async def test_events_come_in_pages(bunker: Bunker, person: Person) -> None:
    """Ten unless more are asked for, from the offset on; the total is of all."""
    ann = await person(login="ann")
    for _ in range(11):
        await bunker.ok("UserGet", mode="token", identity=ann)
    every = await events_of(bunker, ann, limit=100)

    assert len(every) == 12
    assert await events_of(bunker, ann) == every[:10]
    assert await events_of(bunker, ann, offset=10) == every[10:]
    assert await events_of(bunker, ann, offset="1", limit="2") == every[1:3]
    assert await events_of(bunker, ann, offset=12) == []
    assert (await bunker.ok("AuditListUserEvents", mode="token", identity=ann, offset=11))["total"] == 12


async def test_a_person_is_named_in_every_mode(bunker: Bunker, person: Person) -> None:
    """By e-mail as well; who was looked up so is in the list."""
    await person(email="ann@example.org")

    said = await bunker.ok("AuditListUserEvents", mode="email", identity="ann@example.org")

    assert [row["eventtype"] for row in said["rows"]] == ["profile.created", "profile.looked_up"]


async def test_an_event_is_opened_by_its_uuid(bunker: Bunker, person: Person) -> None:
    """With what the list says of it, and its details: those of the request too."""
    ann = await person(email="ann@example.org")
    metadata = {"ticket": "T-1"}
    await bunker.ok("UserGet", mode="email", identity="ann@example.org", request_metadata=metadata)
    rows = await events_of(bunker, ann)

    opened = [await bunker.ok("AuditGetEvent", auditeventuuid=row["auditeventuuid"]) for row in rows]

    assert [event.pop("details") for event in opened] == [
        {},
        {"field": "email", "request_metadata": metadata},
        {"request_metadata": metadata},
    ]
    assert opened == rows
    for row in rows:
        assert uuid.UUID(row["auditeventuuid"]).version == 8
        assert uuid.UUID(row["auditeventuuid"]).variant == uuid.RFC_4122


async def test_the_events_of_an_erased_person_stay(bunker: Bunker, person: Person) -> None:
    """By the token, without the details."""
    ann = await person(email="ann@example.org")
    await bunker.ok("UserGet", mode="email", identity="ann@example.org", request_metadata={"ticket": "T-1"})
    receipt = await memory_erase(bunker, ann)
    assert receipt

    rows = await events_of(bunker, ann)

    assert rows[-1]["eventtype"] == "profile.erased"
    looked_up = await bunker.ok("AuditGetEvent", auditeventuuid=rows[1]["auditeventuuid"])
    assert looked_up["details"] == {}


async def memory_erase(bunker: Bunker, token: str) -> str:
    """Erase a person by the native face."""
    headers = {"Authorization": f"Bearer {bunker.token}"}
    async with bunker.http.delete(f"/api/v1/profiles/{token}", headers=headers) as response:
        assert response.status == 200
        return await response.text()


async def test_who_never_was_is_not_found(bunker: Bunker) -> None:
    """By token and by value alike."""
    for mode, identity in (("token", NOBODY), ("email", "nobody@example.org")):
        await bunker.refused(
            404, "The user record was not found", "AuditListUserEvents", mode=mode, identity=identity
        )
    await bunker.refused(400, "Bad UUID", "AuditListUserEvents", mode="token", identity="x")


async def test_no_other_uuid_opens_an_event(bunker: Bunker, person: Person) -> None:
    """Not that of another vault's trail, of a place that does not exist, nor one that was guessed from a place."""
    row = (await events_of(bunker, await person(login="ann")))[0]
    own = uuid.UUID(row["auditeventuuid"])

    guessed = [uuid.UUID(int=own.int ^ 1 << bit) for bit in (0, 61, 62, 63, 64, 75, 76, 79, 80, 81, 127)]
    for one in (*guessed, uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid4()):
        await bunker.refused(404, "There is no such record.", "AuditGetEvent", auditeventuuid=str(one))
    await bunker.refused(400, "Bad UUID", "AuditGetEvent", auditeventuuid="no uuid")
    await bunker.refused(400, "Missing API request parameters: auditeventuuid", "AuditGetEvent")
    assert (await bunker("AuditGetEvent", auditeventuuid=str(own)))[0] == 200


async def test_every_event_has_a_uuid_of_its_own_for_good(
    memory: Vault, bunker: Bunker, person: Person
) -> None:
    """In the order of the trail, and the same whenever it is asked for."""
    for number in range(20):
        await person(login=f"ann-{number}")
    events = await memory.audit.events(Wanted(), 0, 99)

    named = [uuid_of(event) for event in events]

    assert named == sorted(set(named))
    assert named == [uuid_of(event) for event in await memory.audit.events(Wanted(), 0, 99)]
    for event, name in zip(events, named, strict=True):
        assert (await bunker.ok("AuditGetEvent", auditeventuuid=str(name)))["eventtype"] == event.action


async def test_a_person_sees_the_list_of_its_own_alone(memory: Vault, bunker: Bunker, person: Person) -> None:
    """With its own token: not another's, and no details, which may say what the operator noted of a request."""
    ann, bea = await person(login="ann"), await person(login="bea")
    own = bunker.by(await memory.grants.issue("user", user_token=ann))

    rows = await events_of(own, ann)

    assert [row["eventtype"] for row in rows] == ["profile.created", "access.created"]
    await own.refused(403, "API access denied", "AuditListUserEvents", mode="token", identity=bea)
    await own.refused(403, "API access denied", "AuditListUserEvents", mode="login", identity="bea")
    await own.refused(403, "API access denied", "AuditGetEvent", auditeventuuid=rows[0]["auditeventuuid"])


@pytest.mark.parametrize("method", ["AuditListUserEvents", "AuditGetEvent"])
async def test_nobody_without_a_token_asks(method: str, bunker: Bunker) -> None:
    """Before anything is looked at."""
    await bunker.by("").refused(403, "Access denied", method)
