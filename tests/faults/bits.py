"""A vault with two of everything, ways to change one value in its files, and all that can be asked of it."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.clock import FakeClock
from vault import wiring
from vault.cli import main
from vault.config import Config
from vault.documents import Document, NewDocument
from vault.errors import VaultError
from vault.http.problems import STATUS
from vault.idempotency import attempt
from vault.installation import Vault
from vault.key_desk import open_desk
from vault.sessions import Wanted
from vault.values import Lifetime
from vault.values import Wanted as Single

SCHEMAS = ("vault", "sessions")
#: Seconds after which everything but the profiles has ended.
LATE = 4 * 3600

#: What may come of a change: a closed list.
REFUSED = "the start is refused with a sentence"
UNREADABLE = "the row answers 500 internal_error and is in no list, the others as ever"
UNKNOWN = "the row answers as unknown or as new"
CHECK = "nothing that is served changes, and check speaks of it"
AUDIT = "nothing that is served changes, and audit verify finds it"
STOPPED = "nothing that is recorded is done any more, 503, and audit verify finds it"
QUIET = "nothing that is served changes"
SERVED = "what the file says is served"
UNFORESEEN = "an exception that nobody foresaw"
NONE = "there is no row, no other to exchange it with, or the file refuses"


def outcome(before: dict[str, str], after: dict[str, str]) -> str:
    """Say which of the list has come of a change."""
    if any(told.startswith(UNFORESEEN) for told in after.values()):
        return UNFORESEEN
    if "start" in after:
        return REFUSED
    other = {what: told for what, told in after.items() if told != before[what]}
    if not other:
        return QUIET
    if set(other) == {"audit"}:
        return AUDIT
    if set(other) <= {"audit", "check"}:
        return CHECK
    other = {what: told for what, told in other.items() if what not in ("audit", "check")}
    refusals = {told.split(" ")[0] if told[3:4] == " " else told for told in other.values()}
    if refusals - {"[]"} == {"500"}:
        return UNREADABLE
    if refusals == {"503"}:
        return STOPPED
    return UNKNOWN if refusals <= {"401", "404", "409", "[]"} else SERVED


#: Rows of tables that an idle vault leaves empty.
REST = {
    "vault": (
        "INSERT INTO processes VALUES ('a', 'elsewhere', 7, 1, 1, 1, '{}'), ('b', 'far', 8, 2, 2, 2, '[]')",
        "INSERT INTO rotation_claim VALUES (1, 'nobody', 'elsewhere', 7, 'rotate', 1, 1)",
        "INSERT OR IGNORE INTO required_versions VALUES (1), (2)",
        "INSERT INTO quarantine VALUES ('profiles', 'x', 2, 'box_tampered', 1), ('profile_answers', 'y', 3, 'z', 2)",
        "INSERT INTO honey_tokens VALUES ('aaa', 1, 1), ('zzz', 0, 2)",
        "INSERT INTO unlocks VALUES (x'01', 'a', 'why', 1), (x'02', 'b', 'so', 2)",
        "INSERT OR IGNORE INTO leases VALUES ('tea', 'a', 1), ('milk', 'b', 2)",
        "INSERT INTO reveals VALUES ('a', 3600000, 1, 1), ('b', 86400000, 2, 2)",
    ),
    "sessions": (
        "INSERT INTO quarantine VALUES ('sessions', 'x', 2, 'box_tampered', 1), ('session_answers', 'y', 3, 'z', 2)",
    ),
}


@dataclass(slots=True)
class Known:
    """What a caller of the vault has in hand."""

    people: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    documents: dict[str, int] = field(default_factory=dict)
    cards: dict[str, str] = field(default_factory=dict)


async def make(folder: Path) -> tuple[Known, FakeClock]:
    """Make it, rotated once, so that every table that keys fill has rows."""
    clock, known, config = FakeClock(), Known(), Config()
    await wiring.initialise(config, folder)
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM access_keys")  # made at the machine's time, and not at this clock's
    async with wiring.open_vault(config, folder, clock=clock) as vault:
        for number, name in enumerate(("ada", "bea")):
            clock.advance(60)
            head = await vault.profiles.create(
                *_profile(name, number), attempt=_tried(name), sliding=43_200 * (2 + number)
            )
            known.people[name] = head.token
            wanted = Wanted(head.token, {"role": f"editor-{number}"}, 7200 + 600 * number, 3000 + 60 * number)
            known.sessions[name] = (await vault.sessions.open(wanted, _tried(f"login {name}"))).session_id
            end = clock.now() + 7_200_000 + 600_000 * number
            new = NewDocument("share", name, {"fields": [number]}, head.token, end)
            known.documents[name] = (await vault.documents.add(new)).id
        await vault.profiles.change(known.people["bea"], lambda content: {**content, "n": 1}, None)
        gone = await vault.profiles.create({"email": "gone@example.org"})
        await vault.profiles.erase(gone.token)
        await vault.sessions.end_all(known.people["bea"], keep=(await _handle(vault, known, "bea")))
        for name, scopes, expires_in, claims in (
            ("reader", {"profiles:read"}, 9000, {"role"}),
            ("writer", {"profiles:write", "sessions:read"}, 600, {"tenant"}),
            ("revoked", {"admin"}, None, None),
        ):
            clock.advance(1)
            known.keys[name], row = await vault.access.create(name, scopes, expires_in, claims)
        await vault.access.revoke(row.id)
        for name, record in (("ada", "5467047429390590"), ("bea", "4532015112830366")):
            card = Single("creditcard", record)
            known.cards[name] = (await vault.values.create(card, Lifetime(), unique=False)).base or ""
    async with open_desk(config, folder) as desk:
        for line in ("data", "index"):
            await desk.rotations.rotate(line)
    for schema, statements in REST.items():
        with closing(sqlite3.connect(folder / f"{schema}.db", isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
    return known, clock


def _profile(name: str, number: int) -> tuple[dict[str, Any], int]:
    return {"email": f"{name}@example.org", "login": name}, 86_400 * (2 + number)


def _tried(name: str) -> Any:
    return attempt(bytes(32), "POST /x", name, b"")


async def _handle(vault: Vault, known: Known, name: str) -> str:
    return (await vault.sessions.current(known.sessions[name])).handle


def columns(folder: Path) -> list[str]:
    """Return every column of every table, "schema.table.column"."""
    found = []
    for schema in SCHEMAS:
        with closing(sqlite3.connect(folder / f"{schema}.db")) as connection:
            found += [
                f"{schema}.{table}.{column}"
                for table, column in connection.execute(
                    "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c"
                    " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid"
                )
            ]
    return found


def alter(folder: Path, name: str, *, swap: bool) -> bool:
    """Flip a bit of the column in its first row, or exchange it with another row's. False if that changes nothing.

    Whoever writes to the file does not ask its triggers: they are taken off meanwhile.
    """
    schema, table, column = name.split(".")
    with closing(sqlite3.connect(folder / f"{schema}.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        named = [each for _, each, *_ in connection.execute(f'PRAGMA table_info("{table}")')]
        # The row that was made first: the ids of access keys are by chance.
        by_rowid = "rowid" if table == "access_keys" else "1"
        place, order = named.index(column), "created_at" if "created_at" in named else by_rowid
        rows = connection.execute(f'SELECT * FROM "{table}" ORDER BY {order}').fetchall()  # noqa: S608 - names of the schema
        if not rows:
            return False
        ours = [row for row in rows if row[place] is not None] or rows
        one = list(ours[0])
        changed = [one]
        if swap:
            others = [row for row in rows if row[place] != one[place]]
            if not others:
                return False
            other = list(max(others, key=lambda row: sum(a != b for a, b in zip(row, one, strict=True))))
            changed.append(other)
        before = [list(row) for row in changed]
        if swap:
            one[place], other[place] = other[place], one[place]
        else:
            one[place] = flipped(one[place])
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", (table,)
        ).fetchall()
        for trigger, _ in triggers:
            connection.execute(f'DROP TRIGGER "{trigger}"')
        same = " AND ".join(f'"{each}" IS ?' for each in named)
        for row in before:
            connection.execute(f'DELETE FROM "{table}" WHERE {same}', row)  # noqa: S608
        marks = ", ".join("?" * len(named))
        try:
            for row in changed:
                connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', row)  # noqa: S608
        except sqlite3.IntegrityError:  # two keys of which each is another row's by then
            return False
        for _, sql in triggers:
            connection.execute(sql)
    return True


def flipped(value: Any) -> Any:
    """Return a value that differs in one bit: of a time the one that is two years, of another number the last."""
    if value is None:
        return 1
    if isinstance(value, int):
        return value ^ (1 << 36 if value > 10**9 else 1)
    if isinstance(value, str):
        middle = len(value) // 2
        return value[:middle] + chr(ord(value[middle]) ^ 1) + value[middle + 1 :] if value else "1"
    middle = len(value) // 2
    return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]


async def facts(folder: Path, known: Known, clock: FakeClock, *, late: bool = False) -> dict[str, str]:
    """Ask everything, and return what was answered, by what was asked.

    ``late``: hours after everything but the profiles has ended, and nothing but whether it has.
    """
    told: dict[str, str] = {}
    if not late:
        told["check"] = await _checked(folder)
        told["audit"] = await asyncio.to_thread(_audited, folder)
    try:
        async with wiring.open_vault(Config(), folder, clock=clock) as vault:
            asked = _questions(vault, known)
            for what, ask in asked.items():
                if not late or what.startswith(("look ", "come ")):
                    told[f"{what}{' late' if late else ''}"] = await _answer(ask)
    except VaultError as error:
        return {"start": error.message}
    except Exception as error:  # see _checked
        return {"start": f"{UNFORESEEN} {type(error).__name__}"}
    return told


def _questions(vault: Vault, known: Known) -> dict[str, Callable[[], Awaitable[object]]]:
    asked: dict[str, Callable[[], Awaitable[object]]] = {}

    async def read(token: str) -> object:
        profile = await vault.profiles.get(token)
        return profile.content, profile.head

    async def look(session_id: str) -> object:
        view = await vault.sessions.current(session_id)
        return (
            bytes(view.claims),
            view.user_token,
            view.authenticated_at,
            view.expires_at,
            view.idle_expires_at,
        )

    async def may(key: str) -> object:
        caller = await vault.access.authenticate(key)
        return sorted(caller.scopes), sorted(caller.claims or ())

    async def again(name: str, number: int) -> object:
        return (await vault.profiles.create(*_profile(name, number), attempt=_tried(name))).token

    async def login_again(name: str) -> object:
        number = ("ada", "bea").index(name)
        wanted = Wanted(
            known.people[name], {"role": f"editor-{number}"}, 7200 + 600 * number, 3000 + 60 * number
        )
        return (await vault.sessions.open(wanted, _tried(f"login {name}"))).session_id

    async def count(token: str) -> object:
        return [view.expires_at for view in await vault.sessions.of_person(token)]

    def said(one: Document) -> object:
        return one.key, one.content, one.owner, one.created_at, one.updated_at, one.expires_at

    async def open_document(name: str) -> object:
        return said(await vault.documents.get("share", name))

    async def open_number(number: int) -> object:
        return said(await vault.documents.get_by_id("share", number))

    async def list_documents(owner: str, kind: str) -> object:
        return [said(one) for one in await vault.documents.of_person(owner) if one.kind == kind]

    async def open_card(base: str) -> object:
        value = await vault.values.get(base)
        return value.tokentype, value.record

    for name, base in known.cards.items():
        asked[f"open {name}'s card"] = lambda base=base: open_card(base)  # type: ignore[misc]
    for name, number in known.documents.items():
        asked[f"look {name}'s document up"] = lambda name=name: open_document(name)  # type: ignore[misc]
        asked[f"open {name}'s document by number"] = lambda number=number: open_number(number)  # type: ignore[misc]
    for number, (name, token) in enumerate(known.people.items()):
        for kind in ("share", "version"):  # one of each, so that a list without it is empty
            asked[f"list {name}'s {kind}s"] = lambda token=token, kind=kind: list_documents(token, kind)  # type: ignore[misc]
        asked[f"read {name}"] = lambda token=token: read(token)  # type: ignore[misc]
        for place, value in (("email", f"{name}@example.org"), ("login", name)):
            asked[f"find {name} by {place}"] = lambda place=place, value=value: vault.profiles.lookup(
                place, value
            )  # type: ignore[misc]
        asked[f"look {name} up"] = lambda name=name: look(known.sessions[name])  # type: ignore[misc]
        asked[f"list {name}'s"] = lambda token=token: count(token)  # type: ignore[misc]
        asked[f"repeat {name}'s create"] = lambda name=name, number=number: again(name, number)  # type: ignore[misc]
        asked[f"repeat {name}'s login"] = lambda name=name: login_again(name)  # type: ignore[misc]
    for name, key in known.keys.items():
        asked[f"come as {name}"] = lambda key=key: may(key)  # type: ignore[misc]
    asked["sweep"] = lambda: _swept(vault)
    for name, token in known.people.items():  # once more, when housekeeping has been
        asked[f"read {name} again"] = lambda token=token: read(token)  # type: ignore[misc]
        asked[f"rotate {name}"] = lambda name=name: _rotated(vault, known.sessions[name])  # type: ignore[misc]
    return asked


def _audited(folder: Path) -> str:
    done = CliRunner().invoke(main, ["audit", "verify", "--data", str(folder)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"{UNFORESEEN} {type(done.exception).__name__}"
    return "whole" if done.exit_code == 0 else "not whole"


async def _checked(folder: Path) -> str:
    try:
        return " ".join(await wiring.check(Config(), folder))
    except Exception as error:  # what nobody foresaw is a finding, and not the end of the test
        return f"{UNFORESEEN} {type(error).__name__}"


async def _swept(vault: Vault) -> object:
    await vault.housekeeping.round()
    return "swept"


async def _rotated(vault: Vault, session_id: str) -> object:
    return (await vault.sessions.rotate(session_id)).view.expires_at


async def _answer(ask: Callable[[], Awaitable[object]]) -> str:
    try:
        return str(await ask())
    except VaultError as error:
        return f"{STATUS.get(error.code, 500)} {error.code}"
    except Exception as error:  # what nobody foresaw is a finding, and not the end of the test
        return f"{UNFORESEEN} {type(error).__name__}"
