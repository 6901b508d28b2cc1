"""Numbered migrations: static SQL files, each in one transaction, remembered by name and checksum."""

import hashlib
import sqlite3
from contextlib import closing
from importlib import resources
from typing import NamedTuple

from vault.errors import DataFolderError


class Migration(NamedTuple):
    """One file of statements."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(schema: str) -> list[Migration]:
    """Return the migrations of one schema ("vault" or "sessions"), in order."""
    folder = resources.files(__package__) / "migrations" / schema
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")) for file in files]


def migrate(connection: sqlite3.Connection, schema: str) -> None:
    """Apply what is missing. Raises ``DataFolderError`` if the file is newer than the program or was altered."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"
    )
    trouble = differences(connection, schema)
    if trouble:
        raise DataFolderError(trouble[0])
    applied = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    for migration in migrations(schema):
        if migration.name in applied:
            continue
        # executescript runs several statements; it is one transaction because the text opens and ends it.
        connection.executescript(f"BEGIN IMMEDIATE; {migration.sql}")
        connection.execute(
            "INSERT INTO migrations VALUES (?, ?, strftime('%Y-%m-%dT%H:%M:%SZ'))",
            (migration.name, migration.checksum),
        )
        connection.execute("COMMIT")


def differences(connection: sqlite3.Connection, schema: str) -> list[str]:
    """Return, in sentences, how the migrations noted in the file differ from those of this program."""
    ours = {migration.name: migration.checksum for migration in migrations(schema)}
    trouble = []
    for name, checksum in connection.execute("SELECT name, checksum FROM migrations ORDER BY name"):
        if name not in ours:
            trouble.append(
                f"{schema}.db was migrated by a newer version of the program ({name}); install that version."
            )
        elif ours[name] != checksum:
            trouble.append(
                f"{schema}.db was migrated with another text of {name}; restore the file or that version."
            )
    return trouble


def altered(connection: sqlite3.Connection, schema: str) -> list[str]:
    """Return the names of tables, indexes and triggers that are missing, added, or other than the migrations make them.

    A fence or a note that somebody took out of the file would not be missed otherwise.
    """
    sql = "SELECT name, type, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh, schema)
        return sorted({name for name, *_ in set(fresh.execute(sql)) ^ set(connection.execute(sql))})
