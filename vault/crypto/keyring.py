"""The master keys: lines of versions, of which exactly one a line is active (docs/format.md, "Keyring").

    pending (opens, does not seal) -> active -> retiring (opens only) -> disabled (nothing, reversible) -> destroyed

Nothing here makes a key where one is missing: keys come from ``new_keyring`` at ``init`` and from ``added``, when an
operator asks for one, and nowhere else.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NoReturn

from vault.crypto.derive import KEY_BYTES, fingerprint
from vault.errors import KeyMoveRefused, KeyringError, NoSuchKey, UnknownKey

#: "data" seals boxes; "index" makes blind-index tags; "signing" signs statements (Ed25519 seeds); "audit" makes the
#: MACs of the audit trail. Each rotates on its own. An older keyring may have no version of the last two.
LINES = ("data", "index", "signing", "audit")
_REQUIRED = ("data", "index")


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


#: Where a version may go from each state. An active one leaves only by the activation of another.
MOVES: Mapping[KeyState, tuple[KeyState, ...]] = {
    KeyState.PENDING: (KeyState.ACTIVE, KeyState.DISABLED),
    KeyState.ACTIVE: (),
    KeyState.RETIRING: (KeyState.ACTIVE, KeyState.DISABLED),
    KeyState.DISABLED: (KeyState.RETIRING, KeyState.DESTROYED),
    KeyState.DESTROYED: (),
}
_ADVICE = {
    (KeyState.ACTIVE, KeyState.DISABLED): " Activate another version first: tokenvault keys rotate",
    (KeyState.ACTIVE, KeyState.DESTROYED): " Rotate first: tokenvault keys rotate",
    (KeyState.RETIRING, KeyState.DESTROYED): " Finish the rotation first: tokenvault keys rotate",
    (KeyState.DISABLED, KeyState.ACTIVE): " Enable it first: tokenvault keys enable",
}


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One master key of 32 random bytes. The secret is in no repr, and the object cannot be pickled.

    Of a destroyed version the secret is empty, and ``tombstone`` is the fingerprint that it had.
    """

    line: str
    version: int
    state: KeyState
    created_at: int
    secret: bytes = field(repr=False)
    tombstone: str = ""

    @property
    def fingerprint(self) -> str:
        """The key's public name, 16 hex digits."""
        return self.tombstone or fingerprint(self.secret, self.line, self.version)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


class Keyring:
    """All key versions of one vault. Raises ``KeyringError`` unless each line has exactly one active version."""

    def __init__(self, keys: Iterable[KeyVersion]) -> None:
        self._keys = {(key.line, key.version): key for key in keys}
        self._active: dict[str, KeyVersion] = {}
        for line in LINES:
            active = [key for key in self.of_line(line) if key.state is KeyState.ACTIVE]
            if not active and line not in _REQUIRED:
                continue
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

    def states(self) -> dict[str, dict[str, str]]:
        """Return the state of each version, by line and version: what two processes compare."""
        return {line: {str(key.version): key.state.value for key in self.of_line(line)} for line in LINES}

    def get(self, line: str, version: int) -> KeyVersion | None:
        """Return a key version, whatever its state."""
        return self._keys.get((line, version))

    def active(self, line: str) -> KeyVersion:
        """Return the one version that writes. Raises ``NoSuchKey`` for a line that has none."""
        if line not in self._active:
            raise NoSuchKey(
                f"The keyring's line '{line}' has no key. Make one: tokenvault keys new --line {line}"
            )
        return self._active[line]

    def opening(self, line: str, version: int) -> KeyVersion:
        """Return the version that a stored row names, or raise ``UnknownKey``. Keys are never tried in turn."""
        key = self._keys.get((line, version))
        if key is None or not key.state.opens:
            raise UnknownKey
        return key

    def live(self, line: str) -> Sequence[KeyVersion]:
        """Return every version whose rows may be read, the newest first."""
        return [key for key in reversed(self.of_line(line)) if key.state.opens]

    # --- moves: each returns another keyring and leaves this one as it is ---

    def added(self, line: str, now: int) -> "Keyring":
        """Return a keyring with one more version of a line: pending, or active as the first of its line.

        Raises ``KeyMoveRefused`` while an earlier one is still pending.
        """
        versions = self.of_line(line)
        for key in versions:
            if key.state is KeyState.PENDING:
                raise KeyMoveRefused(
                    f"Version {key.version} of line '{line}' is pending already. "
                    f"Go on with it: tokenvault keys rotate --line {line}"
                )
        number = versions[-1].version + 1 if versions else 1
        state = KeyState.PENDING if versions else KeyState.ACTIVE
        return Keyring([*self, _new_key(line, number, state, now)])

    def moved(self, line: str, version: int, to: KeyState) -> "Keyring":
        """Return a keyring in which a version is in another state; activating one lets the active one retire.

        Destroying forgets the secret and leaves a tombstone. Raises ``NoSuchKey``, and ``KeyMoveRefused`` for
        a move that ``MOVES`` does not have.
        """
        key = self.get(line, version)
        if key is None:
            raise NoSuchKey(f"There is no version {version} of line '{line}'.")
        if to not in MOVES[key.state]:
            possible = " or ".join(MOVES[key.state]) or "none"
            raise KeyMoveRefused(
                f"Version {version} of line '{line}' is {key.state} and cannot become {to} from there "
                f"(possible: {possible})." + _ADVICE.get((key.state, to), "")
            )
        moved = {(other.line, other.version): other for other in self}
        if to is KeyState.ACTIVE:
            old = self.active(line)
            moved[line, old.version] = replace(old, state=KeyState.RETIRING)
        if to is KeyState.DESTROYED:
            key = replace(key, secret=b"", tombstone=key.fingerprint)
        moved[line, version] = replace(key, state=to)
        return Keyring(moved.values())

    def become(self, newer: "Keyring") -> None:
        """Take over another keyring's keys: whoever holds this one goes on with them. For a running process."""
        self._keys, self._active = newer._keys, newer._active


def new_keyring(now: int) -> Keyring:
    """Make fresh random keys, version 1 of every line. For ``init`` alone: a lost key is never replaced."""
    return Keyring(_new_key(line, 1, KeyState.ACTIVE, now) for line in LINES)


def _new_key(line: str, version: int, state: KeyState, now: int) -> KeyVersion:
    return KeyVersion(line, version, state, now, secrets.token_bytes(KEY_BYTES))
