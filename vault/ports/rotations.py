"""Rotations: who is at it, and the journal."""

from typing import Protocol

from vault.records import Claim, Rotation


class RotationStore(Protocol):
    """One claim for the whole vault, and a row for each rotation there ever was."""

    async def claim(self, claim: Claim, lapsed_before: int) -> Claim:
        """Take the claim and return it; or return another holder's, if that was seen at ``lapsed_before`` or later.

        Taking what one holds already renews it.
        """
        ...

    async def release(self, holder: str) -> None:
        """Give the claim up, if it is this holder's."""
        ...

    async def holder(self) -> Claim | None:
        """Return the claim as it stands, lapsed or not."""
        ...

    async def write(self, rotation: Rotation) -> Rotation:
        """Add to the journal (``id`` 0 gets the next number), or replace the entry with this id; return it."""
        ...

    async def journal(self, limit: int) -> list[Rotation]:
        """Return the entries, the newest first."""
        ...
