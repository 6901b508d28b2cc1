"""How far long work is, for whoever watches."""

from typing import Protocol


class Progress(Protocol):
    """Hears of steps that were done, and of rows within the one that runs."""

    def did(self, what: str, undo: str = "") -> None:
        """Hear that a step is done, and the command that undoes it."""
        ...

    def begin(self, what: str, total: int) -> None:
        """Hear that work over this many rows begins."""
        ...

    def advance(self, rows: int) -> None:
        """Hear that more rows are done."""
        ...


class Silent:
    """Hears and says nothing."""

    def did(self, what: str, undo: str = "") -> None:
        """Say nothing."""

    def begin(self, what: str, total: int) -> None:
        """Say nothing."""

    def advance(self, rows: int) -> None:
        """Say nothing."""


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 row", "2,500 rows"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
