"""The sweep of the audit line: puts MACs under another key on events whose link and MAC hold.

The chain itself does not change, so what checkpoints have signed stays as it was.
"""

from collections.abc import Sequence
from typing import NamedTuple

from vault.crypto.chain import GENESIS, Chain, Mac, link
from vault.crypto.keyring import Keyring
from vault.errors import BoxError
from vault.ports import AuditStore
from vault.records import Event
from vault.walk import Walk


class Remade(NamedTuple):
    """How many events have a new MAC, and how many were left because they do not hold."""

    moved: int
    broken: int


class Remac:
    """Renews the MACs of one vault's events, under its keyring's active key."""

    def __init__(self, store: AuditStore, keyring: Keyring, tenant: str, walk: Walk) -> None:
        self._store = store
        self._keyring = keyring
        self._tenant = tenant
        self._walk = walk

    async def renew(self, versions: Sequence[int], keyring: Keyring | None = None) -> Remade:
        """Renew every MAC of these versions. ``keyring`` may be one that still opens what the vault's does not."""
        old, new = Chain(keyring or self._keyring, self._tenant), Chain(self._keyring, self._tenant)
        census = await self._store.census()
        self._walk.begin("renewing the MACs of events", sum(census.get(version, 0) for version in versions))
        moved = broken = 0
        for version in versions:
            after = 0

            async def batch(rows: int, version: int = version) -> int:
                nonlocal moved, broken, after
                events = await self._store.events_under(version, after, rows)
                holding = await self._holding(events, old)
                moved += await self._store.put_macs([(event, *new.mac(event.link)) for event in holding])
                broken += len(events) - len(holding)
                after = events[-1].sequence if events else after
                return len(events)

            await self._walk.repeat(batch)
        return Remade(moved, broken)

    async def _holding(self, events: Sequence[Event], chain: Chain) -> list[Event]:
        """Return the events that are what they were when they were recorded, as far as can be told one by one."""
        holding = []
        before: Event | None = None
        for event in events:
            if before is not None and before.sequence == event.sequence - 1:
                previous: bytes | None = before.link
            else:
                previous = GENESIS if event.sequence == 1 else await self._store.link_of(event.sequence - 1)
            if previous is not None and _holds(event, previous, chain):
                holding.append(event)
            before = event
        return holding


def _holds(event: Event, previous: bytes, chain: Chain) -> bool:
    if link(previous, event.said, event.details_digest) != event.link:
        return False
    try:
        return chain.holds(event.link, Mac(event.mac, event.mac_version))
    except BoxError:
        return False
