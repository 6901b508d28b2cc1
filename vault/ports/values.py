"""Single values: documents that are found by a tag. What their store promises beside that of documents."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from vault.ports.audit import Entry
from vault.ports.documents import DocumentRow, Sealing
from vault.ports.tags import TaggedStore
from vault.records import Tag


class NewValue(NamedTuple):
    """A value to keep, and the tags that must be its alone. Those of a field come newest version first."""

    sealing: Sealing
    tags: tuple[Tag, ...]


class RenewedValue(NamedTuple):
    """A value as it was read, and as it shall be."""

    old: DocumentRow
    new: DocumentRow


class ValueStore(TaggedStore, Protocol):
    """The tags of documents. They go with their document, however that ends."""

    async def write(
        self,
        news: Sequence[NewValue],
        renewed: Sequence[RenewedValue],
        now: int,
        entries: Sequence[Entry] = (),
    ) -> bool:
        """Keep all of these with their tags and put each renewed row in place of the old, in one transaction.

        False, and nothing done, where a tag belongs to another value that is alive at ``now`` (also to one of the
        same call), or where the box of an old row is gone. Tags of a value that is not alive are taken over.
        """
        ...

    async def find_by_tag(self, tags: Sequence[Tag]) -> DocumentRow | None:
        """Return the row that holds any of these tags, alive or not."""
        ...
