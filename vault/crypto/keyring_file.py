"""The keyring on disk: sealed JSON, mode 0600, replaced whole or not at all (docs/format.md, "Keyring file").

A random *keyring key* seals the keys. Each slot of the file wraps that key for one way to unlock it, so an unlock
key is changed without touching the keys, and a process that has read the file once follows it through every change.
"""

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

from vault.crypto import keyring_text, whole_file
from vault.crypto.derive import KEY_BYTES
from vault.crypto.keyring import Keyring
from vault.crypto.keyring_text import MOST_SLOTS, Sealed, Slot, told
from vault.errors import KeyringError, WrongKey

__all__ = ["KeyringFile", "KeyringFull", "Slot", "Unlock"]


class Unlock(Protocol):
    """One source of what unlocks a keyring. No message of it quotes a secret."""

    def wrap(self, keyring_key: bytes) -> Slot:
        """Return a slot that this source can open. Raises ``KeyringError``."""
        ...

    def unwrap(self, slots: Sequence[Slot]) -> bytes:
        """Return the keyring key from the slot that is this source's. Raises ``KeyringError``."""
        ...


class KeyringFull(KeyringError):
    """The keyring has no room for another slot."""


class KeyringFile:
    """The keyring file of one vault, as this object last read or wrote it.

    ``generation`` counts the writes; it is 0 before the first read, and for a file of format 1. ``slots`` are those
    of the file.
    """

    def __init__(self, path: Path, unlock: Unlock) -> None:
        self.path = path
        self.generation = 0
        self.slots: Sequence[Slot] = ()
        self._unlock = unlock
        self._keyring_key: bytes | None = None
        self._digest: bytes | None = None
        self._stamp: tuple[int, int, int] | None = None

    def __repr__(self) -> str:
        return f"<KeyringFile {self.path}, generation {self.generation}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring file is not pickled")

    @property
    def previous(self) -> Path:
        """Where the generation before is kept."""
        return self.path.with_name(self.path.name + ".previous")

    def create(self, keyring: Keyring) -> None:
        """Write a new keyring durably: whole or not at all, and never over an existing file.

        Raises ``KeyringError``.
        """
        keyring_key = secrets.token_bytes(KEY_BYTES)
        slots = [_proven(self._unlock, keyring_key)]
        content = keyring_text.seal(keyring_key, 1, slots, keyring)
        try:
            with self._locked():
                whole_file.publish(self.path, content, self._draft)
                self._note(content, 1, slots, keyring_key)
        except FileExistsError:
            raise KeyringError(f"The keyring {self.path} exists already and is never overwritten.") from None
        except OSError as error:
            raise self._unwritten(error) from None

    def read(self) -> Keyring:
        """Read the keyring. The keyring key in memory is tried before the file's slots.

        Raises ``KeyringError``: missing, damaged, open to others, or not to be unlocked.
        """
        content, stamp = self._content()
        parsed = self._parsed(content)
        if isinstance(parsed, Keyring):
            self._note(content, 0, (), None, stamp)
            return parsed
        keyring_key, keyring = self._unlocked(parsed)
        self._note(content, parsed.generation, parsed.slots, keyring_key, stamp)
        return keyring

    def has_changed(self) -> bool:
        """Whether the file is not the one last read or written, or is gone. Costs one ``stat``."""
        try:
            return _stamp(os.stat(self.path)) != self._stamp  # noqa: PTH116  # asked often; Path.stat costs twice
        except OSError:
            return True

    def write(self, keyring: Keyring, *, forget: bool = False) -> None:
        """Replace the file by these keys under the same slots, and keep the generation before beside it.

        With ``forget`` the generation before is kept nowhere: a destroyed key must not survive in it. Raises
        ``KeyringError``, and has written nothing, where the file on disk is not the one that was last read.
        """
        self._require_read()
        keyring_key = self._keyring_key
        if keyring_key is None:
            raise KeyringError(
                f"The keyring {self.path} is not sealed yet. Seal it first with: tokenvault keys rewrap"
            )
        self._replace(lambda _: keyring, keyring_key, self.slots, forget)

    def rewrap(
        self,
        unlocks: Sequence[Unlock],
        *,
        keep: Sequence[Slot] = (),
        forget: bool = False,
        fresh: bool = False,
    ) -> None:
        """Replace the slots: the same keys under the same keyring key, with ``keep`` and a new slot for each unlock.

        ``fresh`` takes another keyring key, which no slot in ``keep`` could open: for a keyring that was stolen
        together with what unlocks it.

        Each new slot is opened before it is relied upon. A file of format 1 becomes one of format 2, and its plain
        text is kept nowhere. Raises ``KeyringError`` as ``write`` does, and ``KeyringFull``.
        """
        self._require_read()
        self.require_room(keep, len(unlocks))
        held = self._keyring_key
        keyring_key = secrets.token_bytes(KEY_BYTES) if held is None or fresh else held
        slots = [*keep, *(_proven(unlock, keyring_key) for unlock in unlocks)]

        def same(content: bytes) -> Keyring:
            parsed = self._parsed(content)
            if isinstance(parsed, Keyring):
                return parsed
            assert held is not None  # noqa: S101 - it opened these very bytes
            return keyring_text.unseal(parsed, held)

        self._replace(same, keyring_key, slots, forget or held is None)

    def require_room(self, keep: Sequence[Slot], more: int = 1) -> None:
        """Raise ``KeyringFull`` where so many slots beside those kept would be too many to be read again."""
        if len(keep) + more > MOST_SLOTS:
            raise KeyringFull(
                f"The keyring {self.path} has {len(self.slots)} slots and no room for another; nothing was changed. "
                f"It has {told(self.slots)}. All but that of the source in keyring.unlock can be removed, by this "
                "command with that source: tokenvault keys rewrap --only SOURCE"
            )

    def _require_read(self) -> None:
        if self._digest is None:
            raise KeyringError(f"The keyring {self.path} was not read, so it is not replaced.")

    def _replace(
        self, make: Callable[[bytes], Keyring], keyring_key: bytes, slots: Sequence[Slot], forget: bool
    ) -> None:
        """Write the next generation; ``make`` returns its keys from the content of this one."""
        try:
            with self._locked():
                before, _ = self._content()
                if not hmac.compare_digest(hashlib.sha256(before).digest(), self._digest or b""):
                    raise KeyringError(
                        f"The keyring {self.path} was changed underneath by another process; nothing was written. "
                        "Run the command again."
                    )
                generation = self.generation + 1
                content = keyring_text.seal(keyring_key, generation, slots, make(before))
                self._keep_previous(content if forget else None)
                # The last write: what is seen from here on is whole, and what was to be forgotten is gone.
                whole_file.replace(self.path, content, self._draft)
                self._note(content, generation, slots, keyring_key)
        except OSError as error:
            raise self._unwritten(error) from None

    def _keep_previous(self, instead: bytes | None) -> None:
        """Give the file a second name, or put there what takes its place."""
        if instead is not None:
            whole_file.replace(self.previous, instead, self._draft)
            return
        self.previous.unlink(missing_ok=True)
        os.link(self.path, self.previous)
        whole_file.sync_folder(self.path.parent)

    def _content(self) -> tuple[bytes, tuple[int, int, int]]:
        """Return the file's bytes and its stamp, both of the same file."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                content = file.read()
        except FileNotFoundError:
            raise KeyringError(
                f"The keyring {self.path} is missing. Without it nothing in this vault can be opened, and a new one "
                "would not help: restore the file from its backup."
            ) from None
        except OSError as error:
            raise KeyringError(f"The keyring {self.path} cannot be read: {error.strerror}.") from None
        if status.st_mode & whole_file.OTHERS:
            raise KeyringError(
                f"The keyring {self.path} is open to other users. Mend it with: chmod 600 {self.path}"
            )
        return content, _stamp(status)

    def _parsed(self, content: bytes) -> Sealed | Keyring:
        try:
            return keyring_text.parse(content)
        except keyring_text.Damaged:
            raise self._damaged() from None
        except keyring_text.UnknownFormat:
            raise KeyringError(
                f"The keyring {self.path} has a format this version does not know. Use the version that wrote it."
            ) from None

    def _unlocked(self, file: Sealed) -> tuple[bytes, Keyring]:
        try:
            if self._keyring_key is not None:
                try:
                    return self._keyring_key, keyring_text.unseal(file, self._keyring_key)
                except WrongKey:
                    pass  # another vault's file, or one restored from before this keyring key: ask the slots
            keyring_key = self._unlock.unwrap(file.slots)
            return keyring_key, keyring_text.unseal(file, keyring_key)
        except (keyring_text.Damaged, WrongKey):
            raise self._damaged() from None

    def _note(
        self,
        content: bytes,
        generation: int,
        slots: Sequence[Slot],
        keyring_key: bytes | None,
        stamp: tuple[int, int, int] | None = None,
    ) -> None:
        self._digest = hashlib.sha256(content).digest()
        self.generation, self.slots, self._keyring_key = generation, tuple(slots), keyring_key
        # The last: this may run in a thread, and whoever sees the file as unchanged takes the generation for its own.
        self._stamp = stamp or _stamp(self.path.stat())

    @property
    def _draft(self) -> Path:
        return self.path.with_name(self.path.name + ".new")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock beside the file, which is for those who write. It ends with the process that holds it."""
        lock = self.path.with_name(self.path.name + ".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, whole_file.MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _damaged(self) -> KeyringError:
        return KeyringError(
            f"The keyring {self.path} is damaged. Restore it from its backup or from {self.previous.name}."
        )

    def _unwritten(self, error: OSError) -> KeyringError:
        return KeyringError(f"The keyring {self.path} cannot be written: {error.strerror}.")


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _proven(unlock: Unlock, keyring_key: bytes) -> Slot:
    """Wrap, and open what was wrapped: a source that may encrypt and not decrypt would lock everybody out."""
    slot = unlock.wrap(keyring_key)
    if unlock.unwrap([slot]) != keyring_key:
        raise KeyringError("The source of the unlock key does not open what it has just wrapped.")
    return slot
