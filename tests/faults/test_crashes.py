"""The service is killed at random moments, under load: the short form of scripts/prove_crashes.py."""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vault import wiring
from vault.config import Config
from vault.idempotency import attempt
from vault.sessions import Wanted
from vault.tokens import session_digest

SCRIPT = Path(__file__).parents[2] / "scripts" / "prove_crashes.py"


def prove(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the proof with its temporary files in this folder."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True, text=True, timeout=110, env={**os.environ, "TMPDIR": str(folder)}, check=False,
    )  # fmt: skip


def test_nothing_is_lost_whenever_the_service_is_killed(tmp_path: Path) -> None:
    """Every acknowledged write is there, nothing is there by half, every box opens, both files are whole."""
    done = prove(tmp_path, "--rounds", "3", "--profiles", "60", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    told = json.loads(done.stdout)
    assert told["holds"]
    assert told["failures"] == []
    counts = told["counts"]
    kills = sum(told["kills"].values())
    assert kills >= 3
    assert counts["files proven whole"] == 2 * (kills + 1)
    assert counts["writes acknowledged"] > 200
    assert counts["acknowledged writes found in the files"] > 200
    assert counts["boxes opened, in the files"] > 500
    assert counts["reads compared"] > 500
    assert counts["people who passed by, and were erased"] > 5
    assert list(tmp_path.iterdir()) == []


def test_help_has_an_example(tmp_path: Path) -> None:
    """--help shows how it is called."""
    done = prove(tmp_path, "--help")
    assert done.returncode == 0
    assert "Example: python scripts/prove_crashes.py" in done.stdout


class Damage(NamedTuple):
    """What a crash could leave in one of the files, as a statement, and what the proof must say of it."""

    schema: str
    statement: str
    failure: str


DAMAGES = {
    "an acknowledged person is gone, with her tags": Damage(
        "vault", "DELETE FROM tags; DELETE FROM profiles WHERE id = 1", "an acknowledged profile is not in the file"
    ),
    "a box has lost its tags": Damage("vault", "DELETE FROM tags", "there are boxes without tags"),
    "tags have lost their box": Damage(
        "vault", "DELETE FROM profiles WHERE id = 1", "there are tags without a box"
    ),
    "a replaced e-mail kept its tag": Damage(
        "vault",
        "INSERT INTO tags SELECT version, x'00', field, token FROM tags LIMIT 1",
        "an e-mail that was replaced is tagged",
    ),
    "a box that was half written": Damage(
        "vault",
        "UPDATE profiles SET box = substr(box, 1, 200) WHERE id = 1",
        "a box of a profile does not open: box_tampered",
    ),
    "a row that names another key": Damage(
        "vault", "UPDATE profiles SET key_version = 2 WHERE id = 1", "names another key than its box"
    ),
    "an erased person is back": Damage(
        "vault",
        "UPDATE profiles SET token = :gone WHERE id = 1; UPDATE tags SET token = :gone",
        "an erased profile is in the file",
    ),
    "an answer was kept and its write was not": Damage(
        "vault",
        "DELETE FROM tags; DELETE FROM profiles WHERE id = 1",
        "an answer is kept of a create that was lost",
    ),
    "an acknowledged session is gone": Damage(
        "sessions", "DELETE FROM sessions", "an acknowledged session is not in the file"
    ),
    "a session outlived its person": Damage(
        "sessions", "UPDATE sessions SET user_token = :gone", "there is a session of an erased person"
    ),
    "a session of nobody": Damage(
        "sessions", "UPDATE sessions SET user_token = 'x'", "there is a session of a person who is not there"
    ),
    "an erasure was forgotten": Damage("sessions", "DELETE FROM epochs", "an erased person's epoch is open"),
    "an ended session is back": Damage(
        "sessions", "UPDATE sessions SET digest = :ended", "an ended session is in the file"
    ),
    "an erasure that nobody finished": Damage(
        "vault", "UPDATE profiles SET erasing_at = 1", "1 erasures were never finished"
    ),
    "an access key is gone": Damage(
        "vault", "DELETE FROM access_keys WHERE id <> :revoked", "an acknowledged access key is not there"
    ),
    "a revocation is gone": Damage(
        "vault",
        "UPDATE access_keys SET box = :unrevoked WHERE id = :revoked",
        "a revocation of an access key was lost",
    ),
}  # fmt: skip


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any, Any]]:
    """The rooms of the proof that look into files and keep the book."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import prove_crashes_files
    import prove_crashes_load
    import prove_rotation_book

    return prove_crashes_files, prove_crashes_load, prove_rotation_book


async def lived(folder: Path, rooms: tuple[Any, Any, Any]) -> tuple[Any, Any, dict[str, object]]:
    """Make a vault in which something was acknowledged; return the book, the access keys, and names for statements."""
    _, load, book_room = rooms
    book, keys = book_room.Book(), load.AccessKeys(None, None, random.Random(7))
    await wiring.initialise(Config(), folder)
    async with wiring.open_vault(Config(), folder) as vault:
        tried = attempt(bytes(32), "POST /profiles", "once", b"")
        contents = [{"email": f"p{number}@example.org"} for number in range(2)]
        tokens = [(await vault.profiles.create(content, attempt=tried)).token for content in contents[:1]]
        tokens.append((await vault.profiles.create(contents[1])).token)
        person, gone = (
            book_room.Person(*each) for each in zip(tokens, ([one] for one in contents), strict=True)
        )
        one, other = [await vault.sessions.open(Wanted(person.token)) for _ in range(2)]
        await vault.sessions.end(other.session_id)
        await vault.profiles.erase(gone.token)
        for place in (keys.live, keys.revoked):
            text, row = await vault.access.create("test", {"admin"})
            place[row.id] = text
        with closing(sqlite3.connect(folder / "vault.db")) as connection:
            ((unrevoked,),) = connection.execute("SELECT box FROM access_keys WHERE id = ?", (row.id,))
        await vault.access.revoke(row.id)
    book.people, book.gone_people = [person], [gone]
    book.sessions = [book_room.Session(one.session_id, person, [{}])]
    book.gone_sessions = [book_room.Session(other.session_id, person, [{}])]
    names = {"ended": session_digest(other.session_id), "revoked": row.id, "unrevoked": unrevoked}
    return book, keys, {"gone": gone.token, **names}


def test_the_proof_finds_nothing_in_a_sound_vault(tmp_path: Path, rooms: tuple[Any, Any, Any]) -> None:
    """What is checked holds where nothing was done to the files, and the copy is gone."""
    book, keys, _ = asyncio.run(lived(tmp_path / "data", rooms))
    rooms[0].look(tmp_path / "data", tmp_path / "copy", book, keys, set(), 0)
    assert book.failures == []
    assert book.counts["boxes opened, in the files"] == 6
    assert not (tmp_path / "copy").exists()


def test_the_proof_bounds_what_nobody_has_heard_of(tmp_path: Path, rooms: tuple[Any, Any, Any]) -> None:
    """A whole profile that is in no book is a create that was cut off; where none was, it is a finding."""
    book, keys, _ = asyncio.run(lived(tmp_path / "data", rooms))
    book.people = []
    rooms[0].look(tmp_path / "data", tmp_path / "copy", book, keys, set(), 1)
    assert book.failures == []
    rooms[0].look(tmp_path / "data", tmp_path / "copy", book, keys, set(), 0)
    assert book.failures == ["1 profiles are there that nobody has asked for"]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_proof_can_fail(tmp_path: Path, rooms: tuple[Any, Any, Any], damage: Damage) -> None:
    """Each thing that a crash could leave in the files is found, and named."""
    folder = tmp_path / "data"
    book, keys, names = asyncio.run(lived(folder, rooms))
    with closing(sqlite3.connect(folder / f"{damage.schema}.db", isolation_level=None)) as connection:
        for statement in damage.statement.split(";"):
            assert connection.execute(statement, names).rowcount
    rooms[0].look(folder, tmp_path / "copy", book, keys, set(), 0)
    assert any(damage.failure in sentence for sentence in book.failures), book.failures


def test_the_proof_sees_a_damaged_page(tmp_path: Path, rooms: tuple[Any, Any, Any]) -> None:
    """SQLite's own check of a file is asked for, and heeded."""
    folder = tmp_path / "data"
    book, keys, _ = asyncio.run(lived(folder, rooms))
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        ((page,),) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'profiles_by_expiry'"
        )
        ((size,),) = connection.execute("PRAGMA page_size")
    with (folder / "vault.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    rooms[0].look(folder, tmp_path / "copy", book, keys, set(), 0)
    assert any("damaged" in sentence for sentence in book.failures), book.failures
