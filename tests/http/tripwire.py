"""Stores that note each call and, once told to, fail it: so that tests see what is never asked for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from vault.ports import Stores
from vault.stores import open_stores

WATCHED = (
    "profiles", "sessions", "access", "alarms", "audit", "unlocks", "documents", "values", "housekeeping",
)  # fmt: skip


@dataclass(slots=True)
class Tripwire:
    """What was asked of the stores of a vault, and the fault that the ``failing`` stores or methods show."""

    calls: list[str] = field(default_factory=list)
    fault: Exception | None = None
    failing: frozenset[str] = frozenset()

    def around(self, name: str, store: object) -> "WatchedStore":
        """Return the store with the wire around it."""
        return WatchedStore(self, name, store)

    @asynccontextmanager
    async def open_stores(self, *_: object) -> AsyncIterator[Stores]:
        """Open empty stores in memory, all of them watched."""
        async with open_stores("memory:", None, 1) as stores:
            watched: Any = {name: self.around(name, getattr(stores, name)) for name in WATCHED}
            yield replace(stores, **watched)


class WatchedStore:
    """Keeps every promise of the store inside, until it is told to break them."""

    def __init__(self, wire: Tripwire, name: str, store: object) -> None:
        self._wire = wire
        self._name = name
        self._store = store

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        inner = getattr(self._store, method)

        async def call(*arguments: Any, **named: Any) -> Any:
            name = f"{self._name}.{method}"
            self._wire.calls.append(name)
            if self._wire.fault is not None and not self._wire.failing.isdisjoint((self._name, name)):
                raise self._wire.fault
            return await inner(*arguments, **named)

        return call
