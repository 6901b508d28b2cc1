"""Custody of the keys: every move of a key version, in keyring and database, by one operator at a time.

A move is in the keyring file before a row depends on it; what forbids something is in the database before
anybody relies on it. A move that was interrupted is finished by the next.
"""

import asyncio
import getpass
import os
import platform
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from msgspec.structs import replace

from vault.audit import Audit
from vault.clock import Clock
from vault.crypto import signed
from vault.crypto.keyring import Keyring, KeyState, KeyVersion
from vault.crypto.keyring_file import KeyringFile
from vault.crypto.sealer import Sealer
from vault.errors import KeyMoveRefused, NoSuchKey, RotationHeld
from vault.ports import Entry, KeyStore, Stores
from vault.progress import counted
from vault.records import Claim, KeyRecord, ServingProcess

#: Milliseconds without a sign of life after which a claim or a process counts for nothing. One of this machine whose
#: process is gone counts for nothing at once. Should it only have slept, the fence (``KeyStore.close``) holds it.
CLAIM_LAPSE = 30_000
PROCESS_LAPSE = 12_000

#: Milliseconds between two signs of life of a claim, and seconds between two looks at who has loaded what.
RENEWAL = 5_000
LOOK = 0.1


class Custody:
    """The operator's hold on the keys of one vault."""

    def __init__(
        self,
        file: KeyringFile,
        keyring: Keyring,
        sealer: Sealer,
        stores: Stores,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._file = file
        self._sealer = sealer
        self._stores = stores
        self._audit = audit
        self._clock = clock
        self._claim: Claim | None = None
        self.keyring = keyring

    # --- one at a time ---

    @asynccontextmanager
    async def claim(self, what: str) -> AsyncIterator[None]:
        """Be the only one who changes keys. Raises ``RotationHeld``, saying who else does."""
        now = self._clock.now()
        holder = f"{getpass.getuser()}@{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"
        mine = Claim(holder, platform.node(), os.getpid(), what, now, now)
        lapsed_before = now - CLAIM_LAPSE
        held = await self._stores.rotations.holder()
        if held is not None and _is_gone(held.host, held.pid):
            lapsed_before = held.seen_at + 1  # and not one that took it over meanwhile
        held = await self._stores.rotations.claim(mine, lapsed_before)
        if held.holder != holder:
            raise RotationHeld(
                f"{held.holder.rsplit(':', 1)[0]} is at it already: {held.what}, seen {(now - held.seen_at) // 1000} s "
                f"ago. Wait until it is done; if it died on another machine, its claim lapses after "
                f"{CLAIM_LAPSE // 1000} s."
            )
        self._claim = mine
        try:
            self.keyring.become(await asyncio.to_thread(self._file.read))  # what the one before has left
            yield
        finally:
            self._claim = None
            await asyncio.shield(self._stores.rotations.release(holder))

    async def holder(self) -> Claim | None:
        """Return the claim of whoever is changing keys now; one that has lapsed is none."""
        held = await self._stores.rotations.holder()
        if held is None or _is_gone(held.host, held.pid):
            return None
        return held if held.seen_at >= self._clock.now() - CLAIM_LAPSE else None

    async def renew(self) -> None:
        """Give a sign of life, if one is due. Raises ``RotationHeld`` if another has taken over meanwhile."""
        now = self._clock.now()
        if self._claim is None or now - self._claim.seen_at < RENEWAL:
            return
        self._claim = replace(self._claim, seen_at=now)
        held = await self._stores.rotations.claim(self._claim, now - CLAIM_LAPSE)
        if held.holder != self._claim.holder:
            raise RotationHeld(f"{held.holder} took over, since this process was not heard of for long.")

    async def forget_others(self) -> None:
        """Forget whoever serves or changes keys: in a copy of a vault, they are the original's."""
        for process in await self._stores.processes.list():
            await self._stores.processes.forget(process.id)
        held = await self._stores.rotations.holder()
        if held is not None:
            await self._stores.rotations.release(held.holder)

    # --- moves ---

    async def add(self, line: str) -> KeyVersion:
        """Make a new version, pending: in the keyring first, then known to the database."""
        newer = self.keyring.added(line, self._clock.now())
        await self._write(newer)
        await self._make_known()
        return self.keyring.of_line(line)[-1]

    async def activate(self, line: str, version: int) -> None:
        """Let a version write; the one that did so far retires."""
        newer = self.keyring.moved(line, version, KeyState.ACTIVE)
        # An interrupted ``add`` may have left it in the keyring alone.
        await self._make_known()
        await self._stores.keys.reopen(line, version)
        await self._write(newer)
        activated = self.event("key.activated", line, version)
        await self.note(line, version, activated, activated_at=self._clock.now(), empty_since=None)

    async def disable(self, line: str, version: int, broken: int = 0) -> None:
        """Let a version open nothing. Raises ``KeyMoveRefused`` while a row needs it.

        So many events, which hold under no key, need it no more.
        """
        newer = self.keyring.moved(line, version, KeyState.DISABLED)
        if line == "audit" and (await self._stores.audit.census()).get(version, 0) > broken:
            raise KeyMoveRefused(
                f"Events are still under version {version} of line 'audit'. Rotate: tokenvault keys rotate --line audit"
            )
        if line == "data" and (left := sum((await self.openable(version)).values())):
            raise KeyMoveRefused(
                f"{counted(left, 'row still needs', 'rows still need')} version {version} of line '{line}'. "
                f"Re-seal them first: tokenvault keys rotate --line {line}"
            )
        await self._write(newer)
        await self.tell("key.disabled", line, version)

    async def enable(self, line: str, version: int) -> None:
        """Let a disabled version open again."""
        newer = self.keyring.moved(line, version, KeyState.RETIRING)
        if line != "audit":
            await self._audit.require_writable()  # what cannot be recorded is not done
        if line == "index":  # a version that is looked up is claimed as well
            await self._stores.keys.reopen(line, version)
        await self._write(newer)
        await self.note(line, version, self.event("key.enabled", line, version), empty_since=None)

    async def destroy(self, line: str, version: int) -> None:
        """Forget a disabled version's secret, in the generation before as well; the tombstone stays."""
        # Recorded first: of what cannot be undone there must be a trace, whatever comes between.
        await self.tell("key.destroyed", line, version)
        await self._write(self.keyring.moved(line, version, KeyState.DESTROYED), forget=True)

    async def close(self, line: str, version: int) -> None:
        """Forbid every process to write under a version."""
        await self._stores.keys.close(line, version)

    # --- what there is ---

    async def record(self, line: str, version: int) -> KeyRecord:
        """Return what the database knows of a version. Raises ``NoSuchKey``."""
        for record in await self._stores.keys.known():
            if (record.line, record.version) == (line, version):
                return record
        raise NoSuchKey(f"There is no version {version} of line '{line}'.")

    async def note(self, line: str, version: int, *entries: Entry, **changes: int | str | None) -> KeyRecord:
        """Change what the database knows of a version, and record events with it; return it."""
        record = replace(await self.record(line, version), **changes)
        await self._stores.keys.update(record, entries)
        return record

    async def tell(self, action: str, line: str, version: int) -> None:
        """Record an act on a key version by itself."""
        await self._audit.record(self.event(action, line, version))

    def event(self, action: str, line: str, version: int) -> Entry:
        """Return the event of an act on a key version, with who is at the keyboard."""
        return key_event(self._audit, action, line, version)

    async def census(self, line: str) -> dict[int, dict[str, int]]:
        """Return how many rows there are of each store under each version of a line, by version; zeros included."""
        counts = {}
        if line == "data":
            counts = {store.name: await store.census() for store in self._stores.sealed}
        elif line == "index":
            counts = {"tags": await self._stores.tag_census()}
        elif line == "audit":
            counts = {"audit_events": await self._stores.audit.census()}
        versions = {key.version for key in self.keyring.of_line(line)}.union(*counts.values())
        return {v: {name: found.get(v, 0) for name, found in counts.items()} for v in sorted(versions)}

    async def set_aside(self, version: int) -> dict[str, int]:
        """Return how many rows under a data key version are in quarantine, by store."""
        return {
            store.name: sum(n for (v, _), n in (await store.set_aside_census()).items() if v == version)
            for store in self._stores.sealed
        }

    async def openable(self, version: int) -> dict[str, int]:
        """Return the census of a data key version without what is set aside, by store."""
        aside = await self.set_aside(version)
        rows = (await self.census("data")).get(version, {})
        return {name: count - aside[name] for name, count in rows.items()}

    # --- who has loaded it ---

    async def processes(self) -> list[ServingProcess]:
        """Return the serving processes that are alive."""
        now = self._clock.now()
        return [
            process
            for process in await self._stores.processes.list()
            if process.seen_at >= now - PROCESS_LAPSE and not _is_gone(process.host, process.pid)
        ]

    async def laggards(self, patience: float, waiting: Callable[[int], None]) -> list[ServingProcess]:
        """Wait until every serving process has loaded the keyring as it is now; return who has not in time.

        ``patience`` is in seconds. ``waiting`` hears how many are still to come.
        """
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            ours = self.keyring.states()
            behind = [one for one in await self.processes() if msgspec.json.decode(one.versions) != ours]
            if not behind or asyncio.get_running_loop().time() >= deadline:
                return behind
            waiting(len(behind))
            await self.renew()
            await asyncio.sleep(LOOK)

    async def _make_known(self) -> None:
        await make_known(self._stores.keys, self.keyring, self._sealer, self._audit, self._clock)

    async def _write(self, newer: Keyring, *, forget: bool = False) -> None:
        await asyncio.to_thread(self._file.write, newer, forget=forget)
        self.keyring.become(newer)


def _is_gone(host: str, pid: int) -> bool:
    """Whether a process of this machine has ended. Of another machine's, only its silence tells."""
    if host != platform.node():
        return False
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


async def make_known(store: KeyStore, keyring: Keyring, sealer: Sealer, audit: Audit, clock: Clock) -> None:
    """Note fingerprint and canary of each version that the database does not know."""
    known = {(record.line, record.version) for record in await store.known()}
    for key in keyring:
        if (key.line, key.version) not in known and key.state is not KeyState.DESTROYED:
            await store.insert(
                KeyRecord(
                    key.line,
                    key.version,
                    key.fingerprint,
                    sealer.canary(key),
                    clock.now(),
                    activated_at=clock.now() if key.state is KeyState.ACTIVE else None,
                    public_key=signed.public_key(key) if key.line == "signing" else None,
                ),
                [key_event(audit, "key.added", key.line, key.version)],
            )


def key_event(audit: Audit, action: str, line: str, version: int) -> Entry:
    """Return the event of an act on a key version."""
    by = f"{getpass.getuser()}@{platform.node()}"
    return audit.event(action, None, {"line": line, "version": version, "by": by})
