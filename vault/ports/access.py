"""Access keys: what their store promises."""

from typing import Protocol

from vault.records import AccessKeyRow


class AccessStore(Protocol):
    """Access keys, by id."""

    async def insert(self, row: AccessKeyRow) -> None:
        """Add an access key; its id is new."""
        ...

    async def find(self, key_id: str) -> AccessKeyRow | None:
        """Return the key, alive or not. Called in the hot path."""
        ...

    async def list(self) -> list[AccessKeyRow]:
        """Return all keys, the oldest first."""
        ...

    async def revoke(self, key_id: str, now: int) -> bool:
        """Mark the key as revoked. True if it exists (also if it was revoked before)."""
        ...

    async def suspend(self, key_id: str, now: int) -> bool:
        """Mark the key as suspended. True if it exists (also if it was suspended before)."""
        ...

    async def resume(self, key_id: str) -> bool:
        """Take that mark away. True if the key exists (also if it was not suspended)."""
        ...
