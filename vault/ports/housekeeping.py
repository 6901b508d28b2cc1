"""Chores of the technology: what each back-end promises."""

from pathlib import Path
from typing import Protocol


class StoreHousekeeping(Protocol):
    """Chores of the technology itself."""

    async def lease(self, chore: str, holder: str, now: int, until: int) -> bool:
        """Take a chore until then, or renew it; False while another holder has it. Lapses by itself."""
        ...

    async def overdue(self, now: int) -> dict[str, int]:
        """Return, by store, for how many milliseconds the oldest row that has ended is still there; 0 for none."""
        ...

    async def ping(self) -> None:
        """Prove that the store can be read, or raise ``StoreUnavailable``."""
        ...

    async def shred(self) -> bool:
        """Make deleted bytes physically gone from the files (a WAL's old frames), where that can be done.

        False if a reader was in the way for long: then some are left until the next time.
        """
        ...

    async def check(self) -> list[str]:
        """Return what is wrong with the files, in sentences that say how to mend it; empty if nothing is."""
        ...

    async def rewrite(self, most_bytes: int | None) -> list[str]:
        """Write the files anew, so that nothing deleted or overwritten is left in unused parts of them.

        Every writer waits meanwhile. Files larger than ``most_bytes`` (None: no bound) are left alone. Returns,
        by name and in sentences, what was left.
        """
        ...

    async def copy(self, folder: Path) -> None:
        """Copy everything, as it is at one moment, into an empty folder that the same back-end can open."""
        ...
