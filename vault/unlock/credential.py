"""``credential:NAME``: the unlock key as systemd hands it over (LoadCredential=, SetCredentialEncrypted=).

systemd puts credentials into a folder that only the service may read (systemd.exec(5), "Credentials"); modes are its
business.
"""

import os
from pathlib import Path

from vault.errors import ConfigError, KeyringError
from vault.unlock.key_file import MOST
from vault.unlock.key_source import KeySource

VARIABLE = "CREDENTIALS_DIRECTORY"


class Credential(KeySource):
    """A key in a file of $CREDENTIALS_DIRECTORY."""

    def __init__(self, credential: str) -> None:
        self._credential = credential
        self.name = f"The credential '{credential}'"

    def text(self) -> bytes:
        """Read the credential."""
        folder = os.environ.get(VARIABLE, "")
        if not folder:
            raise KeyringError(
                f"{self.name} cannot be read: {VARIABLE} is not set. "
                f"Start the vault with systemd and LoadCredential={self._credential}:/path/of/the/key"
            )
        try:
            with (Path(folder) / self._credential).open("rb") as file:
                return file.read(MOST)
        except OSError as error:
            raise KeyringError(
                f"{self.name} cannot be read: {error.strerror}. "
                f"Name it in the unit: LoadCredential={self._credential}:/path/of/the/key"
            ) from None


def open_source(rest: str, folder: Path) -> Credential:  # every source has this shape
    """Open ``credential:NAME``."""
    if "/" in rest:
        raise ConfigError("keyring.unlock: a credential has a name and no path.")
    return Credential(rest)
