"""The registry of boxes: what every place that keeps them promises, so that a rotation misses none."""

from collections.abc import Sequence
from typing import Protocol

from vault.records import Quarantined, SealedRow


class SealedStore(Protocol):
    """One table of boxes. ``purpose`` is what its boxes are sealed for (docs/format.md, "Record keys")."""

    @property
    def name(self) -> str:
        """The table's name in reports: "profiles"."""
        ...

    @property
    def purpose(self) -> str:
        """The purpose bound into the boxes' keys: "profile"."""
        ...

    async def census(self) -> dict[int, int]:
        """Return how many boxes there are under each data key version, by the rows' own column."""
        ...

    async def page(
        self, after: int | bytes | None, limit: int, key_version: int | None = None
    ) -> list[SealedRow]:
        """Return up to ``limit`` rows behind the cursor ``after`` (None: from the first), in the cursor's order.

        With ``key_version`` only those whose column says so. A row that is there under one cursor during a whole
        walk over the pages is seen by it; one that comes, goes or moves meanwhile (a session whose id is rotated)
        may be.
        """
        ...

    async def get(self, name: str) -> SealedRow | None:
        """Return one row by its name."""
        ...

    async def swap(self, swaps: Sequence[tuple[SealedRow, bytes, int]]) -> int:
        """Put a new box and its key version into each row whose box is still that of the ``SealedRow``.

        One transaction. Returns how many were; whoever changed a row in between has won. Nothing else of the
        row changes.
        """
        ...

    async def set_aside(self, row: SealedRow, cause: str, now: int) -> None:
        """Note a row whose box does not open, and why, unless the row has changed. It stays where it is.

        A note that is there already stands: its cause was found when more keys could be tried. It goes when the
        row is deleted or its box replaced, by whatever call.
        """
        ...

    async def set_aside_rows(self, limit: int) -> list[Quarantined]:
        """Return up to ``limit`` notes, by name."""
        ...

    async def set_aside_census(self) -> dict[tuple[int, str], int]:
        """Return how many rows are set aside, by key version and cause."""
        ...

    async def take_back(self, name: str) -> None:
        """Forget the note about a row. There being none is fine."""
        ...

    async def discard(self, name: str) -> bool:
        """Delete a row that is set aside; False, and nothing changed, if it is not.

        A profile's tags are not this store's: a person is erased instead.
        """
        ...
