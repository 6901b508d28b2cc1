"""Chores."""

from pathlib import Path

from vault.errors import StoreUnavailable
from vault.stores.memory.documents import MemoryDocuments
from vault.stores.memory.profiles import MemoryProfiles
from vault.stores.memory.sessions import MemorySessions
from vault.stores.memory.unlocks import MemoryUnlocks


class MemoryHousekeeping:
    """Chores, of which memory has few."""

    def __init__(
        self,
        profiles: MemoryProfiles,
        unlocks: MemoryUnlocks,
        documents: MemoryDocuments,
        sessions: MemorySessions,
    ) -> None:
        self._profiles = profiles
        self._unlocks = unlocks
        self._documents = documents
        self._sessions = sessions

    async def lease(self, chore: str, holder: str, now: int, until: int) -> bool:
        """Nobody else is here."""
        return True

    async def overdue(self, now: int) -> dict[str, int]:
        """Scan for the first end of each."""
        ends: dict[str, list[int | None]] = {
            "profiles": [row.expires_at for row, _ in self._profiles.profiles.values()],
            "profile_answers": [row.expires_at for row in self._profiles.answers.values()],
            "documents": [row.expires_at for row in self._documents.documents.values()],
            "unlocks": [row.expires_at for row in self._unlocks.unlocks.values()],
            "sessions": [row.idle_expires_at for row in self._sessions.sessions.values()],
            "session_answers": [row.expires_at for row in self._sessions.answers.values()],
        }
        return {
            store: max(0, now - min((end for end in times if end is not None), default=now))
            for store, times in ends.items()
        }

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
