"""Access keys: what their store promises."""

from collections.abc import Sequence
from typing import Protocol

from vault.ports.audit import Entry
from vault.records import AccessKeyRow


class AccessStore(Protocol):
    """Access keys, by id. Each change records the events that come with it."""

    async def insert(self, row: AccessKeyRow, entries: Sequence[Entry] = ()) -> None:
        """Add an access key; its id is new."""
        ...

    async def find(self, key_id: str) -> AccessKeyRow | None:
        """Return the key, alive or not. Called in the hot path."""
        ...

    async def list(self) -> list[AccessKeyRow]:
        """Return all keys, in the order in which they came."""
        ...

    async def swap(self, old: AccessKeyRow, new: AccessKeyRow, entries: Sequence[Entry] = ()) -> bool:
        """Put the new box in place of the old one. False, and nothing is done, if another is there by now, or none."""
        ...
