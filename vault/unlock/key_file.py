"""``file:PATH``: the unlock key in a file of its owner's, which should lie apart from the keyring's backups."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from vault.crypto import unlock_key, whole_file
from vault.crypto.derive import KEY_BYTES
from vault.errors import KeyringError
from vault.unlock.key_source import KeySource

#: Bytes read of a key's file; a key is 65 at most.
MOST = 4096


class KeyFile(KeySource):
    """A key file: a line of text, mode 0600."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"The key file {path}"

    @property
    def draft(self) -> Path:
        """Where a new key is written before the file shows it."""
        return self.path.with_name(self.path.name + ".draft")

    def text(self) -> bytes:
        """Read the file. Raises ``KeyringError``, also if it is open to others."""
        return read_secret(
            self.path, self.name, "Restore it from its backup: without it the keyring stays shut."
        )

    def make_if_missing(self) -> None:
        """Make a random key, durably, where there is no file; leave an existing one as it is."""
        with suppress(FileExistsError):
            self.publish(secrets.token_bytes(KEY_BYTES))

    def publish(self, key: bytes) -> None:
        """Write a key into a new file. Raises ``FileExistsError``, and ``KeyringError`` where it cannot be written."""
        try:
            whole_file.publish(self.path, unlock_key.to_text(key), self.draft)
        except FileExistsError:
            raise
        except OSError as error:
            raise KeyringError(f"{self.name} cannot be written: {error.strerror}.") from None


def read_secret(path: Path, name: str, remedy: str) -> bytes:
    """Read a file that nobody but its owner may open. Raises ``KeyringError``; if it is missing, with the remedy."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MOST)
    except FileNotFoundError:
        raise KeyringError(f"{name} is missing. {remedy}") from None
    except OSError as error:
        raise KeyringError(f"{name} cannot be read: {error.strerror}.") from None
    if mode & whole_file.OTHERS:
        raise KeyringError(f"{name} is open to other users. Mend it with: chmod 600 {path}")
    return content


def open_source(rest: str, folder: Path) -> KeyFile:
    """Open ``file:PATH``; the path starts at the data folder."""
    return KeyFile(folder / rest)
