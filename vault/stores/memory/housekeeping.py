"""Chores."""

from pathlib import Path

from vault.errors import StoreUnavailable


class MemoryHousekeeping:
    """Chores, of which memory has none."""

    async def ping(self) -> None:
        """Memory can always be read."""

    async def shred(self) -> bool:
        """What was deleted is gone from the dicts; Python gives no hold on freed memory."""
        return True

    async def rewrite(self, most_bytes: int | None) -> list[str]:
        """There are no files."""
        return []

    async def check(self) -> list[str]:
        """There are no files in which something could be wrong."""
        return []

    async def copy(self, folder: Path) -> None:
        """There is no copy that another process could open."""
        raise StoreUnavailable("A vault in memory cannot be copied.")
