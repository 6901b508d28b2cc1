"""Serving processes: which keyring each has loaded."""

from typing import Protocol

from vault.records import ServingProcess


class ProcessStore(Protocol):
    """The processes that serve, as they reported themselves."""

    async def report(self, process: ServingProcess) -> None:
        """Add the process, or put this in place of what it reported before."""
        ...

    async def forget(self, process_id: str) -> None:
        """Remove a process. There being none is fine."""
        ...

    async def list(self) -> list[ServingProcess]:
        """Return all that have not been removed, alive or not, the oldest first."""
        ...
