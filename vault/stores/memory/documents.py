"""Documents."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from vault.errors import NameTaken, ProfileNotFound
from vault.ports import DocumentRow, Entry, Former, Sealing
from vault.records import SealedRow
from vault.stores.memory.answers import drop
from vault.stores.memory.audit import MemoryAudit
from vault.stores.memory.fence import Fence
from vault.stores.memory.profiles import MemoryProfiles
from vault.stores.memory.sealed import Boxes


class MemoryDocuments:
    """Documents by name."""

    def __init__(self, fence: Fence, audit: MemoryAudit, profiles: MemoryProfiles) -> None:
        self._fence = fence
        self._audit = audit
        self._profiles = profiles
        self._last_id = 0
        self.documents: dict[str, DocumentRow] = {}
        profiles.on_delete.append(self._forget_owned)
        profiles.on_replace.append(self._former)

    async def insert(
        self, news: Sequence[Sealing], now: int, entries: Sequence[Entry] = ()
    ) -> list[DocumentRow]:
        """Check all, then store each."""
        rows = [sealing(number) for number, sealing in enumerate(news, self._last_id + 1)]
        for number, row in enumerate(rows):
            self._fence.check_box(row.key_version)
            if row.owner is not None:
                owner = await self._profiles.find(row.owner)
                if owner is None or not owner.is_alive(now):
                    raise ProfileNotFound
            held = self.documents.get(row.name)
            if (held and held.is_alive(now)) or any(row.name == other.name for other in rows[:number]):
                raise NameTaken
        self._audit.record(entries)
        self._last_id += len(rows)
        self.documents.update({row.name: row for row in rows})
        return rows

    async def find(self, name: str) -> DocumentRow | None:
        """Look it up."""
        return self.documents.get(name)

    async def find_by_id(self, document_id: int) -> DocumentRow | None:
        """Scan for the id."""
        return next((row for row in self.documents.values() if row.id == document_id), None)

    async def swap(
        self,
        old: DocumentRow,
        new: DocumentRow,
        entries: Sequence[Entry] = (),
        former: Former | None = None,
    ) -> bool:
        """Compare the box, then swap the row."""
        stored = await self.find_by_id(old.id)
        if stored is None or stored.box != old.box:
            return False
        holder = self.documents.get(new.name) if new.name != old.name else None
        if holder and holder.is_alive(new.updated_at):
            raise NameTaken
        self._fence.check_box(new.key_version)
        keep_former = self._former(former) if former else None
        self._audit.record(entries)
        del self.documents[stored.name]
        self.documents[new.name] = replace(
            new, id=stored.id, owner=stored.owner, created_at=stored.created_at
        )
        if keep_former:
            keep_former()
        return True

    async def delete(self, names: Sequence[str], entries: Sequence[Entry] = (), under: str = "") -> int:
        """Remove each, and what lies under."""
        here = [name for name in dict.fromkeys(names) if name in self.documents]
        if here:
            self._audit.record(entries)
        below = [name for name in self.documents if under and here and name.startswith(under)]
        for name in {*here, *below}:
            del self.documents[name]
        return len(here)

    async def page(self, under: str, now: int, offset: int, limit: int) -> list[DocumentRow]:
        """Scan, sort and cut."""
        return self._living(under, now)[offset : None if limit < 0 else offset + limit]

    async def count(self, under: str, now: int) -> int:
        """Scan."""
        return len(self._living(under, now))

    async def of_owner(self, owner: str, now: int) -> list[DocumentRow]:
        """Scan for the owner."""
        return [row for row in self._living("", now) if row.owner == owner]

    async def purge(self, now: int, limit: int) -> int:
        """Scan for those that have ended."""
        ended = (name for name, row in self.documents.items() if not row.is_alive(now))
        return drop(self.documents, ended, limit)

    def boxes(self) -> Boxes:
        """Show the documents as boxes."""

        def put(row: SealedRow) -> None:
            held = self.documents[row.name]
            self.documents[row.name] = replace(held, box=row.box, key_version=row.key_version)

        return Boxes(
            lambda: [
                SealedRow(row.name, row.id, row.box, row.key_version) for row in self.documents.values()
            ],
            put,
            lambda name: self.documents.pop(name, None),
        )

    def _living(self, under: str, now: int) -> list[DocumentRow]:
        rows = [row for name, row in self.documents.items() if name.startswith(under) and row.is_alive(now)]
        return sorted(rows, key=lambda row: row.id)

    def _forget_owned(self, token: str) -> None:
        for name in [name for name, row in self.documents.items() if row.owner == token]:
            del self.documents[name]

    def _former(self, former: Former) -> Callable[[], None]:
        """Check what a change leaves; return what keeps it."""
        left = former.sealing(self._last_id + 1) if former.sealing else None
        if left:
            self._fence.check_box(left.key_version)

        def keep() -> None:
            if left:
                self._last_id = left.id
                self.documents[left.name] = left
            kept = [row for name, row in self.documents.items() if name.startswith(former.under)]
            for row in sorted(kept, key=lambda row: -row.id)[former.most :]:
                del self.documents[row.name]

        return keep
