"""A rehearsal: the whole rotation on a copy of the vault, which tells how long it takes and what would go wrong."""

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from vault.clock import SystemClock
from vault.config import Config
from vault.errors import DataFolderError
from vault.journal import Report
from vault.key_desk import Manner, open_desk
from vault.progress import Progress
from vault.sweep import Findings
from vault.unlock import anchored
from vault.wiring import DEFAULT_TENANT, open_files

#: The copy's keyring, in the copy.
KEYRING = "keyring.json"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal found: what opens and what does not, and the report of each line. Sizes in bytes."""

    copied: int
    copy_seconds: float
    findings: dict[str, Findings]
    reports: list[Report]


async def rehearse(
    config: Config,
    folder: Path,
    scratch: Path | None,
    manner: Manner,
    progress: Progress,
    line: str | None,
    tenant: str = DEFAULT_TENANT,
) -> Rehearsed:
    """Copy the vault into a new folder inside ``scratch``, rotate it there, and remove the copy, also on failure.

    By default the copy lies beside the data folder: a folder for temporary files may be open to others or too
    small. The copy is as secret as the vault: sealed boxes, and the keyring as sealed as it is.
    """
    clock = SystemClock()
    copy = _new_folder(scratch, folder)
    try:
        began_at = clock.now()
        async with open_files(config, folder, tenant, clock) as opened:
            await opened.stores.housekeeping.copy(copy)
            shutil.copy(folder / config.keyring.file, copy / KEYRING)
        copied = sum(entry.stat().st_size for entry in os.scandir(copy))
        progress.did(f"{copied:,} bytes are copied to {copy}")
        copy_seconds = (clock.now() - began_at) / 1000
        work = _of_copy(config, folder)
        async with open_desk(work, copy, manner, progress=progress, tenant=tenant) as desk:
            await desk.custody.forget_others()  # they serve and rotate the vault, not its copy
            findings = await desk.sweep.plan()
            reports = (
                await desk.rotations.rotate_all() if line is None else [await desk.rotations.rotate(line)]
            )
        return Rehearsed(copied, copy_seconds, findings, reports)
    finally:
        shutil.rmtree(copy)


def _new_folder(scratch: Path | None, folder: Path) -> Path:
    place = scratch or folder.absolute().parent  # is there, also where the folder is not
    try:
        return Path(tempfile.mkdtemp(prefix=".rehearsal-", dir=place))  # mode 0700
    except OSError as error:
        raise DataFolderError(
            f"No copy can be made in {place}: {error.strerror}. Name a place with --scratch."
        ) from None


def _of_copy(config: Config, folder: Path) -> Config:
    """Return settings under which the copy's keyring is the copy's own, wherever the vault's lies."""
    unlock = anchored(config.keyring.unlock, folder)
    return replace(config, keyring=replace(config.keyring, file=KEYRING, unlock=unlock))
