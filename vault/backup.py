"""Backups: both databases as they are at a moment beside a running service, and what a restore has to know of them.

The manifest comes last, so a backup without one was interrupted. No key is in it unless asked for, and then sealed
as it is in the keyring file.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vault import __version__
from vault.clock import Clock, SystemClock
from vault.config import Config
from vault.crypto import manifest, sealed_file, whole_file
from vault.crypto.keyring import Keyring
from vault.data_folder import DATABASES
from vault.errors import BackupRefused
from vault.keys import unproven
from vault.progress import Progress
from vault.stores import open_stores
from vault.stores.sqlite.migrations import migrations
from vault.wiring import DEFAULT_TENANT, open_files

#: Bytes read at a time, and what progress is told in.
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Made:
    """A backup: its folder, its files with their bytes, how many profiles are in it, and the key it is sealed to."""

    folder: Path
    files: dict[str, int]
    profiles: int
    sealed_to: str | None


async def back_up(
    config: Config,
    data: Path,
    to: Path,
    progress: Progress,
    *,
    seal_to: str | None = None,
    with_keyring: bool = False,
    clock: Clock | None = None,
    tenant: str = DEFAULT_TENANT,
) -> Made:
    """Copy a vault into a new or an empty folder, while it serves. ``seal_to`` is a public key, base64.

    Everything that was acknowledged before the call is in it. Raises ``BackupRefused``, and whatever opening the
    vault raises; then nothing is left in the folder.
    """
    clock = clock or SystemClock()
    public = None if seal_to is None else sealed_file.read_public_key(seal_to)
    async with open_files(config, data, tenant, clock) as opened:
        assert opened.file is not None  # noqa: S101 - there is a folder
        signer = opened.keyring.active("signing")
        await opened.prove(lambda: unproven(opened.stores.keys, opened.keyring, opened.sealer))
        if with_keyring and opened.file.generation == 0:
            raise BackupRefused(
                "The keyring is not sealed, and goes into no backup. Seal it first: tokenvault keys rewrap"
            )
        was_there = make_empty(to)
        try:
            with ExitStack() as stack:
                copy = to
                if public is not None:  # what is not sealed yet is never in the backup's folder
                    copy = _beside(data)
                    stack.callback(shutil.rmtree, copy)
                # First, so that it tells of nothing that the databases do not hold yet.
                _copy_lines(data / config.audit.checkpoints, copy / manifest.CHECKPOINTS)
                await opened.stores.housekeeping.copy(copy)
                # Last, so that whoever is erased while all this is copied is in it.
                _copy_lines(data / config.erasure.ledger, copy / manifest.LEDGER)
                progress.did("both databases and the erasure ledger are copied")
                rows = await _census(config, copy)
                keyring = await asyncio.to_thread(opened.file.read)
                if with_keyring:
                    whole_file.write_draft(copy / manifest.KEYRING, opened.file.path.read_bytes())
                files = await asyncio.to_thread(_finish, copy, to, public, progress)
            statement = {
                "made_at": f"{datetime.fromtimestamp(clock.now() // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
                "program": __version__,
                "tenant": tenant,
                "sealed_to": seal_to,
                "files": files,
                "keys": _told(keyring),
                "rows": {table: {str(v): n for v, n in counts.items()} for table, counts in rows.items()},
                "migrations": {
                    schema: [one.name for one in migrations(schema)] for schema in ("vault", "sessions")
                },
            }
            text = manifest.issue(signer, statement)
            whole_file.publish(to / manifest.NAME, text.encode(), to / f"{manifest.NAME}.new")
        except OSError as error:
            clear(to, was_there=was_there)
            raise BackupRefused(f"The backup in {to} cannot be written: {error.strerror}.") from None
        except BaseException:
            clear(to, was_there=was_there)
            raise
    return Made(
        to, {name: one["bytes"] for name, one in files.items()}, sum(rows["profiles"].values()), seal_to
    )


def make_empty(folder: Path) -> bool:
    """Make a folder, mode 0700; return whether it was there, empty. Raises ``BackupRefused`` for any other."""
    try:
        if was_there := folder.exists():
            if not folder.is_dir() or any(one.name != "lost+found" for one in folder.iterdir()):
                raise BackupRefused(f"{folder} is not empty. Name a new or an empty folder with --to.")
        else:
            folder.mkdir(parents=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise BackupRefused(f"{folder} cannot be made: {error.strerror}.") from None
    return was_there


def clear(folder: Path, *, was_there: bool) -> None:
    """Take away everything that was put into a folder that ``make_empty`` has made or found."""
    for one in folder.iterdir():
        if one.is_dir() and one.name != "lost+found":
            shutil.rmtree(one)
        elif not one.is_dir():
            one.unlink()
    if not was_there:
        folder.rmdir()


def digest_of(path: Path, advance: Callable[[int], None]) -> str:
    """Return the SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()


def in_mib(progress: Progress) -> Callable[[int], None]:
    """Return what hears of bytes and tells the progress of MiB."""
    heard = 0

    def advance(count: int) -> None:
        nonlocal heard
        before, heard = heard // MIB, heard + count
        progress.advance(heard // MIB - before)

    return advance


async def _census(config: Config, copy: Path) -> dict[str, dict[int, int]]:
    """Open the copy, which proves that it opens, and count its rows by table and key version."""
    async with open_stores(config.storage.url, copy, config.storage.busy_timeout) as stores:
        if trouble := await stores.housekeeping.check():
            raise BackupRefused(" ".join(["The copy is not whole.", *trouble]))
        rows = {store.name: await store.census() for store in stores.sealed}
        return {
            **rows,
            "tags": await stores.tag_census(),
            "audit_events": await stores.audit.census(),
        }


def _beside(data: Path) -> Path:
    """Make a folder for what is not sealed yet: as safe a place as the data's own, and as roomy."""
    return Path(tempfile.mkdtemp(prefix=".backup-", dir=data.absolute().parent))


def _copy_lines(source: Path, target: Path) -> None:
    """Copy the whole lines of a file that others append to; nothing, where there is none."""
    content = source.read_bytes() if source.exists() else b""
    whole_file.write_draft(target, content[: content.rfind(b"\n") + 1])


def _finish(copy: Path, to: Path, public: bytes | None, progress: Progress) -> dict[str, Any]:
    """Seal what is to be sealed, bring all to disk, and return the files as the manifest tells of them."""
    names = (*DATABASES, manifest.LEDGER, manifest.CHECKPOINTS, manifest.KEYRING)
    found = [name for name in names if (copy / name).exists()]
    work = 1 if public is None else 2
    sizes = sum((copy / name).stat().st_size for name in found)
    progress.begin("files", work * sizes // MIB)
    advance = in_mib(progress)
    files = {}
    for name in found:
        path = to / name
        if public is not None:
            path = to / f"{name}{manifest.SEALED}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, whole_file.MODE)
            with (copy / name).open("rb") as source, os.fdopen(descriptor, "wb") as target:
                sealed_file.seal(source, target, public, name, advance)
        digest = digest_of(path, advance)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        files[path.name] = {"bytes": path.stat().st_size, "sha256": digest}
    for one in to.iterdir():
        if one.is_file() and one.name not in files:
            one.unlink()  # what SQLite had beside an open copy
    whole_file.sync_folder(to)
    return files


def _told(keyring: Keyring) -> dict[str, dict[str, dict[str, str]]]:
    told: dict[str, dict[str, dict[str, str]]] = {}
    for key in keyring:
        told.setdefault(key.line, {})[str(key.version)] = {
            "fingerprint": key.fingerprint, "state": key.state.value,
        }  # fmt: skip
    return told
