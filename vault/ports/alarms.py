"""Honey tokens and the alarms they raise: what their store promises."""

import builtins
from collections.abc import Sequence
from typing import Protocol

from vault.ports.audit import Entry
from vault.records import HoneyToken


class AlarmStore(Protocol):
    """Honey tokens by user token, and the alarms that are still to be delivered."""

    async def plant(self, honey: HoneyToken, entries: Sequence[Entry]) -> None:
        """Add a honey token, or put this in place of what was said of it before, and record the events."""
        ...

    async def remove(self, token: str, entries: Sequence[Entry]) -> bool:
        """Forget a honey token and record the events; True if there was one, else nothing is done."""
        ...

    async def planted(self, token: str) -> HoneyToken | None:
        """Return what is said of this honey token, None for any other profile. Called at every reveal."""
        ...

    async def list(self) -> list[HoneyToken]:
        """Return all, the oldest first."""
        ...

    async def ring(self, alarm: Entry) -> None:
        """Record the event, and note that it is to be delivered: both together."""
        ...

    async def undelivered(self, limit: int) -> builtins.list[int]:
        """Return the sequences of alarms that nobody has heard of, the oldest first."""
        ...

    async def delivered(self, sequence: int, now: int) -> None:
        """Note that an alarm was heard."""
        ...
