"""An unlock key on five sheets of paper of which any three bring it back: SLIP-39, one group, three of five.

Fewer than three tell nothing of the key (Shamir's scheme). Words carry a checksum, and the key a digest, so a
mistyped word and a foreign sheet are noticed.
"""

import secrets
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, NoReturn

import shamir_mnemonic
from shamir_mnemonic.wordlist import WORD_INDEX_MAP

from vault.crypto import unlock_key, whole_file
from vault.crypto.derive import KEY_BYTES
from vault.crypto.keyring_file import KeyringFile
from vault.errors import ConfigError, KeyringError
from vault.unlock import open_unlock
from vault.unlock.key_file import KeyFile
from vault.unlock.key_source import KeySource

THRESHOLD, SHARES = 3, 5
#: Words of a share of 256 bits (SLIP-39, "Format of the share mnemonic").
WORDS = 33
#: Without a passphrase there is nobody whom more iterations would slow down. It is the share that says how many there
#: are (SLIP-39: 10,000 times two to this power), and at 15 that is more than a minute of computing.
EXPONENT = 0


class Shares(NamedTuple):
    """Five word lists, and the public name of the key that any three of them give."""

    key_id: str
    texts: Sequence[str]

    def __repr__(self) -> str:
        return f"<Shares of key {self.key_id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("shares are not pickled")


class _Combined(KeySource):
    """A key that came back from its shares."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.name = "This set of shares"

    def text(self) -> bytes:
        return unlock_key.to_text(self._key)


def split(key: bytes) -> list[str]:
    """Split a key of 32 bytes into five lists of 33 words."""
    (shares,) = shamir_mnemonic.generate_mnemonics(1, [(THRESHOLD, SHARES)], key, iteration_exponent=EXPONENT)
    return list(shares)


def combine(texts: Sequence[str]) -> bytes:
    """Return the key of three or more shares. Raises ``KeyringError`` that names the wrong share without quoting it."""
    numbered = [(number, _share(number, text)) for number, text in enumerate(texts, 1)]
    for number, share in numbered[1:]:
        if _set_of(share) != _set_of(numbered[0][1]):
            raise KeyringError(
                f"Share {number} is of another set than share 1. Take shares that were made together, for one key."
            )
    distinct = list({share.index: share for _, share in numbered}.values())
    if len(distinct) < THRESHOLD:
        raise KeyringError(
            f"Three different shares are needed, and there are {len(distinct)}. Ask another holder for one."
        )
    keys = {_combined([*distinct[: THRESHOLD - 1], third]) for third in distinct[THRESHOLD - 1 :]}
    if len(keys) != 1:
        raise _foreign()
    return keys.pop()


def make(path: Path, source: str, folder: Path) -> Shares:
    """Split the key of a source, once it has unlocked the keyring at ``path``.

    Raises ``KeyringError``; also for a source that hands out no key, since there is nothing to split.
    """
    unlock = open_unlock(source, folder)
    if not isinstance(unlock, KeySource):
        raise KeyringError(
            "A passphrase or a key service gives no key that could be split. Add a key slot first, such as with "
            "'tokenvault keys rewrap --to file:recovery.key', and split that with '--source file:recovery.key'."
        )
    key = _proven(path, unlock)
    return Shares(unlock_key.key_id(key), split(key))


def prove(path: Path, texts: Sequence[str]) -> str:
    """Show that shares unlock the keyring; return the public name of their key. Raises ``KeyringError``."""
    return unlock_key.key_id(_proven(path, _Combined(combine(texts))))


def rehearse(path: Path, source: str, folder: Path) -> int:
    """Split in memory, and show of all ten triples that each unlocks the keyring; return how many there were."""
    shares = make(path, source, folder)
    triples = list(combinations(shares.texts, THRESHOLD))
    for triple in triples:
        prove(path, triple)
    return len(triples)


def restore(path: Path, texts: Sequence[str], out: Path) -> str:
    """Write the key of these shares into a new file, once it has unlocked the keyring; return its public name.

    Raises ``KeyringError``, also if the file exists: it is never overwritten.
    """
    key = _proven(path, _Combined(combine(texts)))
    try:
        KeyFile(out).publish(key)
    except FileExistsError:
        raise KeyringError(
            f"The file {out} exists already and is never overwritten. Name another with --out."
        ) from None
    return unlock_key.key_id(key)


def add_key(paths: Sequence[Path], texts: Sequence[str]) -> str:
    """Let one fresh key unlock these keyrings too, and return its text; what unlocked them before does so still.

    Raises ``KeyringError``, and ``KeyringFull``; before anything is written where one of them does not open or has no
    room. Whoever is interrupted leaves slots of a key that nobody has, and may ask for another.
    """
    held, fresh = _Combined(combine(texts)), _Combined(secrets.token_bytes(KEY_BYTES))
    files = [_opened(path, held) for path in paths]
    for file in files:
        file.require_room(file.slots)
    for file in files:
        file.rewrap([fresh], keep=file.slots)
    return fresh.text().decode().strip()


def out_of(source: str, folder: Path) -> Path:
    """Return the file that a source reads its key from. Raises ``ConfigError`` where it is none."""
    unlock = open_unlock(source, folder)
    if not isinstance(unlock, KeyFile):
        raise ConfigError("keyring.unlock names no file to write the key to. Name one with --out.")
    return unlock.path


def write_sheets(shares: Shares, folder: Path) -> list[Path]:
    """Write each share into a new file of its own, mode 0600; return them. Raises ``KeyringError``."""
    paths = [folder / f"share-{number}.txt" for number in range(1, SHARES + 1)]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in paths:
            if path.exists():
                raise FileExistsError
        for number, (path, text) in enumerate(zip(paths, shares.texts, strict=True), 1):
            sheet = (
                f"# tokenization-vault: recovery share {number} of {SHARES} for unlock key {shares.key_id}.\n"
                f"# Any {THRESHOLD} of the {SHARES} restore it: tokenvault keys recovery restore FILE FILE FILE\n"
                f"{text}\n"
            )
            whole_file.publish(path, sheet.encode(), path.with_name(path.name + ".draft"))
    except FileExistsError:
        raise KeyringError(
            f"{folder} holds shares already, and they are never overwritten. Name another."
        ) from None
    except OSError as error:
        raise KeyringError(f"The shares cannot be written to {folder}: {error.strerror}.") from None
    return paths


def read_sheets(paths: Sequence[Path]) -> list[str]:
    """Return the share in each file: all of it but lines that start with ``#``. Raises ``KeyringError``."""
    texts = []
    for path in paths:
        try:
            lines = path.read_text("utf-8", errors="replace").splitlines()
        except OSError as error:
            raise KeyringError(f"The share {path} cannot be read: {error.strerror}.") from None
        texts.append(" ".join(line for line in lines if not line.startswith("#")))
    return texts


def read_lines(lines: Iterable[str]) -> list[str]:
    """Return the shares of a text with one a line; empty lines and those that start with ``#`` are none."""
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _proven(path: Path, unlock: KeySource) -> bytes:
    _opened(path, unlock)
    return unlock.key()


def _opened(path: Path, unlock: KeySource) -> KeyringFile:
    file = KeyringFile(path, unlock)
    file.read()
    if file.generation == 0:
        raise KeyringError(
            f"The keyring {path} is not sealed yet. Seal it first with: tokenvault keys rewrap"
        )
    return file


def _share(number: int, text: str) -> shamir_mnemonic.Share:
    words = text.lower().split()
    for place, word in enumerate(words, 1):
        if word not in WORD_INDEX_MAP:
            raise KeyringError(
                f"Share {number}: word {place} is mistyped; it is not in the word list of SLIP-39."
            )
    if len(words) != WORDS:
        raise KeyringError(f"Share {number} has {len(words)} words and needs {WORDS}.")
    try:
        share = shamir_mnemonic.Share.from_mnemonic(" ".join(words))
    except shamir_mnemonic.MnemonicError:  # its message quotes the first words
        raise KeyringError(
            f"Share {number}: a word is mistyped, or two changed places; its checksum does not fit."
        ) from None
    if share.iteration_exponent != EXPONENT:
        raise KeyringError(
            f"Share {number} is none of this vault's: it asks for more computing than those that the vault makes."
        )
    return share


def _set_of(share: shamir_mnemonic.Share) -> tuple[object, ...]:
    return (*share.common_parameters(), *share.group_parameters())


def _combined(shares: Sequence[shamir_mnemonic.Share]) -> bytes:
    try:
        key: bytes = shamir_mnemonic.combine_mnemonics([share.mnemonic() for share in shares])
    except shamir_mnemonic.MnemonicError:
        raise _foreign() from None
    if len(key) != KEY_BYTES:
        raise _foreign()
    return key


def _foreign() -> KeyringError:
    return KeyringError(
        "These shares do not belong together. Take shares that were made together, for one key."
    )
