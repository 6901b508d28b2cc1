"""Key versions: those made known, and those in use."""

from vault.records import KeyRecord
from vault.stores.memory.profiles import MemoryProfiles
from vault.stores.memory.sessions import MemorySessions


class MemoryKeys:
    """Key versions by line and number."""

    def __init__(self, profiles: MemoryProfiles, sessions: MemorySessions) -> None:
        self.records: dict[tuple[str, int], KeyRecord] = {}
        self.profiles = profiles
        self.sessions = sessions

    async def known(self) -> list[KeyRecord]:
        """List the records."""
        return list(self.records.values())

    async def insert(self, record: KeyRecord) -> None:
        """Store the record, unless there is one."""
        self.records.setdefault((record.line, record.version), record)

    async def versions_in_use(self) -> dict[str, set[int]]:
        """Scan all boxes for the data line and all tags for the index line."""
        answers = [*self.profiles.answers.values(), *self.sessions.answers.values()]
        return {
            "data": {*await self.profiles.census(), *await self.sessions.census()}
            | {kept.key_version for kept in answers},
            "index": {tag.version for tag in self.profiles.owners},
        }
