"""The trail cannot be written: profiles stay closed and nothing changes, sessions are looked up, and it mends."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.http.conversation import ADA, BODIES, MERGE, Client, Scene, read, sign_in
from tests.rotating import select
from vault import wiring
from vault.config import Config
from vault.errors import AuditUnavailable
from vault.http.native import OPERATIONS
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.ports import Wanted


class Trouble:
    """What is wrong with the trail, as statements that bring it about, and those that mend it."""

    def __init__(self, data: Path) -> None:
        self.path = data / "vault.db"

    def do(self, *statements: str) -> None:
        """Do something to the database, beside the vault."""
        with closing(sqlite3.connect(self.path, timeout=5)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def state(self) -> dict[str, list[Any]]:
        """Return all that the calls could change."""
        tables = (
            "profiles",
            "tags",
            "access_keys",
            "honey_tokens",
            "unlocks",
            "alarms",
            "audit_details",
            "reveals",
        )
        return {name: select(self.path, f"SELECT * FROM {name}") for name in tables}  # noqa: S608


TROUBLES = {
    "the table of events is gone": (
        ["ALTER TABLE audit_events RENAME TO elsewhere"], ["ALTER TABLE elsewhere RENAME TO audit_events"],
    ),
    "the note of the end is gone": (
        ["CREATE TABLE kept AS SELECT * FROM audit_end", "DELETE FROM audit_end"],
        ["INSERT INTO audit_end SELECT * FROM kept", "DROP TABLE kept"],
    ),
    "the note is an earlier one": (
        ["CREATE TABLE kept AS SELECT * FROM audit_end",
         "UPDATE audit_end SET sequence = sequence - 1,"
         " link = (SELECT link FROM audit_events WHERE sequence = audit_end.sequence - 1)"],
        ["UPDATE audit_end SET (sequence, link) = (SELECT sequence, link FROM kept)", "DROP TABLE kept"],
    ),
    "the note is forged": (
        ["CREATE TABLE kept AS SELECT * FROM audit_end", "UPDATE audit_end SET mac = zeroblob(32)"],
        ["UPDATE audit_end SET mac = (SELECT mac FROM kept)", "DROP TABLE kept"],
    ),
    "the table of the end is gone": (
        ["ALTER TABLE audit_end RENAME TO elsewhere"], ["ALTER TABLE elsewhere RENAME TO audit_end"],
    ),
}  # fmt: skip

#: What each call answers meanwhile; every other one 503 with the reason.
GOES_ON = {
    "GET /sessions/current": 200,
    "GET /profiles/{token}/sessions": 200,
    "POST /profiles/bulk/read": 403,  # there is no unlock to be had
    "POST /profiles/bulk/list": 403,
}

#: Acts on sessions are done before they are told, in a file of their own, so one that ends them is the last.
ON_SESSIONS = (
    "GET /sessions/current", "GET /profiles/{token}/sessions", "POST /sessions", "PATCH /sessions/current",
    "DELETE /profiles/{token}/sessions",
)  # fmt: skip

#: Calls that read the trail itself.
READS_IT = ("GET /audit",)

BULK: dict[str, Any] = {
    **BODIES,
    "POST /profiles/bulk/unlock": {"reason": "monthly invoices"},
    "POST /profiles/bulk/read": {
        "unlock": "tvu_" + "A" * 43,
        "tokens": ["7c9e6679-7425-4de4-944b-e07fc1f90ae7"],
    },
    "POST /profiles/bulk/list": {"unlock": "tvu_" + "A" * 43},
    "PUT /profiles/{token}": {"profile": {"email": "ada@example.org", "city": "Paris"}},
}


async def _ask(client: Client, scene: Scene, name: str) -> Any:
    method, path = name.split(" ")
    url = PREFIX + path.format(token=scene.token, handle=scene.handle)
    kind = MERGE if method == "PATCH" and "profiles" in path else "application/json"
    headers = {"Content-Type": kind, "Session-Id": scene.session_id}
    if name in BULK:
        return await client.request(method, url, json=BULK[name], headers=headers)
    return await client.request(method, url, headers=headers if "current" in path else None)


@pytest.fixture
def trouble(data: Path) -> Trouble:
    """A hand at the database."""
    return Trouble(data)


@pytest.mark.parametrize(("breaks", "mends"), TROUBLES.values(), ids=TROUBLES)
async def test_what_cannot_be_recorded_is_neither_shown_nor_done(
    client: Client, vault: Vault, trouble: Trouble, breaks: list[str], mends: list[str]
) -> None:
    """Every call that would leave an event is answered 503 with the reason, nothing hangs, sessions are looked up.

    Once the trail is as it was, everything goes on, and the trail holds together.
    """
    scene = await sign_in(client)
    before = trouble.state()
    trouble.do(*breaks)
    wrong = {}
    names = {f"{one.method} {one.path}" for one in OPERATIONS if "sessions" not in one.path} - {*READS_IT}
    for name in (*sorted(names), *ON_SESSIONS):
        async with asyncio.timeout(20):
            response = await _ask(client, scene, name)
        told = await response.json(content_type=None) if response.status != 204 else {}
        expected = (GOES_ON[name], None) if name in GOES_ON else (503, "audit_unavailable")
        got = response.status, told.get("code") if response.status == 503 else None
        if got != expected:
            wrong[name] = got
        if response.status == 503:
            assert response.headers["Retry-After"] == "1"
    assert wrong == {}
    assert trouble.state() == before
    trouble.do(*mends)

    assert await read(client, scene.token) == ADA
    found = await vault.audit.events(Wanted(), 0, 9999)
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))


async def test_another_process_that_is_in_the_way_is_waited_for(data: Path, clock: FakeClock) -> None:
    """The patience of the settings, and no longer: then it is the trail that cannot be written."""
    settings = Config()
    async with wiring.open_vault(settings, data, clock=clock) as vault:
        token = (await vault.profiles.create(ADA)).token
        vault.audit._store._database.writer._patience = 0.1  # type: ignore[attr-defined]  # not five seconds
        with closing(sqlite3.connect(data / "vault.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(AuditUnavailable):
                await vault.profiles.get(token)
        assert (await vault.profiles.get(token)).content == ADA


async def test_one_who_cannot_be_recorded_is_in_nobody_elses_way(vault: Vault, trouble: Trouble) -> None:
    """In one transaction with others, what needs no event is done."""
    token = (await vault.profiles.create(ADA)).token
    trouble.do("UPDATE audit_end SET mac = zeroblob(32)")
    store = vault.audit._store

    opened, renewed = await asyncio.gather(
        vault.profiles.get(token),
        store.put_macs([(await _first(vault), b"x" * 32, 1)]),
        return_exceptions=True,
    )

    assert isinstance(opened, AuditUnavailable)
    assert renewed == 1


async def _first(vault: Vault) -> Any:
    return (await vault.audit.events(Wanted(), 0, 1))[0]
