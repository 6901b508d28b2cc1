"""Where tenants lie: a data folder each, ``tenants/<id>`` in the installation's, with a keyring of its own.

What unlocks the installation's keyring unlocks theirs too. A file that the settings place outside of the data folder
has its tenants' beside it in the same way.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic

from vault.config import Config
from vault.crypto import whole_file
from vault.crypto.keyring_file import KeyringFile
from vault.errors import StoreUnavailable, VaultError
from vault.grants import Remember
from vault.tenant_vaults import V
from vault.unlock import anchored, open_unlock

#: The folder of the tenants' folders.
FOLDER = "tenants"

#: In a tenant's folder until the tenant is there. Without it, nothing takes the folder for one that was interrupted.
UNSETTLED = "unsettled"

#: Seconds between two tries at the lock.
LOOK = 0.05


@dataclass(frozen=True, slots=True)
class TenantPlace:
    """Settings and data folder of one tenant."""

    config: Config
    folder: Path

    @property
    def keyring(self) -> Path:
        """Where the keyring is."""
        return self.folder / self.config.keyring.file

    @property
    def folders(self) -> list[Path]:
        """All folders that are the tenant's alone, the one with the keyring first."""
        named = (self.config.keyring.file, self.config.erasure.ledger, self.config.audit.checkpoints)
        return list(dict.fromkeys([*((self.folder / name).parent for name in named), self.folder]))


def place_of(config: Config, home: Path, tenant: str) -> TenantPlace:
    """Return the place of a tenant of the installation in ``home``; nothing need be there."""

    def own(setting: str) -> str:
        if Path(setting).name == setting:
            return setting
        path = (home / setting).absolute()
        return str(path.parent / FOLDER / tenant / path.name)

    keyring = replace(
        config.keyring, file=own(config.keyring.file), unlock=anchored(config.keyring.unlock, home)
    )
    return TenantPlace(
        replace(
            config,
            keyring=keyring,
            audit=replace(config.audit, checkpoints=own(config.audit.checkpoints)),
            erasure=replace(config.erasure, ledger=own(config.erasure.ledger)),
        ),
        home / FOLDER / tenant,
    )


def found(config: Config, home: Path) -> list[str]:
    """Return the ids of all whose folders hold anything, in order."""
    folder = home / FOLDER
    folders = [one for one in folder.iterdir() if one.name.isdecimal()] if folder.is_dir() else []
    return sorted((one.name for one in folders if any(one.iterdir())), key=int)


def keyrings(config: Config, home: Path) -> list[Path]:
    """Return the paths of all tenants' keyrings that are there."""
    paths = (place_of(config, home, tenant).keyring for tenant in found(config, home))
    return [path for path in paths if path.exists()]


def lost(config: Config, home: Path, registered: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the folders and keyrings of tenants (names by their ids), in sentences."""
    here = found(config, home)
    trouble = [
        f"The folder of tenant {name} is missing: {home / FOLDER / tenant}. Restore it from its backup; or end the "
        f"tenant with: tokenvault tenants delete {name} --data {home}"
        for tenant, name in registered.items()
        if tenant not in here or not place_of(config, home, tenant).keyring.exists()
    ]
    for tenant, name in registered.items():
        place = place_of(config, home, tenant)
        try:
            if place.keyring.exists():
                KeyringFile(place.keyring, open_unlock(place.config.keyring.unlock, place.folder)).read()
        except VaultError as error:
            trouble.append(f"Tenant {name} does not open: {error.message}")
    return trouble + [
        f"{home / FOLDER / tenant} is no tenant's: this installation was restored from before it was made, or its "
        "end was interrupted; then the next start of the service removes it."
        for tenant in here
        if tenant not in registered
    ]


@contextmanager
def locked(home: Path) -> Iterator[bool]:
    """Try to be the only process that makes or ends tenants; say whether this one is. The lock ends with its holder.

    It is on the data folder itself, and nobody else's.
    """
    descriptor = os.open(home, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@asynccontextmanager
async def alone(home: Path) -> AsyncIterator[None]:
    """Hold that lock, however long another does."""
    while True:
        with locked(home) as is_mine:
            if is_mine:
                yield
                return
        await asyncio.sleep(LOOK)


@dataclass(frozen=True, slots=True)
class TenantFolders(Generic[V]):
    """The tenants of an installation on disk. ``make_files`` and ``open_vault`` are what any vault is made with."""

    config: Config
    home: Path
    make_files: Callable[[Config, Path], Awaitable[None]]
    open_vault: Callable[[Config, Path, str, Remember], AbstractAsyncContextManager[V]]

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Hold the lock."""
        return alone(self.home)

    async def make(self, tenant: str) -> None:
        """Make the folders, then all that is in them, the keyring last."""
        place = self._place(tenant)
        with suppress(FileNotFoundError):
            if any(place.folder.iterdir()):
                raise FileExistsError
        for folder in place.folders:
            for one in (folder.parent, folder):
                one.mkdir(mode=0o700, exist_ok=True)
        (place.folder / UNSETTLED).touch(mode=whole_file.MODE, exist_ok=False)
        whole_file.sync_folder(place.folder)
        await self.make_files(place.config, place.folder)

    async def settle(self, tenant: str) -> None:
        """Unlink the mark."""
        (self._place(tenant).folder / UNSETTLED).unlink(missing_ok=True)

    def open(self, tenant: str, remember: Remember) -> AbstractAsyncContextManager[V]:
        """Open the vault in the folder."""
        place = self._place(tenant)
        return self.open_vault(place.config, place.folder, tenant, remember)

    async def destroy(self, tenant: str, *, unsettled: bool) -> None:
        """Overwrite and unlink every file of the keyring, bring that to disk, and delete the rest."""
        place = self._place(tenant)
        mark = place.folder / UNSETTLED
        if unsettled and not mark.exists():
            return
        try:
            await asyncio.to_thread(_destroy, place, mark)
        except OSError as error:
            raise StoreUnavailable from error

    def _place(self, tenant: str) -> TenantPlace:
        return place_of(self.config, self.home, tenant)


def _destroy(place: TenantPlace, mark: Path) -> None:
    keyring = place.keyring
    if keyring.parent.exists():
        for path in keyring.parent.glob(f"{keyring.name}*"):
            _shred(path)
        whole_file.sync_folder(keyring.parent)
    for folder in place.folders:
        for one in folder.iterdir() if folder.exists() else ():
            if one.is_dir():
                shutil.rmtree(one)
            elif one != mark:
                one.unlink(missing_ok=True)
    for folder in place.folders:  # and the mark, which is the last to go
        if folder.exists():
            shutil.rmtree(folder)
            whole_file.sync_folder(folder.parent)


def _shred(path: Path) -> None:
    """Overwrite a small file before it goes. What a disk or a file system keeps of it besides is not in our hands."""
    size = path.stat().st_size
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, secrets.token_bytes(size))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()


class TenantsInMemory(Generic[V]):
    """The tenants of a vault in memory: each is there as long as it is open."""

    def __init__(self, open_vault: Callable[[str, Remember], AbstractAsyncContextManager[V]]) -> None:
        self._open_vault = open_vault
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold a lock."""
        async with self._lock:
            yield

    async def make(self, tenant: str) -> None:
        """Make nothing: opening does."""

    async def settle(self, tenant: str) -> None:
        """Note nothing."""

    def open(self, tenant: str, remember: Remember) -> AbstractAsyncContextManager[V]:
        """Open a new vault."""
        return self._open_vault(tenant, remember)

    async def destroy(self, tenant: str, *, unsettled: bool) -> None:
        """Destroy nothing: closing did."""
