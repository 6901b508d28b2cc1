"""The tags of documents."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from vault.ports import Claimed, Collision, DocumentRow, Entry, NewValue, RenewedValue
from vault.records import SealedRow, Tag
from vault.stores.memory.audit import MemoryAudit
from vault.stores.memory.documents import MemoryDocuments
from vault.stores.memory.fence import Fence


class MemoryValues:
    """The document that holds each tag. A tag whose document is gone is none."""

    def __init__(self, fence: Fence, audit: MemoryAudit, documents: MemoryDocuments) -> None:
        self._fence = fence
        self._audit = audit
        self._documents = documents
        self._owners: dict[Tag, str] = {}

    async def write(
        self,
        news: Sequence[NewValue],
        renewed: Sequence[RenewedValue],
        now: int,
        entries: Sequence[Entry] = (),
    ) -> bool:
        """Check all, then insert and swap."""
        claimed: set[Tag] = set()
        for new in news:
            if any(tag in claimed or self._living(tag, now) for tag in new.tags):
                return False
            self._fence.check_tags(new.tags)
            claimed.update(new.tags)
        for old, changed in renewed:
            stored = await self._documents.find_by_id(old.id)
            if stored is None or stored.box != old.box:
                return False
            self._fence.check_box(changed.key_version)
        rows = await self._documents.insert([new.sealing for new in news], now, entries)
        for new, row in zip(news, rows, strict=True):
            self._owners.update(dict.fromkeys(new.tags, row.name))
        for old, changed in renewed:
            await self._documents.swap(old, changed)
        return True

    async def find_by_tag(self, tags: Sequence[Tag]) -> DocumentRow | None:
        """Look the document up by the first tag that has one."""
        found = (self._owner(tag) for tag in tags)
        return next((row for row in found if row), None)

    async def add_tags(self, rows: Sequence[tuple[SealedRow, Sequence[Tag]]], now: int) -> Claimed:
        """Compare each box and check the tags, then claim what no living other holds."""
        added, collisions = 0, []
        unchanged = []
        for row, tags in rows:
            stored = await self._documents.find(row.name)
            if stored is None or stored.box != row.box or not stored.is_alive(now):
                continue
            self._fence.check_tags(tags, [tag for tag, name in self._owners.items() if name == row.name])
            unchanged.append((row, tags))
        for row, tags in unchanged:
            for tag in tags:
                if self._living(tag, now) in (None, row.name):
                    self._owners[tag] = row.name
                    added += 1
                else:
                    collisions.append(Collision(row.name, tag.field))
        return Claimed(added, collisions)

    async def tags_of(self, names: Sequence[str]) -> dict[str, set[Tag]]:
        """Scan the owners."""
        found: dict[str, set[Tag]] = {}
        for tag, name in self._held().items():
            if name in names:
                found.setdefault(name, set()).add(tag)
        return found

    async def orphan_tags(self, limit: int) -> list[str]:
        """There are none."""
        return []

    async def tag_census(self) -> dict[int, int]:
        """Count the tags."""
        return dict(Counter(tag.version for tag in self._held()))

    async def drop_tags(self, version: int, limit: int) -> int:
        """Scan for the version."""
        doomed = list(islice((tag for tag in self._held() if tag.version == version), limit))
        for tag in doomed:
            del self._owners[tag]
        return len(doomed)

    def _held(self) -> dict[Tag, str]:
        """Forget the tags whose document is gone; return the others."""
        self._owners = {tag: name for tag, name in self._owners.items() if name in self._documents.documents}
        return self._owners

    def _owner(self, tag: Tag) -> DocumentRow | None:
        return self._documents.documents.get(self._owners.get(tag, ""))

    def _living(self, tag: Tag, now: int) -> str | None:
        row = self._owner(tag)
        return row.name if row and row.is_alive(now) else None
