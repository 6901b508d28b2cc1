"""Profiles: what their store promises."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from vault.ports.answers import AnswerKeeper, AnswerStore
from vault.ports.audit import Entry
from vault.ports.documents import Former
from vault.ports.tags import TaggedStore
from vault.records import ProfileRow, Tag


class NewProfile(NamedTuple):
    """A profile to insert, and the tags that must be its alone."""

    row: ProfileRow
    tags: tuple[Tag, ...]


class ProfileStore(AnswerStore, TaggedStore, Protocol):
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

        Returns one outcome a profile: None when inserted, "token" where there is a profile of that token, else the
        field of the first tag that is taken (both also by an earlier profile of the same batch). Tags owned by a
        profile that is no longer alive at ``now`` count as free and are taken over. In the same transaction are
        recorded the events that ``tell`` makes of each row and outcome, and, with a ``keeper``, its answer; if an
        unexpired answer under ``keeper.digest`` exists, nothing is inserted and ``AlreadyAnswered`` is raised.
        """
        ...

    async def find(self, token: str) -> ProfileRow | None:
        """Return the row, alive or not."""
        ...

    async def find_by_tag(self, tags: Sequence[Tag]) -> ProfileRow | None:
        """Return the row that owns any of these tags, alive or not."""
        ...

    async def replace(
        self,
        row: ProfileRow,
        tags: Sequence[Tag],
        expected_revision: int,
        entries: Sequence[Entry] = (),
        former: Former | None = None,
    ) -> bool:
        """Put ``row`` and exactly these tags in place of what is stored, if that still has ``expected_revision``.

        In the same transaction the events are recorded and the former versions become those of ``former``.
        False, and nothing changed, when the row is gone, is being erased, or has another revision.
        Raises ``Duplicate`` (nothing changed) when a tag belongs to another profile that is alive at
        ``row.updated_at``.
        """
        ...

    async def put_off(self, token: str, expires_at: int, now: int) -> None:
        """Let a profile that is alive at ``now`` and has an end have this one, unless it ends later already.

        Nothing else of it changes, its revision included.
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
        """Remove box, tags, the mark of erasure, the person's documents and the details of their events together.

        Absent is fine.
        """
        ...

    async def expired(self, now: int, limit: int) -> list[str]:
        """Return tokens of profiles with ``expires_at <= now``, the oldest first."""
        ...

    async def tokens(self, after: str, limit: int, now: int, offset: int = 0) -> list[str]:
        """Return up to ``limit`` tokens of profiles that are alive at ``now``, behind ``after``, in their order.

        The first ``offset`` of them are passed over.
        """
        ...

    async def count(self, now: int) -> int:
        """Count the profiles that are alive at ``now``."""
        ...
