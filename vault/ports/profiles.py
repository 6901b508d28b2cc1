"""Profiles: what their store promises."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from vault.ports.answers import AnswerKeeper, AnswerStore
from vault.ports.audit import Entry
from vault.records import ProfileRow, SealedRow, Tag


class Collision(NamedTuple):
    """A tag that one profile should hold and another does: both came in before the values were equal."""

    name: str
    field: str


class Claimed(NamedTuple):
    """What became of tags to be claimed: how many were, and which another profile holds."""

    added: int
    collisions: list[Collision]


class NewProfile(NamedTuple):
    """A profile to insert, and the tags that must be its alone."""

    row: ProfileRow
    tags: tuple[Tag, ...]


class ProfileStore(AnswerStore, Protocol):
    """Sealed profiles and their tags."""

    async def insert(
        self,
        batch: Sequence[NewProfile],
        now: int,
        keeper: AnswerKeeper | None = None,
        tell: Callable[[ProfileRow, str | None], Entry] | None = None,
    ) -> list[str | None]:
        """Insert each profile whose tags are all free, in order, in one transaction; skip the others whole.

        The tags of a field come newest version first, as ``KeyStore.require`` wants them claimed.

        Returns one outcome a profile: None when inserted, else the field of the first tag that is taken
        (also by an earlier profile of the same batch). Tags owned by a profile that is no longer alive at
        ``now`` count as free and are taken over. In the same transaction are recorded the events that ``tell``
        makes of each row and outcome, and, with a ``keeper``, its answer; if an unexpired answer under
        ``keeper.digest`` exists, nothing is inserted and ``AlreadyAnswered`` is raised.
        """
        ...

    async def find(self, token: str) -> ProfileRow | None:
        """Return the row, alive or not."""
        ...

    async def find_by_tag(self, tags: Sequence[Tag]) -> ProfileRow | None:
        """Return the row that owns any of these tags, alive or not."""
        ...

    async def replace(
        self, row: ProfileRow, tags: Sequence[Tag], expected_revision: int, entries: Sequence[Entry] = ()
    ) -> bool:
        """Put ``row`` and exactly these tags in place of what is stored, if that still has ``expected_revision``.

        False, and nothing changed, when the row is gone, is being erased, or has another revision.
        Raises ``Duplicate`` (nothing changed) when a tag belongs to another profile that is alive at
        ``row.updated_at``.
        """
        ...

    async def note_erasure(self, token: str, now: int, entries: Sequence[Entry] = ()) -> bool:
        """Durably mark the profile as being erased. True if it exists (also if it was marked before).

        Only the first mark records the entries.
        """
        ...

    async def unfinished_erasures(self, limit: int) -> list[str]:
        """Return tokens that are marked as being erased."""
        ...

    async def delete(self, token: str) -> None:
        """Remove box, tags, the mark of erasure and the details of the person's events together. Absent is fine."""
        ...

    async def expired(self, now: int, limit: int) -> list[str]:
        """Return tokens of profiles with ``expires_at <= now``, the oldest first."""
        ...

    async def tokens(self, after: str, limit: int, now: int) -> list[str]:
        """Return up to ``limit`` tokens of profiles that are alive at ``now``, behind ``after``, in their order."""
        ...

    async def add_tags(self, rows: Sequence[tuple[SealedRow, Sequence[Tag]]], now: int) -> Claimed:
        """Claim more tags for profiles whose box is still that of the row, in one transaction.

        A profile that is not alive at ``now`` gets none: its tags may belong to another by now. What another
        living profile holds stays with it and is reported.
        """
        ...

    async def tags_of(self, tokens: Sequence[str]) -> dict[str, set[Tag]]:
        """Return the tags that these profiles hold, and nothing for those that hold none."""
        ...

    async def orphan_tags(self, limit: int) -> list[str]:
        """Return up to ``limit`` tokens that hold a tag and have no profile: there are none, by every promise here."""
        ...

    async def tag_census(self) -> dict[int, int]:
        """Return how many tags there are under each index key version."""
        ...

    async def drop_tags(self, version: int, limit: int) -> int:
        """Delete up to ``limit`` tags of an index key version; return how many."""
        ...
