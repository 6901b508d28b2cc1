"""What a store promises. The docstrings are the contract; tests/stores/ runs one suite over every back-end.

Common to all methods: an acknowledged write is durable (it survives SIGKILL and power loss, except in the
memory back-end); a call either happens whole or not at all; a cancelled call leaves no transaction open;
``StoreUnavailable`` is raised when the technology fails, and never a driver's own error. Stores judge
liveness only where atomicity needs it, with the ``now`` they are given; everything else is floor 5's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from vault.errors import VaultError
from vault.records import AccessKeyRow, KeptAnswer, KeyRecord, ProfileRow, SessionRow, Tag


class NewProfile(NamedTuple):
    """A profile to insert, and the tags that must be its alone."""

    row: ProfileRow
    tags: tuple[Tag, ...]


class AnswerKeeper(Protocol):
    """Makes the answer that is kept with an idempotent write, once the outcome is known."""

    @property
    def digest(self) -> bytes:
        """32 bytes that stand for caller, call and Idempotency-Key."""
        ...

    def keep(self, outcomes: Sequence[str | None]) -> KeptAnswer | None:
        """Seal the answer, or return None to keep none. Called inside the transaction; must not do I/O."""
        ...


class AlreadyAnswered(VaultError):
    """The same request was answered before."""

    code = "already_answered"

    def __init__(self, kept: KeptAnswer) -> None:
        super().__init__()
        self.kept = kept


class AnswerStore(Protocol):
    """Kept answers. Both stores are one, because an answer is written in the transaction of its write."""

    async def kept_answer(self, digest: bytes, now: int) -> KeptAnswer | None:
        """Return the unexpired answer under this digest."""
        ...

    async def purge_answers(self, now: int, limit: int) -> int:
        """Delete up to ``limit`` answers with ``expires_at <= now``; return how many."""
        ...


class ProfileStore(AnswerStore, Protocol):
    """Sealed profiles and their tags."""

    async def insert(
        self, batch: Sequence[NewProfile], now: int, keeper: AnswerKeeper | None = None
    ) -> list[str | None]:
        """Insert each profile whose tags are all free, in order, in one transaction; skip the others whole.

        Returns one outcome a profile: None when inserted, else the field of the first tag that is taken
        (also by an earlier profile of the same batch). Tags owned by a profile that is no longer alive at
        ``now`` count as free and are taken over. With a ``keeper`` its answer is stored in the same
        transaction; if an unexpired answer under ``keeper.digest`` exists, nothing is inserted and
        ``AlreadyAnswered`` is raised.
        """
        ...

    async def find(self, token: str) -> ProfileRow | None:
        """Return the row, alive or not."""
        ...

    async def find_by_tag(self, tags: Sequence[Tag]) -> ProfileRow | None:
        """Return the row that owns any of these tags, alive or not."""
        ...

    async def replace(self, row: ProfileRow, tags: Sequence[Tag], expected_revision: int) -> bool:
        """Put ``row`` and exactly these tags in place of what is stored, if that still has ``expected_revision``.

        False, and nothing changed, when the row is gone, is being erased, or has another revision.
        Raises ``Duplicate`` (nothing changed) when a tag belongs to another profile that is alive at
        ``row.updated_at``.
        """
        ...

    async def note_erasure(self, token: str, now: int) -> bool:
        """Durably mark the profile as being erased. True if it exists (also if it was marked before)."""
        ...

    async def unfinished_erasures(self, limit: int) -> list[str]:
        """Return tokens that are marked as being erased."""
        ...

    async def delete(self, token: str) -> None:
        """Remove box, tags and the mark of erasure together. Absent is fine."""
        ...

    async def expired(self, now: int, limit: int) -> list[str]:
        """Return tokens of profiles with ``expires_at <= now``, the oldest first."""
        ...

    async def census(self) -> dict[int, int]:
        """Return how many profile boxes there are under each data key version."""
        ...


class SessionStore(AnswerStore, Protocol):
    """Sessions and the persons' epochs. Only ``insert`` adds a row; all else is a conditional update."""

    async def epoch(self, user_token: str) -> int | None:
        """Return the person's epoch (0 if never bumped), or None when it is closed for good."""
        ...

    async def insert(
        self,
        row: SessionRow,
        limit: int,
        at_limit: Literal["end_oldest", "refuse"],
        now: int,
        keeper: AnswerKeeper | None = None,
    ) -> int:
        """Insert the session if the person's epoch still equals ``row.epoch`` and is not closed.

        Returns how many of the person's other sessions were ended to make room.

        ``limit`` bounds the person's live sessions (0: no bound; a session without a person has none),
        counted and enforced in the same transaction. Raises ``SessionNotFound`` when the epoch has moved or is
        closed, ``SessionLimit`` at the limit if it is to refuse, ``AlreadyAnswered`` as ProfileStore.insert.
        """
        ...

    async def find(self, digest: bytes) -> SessionRow | None:
        """Return the row, alive or not. The hot path."""
        ...

    async def touch(self, digest: bytes, now: int) -> SessionRow | None:
        """Slide the idle window of a session that is alive at ``now``, in one statement.

        Sets ``last_seen_at = now`` and ``idle_expires_at = min(now + idle_timeout, expires_at)``; returns the
        row after that, or None if it is not alive.
        """
        ...

    async def change_box(self, row: SessionRow, box: bytes, key_version: int, now: int) -> bool:
        """Put a new box into a live session if its box is still ``row.box`` (compare and swap)."""
        ...

    async def rotate(self, old: SessionRow, new: SessionRow, now: int) -> bool:
        """Put ``new`` in the place of ``old``, which is alive at ``now`` and whose box is unchanged.

        ``new`` differs from ``old`` in digest, box, key version, authentication, last sight and ends; all else
        stays. The old digest is dead at once, and of concurrent calls with one ``old`` exactly one is True.
        """
        ...

    async def revoke(self, digest: bytes) -> SessionRow | None:
        """Delete the session; return what was deleted."""
        ...

    async def revoke_handle(self, handle: str, user_token: str | None = None) -> bool:
        """Delete the session with this public handle. True if there was one."""
        ...

    async def revoke_all(self, user_token: str, keep_handle: str | None, now: int) -> None:
        """Bump the person's epoch and delete the person's sessions, in one transaction.

        One with ``keep_handle`` is carried into the new epoch. What is being opened with the older epoch is
        refused by its own ``insert``.
        """
        ...

    async def close(self, user_token: str, now: int) -> None:
        """Close the person's epoch for good and delete the person's sessions, in one transaction."""
        ...

    async def live_of(self, user_token: str, now: int, limit: int) -> list[SessionRow]:
        """Return the person's sessions that are alive at ``now``, the newest first."""
        ...

    async def count_live(self, now: int) -> int:
        """Return how many sessions are alive at ``now``."""
        ...

    async def purge(self, now: int, limit: int) -> int:
        """Delete up to ``limit`` sessions that are not alive at ``now``; return how many."""
        ...

    async def census(self) -> dict[int, int]:
        """Return how many session boxes there are under each data key version."""
        ...


class AccessStore(Protocol):
    """Access keys, by id."""

    async def insert(self, row: AccessKeyRow) -> None:
        """Add an access key; its id is new."""
        ...

    async def find(self, key_id: str) -> AccessKeyRow | None:
        """Return the key, alive or not. Called in the hot path."""
        ...

    async def list(self) -> list[AccessKeyRow]:
        """Return all keys, the oldest first."""
        ...

    async def revoke(self, key_id: str, now: int) -> bool:
        """Mark the key as revoked. True if it exists (also if it was revoked before)."""
        ...


class KeyStore(Protocol):
    """What the database knows of key versions, apart from the keyring."""

    async def known(self) -> list[KeyRecord]:
        """Return every key version that was ever made known."""
        ...

    async def insert(self, record: KeyRecord) -> None:
        """Make a key version known. The same (line, version) twice changes nothing."""
        ...

    async def versions_in_use(self) -> dict[str, set[int]]:
        """Return, by line, every key version that some stored row needs, over all stores."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one vault."""

    profiles: ProfileStore
    sessions: SessionStore
    access: AccessStore
    keys: KeyStore
    housekeeping: "StoreHousekeeping"


class StoreHousekeeping(Protocol):
    """Chores of the technology itself."""

    async def ping(self) -> None:
        """Prove that the store can be read, or raise ``StoreUnavailable``."""
        ...

    async def shred(self) -> None:
        """Make deleted bytes physically gone from the files (a WAL's old frames), where that can be done."""
        ...

    async def check(self) -> list[str]:
        """Return what is wrong with the files, in sentences that say how to mend it; empty if nothing is."""
        ...
