"""Where that comes from which unlocks the keyring: one source a setting, one file a kind of source.

file:PATH  env:NAME  credential:NAME  command:CMD ARGS      an unlock key of 32 bytes
passphrase:env:NAME  passphrase:file:PATH  passphrase:ask   a passphrase, made a key by Argon2id
aws-kms:KEY  transit:MOUNT/KEY                              a service that wraps, and keeps its key to itself
"""

import secrets
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from vault.crypto.derive import KEY_BYTES
from vault.crypto.keyring_file import Unlock
from vault.errors import ConfigError, KeyringError
from vault.unlock import key_file


class _Scheme(NamedTuple):
    """The room of a kind of source, and the extra that installs what it needs.

    Each room has ``open_source(rest, folder) -> Unlock``; ``rest`` is what follows the scheme's colon.
    """

    module: str
    extra: str = ""


SCHEMES = {
    "file": _Scheme("key_file"),
    "env": _Scheme("environment"),
    "credential": _Scheme("credential"),
    "command": _Scheme("command"),
    "passphrase": _Scheme("passphrase"),
    "aws-kms": _Scheme("aws_kms", "aws"),
    "transit": _Scheme("transit", "transit"),
}


def open_unlock(source: str, folder: Path) -> Unlock:
    """Return the source that a setting names; paths in it start at ``folder``. Nothing is asked of it yet.

    Raises ``ConfigError``: no such kind of source, or what it needs is not installed.
    """
    name, _, rest = source.partition(":")
    scheme = SCHEMES.get(name)
    if scheme is None or not rest:
        raise ConfigError(f"keyring.unlock: must name a source of the key, one of: {', '.join(SCHEMES)}.")
    try:
        room = import_module(f"vault.unlock.{scheme.module}")
    except ModuleNotFoundError as error:
        if not scheme.extra:
            raise
        raise ConfigError(
            f"keyring.unlock: '{name}:' needs {error.name}, which is not installed. "
            f"Install it with: pip install 'tokenization-vault[{scheme.extra}]'"
        ) from None
    opened: Unlock = room.open_source(rest, folder)
    return opened


def anchored(source: str, folder: Path) -> str:
    """Return the same source for whoever starts elsewhere: a path in it that starts at ``folder`` is made absolute."""
    for scheme in ("file:", "passphrase:file:"):
        if source.startswith(scheme):
            return f"{scheme}{(folder / source.removeprefix(scheme)).absolute()}"
    return source


def prepare(source: str, folder: Path) -> None:
    """Make a source ready to unlock a new keyring: a key file is made where there is none; others must answer.

    An existing key file is used as it is and never overwritten. Raises ``ConfigError`` and ``KeyringError``.
    """
    unlock = open_unlock(source, folder)
    if isinstance(unlock, key_file.KeyFile):
        unlock.make_if_missing()
    probe = secrets.token_bytes(KEY_BYTES)
    if unlock.unwrap([unlock.wrap(probe)]) != probe:
        raise KeyringError("The source of the unlock key does not open what it has just wrapped.")
