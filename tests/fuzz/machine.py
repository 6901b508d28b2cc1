"""Steps that Hypothesis puts in any order: each asks the real vault and the model, and both have to say the same."""

import asyncio
import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.fuzz.access_key_steps import AccessKeySteps
from tests.fuzz.profile_steps import ProfileSteps
from tests.fuzz.session_steps import SessionSteps
from tests.fuzz.standing import Standing
from tests.fuzz.time_steps import TimeSteps
from tests.rotating import boxes, select
from vault import wiring
from vault.config import Config
from vault.crypto.keyring import LINES
from vault.key_desk import KeyDesk, Manner, open_desk


class VaultMachine(ProfileSteps, SessionSteps, AccessKeySteps, TimeSteps, Standing):
    """A vault in memory."""

    @initialize(at_limit=st.sampled_from(("end_oldest", "refuse")))
    def begin(self, at_limit: Any) -> None:
        """Open the vault. Somebody is there, so that few steps are needed until something may go wrong."""
        self.start(at_limit)
        self.create(0, {"email": "bob@example.org"}, 3600, None)
        self.log_in(0, 0, {}, 600, 60)


class SqliteVaultMachine(VaultMachine):
    """A vault in SQLite files that two processes have open; its keys rotate, and it may be started again."""

    url = "sqlite:"
    processes = 2
    steps = 0
    runs = 0

    def _make(self) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="tokenvault-fuzz-")) / "data"
        shutil.copytree(_initialised(), self.data)
        self.pending: set[str] = set()
        self.target = dict.fromkeys(LINES, 1)

    def teardown(self) -> None:
        """Remove the folder around the data as well."""
        super().teardown()
        if self.data:
            self.data.parent.rmdir()

    def _count(self) -> None:
        assert self.data is not None
        rows = select(self.data / "vault.db", "SELECT version, count(*) FROM tags GROUP BY version")
        assert dict(rows) == {version: len(owned) for version, owned in self.model.owners.items() if owned}

    def operate(self, work: Any) -> None:
        """Do something at the operator's desk, beside the processes."""

        async def at_the_desk() -> None:
            assert self.data is not None
            async with open_desk(self.config, self.data, Manner(patience=0), clock=self.clock) as desk:
                await work(desk)

        type(self).steps += 1
        self.ask(at_the_desk(), None)

    @rule(line=st.sampled_from(LINES))
    def make_key(self, line: str) -> None:
        """Add a version that waits."""
        if line not in self.pending:
            self.operate(lambda desk: desk.rotations.new_key(line))
            self.pending.add(line)
            self.target[line] += 1
            if line == "index":
                self.model.owners[self.target[line]] = {}
                # As the task does that follows the keyring: one that slept on would not yet make tags under it.
                for vault in self.vaults:
                    self.runner.run(vault.profiles._watch.refresh())

    @rule(line=st.sampled_from(LINES))
    def rotate_key(self, line: str) -> None:
        """Rotate a line whole. Two living profiles with one value, whom a clock set back revived, would stop it."""
        if line == "index" and self.model.collide(self.now):
            return
        if line not in self.pending:
            self.target[line] += 1
        self.pending.discard(line)

        async def rotate(desk: KeyDesk) -> None:
            report = await desk.rotations.rotate(line)
            assert (report.left, report.quarantine, report.to_version) == ([], 0, self.target[line])

        self.operate(rotate)
        if line == "index":
            self.model.reindex(self.target[line], self.now)
        if line == "data":
            assert self.data is not None
            for place, versions in boxes(self.data).items():
                if "canary" not in place:
                    assert set(versions) == {self.target[line]}, place

    @rule()
    def start_again(self) -> None:
        """End every process and start anew, which sweeps who has expired."""
        type(self).steps += 1
        self.runner.run(self._close())
        self.runner.run(self._open())
        self.model.sweep_profiles(self.now)


@functools.cache
def _initialised() -> Path:
    """Return a data folder that is made once and copied: making one waits for the disk many times."""
    folder = Path(tempfile.mkdtemp(prefix="tokenvault-fuzz-"))
    atexit.register(shutil.rmtree, folder)
    asyncio.run(wiring.initialise(Config(), folder / "data"))
    return folder / "data"
