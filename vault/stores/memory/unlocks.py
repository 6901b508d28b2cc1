"""Leave to read in bulk."""

from collections.abc import Sequence

from vault.ports import Entry
from vault.records import UnlockRow
from vault.stores.memory.answers import drop
from vault.stores.memory.audit import MemoryAudit


class MemoryUnlocks:
    """Unlocks by digest."""

    def __init__(self, audit: MemoryAudit) -> None:
        self.unlocks: dict[bytes, UnlockRow] = {}
        self._audit = audit

    async def insert(self, row: UnlockRow, entries: Sequence[Entry]) -> None:
        """Store the unlock."""
        self._audit.record(entries)
        self.unlocks[row.digest] = row

    async def find(self, digest: bytes) -> UnlockRow | None:
        """Look it up."""
        return self.unlocks.get(digest)

    async def purge(self, now: int, limit: int) -> int:
        """Scan for those that are over."""
        return drop(self.unlocks, (d for d, row in self.unlocks.items() if row.expires_at <= now), limit)
