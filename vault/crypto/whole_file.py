"""Files with secrets that are whole or not there: mode 0600, durable, and seen by nobody half written.

The content is complete and on disk under a draft's name before the real name shows it; then the folder is synced,
so that the name survives a power cut too. All raise ``OSError``.
"""

import os
from pathlib import Path

MODE = 0o600
#: What others than the owner may do with a file; secrets are refused where any of it is allowed.
OTHERS = 0o077


def publish(path: Path, content: bytes, draft: Path) -> None:
    """Write a new file, and raise ``FileExistsError`` where there is one: ``link`` never replaces."""
    write_draft(draft, content)
    try:
        os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)


def replace(path: Path, content: bytes, draft: Path) -> None:
    """Put a file in the place of another: at any moment one of them is there, whole."""
    write_draft(draft, content)
    os.rename(draft, path)  # noqa: PTH104  # as os.link above: the calls that tests interrupt
    sync_folder(path.parent)


def write_draft(draft: Path, content: bytes) -> None:
    """Write to disk under a name that nobody reads; what an interrupted run left there was never in use."""
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
