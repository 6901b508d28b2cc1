"""Which profiles were opened under a key version, by whom and when, as ``compromise`` tells it."""

import json
import os
from pathlib import Path
from typing import IO, Any

import click

from vault.cli.times import shown
from vault.records import Event


class Openings:
    """Adds openings up by access key, and writes each into a new file if there is to be one."""

    def __init__(self, path: Path | None) -> None:
        self._file = new_private(path) if path else None
        self._keys: dict[str, tuple[set[str | None], list[int]]] = {}

    def add(self, event: Event) -> None:
        """Hear of one."""
        tokens, times = self._keys.setdefault(event.actor, (set(), []))
        tokens.add(event.user_token)
        times.append(event.at)
        if self._file:
            line = {
                "at": shown(event.at), "access_key": event.actor, "user_token": event.user_token,
                "action": event.action, "purpose": event.purpose, "sequence": event.sequence,
            }  # fmt: skip
            self._file.write(json.dumps(line) + "\n")

    def told(self) -> list[dict[str, Any]]:
        """Return a summary for each access key."""
        return [
            {
                "access_key": key, "profiles": len(tokens), "times": len(times), "first": shown(min(times)),
                "last": shown(max(times)),
            }
            for key, (tokens, times) in self._keys.items()
        ]  # fmt: skip

    def close(self) -> None:
        """Finish the file."""
        if self._file:
            self._file.close()


def new_private(path: Path) -> IO[str]:
    """Return a new file that only its owner can read; one that is there is never overwritten."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be made: {error.strerror}. Name a new file.") from None
