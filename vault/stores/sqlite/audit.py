"""The audit trail in SQLite (``vault.ports.AuditStore`` says what each method promises)."""

import sqlite3
from collections.abc import Callable, Generator, Sequence

from msgspec.structs import astuple

from vault.budget import DAY, HOUR, STEPS, wait_in
from vault.errors import AuditUnavailable, BudgetSpent
from vault.ports import Entry, Wanted
from vault.records import ERASURES, Allowance, Checkpoint, End, Event
from vault.stores.sqlite.database import Database
from vault.stores.sqlite.writer import Work

_EVENT = (
    "SELECT sequence, at, tenant, actor, action, outcome, user_token, request_id, purpose, revealed_version,"
    " details_digest, link, mac, mac_version FROM audit_events"
)
_END = "SELECT sequence, link, mac, mac_version FROM audit_end"

#: What SQLite calls a trail that cannot go on: its next place is taken (the note of the end is gone, or an old one),
#: or its tables are not there. A fence that refuses is none of these.
_BROKEN = ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_ERROR")

#: Rows or events that one job writes between two breaths of the event loop: a few milliseconds.
ROWS_A_BREATH = 64


class SqliteAudit:
    """Events, details, end and checkpoints, in ``vault.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entries: Sequence[Entry], allowance: Allowance | None = None) -> None:
        """Count, then record."""

        def work(connection: sqlite3.Connection) -> Generator[None, None, None]:
            if allowance:
                waits = (
                    _wait(connection, allowance, HOUR, allowance.per_hour),
                    _wait(connection, allowance, DAY, allowance.per_day),
                )
                if any(waits):
                    raise BudgetSpent(max(waits))
                _spend(connection, allowance, HOUR, allowance.per_hour)
                _spend(connection, allowance, DAY, allowance.per_day)
            yield from append_many(connection, entries)

        job: Work[None] = work
        await self._database.writer.run(job)

    async def end(self) -> End | None:
        """Read the one row."""
        row = self._database.one(_END)
        return End(*row) if row else None

    async def events(self, wanted: Wanted, after: int, limit: int, offset: int = 0) -> list[Event]:
        """Read by the index on person or on actor, or along the primary key."""
        where, values = _chosen(wanted)
        rows = await self._database.all(
            f"{_EVENT} WHERE sequence > ?{where} ORDER BY sequence LIMIT ? OFFSET ?",
            (after, *values, limit, offset),
        )
        return [Event(*row) for row in rows]

    async def count(self, wanted: Wanted) -> int:
        """Count by the index on person or on actor, or along the primary key."""
        where, values = _chosen(wanted)
        [(count,)] = await self._database.all(
            f"SELECT count(*) FROM audit_events WHERE sequence > 0{where}",  # noqa: S608 - our own words
            tuple(values),
        )
        return int(count)

    async def checkpoint(self, sign: Callable[[End], str]) -> Checkpoint | None:
        """Read the end and write the statement in one transaction."""

        def work(connection: sqlite3.Connection) -> Checkpoint | None:
            row = connection.execute(_END).fetchone()
            if row is None:
                return None
            end = End(*row)
            stored = connection.execute(
                "SELECT sequence, statement FROM audit_checkpoints WHERE sequence = ?", (end.sequence,)
            ).fetchone()
            made = Checkpoint(*stored) if stored else Checkpoint(end.sequence, sign(end))
            if not stored:
                connection.execute("INSERT INTO audit_checkpoints VALUES (?, ?)", astuple(made))
            return made

        return await self._database.writer.run(work)

    async def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        """Read along the primary key."""
        rows = await self._database.all(
            "SELECT sequence, statement FROM audit_checkpoints WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, limit),
        )
        return [Checkpoint(*row) for row in rows]

    async def events_under(self, mac_version: int, after: int, limit: int) -> list[Event]:
        """Read along the index on MAC version."""
        rows = await self._database.all(
            f"{_EVENT} WHERE mac_version = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            (mac_version, after, limit),
        )
        return [Event(*row) for row in rows]

    async def link_of(self, sequence: int) -> bytes | None:
        """Read one column."""
        rows = await self._database.all("SELECT link FROM audit_events WHERE sequence = ?", (sequence,))
        return bytes(rows[0][0]) if rows else None

    async def put_macs(self, changes: Sequence[tuple[Event, bytes, int]]) -> int:
        """Compare each MAC and swap it."""

        def work(connection: sqlite3.Connection) -> int:
            return sum(
                connection.execute(
                    "UPDATE audit_events SET mac = ?, mac_version = ? WHERE sequence = ? AND mac = ?",
                    (mac, version, event.sequence, event.mac),
                ).rowcount
                for event, mac, version in changes
            )

        return await self._database.writer.run(work)

    async def census(self) -> dict[int, int]:
        """Count along the index on MAC version."""
        return dict(
            await self._database.all("SELECT mac_version, count(*) FROM audit_events GROUP BY mac_version")
        )


def _chosen(wanted: Wanted) -> tuple[str, list[str | int]]:
    """Return the conditions that events must meet, and the values in them."""
    bounds = (
        ("user_token = ?", wanted.user_token),
        ("actor = ?", wanted.actor),
        ("action = ?", wanted.action),
        ("at >= ?", wanted.since),
        ("at < ?", wanted.until),
        ("revealed_version = ?", wanted.revealed_version),
    )
    chosen = [(sql, value) for sql, value in bounds if value is not None]
    return "".join(f" AND {sql}" for sql, _ in chosen), [value for _, value in chosen]


def append(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Put events at the end of the trail. Inside the transaction of the act that they tell of.

    Raises ``AuditUnavailable`` where the trail is not as it was left.
    """
    if not entries:
        return
    try:
        _append(connection, entries)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") in _BROKEN:
            raise AuditUnavailable from error
        raise


def append_many(connection: sqlite3.Connection, entries: Sequence[Entry]) -> Generator[None, None, None]:
    """Do as ``append``, and let the loop breathe between."""
    for begin in range(0, len(entries), ROWS_A_BREATH):
        if begin:
            yield
        append(connection, entries[begin : begin + ROWS_A_BREATH])


def _append(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    row = connection.execute(_END).fetchone()
    end = End(*row) if row else None
    for entry in entries:
        event, details, end, checkpoint = entry.linked(end)
        connection.execute(
            "INSERT INTO audit_events (sequence, at, tenant, actor, action, outcome, user_token, request_id, purpose,"
            " revealed_version, details_digest, link, mac, mac_version)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            astuple(event),
        )
        if details and not _is_erased(connection, event.user_token):
            connection.execute(
                "INSERT INTO audit_details (sequence, box, key_version) VALUES (?, ?, ?)",
                (event.sequence, details.box, details.key_version),
            )
        if checkpoint:
            connection.execute("INSERT INTO audit_checkpoints VALUES (?, ?)", (event.sequence, checkpoint))
    assert end is not None  # noqa: S101 - an entry makes one
    connection.execute(
        "INSERT INTO audit_end (one, sequence, link, mac, mac_version) VALUES (1, ?, ?, ?, ?) ON CONFLICT (one) DO"
        " UPDATE SET sequence = excluded.sequence, link = excluded.link, mac = excluded.mac,"
        " mac_version = excluded.mac_version",
        astuple(end),
    )


def _is_erased(connection: sqlite3.Connection, user_token: str | None) -> bool:
    """Whether this was a person: what is said of one who is gone is not kept, for nothing would take it away again."""
    here = "SELECT 1 FROM profiles WHERE token = ?"
    if user_token is None or connection.execute(here, (user_token,)).fetchone():
        return False
    gone = "SELECT 1 FROM audit_events WHERE user_token = ? AND action IN (?, ?) LIMIT 1"
    return connection.execute(gone, (user_token, *ERASURES)).fetchone() is not None


def forget_details(connection: sqlite3.Connection, user_token: str) -> None:
    """Delete what is sealed of a person's events. Inside the transaction that erases the person."""
    connection.execute(
        "DELETE FROM audit_details WHERE sequence IN (SELECT sequence FROM audit_events WHERE user_token = ?)",
        (user_token,),
    )


def _wait(connection: sqlite3.Connection, asked: Allowance, span: int, bound: int | None) -> int:
    """Return for how many seconds this is more than is left of a bound; 0 if it is not.

    Buckets of a clock that was ahead count too: a clock that steps back gives nobody more.
    """
    if bound is None:
        return 0
    step = span // STEPS
    rows = connection.execute(
        "SELECT bucket, opened FROM reveals WHERE key_id = ? AND span = ? AND bucket > ? ORDER BY bucket",
        (asked.key_id, span, asked.now // step - STEPS),
    ).fetchall()
    return wait_in(dict(rows), asked, span, bound)


def _spend(connection: sqlite3.Connection, asked: Allowance, span: int, bound: int | None) -> None:
    """Count what is opened into the bucket of now, and forget those that are over."""
    if bound is None:
        return
    bucket = asked.now // (span // STEPS)
    connection.execute(
        "DELETE FROM reveals WHERE key_id = ? AND span = ? AND bucket <= ?",
        (asked.key_id, span, bucket - STEPS),
    )
    connection.execute(
        "INSERT INTO reveals (key_id, span, bucket, opened) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET opened = opened + excluded.opened",
        (asked.key_id, span, bucket, asked.opens),
    )
