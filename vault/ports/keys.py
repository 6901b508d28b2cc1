"""Key versions, as the database knows them: what their store promises."""

from collections.abc import Sequence
from typing import Protocol

from vault.ports.audit import Entry
from vault.records import KeyRecord


class KeyStore(Protocol):
    """What the database knows of key versions, apart from the keyring."""

    async def known(self) -> list[KeyRecord]:
        """Return every key version that was ever made known."""
        ...

    async def insert(self, record: KeyRecord, entries: Sequence[Entry] = ()) -> None:
        """Make a key version known. The same (line, version) twice changes nothing, and records nothing."""
        ...

    async def update(self, record: KeyRecord, entries: Sequence[Entry] = ()) -> None:
        """Put what may change of a known version in place of what is stored: all but identity, proof and birth."""
        ...

    async def versions_in_use(self) -> dict[str, set[int]]:
        """Return, by line, every key version that some stored row needs, over all stores."""
        ...

    async def close(self, line: str, version: int) -> None:
        """From the return of this on, no box ("data"), tag ("index") or event ("audit") is written under the version.

        It binds every process, also one that was asleep: its write raises ``StaleKeys``.
        """
        ...

    async def reopen(self, line: str, version: int) -> None:
        """Take ``close`` back."""
        ...

    async def closed(self) -> set[tuple[str, int]]:
        """Return what is closed: (line, version)."""
        ...

    async def require(self, version: int) -> None:
        """From the return of this on, whoever claims an older version's tag must have claimed this index version's.

        It binds every process: a profile written without raises ``StaleKeys``. Until the version is closed.
        """
        ...
