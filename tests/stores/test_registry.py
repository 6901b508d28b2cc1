import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.terminal import run
from vault import wiring
from vault.config import Config
from vault.stores import open_stores
from vault.stores.sqlite.registry import NO_BOXES, REGISTRY, Table, unregistered

SCHEMAS = ("vault", "sessions")

each_table = pytest.mark.parametrize("table", REGISTRY, ids=[table.store for table in REGISTRY])


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """The folder of real files, as the migrations make them."""
    async with open_stores("sqlite:", tmp_path, 5):
        return tmp_path


@contextmanager
def file(folder: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """Open a file past all of our code."""
    with closing(sqlite3.connect(folder / f"{schema}.db", isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_every_column_of_bytes_is_answered_for(schema: str, folder: Path) -> None:
    """The build fails when a migration adds a box that no rotation would find."""
    with file(folder, schema) as connection:
        assert unregistered(connection, schema) == []


#: What somebody might add to vault.db, and which of its columns must be named.
STRANGERS = {
    "a box beside a key version": (
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, box BLOB NOT NULL, key_version INTEGER NOT NULL) STRICT",
        ["notes.box"],
    ),
    "bytes under another name": (
        "CREATE TABLE attachments (id TEXT PRIMARY KEY, scribble BLOB) STRICT, WITHOUT ROWID",
        ["attachments.scribble"],
    ),
    "a box written as text": ("CREATE TABLE letters (sealed_box TEXT) STRICT", ["letters.sealed_box"]),
    "a column of any type": ("CREATE TABLE things (thing ANY) STRICT", ["things.thing"]),
    "a column of no type": ("CREATE TABLE things (thing, number INTEGER)", ["things.thing"]),
    "a type that SQLite takes for bytes": ("CREATE TABLE things (thing longblob)", ["things.thing"]),
    "a type of another database": ("CREATE TABLE things (thing BYTEA)", ["things.thing"]),
    "one more column of a known table": ("ALTER TABLE profiles ADD COLUMN photo BLOB", ["profiles.photo"]),
    "a name like SQLite's own": ("CREATE TABLE sqlitenotes (box BLOB)", ["sqlitenotes.box"]),
    "two at once": ("CREATE TABLE notes (box BLOB, head BLOB, n INTEGER) STRICT", ["notes.box", "notes.head"]),
}  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("sentence", [name for name in STRANGERS if "known table" not in name])
async def test_a_box_outside_the_registry_is_named(sentence: str, schema: str, folder: Path) -> None:
    """In either file, by table and column, and nothing else is."""
    sql, columns = STRANGERS[sentence]
    with file(folder, schema) as connection:
        connection.execute(sql)

        assert unregistered(connection, schema) == [f"{schema}.{column}" for column in columns]


@pytest.mark.parametrize("sentence", STRANGERS)
async def test_check_complains_of_a_box_outside_the_registry(sentence: str, data: Path) -> None:
    """The operator hears of it before a rotation leaves it behind under a key that is then destroyed."""
    sql, columns = STRANGERS[sentence]
    assert await wiring.check(Config(), data) == []
    with file(data, "vault") as connection:
        connection.execute(sql)

    trouble = await wiring.check(Config(), data)
    for column in columns:
        assert any(
            sentence.startswith(f"vault.{column} is not in the registry of boxes") for sentence in trouble
        )


async def test_the_program_complains_of_it(data: Path) -> None:
    """``tokenvault check`` ends with 1 and names the column."""
    assert run("check", "--data", data).returncode == 0
    with file(data, "sessions") as connection:
        connection.execute(STRANGERS["bytes under another name"][0])

    done = run("check", "--data", data)
    assert done.returncode == 1
    assert "sessions.attachments.scribble is not in the registry of boxes" in done.stdout


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_no_table_takes_what_its_columns_do_not_say(schema: str, folder: Path) -> None:
    """Every table is STRICT: no bytes hide in a column of text or numbers."""
    with file(folder, schema) as connection:
        loose = connection.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ).fetchall()
    assert loose == []


async def test_what_is_answered_for_is_there(folder: Path) -> None:
    """Neither list names a column that is gone: it would answer for the next one of that name."""
    columns = set()
    for schema in SCHEMAS:
        with file(folder, schema) as connection:
            columns |= {
                f"{schema}.{table}.{column}"
                for table, column in connection.execute(
                    "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c"
                )
            }
    assert columns >= {*NO_BOXES, *(f"{one.schema}.{one.table}.box" for one in REGISTRY)}
    assert columns >= {f"{one.schema}.{one.table}.{one.name}" for one in REGISTRY}
    assert all(NO_BOXES.values())


@each_table
async def test_key_versions_are_counted_by_an_index(table: Table, folder: Path) -> None:
    """Census and sweep read an index: a million rows are not read whole for either."""
    after = b"" if table.cursor == "digest" else -1
    census = "SELECT key_version, count(*) FROM {table} GROUP BY key_version"
    page = "SELECT box FROM {table} WHERE {cursor} > ? AND key_version = 1 ORDER BY {cursor} LIMIT 9"
    with file(folder, table.schema) as connection:
        for sql, parameters in ((census, ()), (page, (after,))):
            explain = "EXPLAIN QUERY PLAN " + sql.format(table=table.table, cursor=table.cursor)
            plan = " ".join(row[3] for row in connection.execute(explain, parameters))
            assert f"{table.table}_by_key_version" in plan
            assert "TEMP B-TREE" not in plan


@each_table
async def test_each_table_has_fence_and_notes(table: Table, folder: Path) -> None:
    """Triggers hold every statement to both, before a box is written and after it is gone."""
    with file(folder, table.schema) as connection:
        found = dict(
            connection.execute(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", (table.table,)
            ).fetchall()
        )
    fences = {sql for sql in found.values() if "RAISE(ABORT" in sql and "closed_versions" in sql}
    forgets = f"quarantine WHERE store = '{table.store}'"
    notes = {sql for sql in found.values() if forgets in sql}
    for sqls, moment in ((fences, "BEFORE INSERT ON"), (fences, "BEFORE UPDATE OF box ON")):
        assert sum(f"{moment} {table.table}\n" in sql for sql in sqls) == 1, moment
    for sqls, moment in ((notes, "AFTER DELETE ON"), (notes, "AFTER UPDATE OF box ON")):
        assert sum(f"{moment} {table.table}\n" in sql for sql in sqls) == 1, moment


#: Statements that write a box past all of our code, by file.
RAW = {
    "profiles": "INSERT INTO profiles (token, box, key_version, revision, created_at, updated_at)"
    " VALUES ('t', x'00', :version, 1, 0, 0)",
    "profile_answers": "INSERT INTO answers VALUES (x'00', x'00', :version, 0)",
    "sessions": "INSERT INTO sessions VALUES (x'00', 'h', NULL, x'00', :version, 0, 0, 0, 0, 0, 0, 0, 0)",
    "session_answers": "INSERT INTO answers VALUES (x'00', x'00', :version, 0)",
    "audit_details": "INSERT INTO audit_details VALUES (1, x'00', :version)",
    "access_keys": "INSERT INTO access_keys VALUES ('a', x'00', :version)",
    "documents": "INSERT INTO documents VALUES (1, 'role/a', NULL, x'00', :version, 0, 0, NULL)",
}


@each_table
@pytest.mark.parametrize(
    "verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "UPDATE", "UPDATE OR IGNORE"]
)
async def test_no_statement_gets_past_the_fence(verb: str, table: Table, folder: Path) -> None:
    """Not even one that asks for conflicts to be ignored, in whatever process it runs."""
    async with open_stores("sqlite:", folder, 5) as stores:
        await stores.keys.close("data", 2)
    with file(folder, table.schema) as connection:
        connection.execute(RAW[table.store], {"version": 1})
        if verb.startswith("UPDATE"):
            sql = f"{verb} {table.table} SET box = x'11', key_version = :version"
        else:
            sql = RAW[table.store].replace("INSERT", verb)
            connection.execute(f"DELETE FROM {table.table}")  # noqa: S608 - our tables
        before = connection.execute(f"SELECT box, key_version FROM {table.table}").fetchall()  # noqa: S608 - our tables

        with pytest.raises(sqlite3.IntegrityError, match="this key version is closed"):
            connection.execute(sql, {"version": 2})

        assert connection.execute(f"SELECT box, key_version FROM {table.table}").fetchall() == before  # noqa: S608 - our tables
        connection.execute(sql, {"version": 3})


async def test_both_back_ends_keep_the_same_boxes(tmp_path: Path) -> None:
    """A place that one of them forgot would be lost in the other only: names and purposes are the same list."""
    async with open_stores("memory:", None, 5) as memory, open_stores("sqlite:", tmp_path, 5) as sqlite:
        listed = [[(one.name, one.purpose) for one in stores.sealed] for stores in (memory, sqlite)]
    assert listed[0] == listed[1] == [(one.store, one.purpose) for one in REGISTRY]
