"""Honey tokens and alarms."""

import builtins
from collections.abc import Sequence
from itertools import islice

from msgspec.structs import replace

from vault.ports import Entry
from vault.records import HoneyToken
from vault.stores.memory.access import MemoryAccess
from vault.stores.memory.audit import MemoryAudit


class MemoryAlarms:
    """Honey tokens by user token; when each alarm was delivered, by sequence."""

    def __init__(self, audit: MemoryAudit, access: MemoryAccess) -> None:
        self.honey: dict[str, HoneyToken] = {}
        self.alarms: dict[int, int | None] = {}
        self._audit = audit
        self._access = access

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

    async def ring(self, alarm: Entry, entries: Sequence[Entry], suspend: str | None, now: int) -> None:
        """Record, note, suspend."""
        self._audit.record([alarm, *entries])
        self.alarms[self._audit.trail[-1 - len(entries)].sequence] = None
        key = self._access.keys.get(suspend or "")
        if key and key.suspended_at is None:
            self._access.keys[key.id] = replace(key, suspended_at=now)

    async def undelivered(self, limit: int) -> builtins.list[int]:
        """Scan."""
        return builtins.list(islice((one for one, at in self.alarms.items() if at is None), limit))

    async def delivered(self, sequence: int, now: int) -> None:
        """Set the time."""
        self.alarms[sequence] = now
