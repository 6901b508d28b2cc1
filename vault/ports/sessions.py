"""Sessions: what their store promises."""

from typing import Literal, Protocol

from vault.ports.answers import AnswerKeeper, AnswerStore
from vault.records import SessionRow


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
        replacing: str | None = None,
    ) -> int:
        """Insert the session if the person's epoch still equals ``row.epoch`` and is not closed.

        Returns how many of the person's other sessions were ended to make room.

        ``limit`` bounds the person's live sessions (0: no bound; a session without a person has none),
        counted and enforced in the same transaction. Raises ``SessionNotFound`` when the epoch has moved or is
        closed, ``SessionLimit`` at the limit if it is to refuse, ``AlreadyAnswered`` as ProfileStore.insert.

        The session with the handle ``replacing``, alive or not, is deleted in the same transaction, and is not one
        of those ended to make room. Raises ``Conflict`` where it is not there, or the digest is another session's.
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

        ``new`` differs from ``old`` in digest, box, key version, durations, authentication, last sight and ends;
        all else stays. The old digest is dead at once, and of concurrent calls with one ``old`` exactly one is True.
        """
        ...

    async def revoke(self, digest: bytes) -> SessionRow | None:
        """Delete the session; return what was deleted."""
        ...

    async def revoke_handle(self, handle: str, user_token: str | None = None) -> SessionRow | None:
        """Delete the session with this public handle; return what was deleted."""
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

    async def closed(self, after: str, limit: int) -> list[str]:
        """Return up to ``limit`` user tokens behind ``after`` ("": from the first) whose epoch is closed, in order."""
        ...

    async def persons(self, after: str, now: int, limit: int) -> list[str]:
        """Return up to ``limit`` people behind ``after`` ("": from the first) who have a live session, in order."""
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
