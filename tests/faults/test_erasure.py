"""An erasure that is interrupted at any step is finished at the next start, and nobody is half erased meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.clock import FakeClock
from vault import wiring
from vault.config import Config
from vault.errors import ProfileNotFound, SessionNotFound
from vault.installation import Vault
from vault.key_watch import KeyWatch
from vault.sessions import Wanted
from vault.stores import open_stores

ADA = {"email": "ada@example.org", "first_name": "Ada"}


class PowerCutError(Exception):
    """The process ends here."""


class CutAt:
    """A store that fails before, or right after, one of its methods; else it is the store itself."""

    def __init__(self, store: Any, method: str, moment: str) -> None:
        self._store, self._method, self._moment = store, method, moment

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name != self._method:
            return found

        async def cut(*args: Any) -> None:
            if self._moment == "after":
                await found(*args)
            raise PowerCutError

        return cut


@asynccontextmanager
async def _cut_vault(
    data: Path, clock: FakeClock, noun: str, method: str, moment: str
) -> AsyncIterator[Vault]:
    async with wiring.open_files(Config(), data, "default", clock) as opened:
        cut = replace(opened.stores, **{noun: CutAt(getattr(opened.stores, noun), method, moment)})
        yield _vault_over(replace(opened, stores=cut), clock)


def _vault_over(opened: wiring.Opened, clock: FakeClock) -> Vault:
    """Return the vault before its start has finished what was interrupted."""
    watch = KeyWatch(
        opened.file, opened.keyring, opened.sealer, opened.stores.keys, opened.stores.processes, clock
    )
    return wiring.assemble(Config(), "default", clock, opened, watch)


STEPS = {
    "before the note": ("profiles", "note_erasure", "before", False),
    "after the note": ("profiles", "note_erasure", "after", True),
    "before the epoch is closed": ("sessions", "close", "before", True),
    "after the epoch is closed": ("sessions", "close", "after", True),
    "before box and tags are deleted": ("profiles", "delete", "before", True),
    "after box and tags are deleted": ("profiles", "delete", "after", True),
}


@pytest.mark.parametrize(("noun", "method", "moment", "begun"), STEPS.values(), ids=STEPS)
async def test_an_interrupted_erasure_is_finished_at_start(
    noun: str, method: str, moment: str, begun: bool, data: Path, clock: FakeClock
) -> None:
    """Once the intent is noted the person is gone for every caller, and the next start does the rest."""
    async with wiring.open_vault(Config(), data, clock=clock) as vault:
        token = (await vault.profiles.create(ADA)).token
        session = await vault.sessions.open(Wanted(token))

    async with _cut_vault(data, clock, noun, method, moment) as vault:
        with pytest.raises(PowerCutError):
            await vault.profiles.erase(token)
        if begun:
            with pytest.raises(ProfileNotFound):
                await vault.profiles.get(token)
            with pytest.raises(ProfileNotFound):
                await vault.profiles.lookup("email", "ada@example.org")
            with pytest.raises(ProfileNotFound):
                await vault.sessions.open(Wanted(token))

    async with wiring.open_vault(Config(), data, clock=clock) as vault:
        if not begun:
            assert (await vault.profiles.get(token)).content == ADA
            assert await vault.sessions.current(session.session_id)
            return
        with pytest.raises(ProfileNotFound):
            await vault.profiles.get(token)
        with pytest.raises(SessionNotFound):
            await vault.sessions.current(session.session_id)
        assert await vault.sessions.of_person(token) == []
        assert (await vault.profiles.create(ADA)).token != token  # the e-mail is free again

    async with open_stores("sqlite:", data, 5) as stores:
        assert await stores.profiles.find(token) is None
        assert await stores.profiles.unfinished_erasures(10) == []
        assert await stores.sessions.epoch(token) is None


async def test_a_repeated_erasure_finishes_an_interrupted_one(data: Path, clock: FakeClock) -> None:
    """The caller who got no answer asks again, without a restart in between."""
    async with _cut_vault(data, clock, "sessions", "close", "before") as cut:
        token = (await cut.profiles.create(ADA)).token
        with pytest.raises(PowerCutError):
            await cut.profiles.erase(token)
    async with wiring.open_files(Config(), data, "default", clock) as opened:
        await _vault_over(opened, clock).profiles.erase(token)
        assert await opened.stores.profiles.find(token) is None
