"""The key that unlocks the keyrings, made anew while the vault runs, for those who hold three recovery shares."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from vault.audit import Audit
from vault.config import Config
from vault.crypto.keyring_file import KeyringFull
from vault.errors import Conflict, Denied, KeyringError, SwitchedOff
from vault.tenant_folder import alone, keyrings
from vault.unlock import recovery


class Wrapping:
    """What unlocks an installation. ``home`` is its data folder; None in memory, and for the vault of a tenant."""

    def __init__(self, config: Config, home: Path | None, audit: Audit) -> None:
        self._config = config
        self._home = home
        self._audit = audit

    async def renew(self, shares: Sequence[str]) -> str:
        """Let one fresh key unlock the keyrings of the installation and all its tenants; return its text, once.

        Nothing is taken away, so all still open with the settings, also if this is interrupted; then it may be done
        again. Raises ``Denied`` for shares that do not unlock the installation, ``SwitchedOff`` where there is none on
        disk, ``Conflict`` for a keyring without room, ``KeyringError`` for one that does not open or cannot be
        written, ``AuditUnavailable``.
        """
        if self._home is None:
            raise SwitchedOff("Only an installation has such a key, and one in memory has no keyring file.")
        await self._audit.require_writable()
        path = self._home / self._config.keyring.file
        try:
            used = await asyncio.to_thread(recovery.prove, path, shares)
        except KeyringError:
            await self._audit.record(self._audit.event("keyring.rewrapped", outcome=Denied.code))
            raise Denied from None
        # Who goes away in the middle does not let go of the lock while a keyring is being written.
        return await asyncio.shield(self._add(self._home, path, shares, used))

    async def _add(self, home: Path, path: Path, shares: Sequence[str], used: str) -> str:
        event, details = self._audit.event, {"shares_of": used}
        try:
            async with alone(home):  # a tenant that is just being made would be left out
                paths = [path, *keyrings(self._config, home)]
                key = await asyncio.to_thread(recovery.add_key, paths, shares)
        except KeyringError as error:
            await self._audit.record(event("keyring.rewrapped", outcome=error.code, details=details))
            if isinstance(error, KeyringFull):
                raise Conflict(error.message) from None
            raise
        await self._audit.record(event("keyring.rewrapped", details=details))
        return key
