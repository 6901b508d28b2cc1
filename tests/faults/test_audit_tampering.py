"""Somebody writes to the database past the vault: whatever is done to the trail, the proof finds it and says where."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from tests.clock import FakeClock
from tests.rotating import desk
from vault import audit_desk, wiring
from vault.cli.audit import verify
from vault.config import Audit, Config
from vault.crypto import signed
from vault.crypto.chain import GENESIS, Chain, link
from vault.crypto.keyring import new_keyring
from vault.errors import AuditUnavailable
from vault.installation import Vault
from vault.key_desk import Manner
from vault.progress import Silent
from vault.records import Event
from vault.sessions import Wanted

SCRIPT = Path(__file__).parents[2] / "scripts" / "verify_audit.py"
CONFIG = Config(audit=Audit(checkpoint_every=10))

#: The trail of these tests: 1 to 5 are of the vault's making, 6 to 9 people, 10 to 17 what they are opened for and
#: their sessions, 18 to 20 openings, 21 an erasure, 22 to 25 openings that no checkpoint has signed yet.
LAST = 25
SIGNED = [10, 17, 20, 21]
#: An event with details of a person who is there; one of the person who was erased; where the earlier copy ends.
SOME, OF_THE_ERASED, EARLIER = 14, 16, 17

_EVENT = (
    "sequence, at, tenant, actor, action, outcome, user_token, request_id, purpose, revealed_version,"
    " details_digest, link, mac, mac_version"
)


class Trail:
    """A vault's folder that nobody serves, and the hand of whoever writes to its database."""

    def __init__(self, data: Path, earlier: Path) -> None:
        self.data = data
        #: The database as it was at an earlier end.
        self.earlier = earlier

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Do something to the database, past the vault."""
        with closing(sqlite3.connect(self.data / "vault.db")) as connection, connection:
            return connection.execute(statement, parameters).fetchall()

    def events(self, after: int = 0) -> list[Event]:
        """Read events."""
        rows = self.sql(f"SELECT {_EVENT} FROM audit_events WHERE sequence > ? ORDER BY sequence", after)  # noqa: S608
        return [Event(*row) for row in rows]

    def cut(self, last: int) -> None:
        """Take everything behind an event out."""
        for table in ("audit_events", "audit_details", "audit_checkpoints"):
            self.sql(f"DELETE FROM {table} WHERE sequence > ?", last)  # noqa: S608

    def relink(self, after: int) -> None:
        """Compute all links behind an event anew, as the format says, and the note of the end with them."""
        (previous,) = [event.link for event in self.events() if event.sequence == after] or [GENESIS]
        for event in self.events(after):
            previous = link(previous, event.said, event.details_digest)
            self.sql("UPDATE audit_events SET link = ? WHERE sequence = ?", previous, event.sequence)
        self.sql(
            "UPDATE audit_end SET link = ?, sequence = (SELECT max(sequence) FROM audit_events)", previous
        )

    def proof(self) -> tuple[int, str]:
        """Return how the command ends that proves the trail, and the first line of what it says."""
        done = CliRunner().invoke(verify, ["--data", str(self.data)])
        return done.exit_code, (done.stdout + done.stderr).partition("\n")[0]

    def process(self) -> "subprocess.CompletedProcess[str]":
        """Run the proof as an operator does."""
        return subprocess.run(
            [sys.executable, str(SCRIPT), "--data", str(self.data)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


async def _fill(data: Path, earlier: Path) -> None:
    async with wiring.open_vault(CONFIG, data) as vault:
        tokens = [(await vault.profiles.create({"email": f"p{n}@example.org"})).token for n in range(4)]
        for token in tokens:
            await vault.profiles.get(token, ["email"])  # with details
            await vault.sessions.open(Wanted(token))
        await vault.audit.anchor()
    await asyncio.to_thread(shutil.copy, data / "vault.db", earlier)
    async with wiring.open_vault(CONFIG, data) as vault:
        for token in tokens[:3]:
            await vault.profiles.get(token, ["email"])
        await vault.profiles.erase(tokens[3])
        await vault.audit.anchor()
        for token in (*tokens[:3], tokens[0]):
            await vault.profiles.get(token)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault with a trail, made once."""
    folder = tmp_path_factory.mktemp("trail")
    asyncio.run(wiring.initialise(CONFIG, folder / "data"))
    asyncio.run(_fill(folder / "data", folder / "earlier.db"))
    return folder


@pytest.fixture
def trail(template: Path, tmp_path: Path) -> Trail:
    """A copy of it."""
    shutil.copytree(template, tmp_path / "copy")
    return Trail(tmp_path / "copy" / "data", tmp_path / "copy" / "earlier.db")


# --- what is done ---

Deed = Callable[[Trail], Any]


def _set(column: str, value: str, sequence: int = SOME) -> Deed:
    """Let a column of an event be what an SQL expression says."""
    return lambda t: t.sql(f"UPDATE audit_events SET {column} = {value} WHERE sequence = ?", sequence)  # noqa: S608


def _delete(*sequences: int, table: str = "audit_events") -> Deed:
    return lambda t: [t.sql(f"DELETE FROM {table} WHERE sequence = ?", n) for n in sequences]  # noqa: S608


def _end(column: str, value: str) -> Deed:
    return lambda t: t.sql(f"UPDATE audit_end SET {column} = {value}")  # noqa: S608


def _all(*deeds: Deed) -> Deed:
    return lambda t: [deed(t) for deed in deeds]


def _exchange(t: Trail, one: int = 12, other: int = SOME) -> None:
    """Let two events stand in each other's place."""
    for old, new in ((one, -1), (other, one), (-1, other)):
        t.sql("UPDATE audit_events SET sequence = ? WHERE sequence = ?", new, old)


def _exchange_the_rest(t: Trail) -> None:
    """Let two events say what the other said, with its link and its MAC."""
    columns = [name.strip() for name in _EVENT.split(",")][1:]
    rows = {event.sequence: event for event in t.events()}
    for to, of in ((12, SOME), (SOME, 12)):
        values = [getattr(rows[of], name) for name in columns]
        told = ", ".join(f"{name} = ?" for name in columns)
        t.sql(f"UPDATE audit_events SET {told} WHERE sequence = ?", *values, to)  # noqa: S608


def _copy_event(t: Trail, of: int, to: int) -> None:
    """Put a copy of an event in a place that is free."""
    rest = _EVENT.removeprefix("sequence, ")
    t.sql(f"INSERT INTO audit_events SELECT ?, {rest} FROM audit_events WHERE sequence = ?", to, of)  # noqa: S608


def _put_in(t: Trail) -> None:
    """Put an event in, and compute the links of all that follow anew."""
    for table in ("audit_events", "audit_details"):
        t.sql(f"UPDATE {table} SET sequence = -sequence - 1 WHERE sequence >= ?", SOME)  # noqa: S608
        t.sql(f"UPDATE {table} SET sequence = -sequence WHERE sequence < 0")  # noqa: S608
    _copy_event(t, 10, SOME)
    t.relink(SOME - 1)


def _add(t: Trail) -> None:
    """Add an event at the end, with a right link and another's MAC."""
    _copy_event(t, LAST, LAST + 1)
    t.relink(LAST)


def _chain_anew(t: Trail) -> None:
    """Compute every link, MAC and the note of the end anew, under a key of one's own."""
    t.sql("UPDATE audit_events SET purpose = 'another' WHERE sequence = 1")
    t.relink(0)
    chain = Chain(new_keyring(0), wiring.DEFAULT_TENANT)
    for event in t.events():
        t.sql(
            "UPDATE audit_events SET mac = ? WHERE sequence = ?", chain.mac(event.link).digest, event.sequence
        )
    t.sql("UPDATE audit_end SET mac = ?", chain.end(LAST, t.events()[-1].link).digest)


def _old_end(t: Trail) -> None:
    """Put the note of an earlier end in place."""
    with closing(sqlite3.connect(t.earlier)) as connection:
        (row,) = connection.execute("SELECT sequence, link, mac, mac_version FROM audit_end")
    assert row[0] == EARLIER
    t.sql("UPDATE audit_end SET sequence = ?, link = ?, mac = ?, mac_version = ?", *row)


def _give_back_details(t: Trail) -> None:
    """Put the details of the person who was erased back in place."""
    with closing(sqlite3.connect(t.earlier)) as connection:
        for row in connection.execute("SELECT sequence, box, key_version FROM audit_details").fetchall():
            t.sql("INSERT INTO audit_details VALUES (?, ?, ?) ON CONFLICT DO NOTHING", *row)


def _old_copy(t: Trail) -> None:
    shutil.copy(t.earlier, t.data / "vault.db")


def _wipe(t: Trail) -> None:
    t.cut(0)
    t.sql("DELETE FROM audit_end")


def _note_at(last: int) -> Deed:
    """Cut the trail off, and let the note say so, with the MAC it had."""
    move = "UPDATE audit_end SET sequence = ?1, link = (SELECT link FROM audit_events WHERE sequence = ?1)"
    return _all(lambda t: t.cut(last), lambda t: t.sql(move, last))


def _checkpoint_by_another(t: Trail) -> None:
    """Sign a checkpoint with a key of one's own."""
    event = t.events()[19]
    text = signed.issue(
        new_keyring(0).active("signing"), "tokenvault-checkpoint/1",
        {"tenant": "default", "sequence": 20, "link": event.link.hex(), "at": event.at},
    )  # fmt: skip
    t.sql("UPDATE audit_checkpoints SET statement = ? WHERE sequence = 20", text)


def _anchor_file(old: str, new: str) -> Deed:
    def deed(t: Trail) -> None:
        path = t.data / "checkpoints.ndjson"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return deed


def _swap_details(t: Trail) -> None:
    for old, new in ((12, -1), (SOME, 12), (-1, SOME)):
        t.sql("UPDATE audit_details SET sequence = ? WHERE sequence = ?", new, old)


class Case(NamedTuple):
    """What is done, which place is named first, and what is said of it."""

    deed: Deed
    first: int
    says: str


MOVED = "it does not follow from the one before it"
FOREIGN = "its MAC does not hold"
NOTE = "the note of where the trail ends"
GONE = "its details are gone, and its person was not erased"

EDITED = {
    "at": "at + 1", "tenant": "'other'", "actor": "'0123456789abcdef'", "action": "'profile.changed'",
    "outcome": "'refused'", "user_token": "NULL", "request_id": "'1-1'", "purpose": "'ticket 1'",
    "revealed_version": "NULL", "details_digest": "zeroblob(32)", "link": "zeroblob(32)",
}  # fmt: skip

CASES = {
    **{f"{column} of an event is edited": Case(_set(column, v), SOME, MOVED) for column, v in EDITED.items()},
    "the digest of details is taken out": Case(_set("details_digest", "NULL"), SOME, MOVED),
    "the MAC of an event is edited": Case(_set("mac", "zeroblob(32)"), SOME, FOREIGN),
    "the MAC of an event is another's": Case(
        _set("mac", "(SELECT mac FROM audit_events WHERE sequence = 13)"), SOME, FOREIGN
    ),
    "the version of a MAC is edited": Case(_set("mac_version", "7"), SOME, "its MAC is of version 7"),
    "the first event is edited": Case(_set("purpose", "'x'", 1), 1, MOVED),
    "the last event is edited": Case(_set("purpose", "'x'", LAST), LAST, MOVED),
    "an event gets another number": Case(_set("sequence", "99"), SOME, "is missing"),
    "an edited event is linked anew": Case(
        _all(_set("purpose", "'x'"), lambda t: t.relink(SOME - 1)), SOME, FOREIGN
    ),
    "the first event is deleted": Case(_delete(1), 1, "event 1 is missing"),
    "an event in the middle is deleted": Case(_delete(SOME), SOME, "event 14 is missing"),
    "several in the middle are deleted": Case(_delete(12, 13, 14), 12, "events 12 to 14 are missing"),
    "the last event is deleted": Case(_delete(LAST), LAST, "event 25 is missing: the trail was cut off"),
    "two events change places": Case(_exchange, 12, MOVED),
    "two events change all but their numbers": Case(_exchange_the_rest, 12, MOVED),
    "an event is put in, and all is linked anew": Case(_put_in, SOME, FOREIGN),
    "an event is added at the end": Case(_add, LAST + 1, FOREIGN),
    "all is linked and MACed anew, under another key": Case(_chain_anew, 1, FOREIGN),
    "the end is cut off": Case(lambda t: t.cut(22), 23, "events 23 to 25 are missing: the trail was cut off"),
    "the end is cut off, and its note taken out": Case(
        _all(lambda t: t.cut(22), lambda t: t.sql("DELETE FROM audit_end")), 23, f"{NOTE} is gone"
    ),
    "the end is cut off, and its note altered": Case(_note_at(22), 23, f"{NOTE} does not hold"),
    "the end is cut off, and its note made of the event's MAC": Case(
        _all(_note_at(22), _end("mac", "(SELECT mac FROM audit_events WHERE sequence = 22)")), 23, f"{NOTE} does not"
    ),
    "the end is cut off back to an earlier one, with its note": Case(
        _all(lambda t: t.cut(EARLIER), _old_end, _give_back_details), EARLIER + 1, "events 18 to 21 are missing"
    ),
    "the note is an earlier one": Case(_old_end, LAST + 1, f"{NOTE} does not hold"),
    "the note is taken out": Case(lambda t: t.sql("DELETE FROM audit_end"), LAST + 1, f"{NOTE} is gone"),
    "the number in the note is edited": Case(_end("sequence", "99"), LAST + 1, "events 26 to 99 are missing"),
    "the link in the note is edited": Case(_end("link", "zeroblob(32)"), LAST + 1, f"{NOTE} does not hold"),
    "the MAC of the note is edited": Case(_end("mac", "zeroblob(32)"), LAST + 1, f"{NOTE} does not hold"),
    "the version in the note is edited": Case(_end("mac_version", "7"), LAST + 1, f"{NOTE} does not hold"),
    "an old copy of the database is put back": Case(
        _old_copy, EARLIER + 1, "events 18 to 21 are missing: a signed checkpoint"
    ),
    "all of it is taken out": Case(_wipe, 1, "events 1 to 21 are missing: a signed checkpoint"),
    "a checkpoint is edited": Case(
        lambda t: t.sql("UPDATE audit_checkpoints SET statement = replace(statement, 'default', 'another')"
                        " WHERE sequence = 20"),
        20, "a checkpoint in the database does not hold: The signature",
    ),
    "a checkpoint is taken out": Case(_delete(20, table="audit_checkpoints"), 20, "its checkpoint is gone"),
    "a checkpoint is no statement": Case(
        lambda t: t.sql("UPDATE audit_checkpoints SET statement = '{}' WHERE sequence = 20"), 20, "does not hold: This"
    ),
    "a checkpoint is signed by another key": Case(_checkpoint_by_another, 20, "was signed by another key"),
    "a checkpoint stands for another event": Case(
        lambda t: t.sql("UPDATE audit_checkpoints SET sequence = 19 WHERE sequence = 20"), 20, "says otherwise"
    ),
    "a checkpoint outside is edited": Case(
        _anchor_file('"sequence":20', '"sequence":19'), 0, "kept outside of the database does not hold"
    ),
    "details are edited": Case(
        lambda t: t.sql("UPDATE audit_details SET box = zeroblob(200) WHERE sequence = ?", SOME), SOME, "do not open"
    ),
    "details are taken out": Case(_delete(SOME, table="audit_details"), SOME, GONE),
    "details change places": Case(_swap_details, 12, "its details do not open"),
    "details are given to another event": Case(
        lambda t: t.sql("UPDATE audit_details SET sequence = ? WHERE sequence = ?", OF_THE_ERASED, SOME), SOME, GONE
    ),
    "the erasure is taken out of the trail": Case(_delete(21), OF_THE_ERASED, GONE),
    "an erasure is feigned, to take details out": Case(
        _all(_delete(SOME, table="audit_details"), _set("action", "'profile.erased'")), SOME, MOVED
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_change_of_the_trail_is_found(trail: Trail, case: Case) -> None:
    """The proof ends with 1 and names the first place that does not hold."""
    case.deed(trail)

    code, told = trail.proof()

    assert (code, told.partition(": ")[0]) == (1, "first broken link"), told
    assert told.startswith(f"first broken link: event {case.first}: "), told
    assert case.says in told


def test_an_untouched_trail_holds(trail: Trail) -> None:
    """The proof ends with 0; of the person who was erased the details are gone, and that is as it should be."""
    assert [event.sequence for event in trail.events()] == list(range(1, LAST + 1))
    assert [n for (n,) in trail.sql("SELECT sequence FROM audit_checkpoints")] == SIGNED

    done = trail.process()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "the audit trail holds: 25 events, 4 signed checkpoints; the details of 2 went"
    )


ON_THE_STREET = (
    "an event in the middle is deleted",
    "the end is cut off, and its note altered",
    "details are edited",
)


@pytest.mark.parametrize("name", ON_THE_STREET)
def test_the_script_says_it_too(trail: Trail, name: str) -> None:
    """As the process that an operator starts: exit code 1, and the place on standard error."""
    CASES[name].deed(trail)

    done = trail.process()

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"first broken link: event {CASES[name].first}: ")


def test_every_column_of_an_event_is_tried(trail: Trail) -> None:
    """A column that is added later needs a line in the table."""
    columns = {name for (name,) in trail.sql("SELECT name FROM pragma_table_info('audit_events')")}
    assert columns == {*EDITED, "sequence", "mac", "mac_version"}


def test_among_very_many_the_first_is_named(trail: Trail) -> None:
    """Also where more is broken than is kept, and the first by number is found the last."""
    trail.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1150)"
        " INSERT INTO audit_checkpoints SELECT i, '{}' FROM n"
    )
    _set("purpose", "'x'", 1)(trail)

    verdict = asyncio.run(audit_desk.verify(CONFIG, trail.data, Silent()))

    assert verdict.count == 152
    assert (verdict.findings[0].sequence, len(verdict.findings)) == (1, 100)


def test_an_old_copy_with_nothing_signed_since_is_not_found(trail: Trail) -> None:
    """What docs/audit.md says that it does not find: neither here nor outside is a checkpoint that is later."""
    _old_copy(trail)
    path = trail.data / "checkpoints.ndjson"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))

    assert trail.proof()[0] == 0


# --- the vault goes on ---


async def _open_somebody(vault: Vault) -> None:
    await vault.profiles.get(await vault.profiles.lookup("email", "p0@example.org"))


LAUNDERED = {
    "a cut with an altered note": _note_at(22),
    "a note that was taken out": lambda t: t.sql("DELETE FROM audit_end"),
    "a note of an earlier end": _old_end,
    "a note with another number": _end("sequence", "99"),
}


@pytest.mark.parametrize("deed", LAUNDERED.values(), ids=LAUNDERED)
async def test_the_vault_does_not_go_on_behind_a_forged_end(trail: Trail, deed: Deed) -> None:
    """Its next event would get a note that holds, and nobody would find the cut: it opens nothing instead."""
    await asyncio.to_thread(deed, trail)
    before = trail.events()

    async with wiring.open_vault(CONFIG, trail.data) as vault:
        with pytest.raises(AuditUnavailable):
            await _open_somebody(vault)

    assert trail.events() == before
    assert (await asyncio.to_thread(trail.proof))[0] == 1


# --- a rotation of the line ---


async def _rotate(trail: Trail) -> list[str]:
    """Rotate the line and destroy the old key; return what was left."""
    async with desk(trail.data, FakeClock(1_900_000_000_000), Manner(patience=0, cool_down=0)) as operator:
        report = await operator.rotations.rotate("audit")
        if not report.left:
            assert (await operator.retirement.retire("audit", 1)).certificate
        return report.left


def test_a_trail_holds_under_another_key(trail: Trail) -> None:
    """After a rotation, and once the old key is destroyed; checkpoints from before hold as well."""
    before = trail.events()
    assert asyncio.run(_rotate(trail)) == []

    done = trail.process()

    assert done.returncode == 0, done.stderr
    assert {event.mac_version for event in trail.events()} == {2}
    assert [event.link for event in trail.events()][:LAST] == [event.link for event in before]


BEFORE_A_ROTATION = (
    "purpose of an event is edited", "the MAC of an event is edited", "an edited event is linked anew",
    "an event in the middle is deleted", "an event is put in, and all is linked anew", "two events change places",
    "details are taken out", "a checkpoint is taken out", "all is linked and MACed anew, under another key",
)  # fmt: skip


@pytest.mark.parametrize("name", BEFORE_A_ROTATION)
def test_a_rotation_mends_no_trail_that_does_not_hold(trail: Trail, name: str) -> None:
    """What was found before it is found after it, at the same place, and the rotation says what it left."""
    case = CASES[name]
    case.deed(trail)
    try:
        left = asyncio.run(_rotate(trail))
    except AuditUnavailable:
        left = []  # it did not even begin
    else:
        assert bool(left) is (not name.startswith(("details", "a checkpoint")))

    code, told = trail.proof()

    assert code == 1
    assert told.startswith(f"first broken link: event {case.first}: "), (told, left)
