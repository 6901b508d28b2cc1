"""The audit trail."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from vault.budget import DAY, HOUR, STEPS, wait_in
from vault.errors import BudgetSpent
from vault.ports import Entry, Wanted
from vault.records import ERASURES, Allowance, Checkpoint, End, Event, SealedRow
from vault.stores.memory.fence import Fence
from vault.stores.memory.sealed import Boxes


class MemoryAudit:
    """Events in a list, their details, the end and the checkpoints."""

    def __init__(self, fence: Fence) -> None:
        self.trail: list[Event] = []
        self.details: dict[str, SealedRow] = {}
        self._end: End | None = None
        self._checkpoints: list[Checkpoint] = []
        self._opened: defaultdict[tuple[str, int], Counter[int]] = defaultdict(Counter)
        self._fence = fence

    async def append(self, entries: Sequence[Entry], allowance: Allowance | None = None) -> None:
        """Count, then record."""
        if allowance is None:
            self.record(entries)
            return
        bounds = [
            (span, n) for span, n in ((HOUR, allowance.per_hour), (DAY, allowance.per_day)) if n is not None
        ]
        waits = [
            wait_in(self._opened[allowance.key_id, span], allowance, span, bound) for span, bound in bounds
        ]
        if any(waits):
            raise BudgetSpent(max(waits))
        self.record(entries)
        for span, _ in bounds:
            self._opened[allowance.key_id, span][allowance.now // (span // STEPS)] += allowance.opens

    def record(self, entries: Sequence[Entry]) -> None:
        """Put events at the end of the trail: all, or none if a key version of theirs is closed."""
        end, linked = self._end, []
        for entry in entries:
            linked.append(entry.linked(end))
            end = linked[-1].end
            self._fence.check_mac(linked[-1].event.mac_version)
            if linked[-1].details:
                self._fence.check_box(linked[-1].details.key_version)
        for event, details, _, checkpoint in linked:
            self.trail.append(event)
            if details and not self._is_erased(event.user_token):
                self.details[details.name] = details
            if checkpoint:
                self._checkpoints.append(Checkpoint(event.sequence, checkpoint))
        self._end = end

    async def end(self) -> End | None:
        """Return the end."""
        return self._end

    async def events(self, wanted: Wanted, after: int, limit: int, offset: int = 0) -> list[Event]:
        """Scan."""
        return list(islice(self._found(wanted, after), offset, offset + limit))

    async def count(self, wanted: Wanted) -> int:
        """Scan."""
        return sum(1 for _ in self._found(wanted, 0))

    def _found(self, wanted: Wanted, after: int) -> Iterator[Event]:
        return (
            event
            for event in self.trail
            if event.sequence > after
            and wanted.user_token in (None, event.user_token)
            and wanted.actor in (None, event.actor)
            and wanted.action in (None, event.action)
            and (wanted.since is None or event.at >= wanted.since)
            and (wanted.until is None or event.at < wanted.until)
            and wanted.revealed_version in (None, event.revealed_version)
        )

    async def checkpoint(self, sign: Callable[[End], str]) -> Checkpoint | None:
        """Sign the end, once."""
        if self._end is None:
            return None
        if not self._checkpoints or self._checkpoints[-1].sequence != self._end.sequence:
            self._checkpoints.append(Checkpoint(self._end.sequence, sign(self._end)))
        return self._checkpoints[-1]

    async def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        """Scan."""
        return [one for one in self._checkpoints if one.sequence > after][:limit]

    async def events_under(self, mac_version: int, after: int, limit: int) -> list[Event]:
        """Scan."""
        found = (one for one in self.trail if one.mac_version == mac_version and one.sequence > after)
        return list(islice(found, limit))

    async def link_of(self, sequence: int) -> bytes | None:
        """Take it from its place."""
        return self.trail[sequence - 1].link if 0 < sequence <= len(self.trail) else None

    async def put_macs(self, changes: Sequence[tuple[Event, bytes, int]]) -> int:
        """Compare each MAC and swap it."""
        swapped = 0
        for event, mac, version in changes:
            if self.trail[event.sequence - 1].mac == event.mac:
                self.trail[event.sequence - 1] = replace(event, mac=mac, mac_version=version)
                swapped += 1
        return swapped

    async def census(self) -> dict[int, int]:
        """Count."""
        return dict(Counter(event.mac_version for event in self.trail))

    def forget_details(self, user_token: str) -> None:
        """Delete what is sealed of a person's events."""
        for event in self.trail:
            if event.user_token == user_token:
                self.details.pop(str(event.sequence), None)

    def detail_boxes(self) -> Boxes:
        """Show the details as boxes."""
        return Boxes(
            lambda: list(self.details.values()),
            lambda row: self.details.__setitem__(row.name, row),
            lambda name: self.details.pop(name, None),
        )

    def _is_erased(self, user_token: str | None) -> bool:
        """Whether this was a person, who is gone."""
        return user_token is not None and any(
            event.user_token == user_token and event.action in ERASURES for event in self.trail
        )
