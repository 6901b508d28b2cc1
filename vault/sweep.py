"""The sweep: takes every box of every registered store to the active key, beside all that goes on.

Each row is compared and swapped, so a concurrent writer always wins; each batch is one short transaction. What
does not open is set aside with its cause and never stops the sweep.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from vault.clock import Clock
from vault.crypto import box
from vault.crypto.derive import length_prefixed
from vault.crypto.sealer import Sealer
from vault.errors import BoxError
from vault.ports import SealedStore
from vault.progress import counted
from vault.records import SealedRow
from vault.walk import Walk

#: Passes over a version's rows until none is left. A second is needed only if a row moved behind the cursor.
PASSES = 20


#: Names that a plan tells of each cause and store.
MOST_NAMED = 20


@dataclass(slots=True)
class Findings:
    """What a walk over a store found: boxes that open, by the version in their header, and the others by cause.

    ``names`` are of the first rows of each cause.
    """

    opened: Counter[int] = field(default_factory=Counter)
    unopened: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """What a verify pass found. ``digest`` (hex, BLAKE2b-256) is over every box that was opened, in order."""

    opened: dict[str, int]
    moved: int
    digest: str


class Sweep:
    """Sweeps one vault's boxes."""

    def __init__(self, stores: Sequence[SealedStore], sealer: Sealer, clock: Clock, walk: Walk) -> None:
        self._stores = stores
        self._sealer = sealer
        self._clock = clock
        self._walk = walk

    async def plan(self) -> dict[str, Findings]:
        """Open every row of every store and change nothing."""
        found = {store.name: Findings() for store in self._stores}
        self._walk.begin("opening every row", await self._count())
        for store in self._stores:
            findings = found[store.name]
            async for rows in self._walk.pages(store):
                for row in rows:
                    try:
                        self._sealer.open(store.purpose, row.name, row.box)
                    except BoxError as error:
                        findings.unopened[error.code] += 1
                        if findings.unopened[error.code] <= MOST_NAMED:
                            findings.names.setdefault(error.code, []).append(f"{store.name}/{row.name}")
                    else:
                        findings.opened[box.parse(row.box).key_version] += 1
        return found

    async def reseal(self, versions: Sequence[int], sealer: Sealer | None = None) -> dict[str, int]:
        """Seal every row under these versions anew, under the active key; return how many of each store.

        ``sealer`` may be one whose keyring still opens what the vault's does not any more.
        """
        moved = {store.name: 0 for store in self._stores}
        self._walk.begin("re-sealing", await self._count(versions))
        for version in versions:
            for store in self._stores:
                for _ in range(PASSES):
                    moved[store.name] += await self._pass(store, version, sealer or self._sealer)
                    if not await self._left(store, version):
                        break
        return moved

    async def verify(self, version: int) -> Verdict:
        """Read every row back from the store and open it; re-seal what is not under ``version`` after all.

        Trusts the box's header, not the row's column: a row whose column lies is found here.
        """
        opened = {store.name: 0 for store in self._stores}
        digest, moved = hashlib.blake2b(digest_size=32), 0
        self._walk.begin("verifying", await self._count())
        for store in self._stores:
            async for rows in self._walk.pages(store):
                stragglers = []
                for row in rows:
                    try:
                        self._sealer.open(store.purpose, row.name, row.box)
                        header = box.parse(row.box).key_version
                    except BoxError as error:
                        await store.set_aside(row, error.code, self._clock.now())
                        continue
                    if header != version or row.key_version != version:
                        stragglers.append(row)
                        continue
                    opened[store.name] += 1
                    digest.update(length_prefixed(store.name.encode(), row.name.encode(), row.box))
                if stragglers:
                    moved += await self._reseal(store, stragglers, self._sealer)
        return Verdict(opened, moved, digest.hexdigest())

    async def retry(self, store: SealedStore, name: str) -> str | None:
        """Try a row that was set aside again: re-seal it and return None, or return the cause that it has now."""
        row = await store.get(name)
        if row is None:
            await store.take_back(name)  # it is gone, and so is what was wrong with it
            return None
        try:
            renewed = self._sealer.reseal(store.purpose, row.name, row.box)
        except BoxError as error:
            return error.code
        await store.swap([(row, renewed.box, renewed.key_version)])
        await store.take_back(name)
        return None

    async def _pass(self, store: SealedStore, version: int, sealer: Sealer) -> int:
        """Re-seal a version's rows once over. While a batch waits for the disk, the next is being sealed."""
        moved = 0
        swapping: asyncio.Task[int] | None = None
        try:
            async for rows in self._walk.pages(store, version):
                swaps = await self._renewed(store, rows, sealer)
                moved += await swapping if swapping else 0
                swapping = asyncio.create_task(store.swap(swaps))
        finally:
            moved += await swapping if swapping else 0
        return moved

    async def _reseal(self, store: SealedStore, rows: Sequence[SealedRow], sealer: Sealer) -> int:
        return await store.swap(await self._renewed(store, rows, sealer))

    async def _renewed(
        self, store: SealedStore, rows: Sequence[SealedRow], sealer: Sealer
    ) -> list[tuple[SealedRow, bytes, int]]:
        """Return each row with its new box and key version; set aside what does not open."""
        swaps = []
        for row in rows:
            try:
                renewed = sealer.reseal(store.purpose, row.name, row.box)
            except BoxError as error:
                await store.set_aside(row, error.code, self._clock.now())
            else:
                swaps.append((row, renewed.box, renewed.key_version))
        return swaps

    async def _left(self, store: SealedStore, version: int) -> int:
        aside = sum(n for (v, _), n in (await store.set_aside_census()).items() if v == version)
        return (await store.census()).get(version, 0) - aside

    async def _count(self, versions: Sequence[int] | None = None) -> int:
        rows = 0
        for store in self._stores:
            census = await store.census()
            rows += sum(count for v, count in census.items() if versions is None or v in versions)
        return rows


def in_quarantine(rows: int) -> str:
    """Return the sentence about rows that are set aside."""
    told = counted(rows, "row does not open and is", "rows do not open and are")
    return f"{told} in quarantine: tokenvault keys quarantine list"
