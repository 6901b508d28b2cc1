"""Access keys."""

from msgspec.structs import replace

from vault.records import AccessKeyRow


class MemoryAccess:
    """Access keys by id."""

    def __init__(self) -> None:
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
