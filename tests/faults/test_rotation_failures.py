"""What rotations elsewhere have broken, by the public report: none of it happens here."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.rotating import boxes, desk, keyring_of, process, select, spoil, states, take_in
from vault import wiring
from vault.config import Config
from vault.crypto.keyring import KeyState
from vault.documents import NewDocument
from vault.errors import (
    BoxError,
    KeyMoveRefused,
    MalformedBox,
    OutOfTime,
    TamperedBox,
    UnknownKey,
    WrongKey,
)
from vault.key_desk import Manner

ROOT = Path(__file__).parents[2]
PATIENCE = 60

#: Rotates copies of a vault, one after the other, each in a process of its own that kills itself right before the
#: n-th step that lasts (a COMMIT, or a name given to a file), until one is through; prints how many were killed.
VICTIM = """
import functools, itertools, os, shutil, signal, sqlite3, sys
from vault.cli import main

folder, copies = sys.argv[1:]
number = steps = 0

def step():
    global steps
    steps += 1
    if steps == number:
        os.kill(os.getpid(), signal.SIGKILL)

class Lethal(sqlite3.Connection):
    def execute(self, sql, *parameters):
        if sql == "COMMIT":
            step()
        return super().execute(sql, *parameters)

def lethal(call):
    def counted(*arguments, **options):
        step()
        return call(*arguments, **options)
    return counted

sqlite3.connect = functools.partial(sqlite3.connect, factory=Lethal)
for name in ("rename", "link"):
    setattr(os, name, lethal(getattr(os, name)))
for number in itertools.count(1):
    copy = shutil.copytree(folder, os.path.join(copies, str(number)))
    child = os.fork()
    if not child:
        main(["keys", "rotate", "--line", "data", "--data", copy])
    _, status = os.waitpid(child, 0)
    if status != signal.SIGKILL:
        print(number - 1)
        sys.exit(os.waitstatus_to_exitcode(status))
"""


async def test_no_row_is_under_a_key_that_was_not_saved_first(
    data: Path, clock: FakeClock, tmp_path: Path
) -> None:
    """labsai/EDDI#709: killed between any two steps, from making the key to its use, every row's key is in the
    keyring file and known to the database, everything opens, and the same command goes on to the end."""
    async with process(data, clock) as serving:
        tokens = await take_in(serving, 2)

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", VICTIM, str(data), str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    killed = int(done.stdout.split()[-1])
    assert killed > 20
    for number in range(1, killed + 1):
        folder = tmp_path / str(number)
        keyring = keyring_of(folder)
        known = {
            version
            for (version,) in select(
                folder / "vault.db", "SELECT version FROM key_versions WHERE line = 'data'"
            )
        }
        assert {version for version in _of_rows(folder) if keyring.opening("data", version)} <= known
        assert await wiring.check(Config(), folder) == [], f"killed before step {number}"
        async with desk(folder, clock) as operator:
            assert (await operator.rotations.rotate("data")).left == []
        async with process(folder, clock) as serving:
            for token in tokens:
                assert (await serving.vault.profiles.get(token)).content["city"] == "London"
                (session,) = await serving.vault.sessions.of_person(token)
                assert bytes(session.claims) == b'{"role":"reader"}'
        (active,) = [v for v, state in states(keyring_of(folder), "data").items() if state is KeyState.ACTIVE]
        assert _of_rows(folder) == {active}


async def test_a_rotation_leaves_no_store_out(data: Path, clock: FakeClock) -> None:
    """privkeyio/keep#713, MemberJunction#4580: profiles, sessions, the kept answers in both files, access keys,
    documents and what is recorded, all of them are moved; it is looked up in every column of bytes that the schema has,
    whatever the registry says."""
    async with process(data, clock) as serving:
        await take_in(serving, 3)
        await serving.vault.documents.add_all([NewDocument("role", str(n), {"n": n}) for n in range(3)])
    of_rows = {f"vault.{table}.box": [1] * 3 for table in ("profiles", "answers", "documents")}
    of_rows |= {f"sessions.{table}.box": [1] * 3 for table in ("sessions", "answers")}
    before = boxes(data)
    canaries = before.pop("vault.key_versions.canary")
    events = len(before["vault.audit_details.box"])
    assert before == of_rows | {"vault.audit_details.box": [1] * events, "vault.access_keys.box": [1]}
    async with desk(data, clock) as operator:
        report = await operator.rotations.rotate("data")
    assert report.moved == {
        "profiles": 3, "profile_answers": 3, "sessions": 3, "session_answers": 3, "access_keys": 1, "documents": 3,
        "audit_details": events + 1,  # that the key was added is recorded before the key seals
    }  # fmt: skip
    after = boxes(data)
    assert set(after.pop("vault.audit_details.box")) == {2}
    assert after == {
        **{name: [2] * 3 for name in of_rows},
        "vault.access_keys.box": [2],
        "vault.key_versions.canary": sorted([*canaries, 2]),  # each is sealed by its own key for good
    }


#: What is done to a row's box, given another's; the refusal, and the words that the operator reads.
DAMAGES: dict[str, tuple[Callable[[bytes, bytes], bytes], type[BoxError], str]] = {
    "its header names a key that there is not": (
        lambda box, _: box[:1] + (77).to_bytes(4, "big") + box[5:], UnknownKey, "unknown key",
    ),
    "it is another row's": (lambda _, other: other, WrongKey, "wrong key for that version"),
    "a bit of it has flipped": (lambda box, _: box[:-1] + bytes([box[-1] ^ 1]), TamperedBox, "tampered"),
    "it was cut short": (lambda box, _: box[:40], MalformedBox, "malformed"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "refusal", "words"), DAMAGES.values(), ids=DAMAGES)
async def test_what_does_not_open_has_its_own_cause_and_stops_nothing(
    damage: Callable[[bytes, bytes], bytes], refusal: type[BoxError], words: str, data: Path, clock: FakeClock
) -> None:
    """antifailure#384: the key version is read from the row, and four causes are told apart, in reading, in the plan
    and in quarantine, while every other row moves on."""
    async with process(data, clock) as serving:
        bad, *good = await take_in(serving, 3)
        file = data / "vault.db"
        ((box,), (other,)) = select(
            file, "SELECT box FROM profiles WHERE token IN (?, ?) ORDER BY token = ? DESC", bad, good[0], bad
        )
        spoil(file, "UPDATE profiles SET box = ? WHERE token = ?", damage(box, other), bad)
        with pytest.raises(refusal) as refused:
            await serving.vault.profiles.get(bad)
    async with desk(data, clock) as operator:
        plan = await operator.sweep.plan()
        assert (plan["profiles"].opened, plan["profiles"].unopened) == ({1: 2}, {refused.value.code: 1})
        report = await operator.rotations.rotate("data")
        assert report.left == ["1 row does not open and is in quarantine: tokenvault keys quarantine list"]
        (note,) = await operator.quarantine.list()
        assert (note.name, note.cause, note.row.key_version) == (f"profiles/{bad}", words, 1)
        assert (await operator.status()).quarantine["profiles"] == 1
        with pytest.raises(KeyMoveRefused, match="quarantine"):
            await operator.retirement.retire("data", 1)
    async with process(data, clock) as serving:  # it starts, and serves all the others
        for token in good:
            assert (await serving.vault.profiles.get(token)).content["city"] == "London"
        with pytest.raises(BoxError):
            await serving.vault.profiles.get(bad)


async def test_a_key_that_rows_need_is_not_taken_away(data: Path, clock: FakeClock) -> None:
    """kubernetes#53301, #66844: the old key is disabled once its census is 0 in every store, and not before."""
    async with process(data, clock) as serving:
        await take_in(serving, 2)
    async with desk(data, clock) as operator:
        await operator.rotations.new_key("data")
        await operator.rotations.activate("data", 2)
        ((recorded,),) = select(data / "vault.db", "SELECT count(*) FROM audit_details WHERE key_version = 1")
        rows = 8 + recorded + 1  # the access key
        with pytest.raises(KeyMoveRefused, match=f"^{rows} rows still need version 1 of line 'data'"):
            await operator.rotations.disable("data", 1)
    assert states(keyring_of(data), "data") == {1: KeyState.RETIRING, 2: KeyState.ACTIVE}
    async with desk(data, clock) as operator:
        await operator.sweep.reseal([1])
        await operator.rotations.disable("data", 1)
    assert states(keyring_of(data), "data") == {1: KeyState.DISABLED, 2: KeyState.ACTIVE}


async def test_a_second_rotation_goes_on_with_the_first(data: Path, clock: FakeClock) -> None:
    """Azure/kubernetes-kms#291: an interrupted rotation is finished by the next one, towards the same key, and no
    further key can be added before that."""
    async with process(data, clock) as serving:
        await take_in(serving, 2)
    async with desk(data, clock, Manner(until=clock.now(), patience=0)) as operator:
        with pytest.raises(OutOfTime):
            await operator.rotations.rotate("data")
        assert states(operator.custody.keyring, "data") == {1: KeyState.RETIRING, 2: KeyState.ACTIVE}
        with pytest.raises(KeyMoveRefused, match="Finish its rotation first"):
            await operator.rotations.new_key("data")
        with pytest.raises(OutOfTime):
            await operator.rotations.rotate("data")
        await operator.rotations.new_key("index")  # another line is no obstacle
        with pytest.raises(KeyMoveRefused, match="pending already"):
            await operator.rotations.new_key("index")
    async with desk(data, clock) as operator:
        report = await operator.rotations.rotate("data")
        assert (report.from_versions, report.to_version, report.left) == ([1], 2, [])
        (entry,) = (await operator.status()).journal
        assert (entry.outcome, entry.to_version) == ("done", 2)
    assert states(keyring_of(data), "data") == {1: KeyState.DISABLED, 2: KeyState.ACTIVE}
    assert _of_rows(data) == {2}


async def test_a_rotation_ends_by_itself_and_says_so(data: Path, clock: FakeClock) -> None:
    """MailFathom#336: no row has to be written again for its turn to come: when the command is done, so is the
    rotation, and report, journal and status say it."""
    async with process(data, clock) as serving:
        await take_in(serving, 4)
    async with desk(data, clock) as operator:
        report = await operator.rotations.rotate("data")
        status = await operator.status()
        census = await operator.custody.census("data")
    four = {
        "profiles": 4,
        "profile_answers": 4,
        "sessions": 4,
        "session_answers": 4,
        "access_keys": 1,
        "documents": 0,
    }
    before = report.moved.pop("audit_details")
    assert report.verified.pop("audit_details") == before + 1  # that the key is active is recorded under it
    assert (report.moved, report.verified, report.left) == (four, four, [])
    assert census.pop(2).pop("audit_details") > before + 1
    assert not any(census.pop(1).values())
    assert census == {}
    (entry,) = status.journal
    assert (entry.outcome, entry.digest, entry.finished_at) == ("done", report.digest, clock.now())
    assert [(one.version, one.state, one.empty_since) for one in status.lines["data"]] == [
        (1, "disabled", clock.now()),
        (2, "active", None),
    ]
    assert status.warnings == []


def _of_rows(data: Path) -> set[int]:
    """Return the key versions in the headers of all boxes but the canaries."""
    return {version for name, versions in boxes(data).items() if "canary" not in name for version in versions}
