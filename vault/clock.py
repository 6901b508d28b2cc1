"""Time, as the rest of the vault sees it: one call, handed in, so that tests can move it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Whoever knows what time it is."""

    def now(self) -> int:
        """Return the time as whole milliseconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The machine's wall clock.

    Expiry is always our own comparison with this clock (no timers of a database or a cookie), and every
    deadline is stored as an absolute time, so a clock that steps by N seconds moves a deadline by at most N.
    """

    def now(self) -> int:
        """Return milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000
