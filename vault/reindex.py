"""The sweep of the index line: gives every profile and value its tags under another index key.

While two versions are live every insert claims both, and the database refuses one that does not
(``KeyStore.require``), so no duplicate slips in between.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.crypto.sealer import Sealer
from vault.documents import content_in
from vault.errors import BoxError, Conflict, TagsCollide
from vault.ports import Claimed, Collision, DocumentRow, SealedStore, Stores, TaggedStore
from vault.records import ProfileRow, SealedRow, Tag
from vault.values import KIND, tags_of
from vault.walk import Walk

#: Rows that a refusal names.
MOST_NAMED = 10


class Tagged(NamedTuple):
    """Rows that hold tags: those of ``boxes`` whose names begin with ``prefix``.

    ``wanted`` says which tags a row should hold, by the plaintext of its box; ``find`` reads it as its store has it.
    """

    store: TaggedStore
    boxes: SealedStore
    prefix: str
    wanted: Callable[[bytes], Sequence[Tag]]
    find: Callable[[str], Awaitable[ProfileRow | DocumentRow | None]]


def tagged(stores: Stores, index: BlindIndex) -> tuple[Tagged, ...]:
    """Return all rows that hold tags, of every place in ``Stores.tagged``."""
    boxes = {store.name: store for store in stores.sealed}
    return (
        Tagged(
            stores.profiles,
            boxes["profiles"],
            "",
            lambda plaintext: index.profile_tags(msgspec.json.decode(plaintext)),
            stores.profiles.find,
        ),
        Tagged(
            stores.values,
            boxes["documents"],
            f"{KIND}/",
            lambda plaintext: tags_of(index, content_in(plaintext)),
            stores.documents.find,
        ),
    )


class Reindex:
    """Moves the tags of one vault."""

    def __init__(self, tagged: Sequence[Tagged], sealer: Sealer, clock: Clock, walk: Walk) -> None:
        self._tagged = tagged
        self._sealer = sealer
        self._clock = clock
        self._walk = walk

    async def claim_all(self, version: int) -> int:
        """Claim the missing tags under ``version`` for every row, and prove that none is missing then.

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

    async def claim_one(self, store: str, name: str, version: int) -> list[Collision]:
        """Claim the missing tags under ``version`` for one row, by the name of its store of boxes and its own.

        Returns those that another holds.
        """
        collisions = []
        for one in self._tagged:
            row = await one.boxes.get(name) if one.boxes.name == store else None
            missing = await self._missing(one, [row], version) if row else []
            collisions += (await one.store.add_tags(missing, self._clock.now())).collisions
        return collisions

    async def drop(self, version: int) -> int:
        """Delete every tag under ``version``; return how many."""
        dropped = 0
        for one in self._tagged:
            self._walk.begin("deleting old index tags", (await one.store.tag_census()).get(version, 0))
            dropped += await self._walk.repeat(partial(one.store.drop_tags, version))
        return dropped

    async def _claim(self, version: int) -> Claimed:
        """Walk over all rows once and claim what is missing."""
        added, collisions = 0, []
        for one in self._tagged:
            self._walk.begin("claiming index tags", sum((await one.boxes.census()).values()))
            async for rows in self._walk.pages(one.boxes):
                missing = await self._missing(one, rows, version)
                if missing:
                    claimed = await one.store.add_tags(missing, self._clock.now())
                    added += claimed.added
                    collisions += claimed.collisions
        return Claimed(added, collisions)

    async def _missing(
        self, one: Tagged, rows: Sequence[SealedRow], version: int
    ) -> list[tuple[SealedRow, list[Tag]]]:
        """Return what each of these rows should hold under ``version`` and does not."""
        rows = [row for row in rows if row.name.startswith(one.prefix)]
        held = await one.store.tags_of([row.name for row in rows])
        found = []
        for row in rows:
            try:
                plaintext = self._sealer.open(one.boxes.purpose, row.name, row.box)
            except BoxError as error:
                await one.boxes.set_aside(row, error.code, self._clock.now())
                continue
            wanted = (tag for tag in one.wanted(plaintext) if tag.version == version)
            missing = [tag for tag in wanted if tag not in held.get(row.name, ())]
            if missing:
                found.append((row, missing))
        return found
