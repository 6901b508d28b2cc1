"""What attackers get, as SECURITY.md has it, where no other test shows it. Access keys have a file of their own."""

import hashlib
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.restoring import must
from tests.security.stage import API, Client, a_person, a_session, all_bytes, ask, bearer, query
from vault import audit_desk, wiring
from vault.config import Config
from vault.crypto import receipt, signed
from vault.crypto.chain import Chain, link
from vault.crypto.keyring import Keyring, new_keyring
from vault.crypto.sealer import Sealer
from vault.errors import WrongKey
from vault.installation import Vault
from vault.ledger import read_ledger
from vault.progress import Silent

KeyFor = Callable[..., Awaitable[str]]


def rewrite(data: Path, sql: str, *parameters: object, database: str) -> int:
    """Write to a file as an attacker would; return how many rows that changed."""
    with closing(sqlite3.connect(data / f"{database}.db")) as connection, connection:
        return connection.execute(sql, parameters).rowcount


# --- a stolen database ----------------------------------------------------------------------------------------


async def test_a_stolen_database_tells_who_was_opened_when_by_which_key_and_why(
    vault: Vault, data: Path, anonymous: Client, key_for: KeyFor, clock: FakeClock
) -> None:
    """The trail names people by their user token alone; the purpose is there as it was written."""
    person = await a_person(vault, email="ada@example.org")
    key = await key_for("profiles:read")
    purpose = {"Vault-Purpose": "ticket 4711"}
    await ask(anonymous, "GET", f"{API}/profiles/{person}", **bearer(key), **purpose)

    told = query(
        data, "SELECT actor, at, user_token, purpose FROM audit_events WHERE action = 'profile.revealed'",
        database="vault",
    )  # fmt: skip

    assert told == [(key.split("_")[1], clock.now(), person, "ticket 4711")]
    assert b"ada@example.org" not in all_bytes(data)


async def test_a_stolen_index_key_confirms_guesses(vault: Vault, data: Path) -> None:
    """With the database it tells whether a guessed e-mail is there, and whose token it has; without it nobody can."""
    person = await a_person(vault, email="ada@example.org")
    index = wiring.keyring_of(data, Config()).read().active("index")

    def guess(email: str, secret: bytes) -> list[Any]:
        parts = (b"default", b"email", (1).to_bytes(4), index.version.to_bytes(4), email.encode())
        joined = b"".join(len(part).to_bytes(4) + part for part in parts)
        tag = hashlib.blake2b(joined, digest_size=32, key=secret, person=b"tokenvault.idx.1").digest()
        return query(data, "SELECT token FROM tags WHERE digest = ?", tag, database="vault")

    assert guess("ada@example.org", index.secret) == [(person,)]
    assert guess("bea@example.org", index.secret) == []
    assert guess("ada@example.org", bytes(32)) == []


# --- a writer of the databases --------------------------------------------------------------------------------


async def test_a_row_of_an_ended_session_that_is_put_back_lives_again(vault: Vault, data: Path) -> None:
    """Rollback is not noticed: until its absolute end, for whoever kept the row and the id."""
    opened = await a_session(vault)
    (row,) = query(data, "SELECT * FROM sessions")
    await vault.sessions.end_handle(opened.view.handle)

    marks = ", ".join("?" * len(row))
    rewrite(data, f"INSERT INTO sessions VALUES ({marks})", *row, database="sessions")  # noqa: S608 - our table

    assert (await vault.sessions.current(opened.session_id)).handle == opened.view.handle


async def test_an_older_box_of_the_same_profile_is_served(vault: Vault, data: Path) -> None:
    """Rollback is not noticed: who writes to vault.db puts a profile back as it was, if they kept the box."""
    person = await a_person(vault, city="London")
    ((box,),) = query(data, "SELECT box FROM profiles WHERE token = ?", person, database="vault")
    await vault.profiles.change(person, lambda content: {**content, "city": "Paris"}, None)

    rewrite(data, "UPDATE profiles SET box = ? WHERE token = ?", box, person, database="vault")

    assert "London" in str((await vault.profiles.get(person)).content)


# --- the network ----------------------------------------------------------------------------------------------


def test_nobody_but_this_machine_is_listened_to_by_default() -> None:
    """Without TLS the port is for this machine alone, until somebody sets another address."""
    server = Config().server
    assert (server.host, server.tls_certificate) == ("127.0.0.1", "")


# --- a stolen keyring, audit or signing key -------------------------------------------------------------------


async def test_a_stolen_audit_key_forges_events_behind_the_last_kept_checkpoint_alone(
    vault: Vault, data: Path
) -> None:
    """With the database it gives the last event another author unseen, and not one that a checkpoint has signed."""
    for _ in range(2):
        await a_person(vault)
    last = forge_last_event(data)
    told = query(data, "SELECT actor FROM audit_events WHERE sequence = ?", last, database="vault")
    assert told == [("another than vault",)]
    assert (await audit_desk.verify(Config(), data, Silent())).findings == []

    await vault.audit.checkpoint()
    await vault.audit.anchor()
    assert forge_last_event(data) == last
    assert last in [one.sequence for one in (await audit_desk.verify(Config(), data, Silent())).findings]


def forge_last_event(data: Path) -> int:
    """Let the last event say something else, with link, MAC and end made by the real key; return its sequence."""
    chain = Chain(wiring.keyring_of(data, Config()).read(), wiring.DEFAULT_TENANT)
    said = "at, tenant, actor, action, outcome, user_token, request_id, purpose, revealed_version"
    event = f"SELECT sequence, details_digest, {said} FROM audit_events ORDER BY sequence DESC LIMIT 1"  # noqa: S608 - our columns
    ((sequence, digest, *words),) = query(data, event, database="vault")
    ((before,),) = query(
        data, "SELECT link FROM audit_events WHERE sequence = ?", sequence - 1, database="vault"
    )
    words[2] = f"another than {words[2]}"
    new = link(before, [sequence, *words], digest)
    change = "UPDATE audit_events SET actor = ?, link = ?, mac = ? WHERE sequence = ?"
    rewrite(data, change, words[2], new, chain.mac(new).digest, sequence, database="vault")
    ended = chain.end(sequence, new).digest
    rewrite(data, "UPDATE audit_end SET link = ?, mac = ?", new, ended, database="vault")
    return int(sequence)


async def test_a_stolen_signing_key_signs_erasures_that_a_restore_obeys(vault: Vault, data: Path) -> None:
    """A receipt that nobody was given holds; no other key's does."""
    person = await a_person(vault)
    stolen = wiring.keyring_of(data, Config()).read().active("signing")
    known = {signed.public_key(stolen)}

    forged = receipt.issue(stolen, person, 0, wiring.DEFAULT_TENANT)
    others = receipt.issue(new_keyring(0).active("signing"), person, 0, wiring.DEFAULT_TENANT)

    assert len(read_ledger(forged.encode(), known, "the ledger").receipts) == 1
    assert read_ledger(others.encode(), known, "the ledger").receipts == {}


@pytest.mark.parametrize("line", ["index", "audit", "signing"])
async def test_a_stolen_key_of_another_line_opens_no_profile(vault: Vault, data: Path, line: str) -> None:
    """Each line has random keys of its own: in the place of the data key another opens nothing."""
    person = await a_person(vault)
    ((box,),) = query(data, "SELECT box FROM profiles WHERE token = ?", person, database="vault")
    keyring = wiring.keyring_of(data, Config()).read()
    stolen = replace(keyring.active("data"), secret=keyring.active(line).secret)
    thiefs = Keyring([stolen, *(key for key in keyring if key.line != "data")])

    with pytest.raises(WrongKey):
        Sealer(thiefs, wiring.DEFAULT_TENANT).open("profile", person, box)


# --- an operator ----------------------------------------------------------------------------------------------


def test_what_is_done_at_the_command_line_is_on_record(tmp_path: Path) -> None:
    """As the operator's, whoever that is: names of people on the machine are not in the trail."""
    must("init", "--data", tmp_path / "data")
    must("access", "create", "--name", "web", "--scopes", "sessions:read", "--data", tmp_path / "data")

    told = query(
        tmp_path / "data", "SELECT actor, action FROM audit_events ORDER BY sequence DESC LIMIT 1",
        database="vault",
    )  # fmt: skip

    assert told == [("operator", "access.created")]


async def test_who_has_the_unlock_key_and_the_files_opens_everything(vault: Vault, data: Path) -> None:
    """Without the vault, a service or an access key, and without an event: copies are not watched."""
    person = await a_person(vault, city="London")
    before = query(data, "SELECT count(*) FROM audit_events", database="vault")

    ((box,),) = query(data, "SELECT box FROM profiles WHERE token = ?", person, database="vault")
    keyring = wiring.keyring_of(data, Config()).read()

    assert b"London" in Sealer(keyring, wiring.DEFAULT_TENANT).open("profile", person, box)
    assert query(data, "SELECT count(*) FROM audit_events", database="vault") == before
