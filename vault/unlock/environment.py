"""``env:NAME``: the unlock key in an environment variable, for where a platform injects secrets that way."""

import os
from pathlib import Path

from vault.errors import KeyringError
from vault.unlock.key_source import KeySource


class EnvironmentKey(KeySource):
    """A key in a variable of this process's environment."""

    def __init__(self, variable: str) -> None:
        self._variable = variable
        self.name = f"The environment variable {variable}"

    def text(self) -> bytes:
        """Read the variable."""
        return read_variable(self._variable).encode(errors="replace")


def read_variable(variable: str) -> str:
    """Return a variable's value. Raises ``KeyringError`` if it is not set, or empty."""
    value = os.environ.get(variable, "")
    if not value:
        raise KeyringError(
            f"The environment variable {variable} is not set, and keyring.unlock says that it unlocks the keyring."
        )
    return value


def open_source(rest: str, folder: Path) -> EnvironmentKey:  # every source has this shape
    """Open ``env:NAME``."""
    return EnvironmentKey(rest)
