"""The registry of boxes: each dict of rows as a store of boxes."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vault.records import Quarantined, SealedRow
from vault.stores.memory.fence import Fence


@dataclass(frozen=True, slots=True)
class Boxes:
    """How one kind of row is read and written: all as boxes, a new box into a row, a row deleted by name."""

    rows: Callable[[], Iterable[SealedRow]]
    put: Callable[[SealedRow], None]
    drop: Callable[[str], object]


class MemorySealed:
    """One kind of row as a store of boxes. A note whose row is gone or has another box is none."""

    def __init__(self, name: str, purpose: str, boxes: Boxes, fence: Fence) -> None:
        self.name = name
        self.purpose = purpose
        self._boxes = boxes
        self._fence = fence
        self._notes: dict[str, tuple[bytes, Quarantined]] = {}

    async def census(self) -> dict[int, int]:
        """Count the boxes."""
        return dict(Counter(row.key_version for row in self._boxes.rows()))

    async def page(
        self, after: int | bytes | None, limit: int, key_version: int | None = None
    ) -> list[SealedRow]:
        """Sort and cut."""
        rows = [
            row
            for row in self._boxes.rows()
            if (after is None or row.cursor > after) and key_version in (None, row.key_version)  # type: ignore[operator]  # one store's cursors are of one type
        ]
        return sorted(rows, key=lambda row: row.cursor)[:limit]

    async def get(self, name: str) -> SealedRow | None:
        """Scan for the name."""
        return self._find(name)

    async def swap(self, swaps: Sequence[tuple[SealedRow, bytes, int]]) -> int:
        """Check the fence for all, then compare and swap each."""
        for _, _, key_version in swaps:
            self._fence.check_box(key_version)
        swapped = 0
        for row, box, key_version in swaps:
            stored = self._find(row.name)
            if stored and stored.box == row.box:
                self._boxes.put(SealedRow(row.name, stored.cursor, box, key_version))
                swapped += 1
        return swapped

    async def set_aside(self, row: SealedRow, cause: str, now: int) -> None:
        """Note the row, if its box is unchanged."""
        stored = self._find(row.name)
        standing = {note.name for note in self._standing()}
        if stored and stored.box == row.box and row.name not in standing:
            self._notes[row.name] = row.box, Quarantined(row.name, stored.key_version, cause, now)

    async def set_aside_rows(self, limit: int) -> list[Quarantined]:
        """Sort the notes that still hold."""
        return sorted(self._standing(), key=lambda note: note.name)[:limit]

    async def set_aside_census(self) -> dict[tuple[int, str], int]:
        """Count the notes that still hold."""
        return dict(Counter((note.key_version, note.cause) for note in self._standing()))

    async def take_back(self, name: str) -> None:
        """Forget the note."""
        self._notes.pop(name, None)

    async def discard(self, name: str) -> bool:
        """Delete the row, if its note holds."""
        if all(note.name != name for note in self._standing()):
            return False
        self._boxes.drop(name)
        return True

    def _find(self, name: str) -> SealedRow | None:
        return next((row for row in self._boxes.rows() if row.name == name), None)

    def _standing(self) -> list[Quarantined]:
        boxes = {row.name: row.box for row in self._boxes.rows()}
        return [note for name, (box, note) in self._notes.items() if boxes.get(name) == box]
