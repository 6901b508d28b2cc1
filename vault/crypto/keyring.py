"""The master keys: lines of versions, of which exactly one a line is active (docs/format.md, "Keyring").

    pending (opens, does not seal) -> active -> retiring (opens only) -> disabled (nothing, reversible) -> destroyed

Nothing here makes a key where one is missing: keys come from ``new_keyring`` at ``init`` and nowhere else.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

from vault.crypto.derive import KEY_BYTES, fingerprint
from vault.errors import KeyringError, UnknownKey

#: "data" seals boxes; "index" makes blind-index tags. Each rotates on its own.
LINES = ("data", "index")


class KeyState(StrEnum):
    """Where in its life a key version is."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"
    DISABLED = "disabled"
    DESTROYED = "destroyed"

    @property
    def opens(self) -> bool:
        """Whether boxes under a key in this state may be opened, and its index tags looked up."""
        return self in (KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRING)


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One master key of 32 random bytes. The secret is in no repr, and the object cannot be pickled."""

    line: str
    version: int
    state: KeyState
    created_at: int
    secret: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The key's public name, 16 hex digits."""
        return fingerprint(self.secret, self.line, self.version)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


class Keyring:
    """All key versions of one vault. Raises ``KeyringError`` unless each line has exactly one active version."""

    def __init__(self, keys: Iterable[KeyVersion]) -> None:
        self._keys = {(key.line, key.version): key for key in keys}
        self._active: dict[str, KeyVersion] = {}
        for line in LINES:
            active = [key for key in self.of_line(line) if key.state is KeyState.ACTIVE]
            if len(active) != 1:
                raise KeyringError(
                    f"The keyring's line '{line}' has {len(active)} active key versions and needs exactly one. "
                    "Restore the keyring file from its backup."
                )
            self._active[line] = active[0]

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)} key versions>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is not pickled")

    def of_line(self, line: str) -> Sequence[KeyVersion]:
        """Return the versions of one line, the oldest first."""
        return sorted((key for key in self._keys.values() if key.line == line), key=lambda key: key.version)

    def __iter__(self) -> Iterator[KeyVersion]:
        return iter(self._keys.values())

    def get(self, line: str, version: int) -> KeyVersion | None:
        """Return a key version, whatever its state."""
        return self._keys.get((line, version))

    def active(self, line: str) -> KeyVersion:
        """Return the one version that writes."""
        return self._active[line]

    def opening(self, line: str, version: int) -> KeyVersion:
        """Return the version that a stored row names, or raise ``UnknownKey``. Keys are never tried in turn."""
        key = self._keys.get((line, version))
        if key is None or not key.state.opens:
            raise UnknownKey
        return key

    def live(self, line: str) -> Sequence[KeyVersion]:
        """Return every version whose rows may be read, the active one first."""
        active = self._active[line]
        return [active, *(key for key in self.of_line(line) if key.state.opens and key is not active)]


def new_keyring(now: int) -> Keyring:
    """Make fresh random keys, version 1 of every line. For ``init`` alone: a lost key is never replaced."""
    return Keyring(
        KeyVersion(line, 1, KeyState.ACTIVE, now, secrets.token_bytes(KEY_BYTES)) for line in LINES
    )
