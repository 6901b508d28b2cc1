"""A clock that tests move."""


class FakeClock:
    """Stands still until told otherwise."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.time = now

    def now(self) -> int:
        """Return milliseconds since the epoch."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Move on (or back, with a negative number)."""
        self.time += int(seconds * 1000)
