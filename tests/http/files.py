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


def counts(data: Path) -> dict[str, int]:
    """Return how many rows each table holds."""
    return {table: len(rows) for table, rows in contents(data).items()}


def all_bytes(data: Path) -> bytes:
    """Return every byte of the database files and what SQLite keeps beside them."""
    return b"".join(path.read_bytes() for path in sorted(data.glob("*.db*")))
