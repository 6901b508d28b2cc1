"""A file of signed statements, one a line, that only grows: checkpoints of the audit trail, receipts of erasures.

It lies outside the databases, so whoever writes to those does not write here.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from vault.errors import StoreUnavailable

MODE = 0o600


class StatementFile:
    """One such file; made with the first statement."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, statements: Sequence[str]) -> None:
        """Add lines, which end with a line break; they are on disk when this returns. Raises ``StoreUnavailable``.

        Several processes may append at once. A line that was torn by a crash is closed first: it stays what it is,
        unreadable, and the next begins on a line of its own.
        """
        try:
            is_new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, MODE)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                size = os.fstat(descriptor).st_size
                is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                text = "".join(statements).encode()
                _write(descriptor, b"\n" + text if is_torn else text)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise StoreUnavailable from error

    def read(self) -> Iterator[str]:
        """Yield each line that is JSON; none where there is no file. What a crash has torn is skipped."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                yield from filter(_is_json, file)
        except FileNotFoundError:
            return


def _is_json(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError:
        return False
    return True


def _write(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
