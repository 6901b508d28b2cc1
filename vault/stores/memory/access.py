"""Access keys."""

from msgspec.structs import replace

from vault.records import AccessKeyRow
from vault.stores.memory.audit import MemoryAudit


class MemoryAccess:
    """Access keys by id."""

    def __init__(self, audit: MemoryAudit) -> None:
        self._audit = audit
        self.keys: dict[str, AccessKeyRow] = {}

    async def insert(self, row: AccessKeyRow) -> None:
        """Store the key."""
        self.keys[row.id] = row

    async def find(self, key_id: str) -> AccessKeyRow | None:
        """Look the key up."""
        return self.keys.get(key_id)

    async def list(self) -> list[AccessKeyRow]:
        """Sort the keys by age."""
        return sorted(self.keys.values(), key=lambda row: row.created_at)

    async def revoke(self, key_id: str, now: int) -> bool:
        """Mark the key, keeping the time of the first mark."""
        row = self.keys.get(key_id)
        if row is None:
            return False
        if row.revoked_at is None:
            self.keys[key_id] = replace(row, revoked_at=now)
        return True

    async def suspend(self, key_id: str, now: int) -> bool:
        """Mark the key, keeping the time of the first mark."""
        row = self.keys.get(key_id)
        if row is None:
            return False
        if row.suspended_at is None:
            self.keys[key_id] = replace(row, suspended_at=now)
        return True

    async def resume(self, key_id: str) -> bool:
        """Take the mark away."""
        row = self.keys.get(key_id)
        if row is None:
            return False
        self.keys[key_id] = replace(row, suspended_at=None)
        return True
