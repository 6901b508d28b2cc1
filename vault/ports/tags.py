"""Blind-index tags: what every place that holds them promises, so that a rotation of the index line misses none."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from vault.records import SealedRow, Tag


class Collision(NamedTuple):
    """A tag that one row should hold and another does: both came in before the values were equal."""

    name: str
    field: str


class Claimed(NamedTuple):
    """What became of tags to be claimed: how many were, and which another row holds."""

    added: int
    collisions: list[Collision]


class TaggedStore(Protocol):
    """One table of tags. Each belongs to a sealed row, by its name, and is no other row's while that is alive."""

    async def add_tags(self, rows: Sequence[tuple[SealedRow, Sequence[Tag]]], now: int) -> Claimed:
        """Claim more tags for rows whose box is still that of the ``SealedRow``, in one transaction.

        A row that is not alive at ``now`` gets none: its tags may belong to another by now. What another living row
        holds stays with it and is reported.
        """
        ...

    async def tags_of(self, names: Sequence[str]) -> dict[str, set[Tag]]:
        """Return the tags that these rows hold, and nothing for those that hold none."""
        ...

    async def orphan_tags(self, limit: int) -> list[str]:
        """Return up to ``limit`` names that hold a tag and have no row: there are none, by every promise here."""
        ...

    async def tag_census(self) -> dict[int, int]:
        """Return how many tags there are under each index key version."""
        ...

    async def drop_tags(self, version: int, limit: int) -> int:
        """Delete up to ``limit`` tags of an index key version; return how many."""
        ...
