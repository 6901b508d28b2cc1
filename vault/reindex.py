"""The sweep of the index line: gives every profile its tags under another index key.

While two versions are live every insert claims both, and the database refuses one that does not
(``KeyStore.require``), so no duplicate slips in between.
"""

from dataclasses import dataclass, field

import msgspec

from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.crypto.sealer import Sealer
from vault.errors import BoxError
from vault.ports import Collision, ProfileStore, SealedStore
from vault.records import SealedRow, Tag
from vault.walk import Walk


@dataclass(slots=True)
class Reindexed:
    """What a walk over all profiles did: tags added, and who has another's value."""

    added: int = 0
    collisions: list[Collision] = field(default_factory=list)


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

    async def claim(self, version: int) -> Reindexed:
        """Claim the missing tags under ``version`` for every profile. Once more finds, and adds, nothing."""
        done = Reindexed()
        self._walk.begin("claiming index tags", sum((await self._boxes.census()).values()))
        async for rows in self._walk.pages(self._boxes):
            missing = await self._missing(rows, version)
            if missing:
                claimed = await self._profiles.add_tags(missing, self._clock.now())
                done.added += claimed.added
                done.collisions += claimed.collisions
        return done

    async def claim_one(self, token: str, version: int) -> list[Collision]:
        """Claim the missing tags under ``version`` for one profile; return those that another holds."""
        row = await self._boxes.get(token)
        missing = await self._missing([row], version) if row else []
        return (await self._profiles.add_tags(missing, self._clock.now())).collisions

    async def drop(self, version: int) -> int:
        """Delete every tag under ``version``; return how many."""
        self._walk.begin("deleting old index tags", (await self._profiles.tag_census()).get(version, 0))
        return await self._walk.repeat(lambda rows: self._profiles.drop_tags(version, rows))

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
