"""Who has loaded the keyring: a rotation waits for whoever serves, and for nobody else."""

import asyncio
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.clock import FakeClock
from tests.rotating import desk, keyring_file, process, take_in
from vault.crypto.keyring import new_keyring
from vault.custody import PROCESS_LAPSE
from vault.errors import KeyringError, ProfileNotFound
from vault.records import ServingProcess

HERE, ELSEWHERE = platform.node(), "another-machine"


@pytest.fixture(scope="module")
def dead() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        assert ended.wait(30) == 0
    return ended.pid


class Reported(NamedTuple):
    """A process that reported whether it has the newest key, and whether it is waited for."""

    host: str
    is_alive: bool
    has_loaded: bool
    age: int
    is_behind: bool


REPORTED = {
    "one that has loaded it is fine": Reported(HERE, True, True, 0, False),
    "one that lacks it is behind": Reported(HERE, True, False, 0, True),
    "one on another machine is behind too": Reported(ELSEWHERE, False, False, PROCESS_LAPSE, True),
    "one that is dead is not waited for": Reported(HERE, False, False, 0, False),
    "one that fell silent is not waited for": Reported(ELSEWHERE, True, False, PROCESS_LAPSE + 1, False),
}


@pytest.mark.parametrize("generation", [1, 99], ids=["lower", "higher"])
@pytest.mark.parametrize("reported", REPORTED.values(), ids=REPORTED)
async def test_who_serves_with_another_keyring_is_behind(
    reported: Reported, generation: int, dead: int, data: Path, clock: FakeClock
) -> None:
    """As long as it lives, as far as anybody can tell; its keys count, whatever generation it read them from."""
    pid = os.getppid() if reported.is_alive else dead
    async with desk(data, clock) as operator:
        before = operator.custody.keyring.states()
        await operator.custody.add("data")
        versions = msgspec.json.encode(operator.custody.keyring.states() if reported.has_loaded else before)
        seen = clock.now() - reported.age
        one = ServingProcess("id", reported.host, pid, seen, seen, generation, versions.decode())
        async with process(data, clock) as serving:
            await serving.stores.processes.report(one)
        assert await operator.custody.laggards(0, lambda _: None) == ([one] if reported.is_behind else [])


async def test_a_process_that_loads_the_key_is_waited_for(data: Path, clock: FakeClock) -> None:
    """It is behind until it has looked at the file and said so; the wait ends there, well before its time."""
    async with process(data, clock) as serving, desk(data, clock) as operator:
        await serving.watch.report()
        await operator.custody.add("data")
        (behind,) = await operator.custody.laggards(0, lambda _: None)
        assert behind.pid == os.getpid()
        assert await serving.watch.refresh()
        assert len(await operator.custody.laggards(0, lambda _: None)) == 1  # it has it, and has not said so
        waits: list[int] = []

        def waiting(count: int) -> None:
            waits.append(count)
            if len(waits) == 1:
                tasks.append(asyncio.ensure_future(serving.watch.report()))

        tasks: list[asyncio.Future[None]] = []
        async with asyncio.timeout(20):
            assert await operator.custody.laggards(60, waiting) == []
        await asyncio.gather(*tasks)
        assert set(waits) == {1}


async def test_a_process_that_cannot_load_the_keyring_goes_on_with_what_it_has(
    data: Path, clock: FakeClock
) -> None:
    """A keyring of another vault in the file's place is refused, and the process serves on and stays behind."""
    async with process(data, clock) as serving, desk(data, clock) as operator:
        (token,) = await take_in(serving, 1)
        await serving.watch.report()
        await operator.custody.add("data")
        right = (data / "keyring.json").read_bytes()
        keyring_file(data, new_keyring(0))
        with pytest.raises(KeyringError, match="another key"):
            await serving.watch.refresh()
        assert (await serving.vault.profiles.get(token)).content["city"] == "London"
        with pytest.raises(ProfileNotFound):
            await serving.vault.profiles.lookup("email", "nobody@example.org")
        await serving.watch.report()
        assert len(await operator.custody.laggards(0, lambda _: None)) == 1
        (data / "keyring.json").write_bytes(right)
        assert await serving.watch.refresh()
        await serving.watch.report()
        assert await operator.custody.laggards(0, lambda _: None) == []


async def test_a_copy_of_a_vault_has_neither_processes_nor_claim(data: Path, clock: FakeClock) -> None:
    """Those of the original are forgotten there."""
    async with process(data, clock) as serving, desk(data, clock) as operator, desk(data, clock) as other:
        await serving.watch.report()
        async with operator.custody.claim("the original's"):
            assert len(await operator.custody.processes()) == 1
            await operator.custody.forget_others()
            assert await operator.custody.processes() == []
            async with other.custody.claim("its own"):
                pass
