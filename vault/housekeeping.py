"""Housekeeping: what must go is gone within an interval, and the numbers that are too slow to count at each scrape.

Nothing depends on it for being right: liveness is always judged when something is read.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from vault import config
from vault.clock import Clock
from vault.errors import VaultError
from vault.ports import Stores

#: Milliseconds without a chunk after which the sweeps of a process are another's. A chunk takes some 40.
LEASE = 60_000

Sweep = Callable[[int], Awaitable[int]]
Chore = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Census:
    """Counts as of the last round. ``rows`` is by store, then data key version; ``quarantine`` by cause as well."""

    live_sessions: int = 0
    rows: dict[str, dict[int, int]] = field(default_factory=dict)
    quarantine: dict[str, dict[tuple[int, str], int]] = field(default_factory=dict)
    #: Milliseconds that the oldest row which has ended is still there, by store.
    overdue: dict[str, int] = field(default_factory=dict)


class Housekeeping:
    """Runs the sweeps of one vault in small chunks, so that nobody waits long behind them."""

    def __init__(
        self,
        stores: Stores,
        sweeps: Sequence[Sweep],
        chores: Sequence[Chore],
        clock: Clock,
        settings: config.Housekeeping,
    ) -> None:
        self._stores = stores
        self._sweeps = sweeps
        self._chores = chores
        self._clock = clock
        self._settings = settings
        self._holder = secrets.token_hex(8)
        self.census = Census()

    async def run(self) -> None:
        """Do a round at every interval until cancelled; a round that fails is logged and tried again."""
        while True:
            try:
                await self.round()
            except VaultError as error:
                structlog.get_logger().error("housekeeping.failed", code=error.code)
            except Exception as error:  # a round that nobody foresaw to fail must not be the last one
                structlog.get_logger().error("housekeeping.failed", error=type(error).__name__)
            await asyncio.sleep(self._settings.interval)

    async def round(self) -> int:
        """Sweep until nothing is left, count, shred what was deleted; return how many rows went."""
        swept = 0
        # One process at a time, so that several do not wait for each other.
        if await self._lease(LEASE):
            for sweep in self._sweeps:
                while (count := await sweep(self._settings.chunk)) > 0 and await self._lease(LEASE):
                    swept += count
                    await asyncio.sleep(0)
            await self._lease(0)
        if swept:
            structlog.get_logger().info("housekeeping.swept", count=swept)
        for chore in self._chores:
            try:
                await chore()
            except VaultError as error:  # the others are not to wait for this one
                structlog.get_logger().error("housekeeping.chore_failed", code=error.code)
        self.census = await self.count()
        await self._stores.housekeeping.shred()  # the last, so that nothing is written behind it
        return swept

    async def _lease(self, milliseconds: int) -> bool:
        """Be the one who sweeps for so long; 0 gives it up."""
        now = self._clock.now()
        return await self._stores.housekeeping.lease("sweep", self._holder, now, now + milliseconds)

    async def ready(self) -> None:
        """Prove that the stores answer, or raise ``StoreUnavailable``."""
        await self._stores.housekeeping.ping()

    async def count(self) -> Census:
        """Count anew: what ``census`` is after the next round."""
        return Census(
            await self._stores.sessions.count_live(self._clock.now()),
            {store.name: await store.census() for store in self._stores.sealed},
            {store.name: await store.set_aside_census() for store in self._stores.sealed},
            await self._stores.housekeeping.overdue(self._clock.now()),
        )
