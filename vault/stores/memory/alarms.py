"""Honey tokens and alarms."""

import builtins
from collections.abc import Sequence
from itertools import islice

from vault.ports import Entry
from vault.records import HoneyToken
from vault.stores.memory.audit import MemoryAudit


class MemoryAlarms:
    """Honey tokens by user token; when each alarm was delivered, by sequence."""

    def __init__(self, audit: MemoryAudit) -> None:
        self.honey: dict[str, HoneyToken] = {}
        self.alarms: dict[int, int | None] = {}
        self._audit = audit

    async def plant(self, honey: HoneyToken, entries: Sequence[Entry]) -> None:
        """Store it."""
        self._audit.record(entries)
        self.honey[honey.token] = honey

    async def remove(self, token: str, entries: Sequence[Entry]) -> bool:
        """Drop it."""
        if token not in self.honey:
            return False
        self._audit.record(entries)
        del self.honey[token]
        return True

    async def planted(self, token: str) -> HoneyToken | None:
        """Look it up."""
        return self.honey.get(token)

    async def list(self) -> builtins.list[HoneyToken]:
        """Sort by age."""
        return sorted(self.honey.values(), key=lambda honey: (honey.planted_at, honey.token))

    async def ring(self, alarm: Entry) -> None:
        """Record and note."""
        self._audit.record([alarm])
        self.alarms[self._audit.trail[-1].sequence] = None

    async def undelivered(self, limit: int) -> builtins.list[int]:
        """Scan."""
        return builtins.list(islice((one for one, at in self.alarms.items() if at is None), limit))

    async def delivered(self, sequence: int, now: int) -> None:
        """Set the time."""
        self.alarms[sequence] = now
