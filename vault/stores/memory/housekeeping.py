"""Chores."""


class MemoryHousekeeping:
    """Chores, of which memory has none."""

    async def ping(self) -> None:
        """Memory can always be read."""

    async def shred(self) -> None:
        """What was deleted is gone from the dicts; Python gives no hold on freed memory."""

    async def check(self) -> list[str]:
        """There are no files in which something could be wrong."""
        return []
