"""The keyring on disk: JSON, mode 0600, never overwritten (docs/format.md, "Keyring file")."""

import base64
import os
from pathlib import Path
from typing import Annotated

import msgspec

from vault.crypto.derive import KEY_BYTES
from vault.crypto.keyring import LINES, Keyring, KeyState, KeyVersion
from vault.errors import KeyringError

FORMAT = "tokenvault-keyring/1"
MODE = 0o600


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    line: str
    version: Annotated[int, msgspec.Meta(ge=1, lt=2**32)]
    state: KeyState
    created_at: int
    secret: str

    def __repr__(self) -> str:  # msgspec's own would print the secret
        return f"<key {self.line} {self.version}>"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    keys: list[_Key]


def dumps(keyring: Keyring) -> bytes:
    """Return the file's bytes."""
    keys = [
        _Key(key.line, key.version, key.state, key.created_at, base64.b64encode(key.secret).decode())
        for line in LINES
        for key in keyring.of_line(line)
    ]
    return msgspec.json.format(msgspec.json.encode(_File(FORMAT, keys)), indent=2) + b"\n"


def loads(content: bytes) -> Keyring:
    """Read the file's bytes. Raises ``KeyringError``, whose message never quotes the content."""
    try:
        file = msgspec.json.decode(content, type=_File)
        if file.format != FORMAT:
            raise KeyringError("The keyring file has a format this version does not know.")
        keys = [
            KeyVersion(
                key.line,
                key.version,
                key.state,
                key.created_at,
                base64.b64decode(key.secret, validate=True),
            )
            for key in file.keys
        ]
    except (msgspec.MsgspecError, ValueError):
        raise KeyringError("The keyring file is damaged. Restore it from its backup.") from None
    if any(len(key.secret) != KEY_BYTES or key.line not in LINES for key in keys):
        raise KeyringError("The keyring file holds a key that cannot be one. Restore it from its backup.")
    if len({(key.line, key.version) for key in keys}) != len(keys):
        raise KeyringError("The keyring file holds a key version twice. Restore it from its backup.")
    return Keyring(keys)


def read(path: Path) -> Keyring:
    """Read the keyring, or raise ``KeyringError``: missing, damaged, or readable by others than its owner."""
    try:
        mode = path.stat().st_mode & 0o777
        content = path.read_bytes()
    except FileNotFoundError:
        raise KeyringError(
            f"The keyring {path} is missing. Without it nothing in this vault can be opened, and a new one "
            "would not help: restore the file from its backup."
        ) from None
    except OSError as error:
        raise KeyringError(f"The keyring {path} cannot be read: {error.strerror}.") from None
    if mode & 0o077:
        raise KeyringError(f"The keyring {path} is open to other users. Mend it with: chmod 600 {path}")
    return loads(content)


def create(path: Path, keyring: Keyring) -> None:
    """Write a new keyring durably: whole or not at all, and never over an existing file.

    The content is complete and on disk before the name appears (``link`` fails where the name exists), then
    the folder is synced so that the name survives a power cut too. Raises ``KeyringError``.
    """
    draft = path.with_name(path.name + ".new")
    try:
        draft.unlink(missing_ok=True)  # what an interrupted init left: it was never in use
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(dumps(keyring))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        finally:
            draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise KeyringError(f"The keyring {path} exists already and is never overwritten.") from None
    except OSError as error:
        raise KeyringError(f"The keyring {path} cannot be written: {error.strerror}.") from None
