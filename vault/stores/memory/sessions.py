"""Sessions and epochs."""

from typing import Literal

from msgspec.structs import replace

from vault.errors import Conflict, SessionLimit, SessionNotFound
from vault.ports import AnswerKeeper
from vault.records import SealedRow, SessionRow
from vault.stores.memory.answers import MemoryAnswers, drop
from vault.stores.memory.fence import Fence
from vault.stores.memory.sealed import Boxes

_CLOSED = -1


class MemorySessions(MemoryAnswers):
    """Sessions by digest, and the persons' epochs (absent: 0)."""

    def __init__(self, fence: Fence) -> None:
        super().__init__(fence)
        self.sessions: dict[bytes, SessionRow] = {}
        self.epochs: dict[str, int] = {}

    async def epoch(self, user_token: str) -> int | None:
        """Look the epoch up."""
        epoch = self._epoch(user_token)
        return None if epoch == _CLOSED else epoch

    async def insert(
        self,
        row: SessionRow,
        limit: int,
        at_limit: Literal["end_oldest", "refuse"],
        now: int,
        keeper: AnswerKeeper | None = None,
        replacing: str | None = None,
    ) -> int:
        """Check the handle, the epoch, then the limit, then insert."""
        self._refuse_repeat(keeper, now)
        replaced = None if replacing is None else self._of_handle(replacing)
        is_gone = replacing is not None and replaced is None
        if is_gone or self.sessions.get(row.digest) not in (None, replaced):
            raise Conflict
        epoch = self._epoch(row.user_token)
        if epoch == _CLOSED or epoch != row.epoch:
            raise SessionNotFound
        self._fence.check_box(row.key_version)
        surplus = self._surplus(row.user_token, limit, now, replaced)
        if surplus and at_limit == "refuse":
            raise SessionLimit
        self._keep(self._answer(keeper, [None]))
        for oldest in surplus:
            del self.sessions[oldest.digest]
        if replaced:
            del self.sessions[replaced.digest]
        self.sessions[row.digest] = row
        return len(surplus)

    async def find(self, digest: bytes) -> SessionRow | None:
        """Look the session up."""
        return self.sessions.get(digest)

    async def touch(self, digest: bytes, now: int) -> SessionRow | None:
        """Slide the idle window, never past the end."""
        row = self.sessions.get(digest)
        if row is None or not row.is_alive(now):
            return None
        ends = min(now + row.idle_timeout, row.expires_at)
        touched = self.sessions[digest] = replace(row, last_seen_at=now, idle_expires_at=ends)
        return touched

    async def change_box(self, row: SessionRow, box: bytes, key_version: int, now: int) -> bool:
        """Compare the box, then swap it."""
        stored = self._unchanged(row, now)
        if stored is None:
            return False
        self._fence.check_box(key_version)
        self.sessions[row.digest] = replace(stored, box=box, key_version=key_version)
        return True

    async def rotate(self, old: SessionRow, new: SessionRow, now: int) -> bool:
        """Compare the box, then swap the rows. The epoch is the stored one: it may have been carried on."""
        stored = self._unchanged(old, now)
        if stored is None:
            return False
        self._fence.check_box(new.key_version)
        del self.sessions[old.digest]
        self.sessions[new.digest] = replace(new, epoch=stored.epoch)
        return True

    async def revoke(self, digest: bytes) -> SessionRow | None:
        """Remove the session, alive or not."""
        return self.sessions.pop(digest, None)

    async def revoke_handle(self, handle: str, user_token: str | None = None) -> SessionRow | None:
        """Scan for the handle; another person's session stays."""
        row = self._of_handle(handle)
        return self.sessions.pop(row.digest) if row and user_token in (None, row.user_token) else None

    async def revoke_all(self, user_token: str, keep_handle: str | None, now: int) -> None:
        """Bump the epoch, unless it is closed, and remove all sessions but the kept one."""
        epoch = self._epoch(user_token)
        if epoch == _CLOSED:
            return
        self.epochs[user_token] = epoch + 1
        kept = [row for row in self._live_of(user_token, now) if row.handle == keep_handle]
        self._drop_all_of(user_token)
        for row in kept:
            self.sessions[row.digest] = replace(row, epoch=epoch + 1)

    async def close(self, user_token: str, now: int) -> None:
        """Close the epoch and remove the sessions."""
        self.epochs[user_token] = _CLOSED
        self._drop_all_of(user_token)

    async def closed(self, after: str, limit: int) -> list[str]:
        """Sort the closed."""
        closed = (token for token, epoch in self.epochs.items() if epoch == _CLOSED and token > after)
        return sorted(closed)[:limit]

    async def persons(self, after: str, now: int, limit: int) -> list[str]:
        """Scan."""
        found = {row.user_token for row in self.sessions.values() if row.user_token and row.is_alive(now)}
        return sorted(token for token in found if token > after)[:limit]

    async def live_of(self, user_token: str, now: int, limit: int) -> list[SessionRow]:
        """Scan for the person's sessions."""
        live = sorted(self._live_of(user_token, now), key=lambda row: row.created_at, reverse=True)
        return live[:limit]

    async def count_live(self, now: int) -> int:
        """Count what has not expired."""
        return sum(now < row.idle_expires_at for row in self.sessions.values())

    async def purge(self, now: int, limit: int) -> int:
        """Scan for dead sessions."""
        dead = (digest for digest, row in self.sessions.items() if not row.is_alive(now))
        return drop(self.sessions, dead, limit)

    def session_boxes(self) -> Boxes:
        """Show the sessions as boxes."""

        def put(row: SealedRow) -> None:
            assert isinstance(row.cursor, bytes)  # noqa: S101 - it is the digest
            stored = self.sessions[row.cursor]
            self.sessions[row.cursor] = replace(stored, box=row.box, key_version=row.key_version)

        def dropped(name: str) -> None:
            drop(self.sessions, [digest for digest, row in self.sessions.items() if row.handle == name])

        return Boxes(
            lambda: [SealedRow(r.handle, r.digest, r.box, r.key_version) for r in self.sessions.values()],
            put,
            dropped,
        )

    def _epoch(self, user_token: str | None) -> int:
        return self.epochs.get(user_token, 0) if user_token else 0

    def _of_handle(self, handle: str) -> SessionRow | None:
        return next((row for row in self.sessions.values() if row.handle == handle), None)

    def _unchanged(self, row: SessionRow, now: int) -> SessionRow | None:
        """Return what is stored of ``row``, if it is alive and still has its box."""
        stored = self.sessions.get(row.digest)
        return stored if stored and stored.is_alive(now) and stored.box == row.box else None

    def _live_of(self, user_token: str, now: int) -> list[SessionRow]:
        theirs = (row for row in self.sessions.values() if row.user_token == user_token)
        return [row for row in theirs if row.is_alive(now)]

    def _drop_all_of(self, user_token: str) -> None:
        drop(self.sessions, [digest for digest, row in self.sessions.items() if row.user_token == user_token])

    def _surplus(
        self, user_token: str | None, limit: int, now: int, replaced: SessionRow | None
    ) -> list[SessionRow]:
        """Return the live sessions that leave no room for one more: those seen longest ago."""
        if not user_token or not limit:
            return []
        others = [row for row in self._live_of(user_token, now) if row is not replaced]
        live = sorted(others, key=lambda row: row.last_seen_at)
        return live[: max(0, len(live) - limit + 1)]
