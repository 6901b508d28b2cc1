"""Access keys."""

import builtins
from collections.abc import Sequence

from vault.ports import Entry
from vault.records import AccessKeyRow, SealedRow
from vault.stores.memory.audit import MemoryAudit
from vault.stores.memory.fence import Fence
from vault.stores.memory.sealed import Boxes


class MemoryAccess:
    """Access keys by id."""

    def __init__(self, fence: Fence, audit: MemoryAudit) -> None:
        self._fence = fence
        self._audit = audit
        self.keys: dict[str, AccessKeyRow] = {}

    async def insert(self, row: AccessKeyRow, entries: Sequence[Entry] = ()) -> None:
        """Store the key."""
        self._fence.check_box(row.key_version)
        self._audit.record(entries)
        self.keys[row.id] = row

    async def find(self, key_id: str) -> AccessKeyRow | None:
        """Look the key up."""
        return self.keys.get(key_id)

    async def list(self) -> builtins.list[AccessKeyRow]:
        """Take the keys as they came."""
        return builtins.list(self.keys.values())

    async def swap(self, old: AccessKeyRow, new: AccessKeyRow, entries: Sequence[Entry] = ()) -> bool:
        """Compare and store."""
        stored = self.keys.get(old.id)
        if stored is None or stored.box != old.box:
            return False
        self._fence.check_box(new.key_version)
        self._audit.record(entries)
        self.keys[old.id] = new
        return True

    def boxes(self) -> Boxes:
        """Show the keys as boxes."""
        return Boxes(
            lambda: [
                SealedRow(row.id, row.id.encode(), row.box, row.key_version) for row in self.keys.values()
            ],
            lambda row: self.keys.__setitem__(row.name, AccessKeyRow(row.name, row.box, row.key_version)),
            lambda name: self.keys.pop(name, None),
        )
