"""Leave to read in bulk: what its store promises."""

from collections.abc import Sequence
from typing import Protocol

from vault.ports.audit import Entry
from vault.records import UnlockRow


class UnlockStore(Protocol):
    """Unlocks, by digest."""

    async def insert(self, row: UnlockRow, entries: Sequence[Entry]) -> None:
        """Add an unlock, and record the events."""
        ...

    async def find(self, digest: bytes) -> UnlockRow | None:
        """Return the unlock, over or not."""
        ...

    async def purge(self, now: int, limit: int) -> int:
        """Delete up to ``limit`` unlocks with ``expires_at <= now``; return how many."""
        ...
