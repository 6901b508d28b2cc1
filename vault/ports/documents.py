"""Documents: what their store promises."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from vault.ports.audit import Entry
from vault.records import Record


class DocumentRow(Record, frozen=True):
    """One sealed document. ``name`` is its kind and whatever tells it from others of the kind: "role/clerk".

    A document with an ``owner`` (a user token) ends with that person. ``id`` is a whole number that no other document
    ever had, from 1; the box may hold it, so it is given out before the box is made.
    """

    name: str
    owner: str | None
    box: bytes
    key_version: int
    created_at: int
    updated_at: int
    expires_at: int | None = None
    id: int = 0

    def is_alive(self, now: int) -> bool:
        """Whether the document may still be seen: dead at the very millisecond of its end."""
        return self.expires_at is None or now < self.expires_at


#: Returns the row of a new document that has this id. Called inside the transaction; must not do I/O.
Sealing = Callable[[int], DocumentRow]


class Former(NamedTuple):
    """Former versions of something, as a change leaves them: documents whose names begin with ``under``.

    ``sealing`` makes the version that the change ends; only the ``most`` of them that came last stay.
    """

    under: str
    sealing: Sealing | None
    most: int


class DocumentStore(Protocol):
    """Sealed documents by name. Each change records the events that come with it."""

    async def insert(
        self, news: Sequence[Sealing], now: int, entries: Sequence[Entry] = ()
    ) -> list[DocumentRow]:
        """Give each its id, keep all of these and return their rows, or raise and keep none.

        Raises ``NameTaken`` where a name belongs to a document that is alive at ``now`` (one that is not is
        replaced), ``ProfileNotFound`` where the profile of an owner is not.
        """
        ...

    async def find(self, name: str) -> DocumentRow | None:
        """Return the row, alive or not."""
        ...

    async def find_by_id(self, document_id: int) -> DocumentRow | None:
        """Return the row, alive or not."""
        ...

    async def swap(
        self,
        old: DocumentRow,
        new: DocumentRow,
        entries: Sequence[Entry] = (),
        former: Former | None = None,
    ) -> bool:
        """Put all of ``new`` but id, owner and birth in place of ``old``; False, and nothing done, if its box is gone.

        In the same transaction the events are recorded and the former versions become those of ``former``. Raises
        ``NameTaken`` where the new name belongs to another that is alive at ``new.updated_at`` (one that is not is
        replaced).
        """
        ...

    async def delete(self, names: Sequence[str], entries: Sequence[Entry] = (), under: str = "") -> int:
        """Delete these, and record the events if there was any; return how many there were.

        If there was any, whatever has a name that begins with ``under`` goes too, uncounted; "": nothing does.
        """
        ...

    async def page(self, under: str, now: int, offset: int, limit: int) -> list[DocumentRow]:
        """Return living documents whose name begins with ``under``, in the order in which they came."""
        ...

    async def count(self, under: str, now: int) -> int:
        """Count the living documents whose name begins with ``under``."""
        ...

    async def of_owner(self, owner: str, now: int) -> list[DocumentRow]:
        """Return all living documents of a person, in the order in which they came."""
        ...

    async def purge(self, now: int, limit: int) -> int:
        """Delete up to ``limit`` documents that have ended; return how many."""
        ...
