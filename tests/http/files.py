"""What lies in the two database files, seen from outside."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def contents(data: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table of both files: two equal answers mean that nothing was written."""
    found = {}
    for path in sorted(data.glob("*.db")):
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608 - our own names
                found[f"{path.stem}.{table}"] = sorted(rows, key=repr)
    return found


#: Where events are: the one thing that a refusal may write.
TRAIL = frozenset({"vault.audit_events", "vault.audit_details", "vault.audit_end", "vault.audit_checkpoints"})


def besides_the_trail(found: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return those contents without the audit trail."""
    assert found.keys() >= TRAIL
    return {table: rows for table, rows in found.items() if table not in TRAIL}


def events(data: Path) -> list[tuple[str, str]]:
    """Return action and outcome of every event, in order."""
    with closing(
        sqlite3.connect(f"{(data / 'vault.db').absolute().as_uri()}?mode=ro", uri=True)
    ) as connection:
        return connection.execute("SELECT action, outcome FROM audit_events ORDER BY sequence").fetchall()


def counts(data: Path) -> dict[str, int]:
    """Return how many rows each table holds."""
    return {table: len(rows) for table, rows in contents(data).items()}


def all_bytes(data: Path) -> bytes:
    """Return every byte of the database files and what SQLite keeps beside them."""
    return b"".join(path.read_bytes() for path in sorted(data.glob("*.db*")))
