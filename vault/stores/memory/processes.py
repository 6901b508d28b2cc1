"""Serving processes: there is one at most."""

import builtins

from vault.records import ServingProcess


class MemoryProcesses:
    """Serving processes by id."""

    def __init__(self) -> None:
        self.processes: dict[str, ServingProcess] = {}

    async def report(self, process: ServingProcess) -> None:
        """Store what it says."""
        self.processes[process.id] = process

    async def forget(self, process_id: str) -> None:
        """Remove it."""
        self.processes.pop(process_id, None)

    async def list(self) -> builtins.list[ServingProcess]:
        """Sort them by age."""
        return sorted(self.processes.values(), key=lambda process: (process.started_at, process.id))
