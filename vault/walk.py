"""A walk over many rows in batches: at the pace that was asked for, with progress told and a sign of life given."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

from vault.pace import Pace
from vault.ports import SealedStore
from vault.progress import Progress
from vault.records import SealedRow


class Walk:
    """How one command goes over rows. ``beat`` is awaited after each batch: the sign of life of a claim."""

    def __init__(self, pace: Pace, progress: Progress, beat: Callable[[], Awaitable[None]]) -> None:
        self._pace = pace
        self._progress = progress
        self._beat = beat

    def begin(self, what: str, total: int) -> None:
        """Tell what begins, and over how many rows."""
        self._progress.begin(what, total)

    async def pages(
        self, store: SealedStore, key_version: int | None = None
    ) -> AsyncIterator[list[SealedRow]]:
        """Yield a store's rows in batches, or only those under a key version. Raises ``OutOfTime``."""
        after: int | bytes | None = None
        while True:
            began_at = time.monotonic()
            rows = await store.page(after, self._pace.batch, key_version)
            if not rows:
                return
            yield rows
            after = rows[-1].cursor
            await self._rest(len(rows), began_at)

    async def repeat(self, work: Callable[[int], Awaitable[int]]) -> int:
        """Call ``work``, which is told how many rows to do at most, until it did none; return the sum."""
        done = 0
        while True:
            began_at = time.monotonic()
            rows = await work(self._pace.batch)
            if not rows:
                return done
            done += rows
            await self._rest(rows, began_at)

    async def _rest(self, rows: int, began_at: float) -> None:
        self._progress.advance(rows)
        await self._beat()
        await self._pace.rest(rows, time.monotonic() - began_at)
