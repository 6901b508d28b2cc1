"""Fills a vault for the benchmark of rotations, through the vault's own verbs."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bench_people import PROFILE_BYTES, marks, person

from vault import logs, wiring
from vault.config import Config
from vault.profile_views import NewContent
from vault.sessions import Wanted

CLAIMS = {"roles": ["editor", "reviewer"], "locale": "en-GB", "tenant": "acme"}

#: Profiles that are created, and sessions that are opened, together.
TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled vault: an access key that may look sessions up, and the sessions' ids."""

    access_key: str
    session_ids: list[str]


async def fill(data: Path, profiles: int, size: int, sessions: int, step: Callable[[int], None]) -> Filled:
    """Make a vault with profiles of ``size`` bytes of JSON, the first of them with a session each.

    ``step`` hears how many profiles there are.
    """
    config = Config()
    logs.configure("warning", config.log.format)
    await wiring.initialise(config, data)
    session_ids: list[str] = []
    numbers = marks()
    async with wiring.open_vault(config, data) as vault:
        access_key, _ = await vault.access.create("bench", {"sessions:read"})
        for made in range(0, profiles, TOGETHER):
            some = islice(numbers, min(TOGETHER, profiles - made))
            entries = await vault.profiles.create_many([NewContent(_sized(mark, size)) for mark in some])
            tokens = [entry.token for entry in entries if entry.token is not None]
            wanted = [Wanted(token, CLAIMS) for token in tokens[: sessions - len(session_ids)]]
            opened = await asyncio.gather(*(vault.sessions.open(one) for one in wanted))
            session_ids += [session.session_id for session in opened]
            step(made + len(tokens))
    return Filled(access_key, session_ids)


def _sized(mark: str, size: int) -> dict[str, object]:
    """Return a profile of 1 KB, with longer or shorter notes if another size was asked for."""
    content = person(mark)
    notes = str(content["notes"])
    length = max(0, len(notes) + size - PROFILE_BYTES)
    return {**content, "notes": (notes * (1 + length // len(notes)))[:length]}
