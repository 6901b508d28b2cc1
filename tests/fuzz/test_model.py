"""The vault against a model of it, with steps in any order."""

from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.fuzz.play import BACKENDS, SHORT, play
from vault import wiring
from vault.access import VERDICT_LIFETIME
from vault.config import Config
from vault.errors import Unauthenticated

#: The same steps at every run of the suite; scripts/fuzz takes others.
SEED = 20_261_123


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_vault_does_what_its_model_says(backend: str) -> None:
    """Whatever is done to profiles, sessions, access keys, master keys, clock and process, in whatever order, the vault
    answers as plain dictionaries under the same rules do, and afterwards holds what they hold."""
    # Making a finding smaller takes minutes over files: scripts/fuzz does.
    result = play(backend, SHORT[backend], SEED, shrink=False)
    assert result.findings == [], "\n".join(result.findings)
    assert result.counts["steps"] > 5 * SHORT[backend]


async def test_a_revoked_key_is_dead_in_every_process_although_the_clock_was_set_back(
    data: Path, clock: FakeClock
) -> None:
    """Half a second after a key was revoked in another process it opens nothing, also where the clock went back."""
    async with (
        wiring.open_vault(Config(), data, clock=clock) as one,
        wiring.open_vault(Config(), data, clock=clock) as two,
    ):
        text, row = await one.access.create("test", {"admin"})
        await two.access.authenticate(text)
        clock.advance(-3600)
        await one.access.revoke(row.id)
        clock.advance(VERDICT_LIFETIME / 1000)
        with pytest.raises(Unauthenticated):
            await two.access.authenticate(text)
