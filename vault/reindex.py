"""The sweep of the index line: gives every profile its tags under another index key.

While two versions are live every insert claims both, and the database refuses one that does not
(``KeyStore.require``), so no duplicate slips in between.
"""

import msgspec

from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.crypto.sealer import Sealer
from vault.errors import BoxError, Conflict, TagsCollide
from vault.ports import Claimed, Collision, ProfileStore, SealedStore
from vault.records import SealedRow, Tag
from vault.walk import Walk

#: Profiles that a refusal names.
MOST_NAMED = 10


class Reindex:
    """Moves the tags of one vault's profiles; ``boxes`` are these profiles, as the registry has them."""

    def __init__(
        self,
        profiles: ProfileStore,
        boxes: SealedStore,
        sealer: Sealer,
        index: BlindIndex,
        clock: Clock,
        walk: Walk,
    ) -> None:
        self._profiles = profiles
        self._boxes = boxes
        self._sealer = sealer
        self._index = index
        self._clock = clock
        self._walk = walk

    async def claim_all(self, version: int) -> int:
        """Claim the missing tags under ``version`` for every profile, and prove that none is missing then.

        Returns how many were added. Raises ``TagsCollide`` where two profiles have one value, ``Conflict``.
        """
        done = await self._claim(version)
        if done.collisions:
            fields = ", ".join(sorted({one.field for one in done.collisions}))
            raise TagsCollide(
                f"{len(done.collisions)} profiles have a value ({fields}) that another has too, as it is read "
                "today (was profiles.default_region changed?). Change or erase one of each.",
                [one.name for one in done.collisions[:MOST_NAMED]],
            )
        again = await self._claim(version)
        if again.added or again.collisions:
            raise Conflict("Tags are missing that were added: something writes past the vault.")
        return done.added

    async def claim_one(self, token: str, version: int) -> list[Collision]:
        """Claim the missing tags under ``version`` for one profile; return those that another holds."""
        row = await self._boxes.get(token)
        missing = await self._missing([row], version) if row else []
        return (await self._profiles.add_tags(missing, self._clock.now())).collisions

    async def drop(self, version: int) -> int:
        """Delete every tag under ``version``; return how many."""
        self._walk.begin("deleting old index tags", (await self._profiles.tag_census()).get(version, 0))
        return await self._walk.repeat(lambda rows: self._profiles.drop_tags(version, rows))

    async def _claim(self, version: int) -> Claimed:
        """Walk over all profiles once and claim what is missing."""
        added, collisions = 0, []
        self._walk.begin("claiming index tags", sum((await self._boxes.census()).values()))
        async for rows in self._walk.pages(self._boxes):
            missing = await self._missing(rows, version)
            if missing:
                claimed = await self._profiles.add_tags(missing, self._clock.now())
                added += claimed.added
                collisions += claimed.collisions
        return Claimed(added, collisions)

    async def _missing(self, rows: list[SealedRow], version: int) -> list[tuple[SealedRow, list[Tag]]]:
        """Return what each of these profiles should hold under ``version`` and does not."""
        held = await self._profiles.tags_of([row.name for row in rows])
        found = []
        for row in rows:
            try:
                content = msgspec.json.decode(self._sealer.open(self._boxes.purpose, row.name, row.box))
            except BoxError as error:
                await self._boxes.set_aside(row, error.code, self._clock.now())
                continue
            wanted = (tag for tag in self._index.profile_tags(content) if tag.version == version)
            missing = [tag for tag in wanted if tag not in held.get(row.name, ())]
            if missing:
                found.append((row, missing))
        return found
