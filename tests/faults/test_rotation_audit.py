"""Rotations of the line that guards the audit trail: processes asleep, interruptions, and events that do not hold."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clock import FakeClock
from tests.program import PATIENCE
from tests.rotating import Process, client_of, desk, keyring_of, process, select, spoil, states
from vault import audit_desk, wiring
from vault.audit_proof import Verdict
from vault.config import Config
from vault.crypto.keyring import KeyState
from vault.errors import KeyMoveRefused
from vault.http.native.operation import PREFIX
from vault.key_desk import Manner, open_desk
from vault.progress import Silent
from vault.sessions import Wanted as NewSession

EVENTS = 40


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault with one person, and as many events as these tests need, made once."""
    folder = tmp_path_factory.mktemp("template") / "data"

    async def fill() -> None:
        await wiring.initialise(Config(), folder)
        async with wiring.open_vault(Config(), folder) as vault:
            token = (await vault.profiles.create({"email": "ada@example.org"})).token
            for _ in range(EVENTS - len(_versions(folder))):
                await vault.profiles.get(token, ["email"])
            await vault.audit.checkpoint()

    asyncio.run(fill())
    assert _versions(folder) == [1] * EVENTS
    return folder


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(template, tmp_path / "data")


def _versions(data: Path) -> list[int]:
    """Return the version of each event's MAC, in order."""
    rows = select(data / "vault.db", "SELECT mac_version FROM audit_events ORDER BY sequence")
    return [version for (version,) in rows]


def _links(data: Path) -> list[bytes]:
    return [link for (link,) in select(data / "vault.db", "SELECT link FROM audit_events ORDER BY sequence")]


async def _proof(data: Path) -> Verdict:
    return await audit_desk.verify(Config(), data, Silent())


async def _person(serving: Process) -> str:
    return (await serving.vault.profiles.tokens("", 1))[0]


# --- asleep ---

Verb = Callable[[Process], Awaitable[Any]]


async def _open(one: Process) -> None:
    assert (await one.vault.profiles.get(await _person(one))).content == {"email": "ada@example.org"}


async def _change(one: Process) -> None:
    await one.vault.profiles.change(await _person(one), lambda content: {**content, "city": "Oslo"}, None)


async def _find(one: Process) -> None:
    await one.vault.profiles.lookup("email", "ada@example.org")


async def _keep(one: Process) -> None:
    await one.vault.profiles.create({"email": "bea@example.org"})


async def _sign_in(one: Process) -> None:
    opened = await one.vault.sessions.open(NewSession(await _person(one)))
    await one.vault.sessions.end(opened.session_id)


async def _erase(one: Process) -> None:
    await one.vault.profiles.erase(await _person(one))


async def _let_in(one: Process) -> None:
    await one.vault.access.create("new", {"admin"})


async def _over_http(one: Process) -> None:
    async with client_of(one) as client:
        assert (await client.get(f"{PREFIX}/audit/export")).status == 200


async def _keep_house(one: Process) -> None:
    assert await one.vault.housekeeping.round()


#: What a process does that has slept through it all, each one in a process of its own.
VERBS: dict[str, Verb] = {
    "opens a profile": _open, "changes one": _change, "finds somebody": _find, "keeps somebody": _keep,
    "opens a session": _sign_in, "makes an access key": _let_in, "exports the trail": _over_http, "erases": _erase,
    "keeps house": _keep_house,
}  # fmt: skip


@pytest.mark.parametrize("is_destroyed", [False, True], ids=["disabled", "destroyed"])
async def test_a_process_that_slept_through_it_goes_on(
    data: Path, clock: FakeClock, is_destroyed: bool
) -> None:
    """It learns of the new key from the fence or from the end of the trail, and no verb of it fails; nothing is
    recorded under the old key, and the trail holds."""
    async with process(data, clock) as first:  # somebody whom housekeeping has to erase
        await first.vault.profiles.create({"city": "Oslo"}, expires_in=1)
    async with AsyncExitStack() as stack:
        asleep = {name: await stack.enter_async_context(process(data, clock)) for name in VERBS}
        async with desk(data, clock, Manner(patience=0, cool_down=0)) as operator:
            assert (await operator.rotations.rotate("audit")).left == []
            if is_destroyed:
                assert (await operator.retirement.retire("audit", 1)).certificate
        before = len(_versions(data))
        clock.advance(1)
        failed = {}
        for name, verb in VERBS.items():
            assert states(asleep[name].keyring, "audit") == {1: KeyState.ACTIVE}
            try:
                await verb(asleep[name])
            except Exception as error:
                failed[name] = repr(error)
        assert failed == {}
    versions = _versions(data)
    assert len(versions) >= before + len(VERBS)
    assert set(versions) == {2}
    verdict = await _proof(data)
    assert verdict.findings == []


async def test_writers_go_on_while_the_line_rotates(data: Path, clock: FakeClock) -> None:
    """Whatever they record meanwhile is under one key or the other, without a gap, and at the end under the new."""
    async with process(data, clock) as one, process(data, clock) as two:
        ended = asyncio.Event()

        async def write(serving: Process) -> int:
            done = 0
            while not ended.is_set():
                await _open(serving)
                done += 1
            return done

        writers = [asyncio.create_task(write(serving)) for serving in (one, two)]
        async with desk(data, clock, Manner(patience=0, batch=3)) as operator:
            report = await operator.rotations.rotate("audit")
        ended.set()
        written = await asyncio.gather(*writers)
    assert all(written)
    assert report.left == []
    assert set(_versions(data)) == {2}
    assert (await _proof(data)).findings == []


async def test_the_chain_is_the_same_under_every_key(data: Path, clock: FakeClock) -> None:
    """Links and checkpoints stay, through one rotation after the other; the end is noted under the newest key."""
    before = _links(data)
    for version in (2, 3):
        async with desk(data, clock) as operator:
            report = await operator.rotations.rotate("audit")
            assert report.to_version == version
            assert report.moved["audit_events"] >= EVENTS
        assert _links(data)[:EVENTS] == before
        assert select(data / "vault.db", "SELECT mac_version FROM audit_end") == [(version,)]
    verdict = await _proof(data)
    assert (verdict.findings, verdict.checkpoints) == ([], 1)


async def test_a_stolen_key_writes_no_more(data: Path, clock: FakeClock) -> None:
    """The emergency takes every MAC to another key at once, and the trail says that it was stolen."""
    async with desk(data, clock) as operator:
        exposure = await operator.compromise.compromise("audit", 1, end_sessions=False)
    assert exposure.rows == {"audit_events": EVENTS}
    assert states(keyring_of(data), "audit") == {1: KeyState.DISABLED, 2: KeyState.ACTIVE}
    assert set(_versions(data)) == {2}
    acts = [
        act
        for (act,) in select(data / "vault.db", "SELECT action FROM audit_events WHERE sequence > ?", EVENTS)
    ]
    assert acts == ["key.added", "key.activated", "key.compromised", "audit.macs_renewed", "key.disabled"]
    assert (await _proof(data)).findings == []


# --- interrupted ---


class Killed(Exception):
    """The process is no more."""


class UpTo(Silent):
    """Dies with a batch."""

    def __init__(self, batches: int) -> None:
        self._left = batches

    def advance(self, rows: int) -> None:
        """Count."""
        self._left -= 1
        if self._left <= 0:
            raise Killed


@pytest.mark.parametrize("batches", [1, 3, 5])
async def test_an_interrupted_rotation_is_finished_by_the_next(
    data: Path, clock: FakeClock, batches: int
) -> None:
    """In between the trail holds, under two keys, and the vault serves; no third key is made."""
    manner = Manner(batch=8, patience=0)
    with pytest.raises(Killed):
        async with open_desk(Config(), data, manner, progress=UpTo(batches), clock=clock) as operator:
            await operator.rotations.rotate("audit")
    assert _versions(data)[: batches * 8] == [2] * min(batches * 8, EVENTS)
    assert (await _proof(data)).findings == []
    async with process(data, clock) as serving:
        await _open(serving)
    left = _versions(data).count(1)

    async with desk(data, clock) as operator:
        report = await operator.rotations.rotate("audit")

    assert (report.from_versions, report.to_version, report.left) == ([1], 2, [])
    assert report.moved == {"audit_events": left}
    assert states(keyring_of(data), "audit") == {1: KeyState.DISABLED, 2: KeyState.ACTIVE}
    assert set(_versions(data)) == {2}
    assert (await _proof(data)).findings == []


def test_a_rotation_that_is_killed_is_finished_by_the_same_command(data: Path) -> None:
    """A real process, kill -9 in the middle of the sweep."""
    command = [sys.executable, "-m", "vault", "keys", "rotate", "--line", "audit", "--data", str(data)]
    slow = [*command, "--batch", "2", "--rate", "20"]
    with subprocess.Popen(slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as rotation:
        deadline = time.monotonic() + PATIENCE
        while (moved := _versions(data)[:EVENTS].count(2)) < 4 and rotation.poll() is None:
            assert time.monotonic() < deadline
        os.kill(rotation.pid, signal.SIGKILL)
        assert rotation.wait(PATIENCE) == -signal.SIGKILL
    assert 4 <= moved < EVENTS
    assert asyncio.run(_proof(data)).findings == []

    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert done.returncode == 0, done.stderr
    assert states(keyring_of(data), "audit") == {1: KeyState.DISABLED, 2: KeyState.ACTIVE}
    assert set(_versions(data)) == {2}
    assert asyncio.run(_proof(data)).findings == []


# --- what does not hold ---

BROKEN = {
    "an event that was edited": ("UPDATE audit_events SET purpose = 'x' WHERE sequence = 12", [12]),
    "a MAC that was edited": ("UPDATE audit_events SET mac = zeroblob(32) WHERE sequence = 12", [12]),
    "a link that was edited": ("UPDATE audit_events SET link = zeroblob(32) WHERE sequence = 12", [12, 13]),
    "an event whose neighbour is gone": ("DELETE FROM audit_events WHERE sequence = 12", [13]),
}


@pytest.mark.parametrize("batch", [1, 5, 100])
@pytest.mark.parametrize(("sql", "left"), BROKEN.values(), ids=BROKEN)
async def test_an_event_that_does_not_hold_gets_no_new_mac(
    data: Path, clock: FakeClock, sql: str, left: list[int], batch: int
) -> None:
    """However the walk is cut into batches: it is counted and left, all others are moved, and the rotation is done.

    The old key is not destroyed as long as there is such an event.
    """
    await asyncio.to_thread(spoil, data / "vault.db", sql)
    async with desk(data, clock, Manner(patience=0, cool_down=0, batch=batch)) as operator:
        report = await operator.rotations.rotate("audit")
        under_old = "SELECT sequence FROM audit_events WHERE mac_version = 1"
        assert [sequence for (sequence,) in select(data / "vault.db", under_old)] == left
        assert report.quarantine == len(left)
        assert "tokenvault audit verify" in " ".join(report.left)
        with pytest.raises(KeyMoveRefused):
            await operator.retirement.retire("audit", 1)
    ((outcome, is_over),) = select(
        data / "vault.db", "SELECT outcome, finished_at IS NOT NULL FROM rotations"
    )
    assert (outcome, is_over) == ("something left", 1)
    assert states(keyring_of(data), "audit") == {1: KeyState.DISABLED, 2: KeyState.ACTIVE}
    assert (await _proof(data)).findings[0].sequence == 12
