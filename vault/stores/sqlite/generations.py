"""Tells every process on a session file which kept rows may have changed: counters in memory they share.

A writer, inside its transaction, counts up ``begun`` of each digest's slot; after COMMIT, and before anybody hears
of it, ``done``. A reader keeps a row only if both were equal before it read, and uses it only while ``begun``
is what it was. So whoever asks after a revocation was answered, in whatever process, reads the file again.

Why this holds without atomic operations: ``begun`` is counted up only under SQLite's write lock. ``done`` may lose
a count when two processes finish at one instant, and then stays behind ``begun``: that slot is read from the
file until all have closed it. The same is left by a process that is killed in between. Never is ``done`` ahead.
"""

import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path

#: A change makes one in this many kept rows be read again.
SLOTS = 4096

_COUNTER_BYTES = 8
_BYTES = 2 * SLOTS * _COUNTER_BYTES


class Generations:
    """The counters of one session file, shared by all processes that have it open through the vault.

    Opening them raises ``OSError``, also where the disk has no room for them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _join(path)
        self._memory = mmap.mmap(self._descriptor, _BYTES)
        counters = memoryview(self._memory).cast("Q")
        self._begun, self._done = counters[:SLOTS], counters[SLOTS:]
        self._changing: list[int] = []
        self._is_shared = True

    def note(self, digest: bytes) -> int | None:
        """Return the generation of what is about to be read, or None if it is being changed: do not keep it."""
        slot = _slot(digest)
        begun = self._begun[slot]
        return begun if begun == self._done[slot] and self._is_shared else None

    def is_current(self, digest: bytes, generation: int) -> bool:
        """Whether nothing was begun on the slot since ``note`` gave this generation."""
        return self._begun[_slot(digest)] == generation

    def change(self, digest: bytes) -> None:
        """Say that this row changes. Inside the write transaction."""
        slot = _slot(digest)
        self._begun[slot] += 1
        self._changing.append(slot)

    def settle(self) -> None:
        """Say that the transaction has ended, whichever way, before anybody hears of it."""
        for slot in self._changing:
            self._done[slot] += 1
        self._changing.clear()

    def check(self) -> bool:
        """Whether others can still find the counters. If somebody deleted the file, nothing is kept from here on."""
        if self._is_shared and os.fstat(self._descriptor).st_nlink == 0:
            self._is_shared = False
            for slot in range(SLOTS):
                self._begun[slot] += 1  # and nothing kept so far is used again
        return self._is_shared

    def close(self) -> None:
        """Let go of the memory, and of the lock that tells others we are here; the last to leave takes the file."""
        self._begun.release()
        self._done.release()
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._descriptor).st_nlink:  # else the path is somebody else's by now
                self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _join(path: Path) -> int:
    """Return a descriptor of the counters that all others who have them open share, under a shared lock."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # others are at work: their counters go on
        else:
            os.truncate(descriptor, 0)  # nobody is: begin anew, whatever a killed process left
            try:
                os.posix_fallocate(descriptor, 0, _BYTES)  # a page without room on the disk is a SIGBUS later
            except OSError:
                path.unlink()  # whoever waits for the lock begins anew
                os.close(descriptor)
                raise
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for one who is just coming or going
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # the last to leave took the file in this very moment


def _slot(digest: bytes) -> int:
    # By what is there: a digest that somebody cut short in the file must not stop the sweep.
    return int.from_bytes(digest[:2], "big") % SLOTS
