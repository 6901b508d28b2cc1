"""What an access key may do is sealed in its row: a writer of vault.db who has no keys gives nobody a right."""

import asyncio
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.program import Program
from tests.rotating import boxes, desk, process
from tests.security.stage import API, CURRENT, Client, a_person, ask, bearer, worker
from tests.settings import UNHELD
from vault import wiring
from vault.access import VERDICT_LIFETIME
from vault.crypto.keyring import new_keyring
from vault.crypto.sealer import Sealer
from vault.errors import AccessKeyNotFound, TamperedBox, Unauthenticated
from vault.http.app import make_app
from vault.installation import Vault
from vault.key_desk import Manner
from vault.ports import Wanted
from vault.stores import open_stores
from vault.stores.sqlite.migrations import migrations
from vault.tokens import AccessKeyParts, parse_access_key

File = sqlite3.Connection


def parts_of(key: str) -> AccessKeyParts:
    """Return the id and the digest of a key."""
    parts = parse_access_key(key)
    assert parts is not None
    return parts


def id_of(key: str) -> str:
    """Return the public id of a key."""
    return parts_of(key).id


def opened(data: Path) -> File:
    """Open the file past all of our code."""
    return sqlite3.connect(data / "vault.db", isolation_level=None)


def box_of(file: File, key_id: str) -> bytes:
    """Return the box of a row."""
    ((box,),) = file.execute("SELECT box FROM access_keys WHERE id = ?", (key_id,))
    assert isinstance(box, bytes)
    return box


def put(file: File, key_id: str, box: bytes) -> None:
    """Put a box into a row, or make the row."""
    file.execute(
        "INSERT INTO access_keys (id, box, key_version) VALUES (?1, ?2, 1)"
        " ON CONFLICT (id) DO UPDATE SET box = ?2",
        (key_id, box),
    )


def everything(key: str) -> bytes:
    """Return what would give this key every right, were it sealed with the vault's key."""
    return json.dumps(
        {"claims": None, "created_at": 0, "expires_at": None, "name": "mine", "rails": {}, "revoked_at": None,
         "scopes": ["admin"], "secret_digest": parts_of(key).secret_digest.hex(), "suspended_at": None}
    ).encode()  # fmt: skip


def by_another_key(key: str) -> bytes:
    """Return that, sealed with a key of the writer's own."""
    return Sealer(new_keyring(0), "default").seal("access", id_of(key), everything(key)).box


def flipped(place: int) -> Callable[[File, str, str], None]:
    """Return what flips the lowest bit of a box's byte."""

    def change(file: File, key: str, admin: str) -> None:
        box = bytearray(box_of(file, id_of(key)))
        box[place] ^= 1
        put(file, id_of(key), bytes(box))

    return change


#: A key that nobody has made: its digest is known to the writer.
MINE = f"tvk_{'5' * 16}_{'A' * 43}"

#: What a writer does to the row of a reader's key or to one of his own, which key he then presents, and what is wrong
#: with the box by then.
ROWS: dict[str, tuple[Callable[[File, str, str], None], str | None, str]] = {
    "a row of his own, in the open": (lambda f, k, a: put(f, id_of(MINE), everything(MINE)), MINE, "box_malformed"),
    "a row of his own, under his own key": (
        lambda f, k, a: put(f, id_of(MINE), by_another_key(MINE)), MINE, "box_wrong_key"
    ),
    "a row of his own, with the admin's box": (
        lambda f, k, a: put(f, id_of(MINE), box_of(f, id_of(a))), MINE, "box_wrong_key"
    ),
    "his key's rights in the open": (lambda f, k, a: put(f, id_of(k), everything(k)), None, "box_malformed"),
    "his key's rights under his own key": (
        lambda f, k, a: put(f, id_of(k), by_another_key(k)), None, "box_wrong_key"
    ),
    "the admin's box in the row of his key": (
        lambda f, k, a: put(f, id_of(k), box_of(f, id_of(a))), None, "box_wrong_key"
    ),
    "his key's row under another id": (
        lambda f, k, a: f.execute("UPDATE access_keys SET id = ? WHERE id = ?", (id_of(MINE), id_of(k))) and None,
        f"tvk_{'5' * 16}_", "box_wrong_key"
    ),
    "a box of another table": (
        lambda f, k, a: put(f, id_of(k), f.execute("SELECT box FROM audit_details").fetchone()[0]),
        None, "box_wrong_key"
    ),
    "another format": (flipped(0), None, "box_malformed"),
    "another key version": (flipped(1), None, "box_unknown_key"),
    "another commitment": (flipped(5), None, "box_wrong_key"),
    "another nonce": (flipped(21), None, "box_tampered"),
    "another tag": (flipped(45), None, "box_tampered"),
    "a flipped bit of what it says": (flipped(-1), None, "box_tampered"),
    "a box cut short": (lambda f, k, a: put(f, id_of(k), box_of(f, id_of(k))[:-16]), None, "box_tampered"),
    "no box": (lambda f, k, a: put(f, id_of(k), b""), None, "box_malformed"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "presents", "code"), ROWS.values(), ids=ROWS)
async def test_a_changed_row_lets_nobody_in(
    change: Callable[[File, str, str], None],
    presents: str | None,
    code: str,
    data: Path,
    clock: FakeClock,
    log: io.StringIO,
) -> None:
    """It is answered as an unknown key, byte for byte, and logged by its cause; check names it; others go on."""
    async with wiring.open_vault(UNHELD, data, clock=clock) as vault:
        token = await a_person(vault)
        key, admin = [(await vault.access.create("test", {s}))[0] for s in ("sessions:read", "admin")]
    with closing(opened(data)) as file:
        change(file, key, admin)
    presents = presents or key
    if presents.endswith("_"):
        presents += key.split("_", 2)[2]

    async with (
        wiring.open_vault(UNHELD, data, clock=clock) as vault,
        TestClient(TestServer(make_app(vault))) as client,
    ):
        refused = [
            await ask(client, "GET", f"{API}/profiles/{token}", **bearer(one))
            for one in (presents, presents, f"tvk_{'9' * 16}_{'A' * 43}")
        ]
        admitted = await ask(client, "GET", f"{API}/profiles/{token}", **bearer(admin))
        listed = await vault.access.list()
    assert [one.status for one in refused] == [401] * 3
    assert len({json.dumps({**one.body, "request_id": None}, sort_keys=True) for one in refused}) == 1
    assert admitted.status == 200

    told = [
        one for one in map(json.loads, log.getvalue().splitlines()) if one["event"] == "access.unreadable"
    ]
    assert [(one["code"], one["key_id"]) for one in told] == [(code, id_of(presents))]
    assert listed.unreadable == {id_of(presents): code}
    assert id_of(admin) in [one.id for one in listed.keys]
    trouble = " ".join(await wiring.check(UNHELD, data))
    assert f"access key {id_of(presents)} does not open ({code})" in trouble
    assert id_of(admin) not in trouble


async def test_an_older_copy_of_a_row_is_believed(data: Path, vault: Vault, clock: FakeClock) -> None:
    """What sealing does not give: whoever kept a row from before a revocation, and can write, undoes it."""
    key, row = await vault.access.create("test", {"admin"})
    with closing(opened(data)) as file:
        before = box_of(file, row.id)
        await vault.access.revoke(row.id)
        with pytest.raises(Unauthenticated):
            await vault.access.authenticate(key)
        put(file, row.id, before)
    assert (await vault.access.authenticate(key)).key_id == row.id


async def test_a_row_that_does_not_open_cannot_be_changed(data: Path, vault: Vault) -> None:
    """It is said why, and it stays as it is for whoever looks into it."""
    key, row = await vault.access.create("test", {"admin"})
    with closing(opened(data)) as file:
        flipped(-1)(file, key, key)
        damaged = box_of(file, row.id)
        for verb in (vault.access.revoke, vault.access.suspend, vault.access.resume):
            with pytest.raises(TamperedBox):
                await verb(row.id)
        assert box_of(file, row.id) == damaged


async def test_the_service_makes_no_key_while_there_is_a_row(data: Path, tmp_path: Path) -> None:
    """Not even where none opens: only a vault whose first start ended early is given its first key by ``serve``."""
    with closing(opened(data)) as file:
        file.execute("UPDATE access_keys SET box = x'00'")
    with Program(data, tmp_path) as program:
        assert program.access_key == ""
    with closing(opened(data)) as file:
        assert file.execute("SELECT count(*) FROM access_keys").fetchone() == (1,)


# --- what changes a key ---------------------------------------------------------------------------------------


async def test_a_suspension_and_a_revocation_at_once_are_both_kept(
    data: Path, vault: Vault, clock: FakeClock
) -> None:
    """Whichever came first, in one process or in two: resuming the key does not bring it back."""
    async with worker(data, clock) as other:
        for one, two in ((vault, vault), (vault, other), (other, vault)):
            key, row = await vault.access.create("test", {"admin"})
            await asyncio.gather(
                one.access.suspend(row.id), two.access.revoke(row.id), one.access.suspend(row.id)
            )
            (kept,) = [each for each in (await vault.access.list()).keys if each.id == row.id]
            assert kept.suspended_at is not None
            assert kept.revoked_at is not None
            await one.access.resume(row.id)
            with pytest.raises(Unauthenticated):
                await vault.access.authenticate(key)


async def test_the_first_mark_stays(vault: Vault, clock: FakeClock) -> None:
    """A key that is revoked or suspended again is so since the first time; resuming takes that mark alone."""
    _, row = await vault.access.create("test", {"admin"})
    began = clock.now()
    for _ in range(2):
        await vault.access.revoke(row.id)
        await vault.access.suspend(row.id)
        clock.advance(9)
    (kept,) = [one for one in (await vault.access.list()).keys if one.id == row.id]
    assert (kept.revoked_at, kept.suspended_at) == (began, began)
    await vault.access.resume(row.id)
    (kept,) = [one for one in (await vault.access.list()).keys if one.id == row.id]
    assert (kept.revoked_at, kept.suspended_at) == (began, None)
    for verb in (vault.access.revoke, vault.access.suspend, vault.access.resume):
        with pytest.raises(AccessKeyNotFound):
            await verb("0" * 16)


async def test_a_honey_token_suspends_the_key_that_opens_it(
    vault: Vault, anonymous: Client, key_for: Callable[..., Any], data: Path
) -> None:
    """Before the answer, which is the decoy; from then on the key is refused, and the trail tells of both."""
    key = await key_for("profiles:read")
    token = await a_person(vault)
    await vault.alarms.plant(token, suspends=True)

    answer = await ask(anonymous, "GET", f"{API}/profiles/{token}", **bearer(key))
    assert answer.status == 200
    refused = await ask(anonymous, "GET", f"{API}/profiles/{token}", **bearer(key))
    assert refused.status == 401
    events = await vault.audit.events(Wanted(user_token=token), 0, 99)
    assert [(one.action, one.actor, one.outcome) for one in events[-3:]] == [
        ("profile.revealed", id_of(key), "ok"),
        ("alarm.honey_token", id_of(key), "ok"),
        ("access.suspended", id_of(key), "honey_token"),
    ]
    await vault.access.resume(id_of(key))
    assert (await ask(anonymous, "GET", f"{API}/profiles/{token}", **bearer(key))).status == 200


async def test_an_alarm_rings_though_the_key_cannot_be_suspended(
    vault: Vault, anonymous: Client, key_for: Callable[..., Any], data: Path, clock: FakeClock
) -> None:
    """Its row was changed while its verdict stood: the alarm is told, and the key ends with the verdict."""
    key = await key_for("profiles:read")
    token = await a_person(vault)
    await vault.alarms.plant(token, suspends=True)
    assert (await ask(anonymous, "GET", CURRENT, **bearer(key))).status == 403
    with closing(opened(data)) as file:
        flipped(-1)(file, key, key)

    assert (await ask(anonymous, "GET", f"{API}/profiles/{token}", **bearer(key))).status == 200
    assert vault.alarms.raised == 1
    clock.advance(VERDICT_LIFETIME / 1000)
    assert (await ask(anonymous, "GET", f"{API}/profiles/{token}", **bearer(key))).status == 401


# --- rotation -------------------------------------------------------------------------------------------------


async def test_a_rotation_carries_the_keys(data: Path, clock: FakeClock) -> None:
    """Rotated, the old version retired, and every key is what it was, in a process that slept through it all."""
    async with process(data, clock) as asleep, process(data, clock) as third:
        key, _ = await asleep.vault.access.create("test", {"profiles:read"}, claims=["role"])
        suspended, row = await asleep.vault.access.create("test", {"admin"})
        await asleep.vault.access.suspend(row.id)
        before = (await asleep.vault.access.list()).keys
        async with desk(data, clock, Manner(patience=0, cool_down=0)) as operator:
            await operator.rotations.rotate("data")
            assert set(boxes(data)["vault.access_keys.box"]) == {2}
            assert (await operator.retirement.retire("data", 1)).certificate is not None
        clock.advance(VERDICT_LIFETIME / 1000)

        caller = await asleep.vault.access.authenticate(key)
        assert (caller.scopes, caller.claims) == ({"profiles:read"}, {"role"})
        with pytest.raises(Unauthenticated):
            await asleep.vault.access.authenticate(suspended)
        assert await third.vault.access.list() == (before, {})
    async with process(data, clock) as awake:
        assert await awake.vault.access.list() == (before, {})


@pytest.mark.parametrize("verb", ["create", "revoke", "suspend", "resume", "list"])
async def test_a_process_that_slept_changes_keys(verb: str, data: Path, clock: FakeClock) -> None:
    """It looks at the keyring and seals under the new version: nothing fails, and nothing is under the old one."""
    async with process(data, clock) as asleep:
        _, row = await asleep.vault.access.create("test", {"admin"})
        async with desk(data, clock) as operator:
            await operator.rotations.rotate("data")
        match verb:
            case "create":
                await asleep.vault.access.create("test", {"admin"})
            case "list":
                assert row in (await asleep.vault.access.list()).keys
            case _:
                await getattr(asleep.vault.access, verb)(row.id)
        assert set(boxes(data)["vault.access_keys.box"]) == {2}
        assert (await asleep.vault.access.list()).unreadable == {}


# --- the format -----------------------------------------------------------------------------------------------


async def test_what_is_sealed_is_what_the_format_says(data: Path, vault: Vault, clock: FakeClock) -> None:
    """Canonical JSON of all that gives rights, with the digest in hex; in the open are the id and the key version."""
    key, row = await vault.access.create("café", {"profiles:read"}, 60, ["role"])
    sealer = Sealer(wiring.keyring_of(data, UNHELD).read(), "default")
    with closing(opened(data)) as file:
        plaintext = sealer.open("access", row.id, box_of(file, row.id))
        columns = [name for _, name, *_ in file.execute("PRAGMA table_info(access_keys)")]
    digest = sha256(key.split("_", 2)[2].encode()).hexdigest()
    now = clock.now()
    assert plaintext.decode() == (
        f'{{"claims":["role"],"created_at":{now},"expires_at":{now + 60_000},"name":"café","rails":{{}},'
        f'"revoked_at":null,"scopes":["profiles:read"],"secret_digest":"{digest}","suspended_at":null}}'
    )
    assert columns == ["id", "box", "key_version"]


async def test_a_right_that_is_not_known_here_closes_the_key(data: Path, vault: Vault) -> None:
    """A rail that only a newer program knows is not passed over, though it is sealed with the right key."""
    key, row = await vault.access.create("test", {"admin"})
    sealer = Sealer(wiring.keyring_of(data, UNHELD).read(), "default")
    with closing(opened(data)) as file:
        told = json.loads(sealer.open("access", row.id, box_of(file, row.id)))
        for more in ({**told, "rails": {"only_on": "mondays"}}, {**told, "only_on": "mondays"}):
            put(file, row.id, sealer.seal("access", row.id, json.dumps(more).encode()).box)
            with pytest.raises(Unauthenticated):
                await vault.access.authenticate(key)
        put(file, row.id, sealer.seal("access", row.id, json.dumps(told).encode()).box)
    assert await vault.access.authenticate(key)


async def test_keys_from_before_are_gone(tmp_path: Path) -> None:
    """No migration can seal: an older file opens, without its access keys."""
    (tmp_path / "vault.db").touch(0o600)
    with closing(opened(tmp_path)) as file:
        file.execute(
            "CREATE TABLE migrations (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"
        )
        for migration in migrations("vault")[:5]:
            file.executescript(migration.sql)
            file.execute("INSERT INTO migrations VALUES (?, ?, 'then')", (migration.name, migration.checksum))
        file.execute(
            "INSERT INTO access_keys (id, name, secret_digest, scopes, created_at) VALUES ('a', 'n', x'00', 'admin', 1)"
        )
    async with open_stores("sqlite:", tmp_path, 1) as stores:
        assert await stores.access.list() == []
        assert await stores.housekeeping.check() == []
