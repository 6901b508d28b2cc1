"""Looks at the files as a dead process left them: on a copy, so that the next start finds what a crash leaves."""

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from prove_crashes_load import AccessKeys
from prove_rotation_book import Book

from vault import wiring
from vault.config import Config
from vault.crypto.sealer import Sealer
from vault.errors import BoxError
from vault.tokens import session_digest

#: What a crash leaves beside each database that counts; SQLite makes the rest anew.
PARTS = (".db", ".db-wal")


class Left(NamedTuple):
    """What is in the files: contents by token, claims by digest, the person of each session."""

    contents: Mapping[str, Any]
    claims: Mapping[bytes, Any]
    closed: frozenset[str]


def look(data: Path, copy: Path, book: Book, keys: AccessKeys, passers: set[str], in_flight: int) -> None:
    """Compare what is in the files with the book; ``in_flight`` bounds the creates that nobody heard back of."""
    copy.mkdir(mode=0o700)
    try:
        for schema in ("vault", "sessions"):
            for part in PARTS:
                if (data / f"{schema}{part}").exists():
                    shutil.copyfile(data / f"{schema}{part}", copy / f"{schema}{part}")
            wal = copy / f"{schema}.db-wal"
            book.counts["WALs with pages in them at a kill"] += wal.exists() and wal.stat().st_size > 0
        _look(data, copy, book, keys, passers, in_flight)
    except sqlite3.DatabaseError as error:
        book.expect(False, f"the files are damaged: {error}")
    finally:
        shutil.rmtree(copy)


def _look(data: Path, copy: Path, book: Book, keys: AccessKeys, passers: set[str], in_flight: int) -> None:
    sealer = Sealer(wiring.keyring_of(data, Config()).read(), wiring.DEFAULT_TENANT)
    with (
        closing(sqlite3.connect(copy / "vault.db")) as vault,
        closing(sqlite3.connect(copy / "sessions.db")) as sessions,
    ):
        for name, connection in (("vault", vault), ("sessions", sessions)):
            ((verdict,), *_) = connection.execute("PRAGMA integrity_check").fetchall()
            book.expect(verdict == "ok", f"{name}.db is damaged: {verdict}")
            book.counts["files proven whole"] += 1
        left = Left(
            _contents(vault, sealer, book),
            _claims(sessions, sealer, book),
            frozenset(
                token
                for (token,) in sessions.execute("SELECT user_token FROM epochs WHERE closed_at IS NOT NULL")
            ),
        )
        begun = _check_halves(vault, sessions, left, book)
        book.expect(in_flight > 0 or begun == 0, f"{begun} erasures were never finished")
        _check_answers(vault, sessions, left, sealer, book)
        _check_keys(vault, keys, sealer, book)
    _check_people(left, book, passers, in_flight)
    _check_sessions(left, book)


def _contents(vault: sqlite3.Connection, sealer: Sealer, book: Book) -> Mapping[str, Any]:
    rows = vault.execute("SELECT token, box, key_version FROM profiles").fetchall()
    return {token: _open(sealer, "profile", token, box, version, book) for token, box, version in rows}


def _claims(sessions: sqlite3.Connection, sealer: Sealer, book: Book) -> Mapping[bytes, Any]:
    rows = sessions.execute("SELECT digest, handle, box, key_version FROM sessions").fetchall()
    contents = {
        digest: _open(sealer, "session", handle, box, version, book) for digest, handle, box, version in rows
    }
    return {digest: content and content["claims"] for digest, content in contents.items()}


def _open(sealer: Sealer, purpose: str, name: str, box: bytes, version: int, book: Book) -> Any:
    book.counts["boxes opened, in the files"] += 1
    book.expect(
        int.from_bytes(box[1:5], "big") == version, f"a row of a {purpose} names another key than its box"
    )
    try:
        return json.loads(sealer.open(purpose, name, box))
    except BoxError as error:
        book.expect(False, f"a box of a {purpose} does not open: {error.code}")
        return None


def _check_halves(vault: sqlite3.Connection, sessions: sqlite3.Connection, left: Left, book: Book) -> int:
    """Neither a box without tags nor tags without a box, nor a session without its person.

    Return how many erasures have begun, which is no half write: nobody is shown those people any more.
    """
    tagged = Counter(token for (token,) in vault.execute("SELECT token FROM tags"))
    book.expect(not set(tagged) - set(left.contents), "there are tags without a box")
    book.expect(not set(left.contents) - set(tagged), "there are boxes without tags")
    book.expect(
        not [token for token, count in tagged.items() if count > 1], "an e-mail that was replaced is tagged"
    )
    ((begun,),) = vault.execute("SELECT count(*) FROM profiles WHERE erasing_at IS NOT NULL").fetchall()
    book.counts["erasures caught half-way, which the next start finished"] += begun
    owners = {
        token for (token,) in sessions.execute("SELECT user_token FROM sessions WHERE user_token IS NOT NULL")
    }
    book.expect(not owners & left.closed, "there is a session of an erased person")
    book.expect(not owners - set(left.contents), "there is a session of a person who is not there")
    return int(begun)


def _check_answers(
    vault: sqlite3.Connection, sessions: sqlite3.Connection, left: Left, sealer: Sealer, book: Book
) -> None:
    """A kept answer is never there without the write that it answers."""
    for of_people, connection in ((True, vault), (False, sessions)):
        for digest, box, version in connection.execute(
            "SELECT digest, box, key_version FROM answers"
        ).fetchall():
            kept = _open(sealer, "answer", digest.hex(), box, version, book)
            if kept and of_people:
                token = kept["result"]["token"]
                book.expect(
                    token in left.contents or token in left.closed,
                    "an answer is kept of a create that was lost",
                )


def _check_keys(vault: sqlite3.Connection, keys: AccessKeys, sealer: Sealer, book: Book) -> None:
    rows = vault.execute("SELECT id, box, key_version FROM access_keys").fetchall()
    opened = {key_id: _open(sealer, "access", key_id, box, version, book) for key_id, box, version in rows}
    held = {key_id: key["revoked_at"] for key_id, key in opened.items() if key}
    for key_id in keys.live:
        book.expect(
            key_id in held and held[key_id] is None, "an acknowledged access key is not there, or revoked"
        )
    for key_id in keys.revoked:
        book.expect(held.get(key_id) is not None, "a revocation of an access key was lost")


def _check_people(left: Left, book: Book, passers: set[str], in_flight: int) -> None:
    for person in book.people:
        if person.token not in left.contents:
            book.expect(person.erasing, "an acknowledged profile is not in the file")
        else:
            book.expect(
                left.contents[person.token] in person.contents[person.sure :],
                "a profile is in the file, and not as it was acknowledged",
            )
        book.counts["acknowledged writes found in the files"] += 1
    for person in book.gone_people:
        book.expect(person.token not in left.contents, "an erased profile is in the file")
        book.expect(person.token in left.closed, "an erased person's epoch is open")
    strangers = set(left.contents) - passers - {person.token for person in book.people}
    book.counts["creates that were cut off, and are there whole"] += len(strangers)
    book.expect(len(strangers) <= in_flight, f"{len(strangers)} profiles are there that nobody has asked for")


def _check_sessions(left: Left, book: Book) -> None:
    for session in book.sessions:
        digest = session_digest(session.session_id)
        if digest not in left.claims:
            book.expect(session.ending, "an acknowledged session is not in the file")
        else:
            book.expect(
                left.claims[digest] in session.claims,
                "a session is in the file, and not as it was acknowledged",
            )
        book.counts["acknowledged writes found in the files"] += 1
    for session in book.gone_sessions:
        book.expect(session_digest(session.session_id) not in left.claims, "an ended session is in the file")
