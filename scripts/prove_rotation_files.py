"""Looks into the files of a vault without a line of the vault's code: every box, every tag, every table."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from prove_rotation_book import Book

#: A box is format 1, its key version (u32, big-endian), a commitment, a nonce, and a ciphertext with its tag
#: (docs/format.md): nothing that is longer than header and tag is anything else, and digests are shorter.
FORMAT = 1
SHORTEST_BOX = 45 + 16

#: Where the census counts the boxes of a table. The canaries are each under the key that they vouch for.
STORES = {
    "vault.profiles.box": "profiles",
    "vault.answers.box": "profile_answers",
    "sessions.sessions.box": "sessions",
    "sessions.answers.box": "session_answers",
    "vault.audit_details.box": "audit_details",
    "vault.access_keys.box": "access_keys",
    "vault.documents.box": "documents",
}
CANARIES = "vault.key_versions.canary"


def tokens(data: Path) -> list[str]:
    """Return the tokens of all profiles that are not being erased."""
    with closing(_open(data / "vault.db")) as connection:
        return [
            token for (token,) in connection.execute("SELECT token FROM profiles WHERE erasing_at IS NULL")
        ]


def check_files(data: Path, status: dict[str, Any], book: Book) -> None:
    """Compare both files with what ``key_status.py --json`` says of them; write what is wrong into the book."""
    active = {
        line: next(one for one in versions if one["state"] == "active")
        for line, versions in status["lines"].items()
    }
    current = active["data"]["version"]
    for line, versions in status["lines"].items():
        for one in versions:
            if one["version"] == active[line]["version"]:
                continue
            where = f"version {one['version']} of line {line}"
            book.expect(one["state"] == "disabled", f"{where} is {one['state']} after all")
            book.expect(not any(one["rows"].values()), f"the census finds rows under {where}")
    found: Counter[tuple[str, int]] = Counter()
    for schema in ("vault", "sessions"):
        with closing(_open(data / f"{schema}.db")) as connection:
            found += _boxes(connection, schema, book)
            ((verdict,), *_) = connection.execute("PRAGMA integrity_check").fetchall()
            book.expect(verdict == "ok", f"{schema}.db is damaged: {verdict}")
            ((aside,),) = connection.execute("SELECT count(*) FROM quarantine").fetchall()
            book.expect(aside == 0, f"{aside} rows are in quarantine in {schema}.db")
    for (column, version), count in found.items():
        if column == CANARIES:
            continue
        book.counts["boxes looked at"] += count
        book.expect(column in STORES, f"{count} boxes in {column}, which no census counts")
        book.expect(version == current, f"{count} boxes under version {version} are in {column}")
    for column, store in STORES.items():
        counted, told = found[column, current], active["data"]["rows"].get(store, 0)
        book.expect(counted == told, f"{column} has {counted} boxes, and the census tells of {told}")
    _check_tags(data, active["index"]["version"], book)
    book.expect(status["quarantine"] == 0, f"{status['quarantine']} rows are in quarantine")
    for warning in status["warnings"]:
        book.expect(False, f"the status warns: {warning}")


def _boxes(connection: sqlite3.Connection, schema: str, book: Book) -> Counter[tuple[str, int]]:
    """Count the boxes of every column of every table, by the version in their own header."""
    found: Counter[tuple[str, int]] = Counter()
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (table,) in tables:
        columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
        beside = next((name for name in ("key_version", "version") if name in columns), "NULL")
        for column in columns:
            name = f"{schema}.{table}.{column}"
            rows = connection.execute(
                f'SELECT "{column}", {beside} FROM "{table}" WHERE typeof("{column}") = \'blob\''  # noqa: S608 - names of the schema itself
                f' AND length("{column}") > {SHORTEST_BOX}'
            )
            for sealed, said in rows:
                version = int.from_bytes(sealed[1:5], "big")
                book.expect(sealed[0] == FORMAT, f"{name} holds {len(sealed)} bytes that are no box")
                book.expect(
                    version == said, f"a box under version {version} is in a row of {name} that says {said}"
                )
                found[name, version] += 1
    return found


def _check_tags(data: Path, current: int, book: Book) -> None:
    """Each profile has its one tag, the e-mail's, under the active version, and there is no other."""
    with closing(_open(data / "vault.db")) as connection:
        for version, count in connection.execute("SELECT version, count(*) FROM tags GROUP BY version"):
            book.expect(version == current, f"{count} index tags are under version {version}")
        tagged = [token for (token,) in connection.execute("SELECT token FROM tags")]
        living = [token for (token,) in connection.execute("SELECT token FROM profiles")]
    book.counts["index tags looked at"] += len(tagged)
    book.expect(
        sorted(tagged) == sorted(living),
        f"{len(living)} profiles with an e-mail each have {len(tagged)} index tags, or not each its own",
    )


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
