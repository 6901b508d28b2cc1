"""Backups beside a service that never stops writing: whole, and with everything that was acknowledged before."""

import asyncio
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.program import Program
from tests.restoring import Service
from tests.rotating import process, select, take_in
from vault import backup as backup_room
from vault import restore as restore_room
from vault import wiring
from vault.backup import back_up
from vault.backup_proof import Wanted
from vault.config import Config
from vault.errors import BackupRefused, NoSuchKey, VaultError
from vault.progress import Silent
from vault.restore import restore
from vault.stores.sqlite.database import damage


def test_every_acknowledged_write_is_in_a_backup(tmp_path: Path) -> None:
    """Three backups while four backends create, change and erase: none is torn, none lacks what was answered."""
    with Program(tmp_path / "data", tmp_path) as program:
        stop, tokens, gone = threading.Event(), [], []

        def write(worker: int) -> None:
            service, number = Service(program), worker * 10_000
            while not stop.is_set():
                number += 1
                token = service.take_in(number)
                service.say("PUT", f"/profiles/{token}", {"profile": {"email": f"p{number}@example.org"}})
                tokens.append(token)
                if number % 3 == 0:
                    service.erase(token)
                    gone.append(token)

        workers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        try:
            for name in ("first", "second", "third"):
                while len(gone) < 5:
                    stop.wait(0.01)
                erased, kept = set(gone), set(tokens)
                made = asyncio.run(back_up(Config(), tmp_path / "data", tmp_path / name, Silent()))
                assert [damage(tmp_path / name / file) for file in ("vault.db", "sessions.db")] == [[], []]
                found = {
                    token for (token,) in select(tmp_path / name / "vault.db", "SELECT token FROM profiles")
                }
                assert kept - set(gone) <= found
                assert not erased & found
                assert made.profiles == len(found)
                told = json.loads((tmp_path / name / "manifest.json").read_text())
                assert sum(told["rows"]["profiles"].values()) == len(found)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        assert program.stop() == 0
    restored = asyncio.run(
        restore(Config(), Wanted(tmp_path / "third", tmp_path / "data", tmp_path / "new"), Silent())
    )
    assert restored.left == []
    found = {token for (token,) in select(tmp_path / "new" / "vault.db", "SELECT token FROM profiles")}
    assert not found & set(gone)


@pytest.fixture
async def lent(data: Path, clock: FakeClock, tmp_path: Path) -> list[str]:
    """People in the vault, and a backup of it; return their tokens."""
    async with process(data, clock) as serving:
        tokens = await take_in(serving, 5)
    await back_up(Config(), data, tmp_path / "backup", Silent(), clock=clock)
    return tokens


async def test_sessions_of_whoever_was_erased_between_the_two_files_end(
    data: Path, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sessions were copied, the profile was gone before it was: the ledger, copied last, says who it was."""
    async with process(data, clock) as serving:
        token, *others = await take_in(serving, 2)
        housekeeping = serving.stores.housekeeping
        copies = housekeeping._databases  # type: ignore[attr-defined]

        class Between:
            """A database whose copy waits for an erasure."""

            path = copies[0].path

            async def copy(self, folder: Path) -> None:
                await serving.vault.profiles.erase(token)
                await copies[0].copy(folder)

        async def copy(self: Any, folder: Path) -> None:
            await copies[1].copy(folder)
            await Between().copy(folder)

        monkeypatch.setattr(type(housekeeping), "copy", copy)
        await back_up(Config(), data, tmp_path / "backup", Silent(), clock=clock)
        monkeypatch.undo()
    assert select(tmp_path / "backup" / "sessions.db", "SELECT 1 FROM sessions WHERE user_token = ?", token)
    await restore(Config(), Wanted(tmp_path / "backup", data, tmp_path / "new"), Silent(), clock)
    people = select(tmp_path / "new" / "sessions.db", "SELECT DISTINCT user_token FROM sessions")
    assert people == [(others[0],)]


STEPS: dict[str, tuple[object, str]] = {
    "files that are copied": (restore_room, "read_file"),
    "a database that is damaged": (restore_room, "damage"),
    "keys that do not fit": (restore_room, "_fit"),
    "a ledger that cannot be written": (restore_room, "make_ledger"),
    "a replay that fails": (restore_room, "_replay"),
    "a vault that does not open": (wiring, "open_vault"),
    "a keyring that cannot be put in its place": (restore_room, "_publish"),
}


@pytest.mark.parametrize(("room", "step"), STEPS.values(), ids=STEPS)
async def test_a_restore_that_fails_leaves_nothing(
    room: object, step: str, data: Path, clock: FakeClock, lent: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """At whatever step: no folder, and afterwards the same command goes through."""

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, step, fails)
    wanted = Wanted(tmp_path / "backup", data, tmp_path / "new")
    with pytest.raises((OSError, VaultError)):
        await restore(Config(), wanted, Silent(), clock)
    assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    restored = await restore(Config(), wanted, Silent(), clock)
    assert (restored.rows["profiles"], restored.left) == (len(lent), [])


@pytest.mark.parametrize("step", ["_census", "_finish", "_told"])
async def test_a_backup_that_fails_leaves_nothing(
    step: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a folder nor a copy beside the data."""

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_room, step, fails)
    before = sorted(tmp_path.iterdir())  # noqa: ASYNC240 - a test's own folder
    public = backup_room.sealed_file.public_key(bytes(range(32)))
    with pytest.raises(BackupRefused, match="No space left"):
        await back_up(Config(), data, tmp_path / "backup", Silent(), seal_to=public)
    assert sorted(tmp_path.iterdir()) == before  # noqa: ASYNC240 - a test's own folder


async def test_a_backup_holds_no_key(data: Path, clock: FakeClock, lent: list[str], tmp_path: Path) -> None:
    """Neither the keyring nor what unlocks it, unless the keyring is asked for; and files are their owner's."""
    del lent
    unlock = (data / "unlock.key").read_bytes().strip()
    sealed = (data / "keyring.json").read_bytes()
    await back_up(Config(), data, tmp_path / "with", Silent(), with_keyring=True, clock=clock)
    for folder, has_keyring in ((tmp_path / "backup", False), (tmp_path / "with", True)):
        assert folder.stat().st_mode & 0o777 == 0o700
        names = {path.name for path in folder.iterdir()}
        assert ("keyring.json" in names) is has_keyring
        for path in folder.iterdir():
            assert path.stat().st_mode & 0o777 == 0o600
            assert unlock not in path.read_bytes()
            assert path.name == "keyring.json" or sealed not in path.read_bytes()


async def test_a_vault_that_cannot_sign_is_not_backed_up(data: Path, tmp_path: Path) -> None:
    """An older keyring is told which key it lacks, and how to make it."""
    keyring = wiring.keyring_of(data, Config())
    old = keyring.read()
    keyring.write(type(old)(key for key in old if key.line != "signing"), forget=True)
    with pytest.raises((NoSuchKey, VaultError), match="signing"):
        await back_up(Config(), data, tmp_path / "backup", Silent())
    assert not (tmp_path / "backup").exists()


async def test_one_keyring_for_both_folders_is_not_changed(
    data: Path, clock: FakeClock, lent: list[str], tmp_path: Path
) -> None:
    """Settings that name an absolute path are obeyed; where a key would have to be enabled in it, they are refused."""
    away = tmp_path / "keys" / "keyring.json"
    away.parent.mkdir(mode=0o700)
    shutil.move(data / "keyring.json", away)
    config = replace(Config(), keyring=replace(Config().keyring, file=str(away)))
    before = away.read_bytes()
    restored = await restore(config, Wanted(tmp_path / "backup", data, tmp_path / "new"), Silent(), clock)
    assert (restored.rows["profiles"], away.read_bytes()) == (len(lent), before)
    assert not list((tmp_path / "new").glob("keyring*"))
    async with wiring.open_vault(config, tmp_path / "new", clock=clock) as vault:
        assert (await vault.profiles.get(lent[0])).content["city"] == "London"
