"""The operator's desk: everything that is done to keys, over an existing vault, beside a running service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.clock import Clock, SystemClock
from vault.compromise import Compromise
from vault.config import Config
from vault.crypto.blind_index import BlindIndex
from vault.custody import Custody
from vault.key_status import KeyStatus, key_status
from vault.key_watch import KeyWatch
from vault.keys import unproven
from vault.pace import Pace
from vault.ports import Stores
from vault.progress import Progress, Silent
from vault.quarantine import Quarantine
from vault.reindex import Reindex, tagged
from vault.remac import Remac
from vault.retirement import Retirement
from vault.rotation import REWRITE_UP_TO, Rotations
from vault.sweep import Sweep
from vault.walk import Walk
from vault.wiring import DEFAULT_TENANT, assemble, open_files


@dataclass(frozen=True, slots=True)
class Manner:
    """How long work is done.

    ``patience`` is in seconds, ``until`` milliseconds since 1970, ``rate`` rows a second, ``rewrite_up_to`` bytes.
    """

    batch: int = 100
    rate: int = 0
    until: int | None = None
    patience: float = 60
    cool_down: int | None = None
    rewrite_up_to: int = REWRITE_UP_TO


@dataclass(frozen=True, slots=True)
class KeyDesk:
    """The verbs of key custody, put together."""

    custody: Custody
    rotations: Rotations
    sweep: Sweep
    retirement: Retirement
    compromise: Compromise
    quarantine: Quarantine
    _stores: Stores
    _clock: Clock
    _max_age: int

    async def status(self) -> KeyStatus:
        """Return the state of the keys."""
        return await key_status(self.custody, self._stores, self._clock, self._max_age)

    async def shred(self) -> list[str]:
        """Write all files anew, however large; return what was left. Writers wait meanwhile."""
        left = await self._stores.housekeeping.rewrite(None)
        if not await self._stores.housekeeping.shred():
            left.append("the WAL (a reader was in the way)")
        return left


@asynccontextmanager
async def open_desk(
    config: Config,
    folder: Path,
    manner: Manner | None = None,
    *,
    progress: Progress | None = None,
    tenant: str = DEFAULT_TENANT,
    clock: Clock | None = None,
) -> AsyncIterator[KeyDesk]:
    """Open the desk of a vault whose keyring is the database's own.

    Rows under a disabled key, with which nothing may serve, are no obstacle here. Raises ``KeyringError``,
    ``DataFolderError``; nothing is ever made where something is missing.
    """
    manner, progress, clock = manner or Manner(), progress or Silent(), clock or SystemClock()
    async with open_files(config, folder, tenant, clock) as opened:
        keyring, sealer, stores = opened.keyring, opened.sealer, opened.stores
        assert opened.file is not None  # noqa: S101 - there is a folder
        await opened.prove(lambda: unproven(stores.keys, keyring, sealer))
        watch = KeyWatch(opened.file, keyring, sealer, stores.keys, stores.processes, clock)
        vault = assemble(config, tenant, clock, opened, watch)
        custody = Custody(opened.file, keyring, sealer, stores, vault.audit, clock)
        walk = Walk(Pace(clock, manner.batch, manner.rate, manner.until), progress, custody.renew)
        index = BlindIndex(keyring, tenant, config.profiles.default_region)
        sweep = Sweep(stores.sealed, sealer, clock, walk)
        reindex = Reindex(tagged(stores, index), sealer, clock, walk)
        remac = Remac(stores.audit, keyring, tenant, walk)
        rotations = Rotations(
            custody, stores, sweep, reindex, remac, clock, progress, manner.patience, manner.rewrite_up_to
        )
        cool_down = config.keyring.cool_down if manner.cool_down is None else manner.cool_down
        yield KeyDesk(
            custody,
            rotations,
            sweep,
            Retirement(custody, stores, sweep, reindex, remac, tenant, clock, progress, cool_down),
            Compromise(custody, stores, vault.audit, rotations, clock, progress),
            Quarantine(
                custody,
                stores.sealed,
                sweep,
                reindex,
                vault.audit,
                {"profiles": vault.profiles.erase, "sessions": vault.sessions.end_handle},
            ),
            stores,
            clock,
            config.keyring.max_age,
        )
