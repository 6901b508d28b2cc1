"""Key versions: those made known, and those in use."""

from collections.abc import Sequence

from msgspec.structs import replace

from vault.ports import Entry, TaggedStore
from vault.records import KeyRecord
from vault.stores.memory.audit import MemoryAudit
from vault.stores.memory.fence import Fence
from vault.stores.memory.sealed import MemorySealed


class MemoryKeys:
    """Key versions by line and number."""

    def __init__(
        self,
        fence: Fence,
        stores: tuple[MemorySealed, ...],
        tagged: tuple[TaggedStore, ...],
        audit: MemoryAudit,
    ) -> None:
        self.records: dict[tuple[str, int], KeyRecord] = {}
        self._fence = fence
        self._stores = stores
        self._tagged = tagged
        self._audit = audit

    async def known(self) -> list[KeyRecord]:
        """List the records."""
        return [self.records[key] for key in sorted(self.records)]

    async def insert(self, record: KeyRecord, entries: Sequence[Entry] = ()) -> None:
        """Store the record, unless there is one."""
        if (record.line, record.version) not in self.records:
            self._audit.record(entries)
            self.records[record.line, record.version] = record

    async def update(self, record: KeyRecord, entries: Sequence[Entry] = ()) -> None:
        """Replace the record, if there is one, keeping identity, proof and birth."""
        self._audit.record(entries)
        old = self.records.get((record.line, record.version))
        if old:
            self.records[record.line, record.version] = replace(
                record, fingerprint=old.fingerprint, canary=old.canary, created_at=old.created_at
            )

    async def versions_in_use(self) -> dict[str, set[int]]:
        """Scan all boxes for the data line and all tags for the index line."""
        data = {version for store in self._stores for version in await store.census()}
        return {
            "data": data,
            "index": {version for store in self._tagged for version in await store.tag_census()},
            "audit": set(await self._audit.census()),
        }

    async def close(self, line: str, version: int) -> None:
        """Put the fence up."""
        self._fence.closed.add((line, version))
        if line == "index":
            self._fence.required.discard(version)

    async def reopen(self, line: str, version: int) -> None:
        """Take the fence down."""
        self._fence.closed.discard((line, version))

    async def closed(self) -> set[tuple[str, int]]:
        """Copy the set."""
        return set(self._fence.closed)

    async def require(self, version: int) -> None:
        """Note the version."""
        self._fence.required.add(version)
