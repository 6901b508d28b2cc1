"""``passphrase:env:NAME``, ``passphrase:file:PATH``, ``passphrase:ask``: a passphrase, made an unlock key by Argon2id.

Each slot holds its salt and limits, so that the limits can rise without older slots going dark.
"""

import base64
import getpass
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import nacl.exceptions
from nacl.pwhash import argon2id

from vault.crypto import unlock_key
from vault.crypto.derive import KEY_BYTES
from vault.crypto.keyring_file import Slot
from vault.crypto.keyring_text import Parameters
from vault.errors import BoxError, ConfigError, KeyringError
from vault.unlock.environment import read_variable
from vault.unlock.key_file import read_secret
from vault.unlock.key_source import told

METHOD = "passphrase"
#: Characters of a passphrase that stands alone (NIST SP 800-63B-4, 3.1.1.2).
LEAST = 15
#: New slots: libsodium's MODERATE, 3 passes over 256 MiB, about half a second (libsodium manual, "Password hashing").
OPSLIMIT, MEMLIMIT = argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE
#: What is accepted from a file, whoever wrote it: at most libsodium's SENSITIVE memory, 1 GiB, and four times its
#: passes.
MOST_OPSLIMIT, MOST_MEMLIMIT = 4 * argon2id.OPSLIMIT_SENSITIVE, argon2id.MEMLIMIT_SENSITIVE
LEAST_OPSLIMIT, LEAST_MEMLIMIT = argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN

#: Asks for a passphrase; true if it is a new one, which is judged and typed twice.
Asking = Callable[[bool], str]


class Passphrase:
    """A passphrase, asked for when it is needed. ``name`` is what a message may call it."""

    def __init__(self, name: str, ask: Asking, forget: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._ask = ask
        self._forget = forget

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a source of a passphrase is not pickled")

    def wrap(self, keyring_key: bytes) -> Slot:
        """Wrap under a key made of the passphrase and a fresh salt. Raises ``KeyringError`` if it is too short."""
        passphrase = self._ask(True)
        if len(passphrase) < LEAST:
            self._forget()
            raise KeyringError(f"{self.name} is too short: it stands alone and needs {LEAST} characters.")
        salt = secrets.token_bytes(argon2id.SALTBYTES)
        key = _derive(passphrase, salt, OPSLIMIT, MEMLIMIT)
        parameters: Parameters = {
            "salt": base64.b64encode(salt).decode(),
            "opslimit": OPSLIMIT,
            "memlimit": MEMLIMIT,
        }
        return unlock_key.wrap(key, METHOD, parameters, keyring_key)

    def unwrap(self, slots: Sequence[Slot]) -> bytes:
        """Open the passphrase slot that this one made; usually there is one, and all are tried."""
        candidates = [slot for slot in slots if slot.method == METHOD]
        if not candidates:
            raise KeyringError(
                f"The keyring has no slot for a passphrase. It has {told(slots)}. "
                "Name the source of one of these in keyring.unlock."
            )
        settings = [_settings(slot) for slot in candidates]  # judged before anything is asked or computed
        passphrase = self._ask(False)
        for slot, (salt, opslimit, memlimit) in zip(candidates, settings, strict=True):
            with suppress(BoxError):
                return unlock_key.unwrap(_derive(passphrase, salt, opslimit, memlimit), slot)
        self._forget()
        raise KeyringError(f"{self.name} does not unlock the keyring. Mind case, keyboard layout and blanks.")


def _settings(slot: Slot) -> tuple[bytes, int, int]:
    """Return salt, passes and bytes of memory. Raises ``KeyringError`` for what no vault writes."""
    match slot.parameters:
        case {"salt": str(text), "opslimit": int(opslimit), "memlimit": int(memlimit)}:
            pass
        case _:
            raise _damaged()
    try:
        salt = base64.b64decode(text, validate=True)
    except ValueError:
        raise _damaged() from None
    if len(salt) != argon2id.SALTBYTES:
        raise _damaged()
    if not (LEAST_OPSLIMIT <= opslimit <= MOST_OPSLIMIT and LEAST_MEMLIMIT <= memlimit <= MOST_MEMLIMIT):
        raise KeyringError(
            "The keyring's passphrase slot asks for more time or memory than any vault does: somebody changed it. "
            "Restore the keyring from its backup."
        )
    return salt, opslimit, memlimit


def _damaged() -> KeyringError:
    return KeyringError("The keyring's passphrase slot is damaged. Restore the keyring from its backup.")


def _derive(passphrase: str, salt: bytes, opslimit: int, memlimit: int) -> bytes:
    # NFC: the same passphrase is other bytes on other keyboards (RFC 8265, "OpaqueString").
    password = unicodedata.normalize("NFC", passphrase).encode(errors="surrogateescape")
    try:
        return argon2id.kdf(KEY_BYTES, password, salt, opslimit, memlimit)
    except (nacl.exceptions.CryptoError, MemoryError):
        raise KeyringError(
            f"Making a key of the passphrase needs {memlimit >> 20} MiB of memory, which cannot be had. Make room."
        ) from None


class _Terminal:
    """Asks on the terminal, once in a process: what was typed stays in memory."""

    def __init__(self) -> None:
        self._typed: str | None = None

    def ask(self, is_new: bool) -> str:
        if self._typed is None:
            typed = self._prompt("Passphrase of the keyring: ")
            if is_new and self._prompt("Once more: ") != typed:
                raise KeyringError("The two passphrases differ; nothing was written. Run the command again.")
            self._typed = typed
        return self._typed

    def forget(self) -> None:
        self._typed = None

    def _prompt(self, prompt: str) -> str:
        try:
            # getpass reads standard input, in the open, where there is no terminal: not here.
            with Path("/dev/tty").open("rb"):
                pass
            return getpass.getpass(prompt)
        except (OSError, EOFError):
            raise KeyringError(
                "passphrase:ask needs a terminal, and there is none. "
                "Where nobody types, use passphrase:file:PATH or credential:NAME."
            ) from None


_TERMINAL = _Terminal()


def open_source(rest: str, folder: Path) -> Passphrase:
    """Open ``passphrase:env:NAME``, ``passphrase:file:PATH`` or ``passphrase:ask``. Raises ``ConfigError``."""
    match rest.split(":", 1):
        case ["ask"]:
            return Passphrase("The passphrase", _TERMINAL.ask, _TERMINAL.forget)
        case ["env", name] if name:
            return Passphrase(f"The passphrase in the variable {name}", lambda _: read_variable(name))
        case ["file", path] if path:
            called = f"The passphrase file {folder / path}"
            return Passphrase(called, lambda _: _from_file(folder / path, called))
    raise ConfigError("keyring.unlock: a passphrase comes from env:NAME or file:PATH, or is asked for: ask.")


def _from_file(path: Path, called: str) -> str:
    """Return the file's text without the end of its line."""
    text = read_secret(path, called, "Restore it, or unlock the keyring by another of its slots.")
    return text.decode(errors="surrogateescape").removesuffix("\n").removesuffix("\r")
