"""How fast and how long: long work that gives way to the service beside it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from vault.clock import Clock
from vault.errors import OutOfTime


@dataclass(slots=True)
class Pace:
    """Rows a batch, rows a second (0: no bound), and the time (milliseconds since 1970) at which to stop."""

    clock: Clock
    batch: int = 100
    rate: int = 0
    until: int | None = None
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False)

    async def rest(self, rows: int, seconds: float) -> None:
        """Pause after a batch of ``rows`` that took ``seconds``, so that the rate is kept.

        Without a rate, only let others of this process run. Raises ``OutOfTime`` once the time has come.
        """
        if self.until is not None and self.clock.now() >= self.until:
            raise OutOfTime
        await self.pause(max(0.0, rows / self.rate - seconds) if self.rate else 0)
