"""The claim and the journal."""

from msgspec.structs import replace

from vault.records import Claim, Rotation


class MemoryRotations:
    """One claim, and the entries by number."""

    def __init__(self) -> None:
        self.held: Claim | None = None
        self.entries: dict[int, Rotation] = {}

    async def claim(self, claim: Claim, lapsed_before: int) -> Claim:
        """Compare and take it."""
        held = self.held
        if held and held.holder != claim.holder and held.seen_at >= lapsed_before:
            return held
        self.held = claim
        return claim

    async def release(self, holder: str) -> None:
        """Drop it, if it is the holder's."""
        if self.held and self.held.holder == holder:
            self.held = None

    async def holder(self) -> Claim | None:
        """Show it."""
        return self.held

    async def write(self, rotation: Rotation) -> Rotation:
        """Store it under its number."""
        number = rotation.id or max(self.entries, default=0) + 1
        self.entries[number] = replace(rotation, id=number)
        return self.entries[number]

    async def journal(self, limit: int) -> list[Rotation]:
        """Sort from the newest."""
        return [self.entries[number] for number in sorted(self.entries, reverse=True)][:limit]
