"""The sweep of the index line: gives every profile its tags under another index key.

While two versions are live every insert claims both, and the database refuses one that does not
(``KeyStore.require``), so no duplicate slips in between.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.crypto.sealer import Sealer
from vault.errors import BoxError
from vault.pace import Pace
from vault.ports import Collision, ProfileStore, SealedStore
from vault.progress import Progress
from vault.records import SealedRow, Tag


@dataclass(slots=True)
class Reindexed:
    """What a walk over all profiles did: how many were looked at, tags added, and who has another's value."""

    profiles: int = 0
    added: int = 0
    collisions: list[Collision] = field(default_factory=list)


class Reindex:
    """Moves the tags of one vault's profiles."""

    def __init__(
        self,
        profiles: ProfileStore,
        boxes: SealedStore,
        sealer: Sealer,
        index: BlindIndex,
        clock: Clock,
        pace: Pace,
        progress: Progress,
        beat: Callable[[], Awaitable[None]],
    ) -> None:
        self._profiles = profiles
        self._boxes = boxes
        self._sealer = sealer
        self._index = index
        self._clock = clock
        self._pace = pace
        self._progress = progress
        self._beat = beat

    async def claim(self, version: int) -> Reindexed:
        """Claim the missing tags under ``version`` for every profile. Once more finds, and adds, nothing."""
        done = Reindexed()
        self._progress.begin("claiming index tags", sum((await self._boxes.census()).values()))
        after: int | bytes | None = None
        while True:
            began_at = time.monotonic()
            rows = await self._boxes.page(after, self._pace.batch)
            if not rows:
                return done
            missing = await self._missing(rows, version)
            if missing:
                claimed = await self._profiles.add_tags(missing, self._clock.now())
                done.added += claimed.added
                done.collisions += claimed.collisions
            done.profiles += len(rows)
            after = rows[-1].cursor
            self._progress.advance(len(rows))
            await self._beat()
            await self._pace.rest(len(rows), time.monotonic() - began_at)

    async def drop(self, version: int) -> int:
        """Delete every tag under ``version``; return how many."""
        dropped = 0
        self._progress.begin("deleting old index tags", (await self._profiles.tag_census()).get(version, 0))
        while True:
            began_at = time.monotonic()
            count = await self._profiles.drop_tags(version, self._pace.batch)
            if not count:
                return dropped
            dropped += count
            self._progress.advance(count)
            await self._beat()
            await self._pace.rest(count, time.monotonic() - began_at)

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
