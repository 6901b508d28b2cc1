"""``command:CMD ARGS``: the unlock key as a program prints it, such as ``pass show vault`` or ``op read …``."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from vault.errors import ConfigError, KeyringError
from vault.unlock.key_source import KeySource

#: Seconds that a program may take: long enough for one that asks a service in the network.
PATIENCE = 30.0


class Command(KeySource):
    """A program that prints a key. Messages name the program without its arguments, which may be secret."""

    def __init__(self, arguments: Sequence[str], patience: float = PATIENCE) -> None:
        self._arguments = arguments
        self._patience = patience
        self.name = f"The command '{arguments[0]}'"

    def text(self) -> bytes:
        """Run the program and return what it prints; what it says on standard error is nobody's."""
        try:
            # No shell: the words come from the operator's own settings, split as a shell would.
            done = subprocess.run(  # noqa: S603  # the operator's own command
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=self._patience,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise KeyringError(
                f"{self.name} printed no unlock key within {self._patience:g} seconds."
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a null character
            reason = getattr(error, "strerror", None) or "it is not a command"
            raise KeyringError(f"{self.name} cannot be run: {reason}.") from None
        if done.returncode:
            raise KeyringError(
                f"{self.name} ended with exit code {done.returncode} and printed no unlock key. "
                "Run it by hand to see why."
            )
        return done.stdout


def open_source(rest: str, folder: Path) -> Command:  # every source has this shape
    """Open ``command:CMD ARGS``."""
    try:
        arguments = shlex.split(rest)
    except ValueError:
        arguments = []
    if not arguments:
        raise ConfigError("keyring.unlock: the command cannot be read; mind its quotes.")
    return Command(arguments)
