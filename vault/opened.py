"""The files of a vault, opened: its keyring and its stores, before anything is made of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.clock import Clock
from vault.config import Config
from vault.crypto.keyring import Keyring, new_keyring
from vault.crypto.keyring_file import KeyringFile
from vault.crypto.sealer import Sealer
from vault.data_folder import DATABASES, no_vault, require_files, require_whole
from vault.errors import DataFolderError, KeyringError
from vault.ports import Stores
from vault.stores import open_stores
from vault.unlock import open_unlock


@dataclass(frozen=True, slots=True)
class Opened:
    """Keyring and stores of a vault, not yet proven to belong together. ``file`` is None in memory."""

    file: KeyringFile | None
    keyring: Keyring
    sealer: Sealer
    stores: Stores
    folder: Path | None = None

    async def prove(self, trouble: Callable[[], Awaitable[list[str]]]) -> None:
        """Raise ``KeyringError`` with the trouble, unless the keyring has changed since it was read.

        Then a rotation goes on beside this, and the newer keyring is judged instead.
        """
        while sentences := await trouble():
            if self.file is None or not self.file.has_changed():
                raise KeyringError(" ".join(sentences))
            self.keyring.become(await asyncio.to_thread(self.file.read))


@asynccontextmanager
async def open_files(config: Config, folder: Path | None, tenant: str, clock: Clock) -> AsyncIterator[Opened]:
    """Open keyring and stores; nothing is made but by ``initialise``. Raises as ``open_vault``."""
    file = None
    if folder is None:
        keyring = new_keyring(clock.now())
    else:
        require_files(config)
        if not any((folder / name).exists() for name in (config.keyring.file, *DATABASES)):
            raise DataFolderError(no_vault(folder))
        require_whole(folder, config)
        file = keyring_of(folder, config)
        keyring = await asyncio.to_thread(file.read)  # unlocking may ask a service, or take its time
    async with open_stores(config.storage.url, folder, config.storage.busy_timeout) as stores:
        yield Opened(file, keyring, Sealer(keyring, tenant), stores, folder)


def keyring_of(folder: Path, config: Config) -> KeyringFile:
    """Return the keyring file of a data folder, not yet read. Raises ``ConfigError``."""
    return KeyringFile(folder / config.keyring.file, open_unlock(config.keyring.unlock, folder))
