"""How much there was of each in the last while: leaky buckets, in memory, under a clock that is handed in.

A bucket holds ``per_minute`` and drains at that pace, so that many pass at once, and then one each minute's part.
docs/decisions/0016-rate-limits.md says why.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

MINUTE = 60_000

#: Buckets that are kept, about 300 bytes each; the one unused for the longest makes room.
MOST_BUCKETS = 20_000


class Taken(NamedTuple):
    """What became of one more. ``wait`` is milliseconds until there is room for it: 0, it was taken.

    ``held`` is how many the bucket holds now. ``first`` marks the first overrun that it has noted within a minute.
    """

    wait: int
    held: int
    first: bool = False


@dataclass(slots=True)
class _Bucket:
    at: int
    #: What it holds, in 1/MINUTE: whole numbers alone, so that nothing is lost to rounding.
    level: int = 0
    noted_at: int | None = None


class Rates:
    """Buckets by name, of one process. ``most`` bounds how many."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._buckets: dict[Hashable, _Bucket] = {}

    def take(self, name: Hashable, per_minute: int, now: int) -> Taken:
        """Put one more into the bucket of this name, if there is room. ``now`` is milliseconds."""
        bucket = self._buckets.pop(name, None) or _Bucket(now)
        self._buckets[name] = bucket  # the last to go
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        # A clock that steps back drains nothing, and does not lock the name out until it has caught up.
        bucket.level = max(0, bucket.level - max(0, now - bucket.at) * per_minute)
        bucket.at = now
        over = bucket.level + MINUTE - per_minute * MINUTE
        if over <= 0:
            bucket.level += MINUTE
            return Taken(0, -(-bucket.level // MINUTE))
        first = bucket.noted_at is None or not 0 <= now - bucket.noted_at < MINUTE
        if first:
            bucket.noted_at = now
        return Taken(-(-over // per_minute), -(-bucket.level // MINUTE), first)
