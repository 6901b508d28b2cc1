"""Emergency: a key version is in the wrong hands. Nothing more is sealed under it, and its rows go first."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from vault.audit import PAGE, Audit
from vault.clock import Clock
from vault.crypto.keyring import KeyState
from vault.custody import Custody
from vault.errors import KeyMoveRefused, NoSuchKey
from vault.journal import Report
from vault.ports import Stores, Wanted
from vault.progress import Progress, counted
from vault.records import Event
from vault.rotation import Rotations

#: Sessions that are ended in one transaction.
CHUNK = 500

#: A time at which no session is alive any more, in milliseconds (the year 10889): purging as of then ends them all.
_END_OF_TIME = 1 << 48


@dataclass(frozen=True, slots=True)
class Exposure:
    """What whoever holds the key could open: rows by store at the moment of the call; times in milliseconds."""

    line: str
    version: int
    rows: dict[str, int]
    since: int
    compromised_at: int
    sessions_ended: int
    rotation: Report | None


class Compromise:
    """Deals with a stolen key of one vault."""

    def __init__(
        self,
        custody: Custody,
        stores: Stores,
        audit: Audit,
        rotations: Rotations,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._custody = custody
        self._stores = stores
        self._audit = audit
        self._rotations = rotations
        self._clock = clock
        self._progress = progress

    async def tokens(self, version: int, batch: int = 1000) -> list[str]:
        """Return the user tokens of all profiles that are under a data key version: whom to tell."""
        (profiles,) = (store for store in self._stores.sealed if store.name == "profiles")
        found: list[str] = []
        after: int | bytes | None = None
        while rows := await profiles.page(after, batch, version):
            found += [row.name for row in rows]
            after = rows[-1].cursor
        return found

    async def openings(self, version: int) -> AsyncIterator[Event]:
        """Yield each event by which a profile that was under a data key version was opened, the oldest first."""
        after = 0
        while events := await self._audit.events(Wanted(revealed_version=version), after, PAGE):
            for event in events:
                yield event
            after = events[-1].sequence

    async def exposure(self, line: str, version: int) -> Exposure:
        """Return what whoever holds the key could open now. Raises ``NoSuchKey``."""
        key = self._custody.keyring.get(line, version)
        if key is None:
            raise NoSuchKey(f"There is no version {version} of line '{line}'.")
        rows = (await self._custody.census(line))[version]
        return Exposure(line, version, rows, key.created_at, self._clock.now(), 0, None)

    async def compromise(self, line: str, version: int, *, end_sessions: bool) -> Exposure:
        """Stop sealing under the version, re-seal its rows, disable it; end every session if asked.

        Raises ``NoSuchKey``, ``KeyMoveRefused`` for a version that is destroyed already.
        """
        async with self._custody.claim(f"emergency: version {version} of line {line}"):
            exposed = await self.exposure(line, version)
            await self._stop_writing(line, version)
            record = await self._custody.record(line, version)
            if record.compromised_at is None:  # the first time is when it was known
                told = self._custody.event("key.compromised", line, version)
                await self._custody.note(line, version, told, compromised_at=exposed.compromised_at)
        ended = await self._end_sessions() if end_sessions else 0
        unfinished = (KeyState.PENDING, KeyState.RETIRING)
        report = None
        if any(key.state in unfinished for key in self._custody.keyring.of_line(line)):
            report = await self._rotations.rotate(line, stolen=version)
        structlog.get_logger().warning("keys.compromised", count=sum(exposed.rows.values()))
        return Exposure(line, version, exposed.rows, exposed.since, exposed.compromised_at, ended, report)

    async def _stop_writing(self, line: str, version: int) -> None:
        """Put another version in its place at once. Processes that have not loaded it learn at their next write:
        the fence refuses it and they look."""
        keyring = self._custody.keyring
        key = keyring.get(line, version)
        assert key is not None  # noqa: S101 - exposure has looked
        if key.state is KeyState.DESTROYED:
            raise KeyMoveRefused(
                f"Version {version} of line '{line}' is destroyed: it opens nothing any more."
            )
        if key.state is KeyState.PENDING:
            await self._custody.disable(line, version)
        elif key.state is KeyState.ACTIVE:
            pending = next((k for k in keyring.of_line(line) if k.state is KeyState.PENDING), None)
            successor = pending or await self._custody.add(line)
            # An index version is active only when every profile has its tags: the rotation sees to it.
            if line != "index":
                await self._custody.activate(line, successor.version)
                self._progress.did(f"version {successor.version} of line {line} is active")
        if line in ("data", "audit"):
            await self._custody.close(line, version)
            self._progress.did(f"nothing more is written under version {version}, by any process")

    async def _end_sessions(self) -> int:
        ended = 0
        while count := await self._stores.sessions.purge(_END_OF_TIME, CHUNK):
            ended += count
            await self._custody.renew()
        if ended:
            told = {"reason": "compromise", "count": ended}
            await self._audit.record(self._audit.event("session.revoked", None, told))
        self._progress.did(f"{counted(ended, 'session is', 'sessions are')} ended")
        return ended
