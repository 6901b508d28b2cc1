"""What each call is answered while the disk is full, locked, damaged or gone: two tables of faults.

In every row: no call hangs, no answer holds anything of the program's inside, and nothing is told as done that was not.
"""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.acceptance.terminal import run
from tests.faults.storage import (
    CREATE,
    FIND,
    LOOK,
    OPEN,
    READ,
    READY,
    REVOKE,
    SOUND,
    Stage,
    check,
    mounted,
)

UNAVAILABLE, UNNOTED = "503 store_unavailable", "503 audit_unavailable"

#: Bytes that the tmpfs of a full disk has.
SMALL = 4 * 2**20


# --- while it serves ------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(stage: Stage) -> Iterator[None]:
    """Fill the file system of the data folder to its last byte."""
    ballast = stage.data / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    assert os.statvfs(stage.data).f_bfree == 0
    for _ in range(100):  # what room there is left within the WALs
        if stage.create()[0] == stage.open()[0] == 503:
            break
    yield
    ballast.unlink()


@contextmanager
def no_growth(stage: Stage) -> Iterator[None]:
    """Let no file of the process grow: the nearest thing to a full disk that needs no right to mount."""
    size = min((stage.data / f"{name}.db-wal").stat().st_size for name in ("vault", "sessions"))
    assert stage.program.errors.stat().st_size < size / 2, "the log must not be what fails"
    before = resource.prlimit(stage.program.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield
    resource.prlimit(stage.program.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def no_log(stage: Stage) -> Iterator[None]:
    """Let standard error alone take no more bytes, as a file on a full disk of its own."""
    errors, room = stage.program.errors, 64 * 2**20
    size = errors.stat().st_size
    os.truncate(errors, 2 * room)  # what is appended now is past the room that files have
    before = resource.prlimit(stage.program.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    yield
    resource.prlimit(stage.program.pid, resource.RLIMIT_FSIZE, before)
    os.truncate(errors, size)


def held(schema: str, lock: str) -> Callable[[Stage], AbstractContextManager[None]]:
    """Let another process hold the file's lock: to SQLite, another connection is one."""

    @contextmanager
    def hold(stage: Stage) -> Iterator[None]:
        with closing(sqlite3.connect(stage.data / f"{schema}.db", isolation_level=None)) as other:
            other.execute(f"BEGIN {lock}")
            yield
            other.execute("ROLLBACK")

    return hold


class Fault(NamedTuple):
    """A fault, and the answers that differ from those of a sound vault while it lasts."""

    happens: Callable[[Stage], AbstractContextManager[None]]
    answers: dict[str, str]


#: Nothing about a person is told that the audit trail, which is in vault.db, does not note first.
NO_PROFILE_WRITES = {CREATE: UNAVAILABLE, READ: UNNOTED, FIND: UNNOTED}
NO_SESSION_WRITES = {OPEN: UNAVAILABLE, REVOKE: UNAVAILABLE}
NO_WRITES = NO_PROFILE_WRITES | NO_SESSION_WRITES

#: What is done in sessions.db and cannot be noted in vault.db: the session is ended all the same.
NOT_NOTED = {**NO_PROFILE_WRITES, OPEN: UNNOTED, REVOKE: UNNOTED}

SERVING = {
    "nothing is wrong": Fault(lambda _: nullcontext(), {}),
    "no file may grow any more": Fault(no_growth, NO_WRITES),
    "the log cannot be written": Fault(no_log, {}),
    "vault.db is locked by a writer": Fault(held("vault", "IMMEDIATE"), NOT_NOTED),
    "vault.db is locked exclusively": Fault(held("vault", "EXCLUSIVE"), NOT_NOTED),
    "sessions.db is locked by a writer": Fault(held("sessions", "IMMEDIATE"), NO_SESSION_WRITES),
    "sessions.db is locked exclusively": Fault(held("sessions", "EXCLUSIVE"), NO_SESSION_WRITES),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One service for all faults that are lifted again: that it serves the next is the proof that it recovers."""
    folder = tmp_path_factory.mktemp("served")
    stage = Stage(folder / "data", folder / "logs")
    with stage.program:
        stage.settle()
        yield stage
        assert "Traceback" not in stage.said()
        assert stage.program.stop() == 0


def endure(stage: Stage, fault: Fault) -> None:
    """Make all calls while the fault lasts, and after it: nothing is lost, and all is as before."""
    with fault.happens(stage):
        assert stage.outcomes() == SOUND | fault.answers
        code, said = check(stage.data)
        assert code == 0, said
    still = 200 if fault.answers.get(REVOKE) == UNAVAILABLE else 404
    assert stage.ask("GET", "/sessions/current", session_id=stage.spare)[0] == still
    assert stage.outcomes() == SOUND
    stage.spare = stage.open()[1]["session_id"]


@pytest.mark.parametrize("fault", SERVING.values(), ids=SERVING)
def test_a_fault_while_it_serves_is_answered_and_survived(stage: Stage, fault: Fault) -> None:
    """Session look-ups go on, writes are 503 and not done, and the service is whole when the fault is lifted."""
    endure(stage, fault)


def test_a_full_disk_is_answered_and_survived(tmp_path: Path) -> None:
    """The same on a small file system that is really full."""
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs") as small:
        stage = Stage(small / "data", tmp_path / "logs")
        with stage.program:
            stage.settle()
            endure(stage, Fault(full_disk, NO_WRITES))
            assert stage.program.stop() == 0
        assert "Traceback" not in stage.said()


# --- while it is stopped --------------------------------------------------------------------------------------------


class Damage(NamedTuple):
    """What is done to the files of a stopped vault.

    ``refused`` is what the next start says, and ``tokenvault check``; if neither complains, ``answers`` differ.
    """

    happens: Callable[[Path], object]
    refused: str = ""
    answers: Mapping[str, str] = MappingProxyType({})


def cut(name: str, share: float) -> Callable[[Path], object]:
    """Cut a file to a share of its bytes."""
    return lambda data: os.truncate(data / name, int((data / name).stat().st_size * share))


def garbled(name: str, share: float) -> Callable[[Path], object]:
    """Overwrite 64 bytes at a share of a file."""

    def garble(data: Path) -> None:
        with (data / name).open("r+b") as file:
            file.seek(int((data / name).stat().st_size * share))
            file.write(b"\xa5" * 64)

    return garble


def settled(happens: Callable[[Path], object]) -> Callable[[Path], object]:
    """Let a command move the WALs into the files first, so that the damage is not written over."""

    def settle(data: Path) -> None:
        assert check(data)[0] == 0
        happens(data)

    return settle


def gone(*names: str) -> Callable[[Path], object]:
    """Delete files."""
    return lambda data: [(data / name).unlink() for name in names]


def replaced(name: str) -> Callable[[Path], object]:
    """Put the file of another vault in its place."""

    def replace(data: Path) -> None:
        other = data.parent / "other"
        assert run("init", "--data", other).returncode == 0
        for part in ("-wal", "-shm"):
            (data / f"{name}{part}").unlink(missing_ok=True)
        shutil.copyfile(other / name, data / name)

    return replace


def written(name: str, content: bytes) -> Callable[[Path], object]:
    """Put something else in its place."""

    def write(data: Path) -> None:
        for part in ("-wal", "-shm"):
            (data / f"{name}{part}").unlink(missing_ok=True)
        (data / name).write_bytes(content)

    return write


def old_backup(data: Path) -> None:
    """Rotate the keys, and put both databases from before back under the keyring from after."""
    backup = data.parent / "backup"
    backup.mkdir()
    for name in ("vault", "sessions"):
        with (
            closing(sqlite3.connect(data / f"{name}.db")) as source,
            closing(sqlite3.connect(backup / f"{name}.db")) as copy,
        ):
            source.backup(copy)
    assert run("keys", "rotate", "--data", data).returncode == 0
    for name in ("vault", "sessions"):
        for part in ("-wal", "-shm"):
            (data / f"{name}.db{part}").unlink(missing_ok=True)
        shutil.copyfile(backup / f"{name}.db", data / f"{name}.db")


NO_PERSON = dict.fromkeys((READ, FIND, OPEN), "404 profile_not_found")
NO_SESSION = {LOOK: "404 session_not_found"}

STOPPED = {
    "it was killed, and no more": Damage(lambda _: None),
    "the WAL of vault.db is cut in half": Damage(cut("vault.db-wal", 0.5), answers=NO_PERSON),
    "the WAL of vault.db has a garbled page": Damage(garbled("vault.db-wal", 0.5), answers=NO_PERSON),
    "the WAL of vault.db is empty": Damage(cut("vault.db-wal", 0), answers=NO_PERSON),
    "the WAL of sessions.db is cut in half": Damage(cut("sessions.db-wal", 0.5), answers=NO_SESSION),
    "the WAL of sessions.db has a garbled page": Damage(garbled("sessions.db-wal", 0.5), answers=NO_SESSION),
    "the WAL of sessions.db is missing": Damage(gone("sessions.db-wal"), answers=NO_SESSION),
    "vault.db is cut in half": Damage(settled(cut("vault.db", 0.5)), "vault.db cannot be opened: database disk image"),
    "sessions.db is cut in half": Damage(
        settled(cut("sessions.db", 0.5)), "sessions.db cannot be opened: database disk image"
    ),
    "the head of vault.db is garbled": Damage(
        settled(garbled("vault.db", 0)), "vault.db cannot be opened: file is not a database"
    ),
    "vault.db is empty": Damage(written("vault.db", b""), "its fingerprint and canary are gone from the database"),
    "sessions.db is empty, which logs everybody out": Damage(written("sessions.db", b""), answers=NO_SESSION),
    "vault.db is another kind of file": Damage(
        written("vault.db", b"not a database " * 999), "vault.db cannot be opened: file is not a database"
    ),
    "vault.db is missing": Damage(gone("vault.db", "vault.db-wal", "vault.db-shm"), "vault.db is missing beside the"),
    "sessions.db is missing": Damage(gone("sessions.db"), "sessions.db is missing beside the keyring"),
    "the keyring is missing": Damage(gone("keyring.json"), "keyring.json is missing"),
    "the key that unlocks the keyring is missing": Damage(gone("unlock.key"), "unlock.key is missing"),
    "the keyring is cut in half": Damage(cut("keyring.json", 0.5), "keyring.json is damaged"),
    "vault.db is that of another vault": Damage(replaced("vault.db"), "is another key than the database was written"),
    "sessions.db is that of another vault": Damage(replaced("sessions.db"), answers=NO_SESSION),
    "the keyring is that of another vault": Damage(replaced("keyring.json"), "the keyring has no slot for it"),
    "both files are an old backup, under a newer keyring": Damage(old_backup, "which is disabled: nobody would be"),
}  # fmt: skip


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A vault whose service was killed: what it wrote is in the WALs alone."""
    folder = tmp_path_factory.mktemp("killed")
    stage = Stage(folder / "data", folder / "logs")
    with stage.program, ExitStack() as readers:
        for name in (
            "vault",
            "sessions",
        ):  # readers of what was before: so that nothing is moved out of the WALs
            reader = sqlite3.connect(
                f"{(stage.data / name).as_uri()}.db?mode=ro", uri=True, isolation_level=None
            )
            readers.enter_context(closing(reader)).execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        stage.settle()
        stage.program.stop(signal.SIGKILL)
    return stage


@pytest.fixture
def found(tmp_path: Path, killed: Stage) -> Stage:
    """A copy of it."""
    shutil.copytree(killed.data, tmp_path / "data")
    stage = Stage(tmp_path / "data", tmp_path / "logs")
    stage.token, stage.session_id, stage.spare = killed.token, killed.session_id, killed.spare
    stage.program.access_key = killed.program.access_key
    return stage


@pytest.mark.parametrize("damage", STOPPED.values(), ids=STOPPED)
def test_what_a_start_finds_is_refused_with_a_sentence_or_served_whole(found: Stage, damage: Damage) -> None:
    """A file that cannot be right is named and nothing is changed; what is merely older is served as it was then."""
    damage.happens(found.data)
    code, said = check(found.data)
    assert (code, damage.refused in said) == (1 if damage.refused else 0, True), said
    if damage.refused:
        with pytest.raises(AssertionError, match="the program ended with 1: tokenvault: "):
            found.program.start()
        assert damage.refused in found.said()
    else:
        with found.program:
            assert found.outcomes() == SOUND | dict(damage.answers)
            found.settle()  # the e-mail is free, or whose it was is there
            assert found.outcomes() == SOUND
    assert "Traceback" not in found.said()


#: What a disk that cannot be written to is called.
READ_ONLY = "Read-only file system"


def test_a_read_only_disk_is_refused_at_the_start_and_left_as_it_is(found: Stage) -> None:
    """On a file system that is mounted read-only neither the service nor the check begins; mounted anew it serves."""
    with mounted(found.data, "--bind", str(found.data)) as data:
        remounted = subprocess.run(
            ["mount", "-o", "remount,ro,bind", str(data)], capture_output=True, check=False
        )
        if remounted.returncode:
            pytest.skip("mounting read-only is not permitted here")
        code, said = check(data)
        assert (code, READ_ONLY in said) == (1, True), said
        with pytest.raises(AssertionError, match="the program ended with 1: tokenvault: "):
            found.program.start()
        assert READ_ONLY in found.said()
        assert "Traceback" not in found.said()
    with found.program:
        assert found.outcomes() == SOUND


def test_a_database_that_is_deleted_while_it_is_served_is_told_by_readyz(found: Stage) -> None:
    """Writes are acknowledged into a file that has no name, and end with it; the service says that it is not ready."""
    with found.program:
        for part in ("", "-wal", "-shm"):
            (found.data / f"vault.db{part}").unlink()
        assert found.outcomes() == SOUND | {READY: UNAVAILABLE}
        assert '"event":"store.file_gone"' in found.said()
        code, said = check(found.data)
        assert (code, "vault.db is missing beside the keyring" in said) == (1, True), said
        assert found.program.stop() == 0
    with pytest.raises(AssertionError, match=r"vault\.db is missing beside the keyring"):
        found.program.start()
