"""What a rotation leaves in the files: not a piece of an old box or tag, and of a destroyed key nothing."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.terminal import run
from tests.grep import leaks
from tests.program import Program
from tests.talk import Talk
from vault.config import Config
from vault.crypto.keyring import Keyring, KeyState
from vault.crypto.keyring_file import KeyringFile
from vault.idempotency import attempt
from vault.key_desk import Manner, open_desk
from vault.profile_views import NewContent
from vault.sessions import Wanted
from vault.unlock import open_unlock
from vault.wiring import initialise, keyring_of, open_vault

#: Enough that every B-tree has several levels, whose pages are split and merged while tags come and go.
PEOPLE, SESSIONS = 1200, 40

#: In every so many profiles there is one that fills several pages of the file.
LONG_EVERY = 40

#: Bytes of a piece. Every box and every tag is looked for in pieces, so that what is left of one is found as well.
PIECE = 16


#: Where the boxes and tags are that a rotation replaces. A canary stays: it vouches for its own key for good.
REPLACED = {
    "vault": ("SELECT box FROM profiles", "SELECT box FROM answers", "SELECT digest FROM tags"),
    "sessions": ("SELECT box FROM sessions", "SELECT box FROM answers"),
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Program]:
    """A running service with people, sessions, and kept answers about both."""
    people = [
        {"email": f"person-{n}@example.org", "notes": "x" * (900 + 20_000 * (n % LONG_EVERY == 0))}
        for n in range(PEOPLE)
    ]
    with Program(tmp_path / "data", tmp_path) as program:
        talk = Talk(program)
        batch = {"profiles": [{"profile": person} for person in people]}
        made = talk(200, "POST", "/api/v1/profiles/batch", batch, Idempotency_Key="a batch of people")[
            "results"
        ]
        for n, entry in enumerate(made[:SESSIONS]):
            session = {"user_token": entry["token"], "claims": {"tenant": f"t-{n}"}}
            talk(201, "POST", "/api/v1/sessions", session, Idempotency_Key=f"session {n}")
            single = {"profile": {"email": f"single-{n}@example.org"}}
            talk(201, "POST", "/api/v1/profiles", single, Idempotency_Key=f"person {n}")
        yield program


def traces(data: Path) -> dict[str, set[bytes]]:
    """Return the pieces of everything that a rotation replaces, by where it is."""
    found: dict[str, set[bytes]] = {}
    for schema, queries in REPLACED.items():
        path = (data / f"{schema}.db").absolute()
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            for query in queries:
                rows = [bytes(value) for (value,) in connection.execute(query)]
                assert rows
                found[f"{schema}: {query}"] = {
                    row[start : start + PIECE]
                    for row in rows
                    for start in range(0, len(row) - PIECE + 1, PIECE)
                }
    return found


def remaining(data: Path, pieces: set[bytes]) -> dict[str, set[bytes]]:
    """Return which of the pieces are in which files of the folder."""
    found = {}
    for path in data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            windows = (content[start : start + PIECE] for start in range(len(content) - PIECE + 1))
            found[path.name] = pieces.intersection(windows)
    return found


def test_no_piece_of_an_old_box_or_tag_is_left_in_any_file(served: Program) -> None:
    """Before, the grep finds every single one in the databases and their WAL; afterwards not one, anywhere."""
    old = traces(served.data)
    before = remaining(served.data, set().union(*old.values()))
    assert {"vault.db", "sessions.db", "keyring.json"} <= set(before)
    for place, pieces in old.items():
        # Where a box goes on from page to page, one of its pieces may lie across the seam.
        seen = set().union(*before.values()) & pieces
        assert len(seen) >= 0.95 * len(pieces), place
        assert len(seen) == len(pieces) or "profiles" in place or "answers" in place, place

    done = run("keys", "rotate", "--data", served.data)
    assert done.returncode == 0, done.stdout + done.stderr

    after = remaining(served.data, set().union(*old.values()))
    assert {"vault.db", "sessions.db"} <= set(after)
    assert not set().union(*after.values())
    new = traces(served.data)
    assert all(len(new[place] & old[place]) == 0 for place in old)
    assert served.stop() == 0
    assert not set().union(*remaining(served.data, set().union(*old.values())).values())


def pieces_in(data: Path, pieces: set[bytes]) -> set[bytes]:
    """Return which of the pieces are in any file of the folder."""
    return set().union(*remaining(data, pieces).values())


async def test_no_piece_of_an_old_box_is_left_where_profiles_have_grown_and_shrunk(tmp_path: Path) -> None:
    """The same of rows that were moved from page to page before: only a file that is written anew is clean."""
    data, chance = tmp_path / "data", random.Random(5)
    await initialise(Config(), data)
    async with open_vault(Config(), data) as vault:
        made = await vault.profiles.create_many([NewContent({"notes": "x" * 900}) for _ in range(400)])
        tokens = [entry.token for entry in made if entry.token]
        for token in chance.choices(tokens, k=1200):
            await vault.profiles.replace(token, {"notes": "y" * chance.randrange(100, 2500)}, None)
        session = Wanted(tokens[0], {"tenant": "acme"})
        await vault.sessions.open(session, attempt(bytes(32), "open", "key", b""))
        await vault.profiles.create({}, None, attempt(bytes(32), "create", "key", b""))
        await vault.profiles.create({"email": "ada@example.org"})
    old = set().union(*traces(data).values())
    async with open_desk(Config(), data, Manner(rewrite_up_to=0)) as desk:
        report = await desk.rotations.rotate("data")
        assert (report.left, report.quarantine, len(report.traces)) == ([], 0, 2)
        old -= set().union(*traces(data).values())  # the tag, which this line does not touch
        assert pieces_in(data, old)  # the counter-test: what was too large to rewrite is said, and is so
        assert await desk.shred() == []
        assert not pieces_in(data, old)


def keyring(path: Path, data: Path) -> Keyring:
    """Read a keyring file with the vault's unlock key."""
    return KeyringFile(path, open_unlock(Config().keyring.unlock, data)).read()


def test_of_a_destroyed_key_nothing_is_left_in_any_file(served: Program) -> None:
    """Its secret is in no file as it is, in base64 or in hex; and no generation of the keyring holds it, unsealed."""
    data = served.data
    secrets = {line: keyring_of(data, Config()).read().active(line).secret for line in ("data", "index")}
    done = run("keys", "rotate", "--data", data)
    assert done.returncode == 0, done.stdout + done.stderr
    generations = (data / "keyring.json", data / "keyring.json.previous")
    for path in generations:
        for line, secret in secrets.items():
            key = keyring(path, data).get(line, 1)
            assert key is not None
            assert key.secret == secret  # the counter-test: until then it is in both

    for line in secrets:
        done = run("keys", "retire", "--line", line, "--version", "1", "--cool-down", "0", "--data", data)
        assert done.returncode == 0, done.stdout + done.stderr

    assert {path.name for path in data.glob("keyring.json*")} <= {
        "keyring.json", "keyring.json.previous", "keyring.json.lock",
    }  # fmt: skip
    for path in generations:
        for line, secret in secrets.items():
            unsealed = keyring(path, data)
            key = unsealed.get(line, 1)
            assert key is not None
            assert (key.state, key.secret) == (KeyState.DESTROYED, b"")
            assert all(other.secret != secret for other in unsealed)
    files = {str(path): path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert any(name.endswith("data-1.json") for name in files)
    assert leaks(files, secrets) == []
    planted = {name: content + secrets["data"].hex().encode() for name, content in files.items()}
    assert len(leaks(planted, secrets)) >= len(files)  # the counter-test of the grep
    assert served.stop() == 0
