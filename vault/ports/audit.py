"""The audit trail: what its store promises."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from vault.records import Allowance, Checkpoint, End, Event, Linked


class Entry(Protocol):
    """An event that waits for its place in the trail."""

    def linked(self, end: End | None) -> Linked:
        """Return the event behind this end (None: the first). Called inside the transaction; must not do I/O."""
        ...


class Wanted(NamedTuple):
    """Which events: those that have all of these. None: any."""

    user_token: str | None = None
    actor: str | None = None
    action: str | None = None
    since: int | None = None
    until: int | None = None
    revealed_version: int | None = None


class AuditStore(Protocol):
    """Events in the order of their sequence, without a gap; their details; checkpoints.

    Acts on profiles, keys and access take entries along, and record them in their own transaction.
    """

    async def append(self, entries: Sequence[Entry], allowance: Allowance | None = None) -> None:
        """Record events, in one transaction.

        With an ``allowance`` its ``opens`` are counted as well; raises ``BudgetSpent``, and records nothing, when
        they are more than its bounds leave. The windows slide in steps of a sixtieth.
        """
        ...

    async def end(self) -> End | None:
        """Return the end as it is noted, apart from the events; None before the first."""
        ...

    async def events(self, wanted: Wanted, after: int, limit: int, offset: int = 0) -> list[Event]:
        """Return up to ``limit`` events behind the sequence ``after``, in order, but for the first ``offset``."""
        ...

    async def count(self, wanted: Wanted) -> int:
        """Return how many events there are."""
        ...

    async def checkpoint(self, sign: Callable[[End], str]) -> Checkpoint | None:
        """Have the end signed, unless the last checkpoint is of it; return that checkpoint, None before any event."""
        ...

    async def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        """Return up to ``limit`` checkpoints of events behind ``after``, in order."""
        ...

    async def events_under(self, mac_version: int, after: int, limit: int) -> list[Event]:
        """Return up to ``limit`` events whose MAC is of this version, behind the sequence ``after``, in order."""
        ...

    async def link_of(self, sequence: int) -> bytes | None:
        """Return the link of one event."""
        ...

    async def put_macs(self, changes: Sequence[tuple[Event, bytes, int]]) -> int:
        """Put a new MAC and its version on each event whose MAC is still that of the ``Event``; return how many."""
        ...

    async def census(self) -> dict[int, int]:
        """Return how many events have a MAC of each version."""
        ...
