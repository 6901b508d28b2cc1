"""The journal of rotations: who rotated what, when and with what outcome, also what is unfinished; and the report."""

import getpass
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from vault.clock import Clock
from vault.ports import RotationStore
from vault.records import Rotation

#: Entries that are searched for unfinished ones: years of rotations.
MOST_SEARCHED = 1000


@dataclass(slots=True)
class Report:
    """What a rotation of one line did. ``left`` tells, in sentences, what still asks for the operator."""

    line: str
    from_versions: list[int]
    to_version: int
    moved: dict[str, int] = field(default_factory=dict)
    verified: dict[str, int] = field(default_factory=dict)
    digest: str | None = None
    quarantine: int = 0
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)
    #: Files in whose unused parts pieces of old boxes may be left, because rewriting them stops writers for long.
    traces: list[str] = field(default_factory=list)


class Journal:
    """The journal of one vault."""

    def __init__(self, store: RotationStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def unfinished(self) -> dict[str, Rotation]:
        """Return the unfinished entry of each line that has one."""
        entries = await self._store.journal(MOST_SEARCHED)
        return {entry.line: entry for entry in reversed(entries) if entry.finished_at is None}

    async def begin(self, line: str, from_versions: Sequence[int]) -> Rotation:
        """Write down that a rotation begins."""
        by = f"{getpass.getuser()}@{platform.node()}"
        versions = " ".join(map(str, from_versions))
        return await self._store.write(Rotation(0, line, by, self._clock.now(), versions))

    async def aim(self, entry: Rotation, version: int) -> Rotation:
        """Write down to which version it goes."""
        return await self._store.write(replace(entry, to_version=version))

    async def end(
        self, entry: Rotation, outcome: str, counts: Mapping[str, object], digest: str | None, *, done: bool
    ) -> None:
        """Write down what came of it; with ``done`` False it stays unfinished, and the next run goes on with it."""
        await self._store.write(
            replace(
                entry,
                finished_at=self._clock.now() if done else None,
                outcome=outcome,
                counts=msgspec.json.encode(counts).decode(),
                digest=digest,
            )
        )
