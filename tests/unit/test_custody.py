"""Custody: one operator at a time, signs of life, who has loaded what, and moves that last."""

import getpass
import os
import platform
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clock import FakeClock
from tests.rotating import desk, keyring_file, keyring_of, process, select, spoil, states, take_in
from vault import wiring
from vault.config import Config
from vault.crypto.keyring import KeyState
from vault.custody import CLAIM_LAPSE, RENEWAL
from vault.errors import KeyMoveRefused, NoSuchKey, RotationHeld
from vault.records import Claim

HERE, ELSEWHERE = platform.node(), "another-machine"
ME = f"{getpass.getuser()}@{HERE}"


@pytest.fixture(scope="module")
def dead() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        assert ended.wait(30) == 0
    return ended.pid


def holder_in(data: Path) -> list[tuple[str, int]]:
    """Return what the claim in the database is for, and when its holder was seen."""
    return [
        (what, seen) for what, seen in select(data / "vault.db", "SELECT what, seen_at FROM rotation_claim")
    ]


# --- one at a time ------------------------------------------------------------------------------------------


async def test_a_second_operator_is_refused_and_told_who_is_at_it(data: Path, clock: FakeClock) -> None:
    """The holder by user, machine and process, what they do, and when they were last seen."""
    async with desk(data, clock) as one, desk(data, clock) as two, one.custody.claim("the first thing"):
        clock.advance(12)
        with pytest.raises(RotationHeld) as refused:
            async with two.custody.claim("the second thing"):
                pass
        assert refused.value.message.startswith(
            f"{ME}:{os.getpid()} is at it already: the first thing, seen 12 s ago."
        )
        assert holder_in(data) == [("the first thing", clock.now() - 12_000)]


async def test_of_two_rotations_at_once_the_second_is_refused(data: Path, clock: FakeClock) -> None:
    """Nothing is done by any verb that changes keys, and all of them go ahead once the first is through."""
    async with desk(data, clock) as one, desk(data, clock) as two:
        async with one.custody.claim("rotation of line data"):
            for verb in (
                two.rotations.rotate("data"),
                two.rotations.rotate("index"),
                two.rotations.new_key("data"),
                two.rotations.activate("data", 1),
                two.rotations.disable("data", 1),
                two.rotations.enable("data", 1),
                two.retirement.retire("data", 1),
                two.compromise.compromise("data", 1, end_sessions=False),
            ):
                with pytest.raises(
                    RotationHeld, match=f"{ME}:{os.getpid()} is at it already: rotation of line data"
                ):
                    await verb
            assert states(keyring_of(data), "data") == {1: KeyState.ACTIVE}
            assert select(data / "vault.db", "SELECT * FROM rotations") == []
        assert (await two.rotations.rotate("data")).left == []


class Held(NamedTuple):
    """A claim that is there: whose it is, how many milliseconds ago they were seen, and whether it counts."""

    host: str
    is_alive: bool
    age: int
    counts: bool


HELD = {
    "one of this machine that lives counts": Held(HERE, True, 0, True),
    "one that lives counts up to the last moment of its time": Held(HERE, True, CLAIM_LAPSE, True),
    "one that lives and was not heard of for longer has lapsed": Held(HERE, True, CLAIM_LAPSE + 1, False),
    "one of this machine that is dead counts for nothing at once": Held(HERE, False, 0, False),
    "one of another machine counts, whatever process has its number here": Held(
        ELSEWHERE, False, CLAIM_LAPSE, True
    ),
    "one of another machine lapses like any": Held(ELSEWHERE, False, CLAIM_LAPSE + 1, False),
}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
async def test_a_claim_counts_as_long_as_its_holder_may_be_at_work(
    held: Held, dead: int, data: Path, clock: FakeClock
) -> None:
    """A claim that lapsed is taken over; one that holds is left as it is."""
    seen = clock.now() - held.age
    async with process(data, clock) as serving:
        await serving.stores.rotations.claim(
            Claim(
                "somebody@there:1:ab",
                held.host,
                os.getppid() if held.is_alive else dead,
                "theirs",
                seen,
                seen,
            ),
            0,
        )
    async with desk(data, clock) as operator:
        if held.counts:
            with pytest.raises(RotationHeld, match="somebody@there:1 is at it already: theirs"):
                async with operator.custody.claim("mine"):
                    pass
            assert holder_in(data) == [("theirs", seen)]
        else:
            async with operator.custody.claim("mine"):
                assert holder_in(data) == [("mine", clock.now())]
            assert holder_in(data) == []


async def test_long_work_shows_that_it_lives(data: Path, clock: FakeClock) -> None:
    """It writes only when a sign of life is due, and with them keeps the claim for as long as it takes."""
    async with desk(data, clock) as one, desk(data, clock) as two, one.custody.claim("long work"):
        began = clock.now()
        clock.advance((RENEWAL - 1) / 1000)
        await one.custody.renew()
        assert holder_in(data) == [("long work", began)]
        for _ in range(4):
            clock.advance(CLAIM_LAPSE / 2000)
            await one.custody.renew()
            assert holder_in(data) == [("long work", clock.now())]
        with pytest.raises(RotationHeld):
            async with two.custody.claim("other work"):
                pass


async def test_who_slept_for_too_long_has_lost_the_claim(data: Path, clock: FakeClock) -> None:
    """The sleeper is told at its next sign of life, and neither that nor its end takes the claim back."""
    async with desk(data, clock) as sleeper, desk(data, clock) as other, AsyncExitStack() as others_work:
        async with sleeper.custody.claim("slow work"):
            clock.advance(CLAIM_LAPSE / 1000 + 1)
            await others_work.enter_async_context(other.custody.claim("other work"))
            with pytest.raises(RotationHeld, match="took over"):
                await sleeper.custody.renew()
            assert holder_in(data) == [("other work", clock.now())]
        assert holder_in(data) == [("other work", clock.now())]
        await others_work.aclose()
        assert holder_in(data) == []


async def test_a_claim_ends_with_the_work_however_that_ends(data: Path, clock: FakeClock) -> None:
    """Work that fails holds nobody up, and without a claim there is nothing to renew."""
    async with desk(data, clock) as operator:
        with pytest.raises(ZeroDivisionError):
            async with operator.custody.claim("work that fails"):
                raise ZeroDivisionError
        assert holder_in(data) == []
        clock.advance(RENEWAL)
        await operator.custody.renew()
        assert holder_in(data) == []


async def test_who_takes_the_claim_sees_what_was_done_before(data: Path, clock: FakeClock) -> None:
    """The keyring is read anew under the claim; a version that was saved and not made known is with its next move."""
    async with desk(data, clock) as early:
        keyring = keyring_of(data)
        keyring_file(
            data, keyring.added("data", clock.now())
        )  # as a process leaves it that is killed in between
        assert states(early.custody.keyring, "data") == {1: KeyState.ACTIVE}
        with pytest.raises(NoSuchKey):
            await early.custody.record("data", 2)
        async with early.custody.claim("going on"):
            assert states(early.custody.keyring, "data") == {1: KeyState.ACTIVE, 2: KeyState.PENDING}
            await early.custody.activate("data", 2)
            record = await early.custody.record("data", 2)
            assert record.fingerprint == early.custody.keyring.of_line("data")[-1].fingerprint


# --- moves --------------------------------------------------------------------------------------------------


async def test_a_version_lives_from_its_making_to_its_end(data: Path, clock: FakeClock) -> None:
    """Each move is in the file when the call returns, and in the database where somebody has to know."""
    async with desk(data, clock) as operator:
        custody = operator.custody
        key = await custody.add("data")
        assert (key.version, states(keyring_of(data), "data")[2]) == (2, KeyState.PENDING)
        assert (await custody.record("data", 2)).fingerprint == key.fingerprint
        await custody.activate("data", 2)
        assert states(keyring_of(data), "data") == {1: KeyState.RETIRING, 2: KeyState.ACTIVE}
        assert (await custody.record("data", 2)).activated_at == clock.now()
        await operator.sweep.reseal([1])  # the details of the events until now
        await custody.disable("data", 1)
        await custody.note("data", 1, empty_since=clock.now())
        await custody.enable("data", 1)
        assert (await custody.record("data", 1)).empty_since is None  # its rest begins anew
        await custody.disable("data", 1)
        secret = custody.keyring.of_line("data")[0].secret
        fingerprint = custody.keyring.of_line("data")[0].fingerprint
        await custody.destroy("data", 1)
    for name in ("keyring.json", "keyring.json.previous"):
        shutil.copy(data / name, data / "looked-at.json")
        ring = wiring.keyring_of(
            data, replace(Config(), keyring=replace(Config().keyring, file="looked-at.json"))
        ).read()
        assert states(ring, "data") == {1: KeyState.DESTROYED, 2: KeyState.ACTIVE}
        assert ring.of_line("data")[0].fingerprint == fingerprint
        assert secret not in {one.secret for one in ring}


async def test_a_version_that_rows_need_is_not_disabled(data: Path, clock: FakeClock) -> None:
    """It says how many, and what to do; what is in quarantine does not open with it either, and is no reason."""
    async with process(data, clock) as serving:
        (token,) = await take_in(serving, 1)
        await serving.vault.sessions.end_all(token)
    async with desk(data, clock) as operator:
        await operator.custody.add("data")
        await operator.custody.activate("data", 2)
        ((events,),) = select(data / "vault.db", "SELECT count(*) FROM audit_details WHERE key_version = 1")
        ((keys,),) = select(data / "vault.db", "SELECT count(*) FROM access_keys")
        with pytest.raises(
            KeyMoveRefused,
            match=rf"^{3 + events + keys} rows still need version 1 of line 'data'\. Re-seal them first",
        ):
            await operator.custody.disable("data", 1)
        spoil(data / "vault.db", "UPDATE profiles SET box = zeroblob(99) WHERE token = ?", token)
        await operator.sweep.reseal([1])
        assert (await operator.custody.census("data"))[1]["profiles"] == 1
        assert sum((await operator.custody.openable(1)).values()) == 0
        await operator.custody.disable("data", 1)
    assert states(keyring_of(data), "data") == {1: KeyState.DISABLED, 2: KeyState.ACTIVE}
