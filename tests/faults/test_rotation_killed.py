"""Rotations of a served vault are killed at random moments: the short form of scripts/prove_rotation.py."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from tests.rotating import boxes
from vault import opened, wiring
from vault.cli import main
from vault.config import Config
from vault.key_desk import open_desk
from vault.ports import Stores
from vault.profile_views import NewContent

SCRIPT = Path(__file__).parents[2] / "scripts" / "prove_rotation.py"


def prove(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the proof with its temporary files in this folder."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True, text=True, timeout=110, env={**os.environ, "TMPDIR": str(folder)}, check=False,
    )  # fmt: skip


def test_nothing_is_lost_wherever_a_rotation_or_the_service_is_killed(tmp_path: Path) -> None:
    """Every acknowledged write is readable, no box is under an old version, none unlisted, no e-mail twice."""
    done = prove(tmp_path, "--rotations", "4", "--profiles", "40", "--service-every", "3", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    told = json.loads(done.stdout)
    assert told["holds"]
    assert told["failures"] == []
    counts = told["counts"]
    assert sum(told["kills"].values()) >= 1
    assert counts["kills of the service"] == 1
    assert counts["rotations run to the end"] == 4 + 3 + 1
    assert counts["writes acknowledged"] > 100
    assert counts["duplicates refused"] > 5
    assert counts["reads compared"] > 200
    assert counts["boxes looked at"] > counts["index tags looked at"] >= 10
    assert list(tmp_path.iterdir()) == []


def test_help_has_an_example(tmp_path: Path) -> None:
    """--help shows how it is called."""
    done = prove(tmp_path, "--help")
    assert done.returncode == 0
    assert "Example: python scripts/prove_rotation.py" in done.stdout


async def test_a_service_that_starts_while_keys_rotate_comes_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a rotation does between its look at the keyring and its look at the database is no damage."""
    folder, open_stores = tmp_path / "data", opened.open_stores
    await three_people(folder)
    rotated = []

    @asynccontextmanager
    async def meanwhile(*arguments: Any) -> AsyncIterator[Stores]:
        monkeypatch.undo()
        async with open_desk(Config(), folder) as desk:
            rotated.extend([await desk.rotations.rotate(line) for line in ("data", "index")])
        async with open_stores(*arguments) as stores:
            yield stores

    monkeypatch.setattr(opened, "open_stores", meanwhile)
    async with wiring.open_vault(Config(), folder) as vault:
        token = await vault.profiles.lookup("email", "p1@example.org")
        assert (await vault.profiles.get(token)).head.key_version == 2
    assert [report.to_version for report in rotated] == [2, 2]


class Damage(NamedTuple):
    """What a broken rotation could leave, as a statement that makes it, and what the proof must say of it."""

    statement: str
    failure: str


#: Bytes of a box under key version 7.
OLD_BOX = bytes.fromhex("0100000007") + bytes(90)

DAMAGES = {
    "a box under another version than its row says": Damage(
        "UPDATE profiles SET box = :box WHERE id = 1", "a box under version 7 is in a row"
    ),
    "a row under an old version": Damage(
        "UPDATE profiles SET box = :box, key_version = 7 WHERE id = 1",
        "1 boxes under version 7 are in vault.profiles.box",
    ),
    "a kept answer under an old version": Damage(
        "INSERT INTO answers VALUES (zeroblob(32), :box, 7, 1)",
        "1 boxes under version 7 are in vault.answers.box",
    ),
    "bytes that are no box": Damage(
        "UPDATE profiles SET box = zeroblob(200) WHERE id = 1", "vault.profiles.box holds 200 bytes that are no box"
    ),
    "a table that no rotation knows": Damage(
        "CREATE TABLE notes AS SELECT token, box FROM profiles", "3 boxes in vault.notes.box, which no census counts"
    ),
    "a row that the census does not count": Damage(
        "DELETE FROM profiles WHERE id = 1", "vault.profiles.box has 2 boxes, and the census tells of 3"
    ),
    "an index tag under an old version": Damage(
        "UPDATE tags SET version = 7 WHERE digest = (SELECT min(digest) FROM tags)", "1 index tags are under version 7"
    ),
    "a profile without its tag": Damage(
        "DELETE FROM tags WHERE digest = (SELECT min(digest) FROM tags)", "3 profiles with an e-mail each have 2"
    ),
    "a row in quarantine": Damage(
        "INSERT INTO quarantine SELECT 'profiles', token, 1, 'box_tampered', 1 FROM profiles LIMIT 1",
        "1 rows are in quarantine in vault.db",
    ),
}  # fmt: skip


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The part of the proof that looks into files."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import prove_rotation_files

    return prove_rotation_files


async def three_people(folder: Path) -> None:
    """Make a vault."""
    await wiring.initialise(Config(), folder)
    async with wiring.open_vault(Config(), folder) as vault:
        await vault.profiles.create_many([NewContent({"email": f"p{n}@example.org"}) for n in range(3)])


def status(folder: Path) -> Any:
    """What ``key_status.py --json`` says."""
    return json.loads(CliRunner().invoke(main, ["keys", "status", "--json", "--data", str(folder)]).stdout)


def test_the_proof_finds_nothing_in_a_sound_vault(tmp_path: Path, proof: Any) -> None:
    """What is checked holds where nothing was done to the files."""
    asyncio.run(three_people(tmp_path / "data"))
    book = proof.Book()
    proof.check_files(tmp_path / "data", status(tmp_path / "data"), book)
    assert book.failures == []
    sealed = {name: len(found) for name, found in boxes(tmp_path / "data").items() if "canary" not in name}
    assert sealed["vault.profiles.box"] == book.counts["index tags looked at"] == 3
    assert book.counts["boxes looked at"] == sum(sealed.values())


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_proof_can_fail(tmp_path: Path, proof: Any, damage: Damage) -> None:
    """Each thing that a broken rotation could leave in the files is found, and named."""
    folder = tmp_path / "data"
    asyncio.run(three_people(folder))
    told = status(folder)
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as connection:
        assert connection.execute(damage.statement, {"box": OLD_BOX}).rowcount
    book = proof.Book()
    proof.check_files(folder, told, book)
    assert any(damage.failure in sentence for sentence in book.failures), book.failures
