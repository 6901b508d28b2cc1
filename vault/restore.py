"""Restoring: a backup, with the keyring and the erasure ledger of a vault that lends them, into a new folder.

All is proven first. The new vault gets its keyring last, so one whose restoring was interrupted does not serve.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from vault import wiring
from vault.backup import MIB, clear, in_mib, make_empty
from vault.backup_proof import Wanted, content_of, prove, read_file, require_keys, stored_name
from vault.clock import Clock, SystemClock
from vault.config import Config
from vault.crypto import manifest, whole_file
from vault.crypto.keyring import KeyState
from vault.crypto.manifest import Manifest
from vault.crypto.receipt import token_digest
from vault.custody import Custody, make_known
from vault.data_folder import DATABASES
from vault.erasure import Erasures
from vault.errors import BackupRefused
from vault.key_watch import KeyWatch
from vault.keys import mismatches
from vault.ledger import make_ledger, read_ledger
from vault.ports import Stores
from vault.progress import Progress
from vault.statement_file import StatementFile
from vault.stores.sqlite.database import damage
from vault.wiring import Opened, keyring_of, open_files

#: The new vault's keyring until all else is done.
DRAFT = "keyring.json.restoring"

#: Rows that are read at a time in search of erased people.
PAGE = 500


@dataclass(slots=True)
class Restored:
    """What came of it. ``enabled`` are key versions (line, version) that open again, ``left`` is in sentences."""

    made_at: str
    rows: dict[str, int] = field(default_factory=dict)
    erased: int = 0
    enabled: list[tuple[str, int]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


async def restore(config: Config, wanted: Wanted, progress: Progress, clock: Clock | None = None) -> Restored:
    """Restore a backup. Raises ``BackupRefused`` and whatever opening the vault raises; then nothing is left of it."""
    clock = clock or SystemClock()
    was_there = make_empty(wanted.to)
    lent: list[Path] = []  # outside of the new folder, where the settings say so
    try:
        told, signers = await asyncio.to_thread(prove, config, wanted, progress)
        ledgers = await asyncio.to_thread(_bring, config, wanted, told, lent, progress)
        work = _of_draft(config, wanted.to)
        restored = Restored(told.made_at)
        async with open_files(work, wanted.to, wanted.tenant, clock) as opened:
            await _fit(config, wanted, opened, restored)
            for record in await opened.stores.keys.known():
                signers |= {record.public_key} if record.public_key else set()
            receipts = _listed(config, wanted, ledgers, signers, restored)
            await _replay(work, wanted.tenant, opened, clock, receipts, restored)
            restored.rows = {
                store.name: sum((await store.census()).values()) for store in opened.stores.sealed
            }
        async with wiring.open_vault(work, wanted.to, tenant=wanted.tenant, clock=clock):
            progress.did("the restored vault opens")
        restored.left += await wiring.check(work, wanted.to, wanted.tenant)
        _publish(config, wanted, lent)
    except BaseException:
        clear(wanted.to, was_there=was_there)
        for path in lent:
            path.unlink(missing_ok=True)
        raise
    return restored


def _bring(
    config: Config, wanted: Wanted, told: Manifest, lent: list[Path], progress: Progress
) -> dict[str, bytes]:
    """Put the files into the new folder, all but the keyring; return what the ledgers hold, by name."""
    own = content_of(wanted, told, manifest.KEYRING) if wanted.own_keyring else b""
    keyring = own or (wanted.data / config.keyring.file).read_bytes()
    # The first file of all: a folder that holds it is not taken for a new one, in which a start would make a vault.
    whole_file.write_draft(wanted.to / DRAFT, keyring)
    names = [name for name in (*DATABASES, manifest.CHECKPOINTS) if stored_name(told, name) in told.files]
    progress.begin("files", sum(told.files[stored_name(told, name)].bytes for name in names) // MIB)
    advance = in_mib(progress)
    for name in names:
        path = wanted.to / (config.audit.checkpoints if name == manifest.CHECKPOINTS else name)
        if not path.exists():
            if path.parent != wanted.to:
                lent.append(path)
            _write(path, lambda target, name=name: read_file(wanted, told, name, target, advance))  # type: ignore[misc]
    trouble = [sentence for name in DATABASES for sentence in damage(wanted.to / name)]
    if trouble:
        raise BackupRefused(" ".join(trouble))
    _lend_unlock_key(config, wanted, lent)
    if own:
        require_keys(told, keyring_of(wanted.to, _of_draft(config, wanted.to)).read(), "that of the backup")
    progress.did("the files are in their places, and whole")
    ledgers = {"the backup's ledger": content_of(wanted, told, manifest.LEDGER)}
    if not wanted.without_ledger:
        path = wanted.data / config.erasure.ledger
        ledgers[str(path)] = path.read_bytes()
    return ledgers


def _write(path: Path, fill: Callable[[BinaryIO], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, whole_file.MODE)
    with os.fdopen(descriptor, "wb") as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())


def _lend_unlock_key(config: Config, wanted: Wanted, lent: list[Path]) -> None:
    """Copy what unlocks the keyring, where that is a file whose place depends on the data folder."""
    for scheme in ("file:", "passphrase:file:"):
        if config.keyring.unlock.startswith(scheme):
            name = config.keyring.unlock.removeprefix(scheme)
            source, target = wanted.data / name, wanted.to / name
            content = source.read_bytes()
            if not target.exists():
                if target.parent != wanted.to:
                    lent.append(target)
                whole_file.write_draft(target, content)
            elif target.read_bytes() != content:
                raise BackupRefused(f"{target} is there already and holds another key.")


def _of_draft(config: Config, to: Path) -> Config:
    return replace(config, keyring=replace(config.keyring, file=str((to / DRAFT).absolute())))


async def _fit(config: Config, wanted: Wanted, opened: Opened, restored: Restored) -> None:
    """Let keyring and database fit each other: the database knows nothing of what became of its keys since."""
    stores, keyring, closed = opened.stores, opened.keyring, await opened.stores.keys.closed()
    newer = keyring
    for line, versions in sorted((await stores.keys.versions_in_use()).items()):
        for version in sorted(versions):
            key = keyring.get(line, version)
            is_needed = line != "index" or (line, version) not in closed
            if key is not None and key.state is KeyState.DISABLED and is_needed:
                newer = newer.moved(line, version, KeyState.RETIRING)
                restored.enabled.append((line, version))
    if restored.enabled:
        if _is_shared(config, wanted):
            raise BackupRefused(
                "A key version has to be enabled for this backup, and by the settings the new vault's keyring would "
                f"be that of {wanted.data}. Give the new vault a keyring of its own: VAULT_KEYRING__FILE=keyring.json"
            )
        assert opened.file is not None  # noqa: S101 - there is a folder
        await asyncio.to_thread(opened.file.write, newer)
        keyring.become(newer)
    for line, version in closed:
        key = keyring.get(line, version)
        if key is not None and key.state is KeyState.ACTIVE:
            await stores.keys.reopen(line, version)  # it became the active one again since
    await opened.prove(lambda: mismatches(stores, keyring, opened.sealer))


def _listed(
    config: Config, wanted: Wanted, ledgers: dict[str, bytes], signers: set[str], restored: Restored
) -> dict[str, str]:
    """Return all receipts by token digest, and put those that the new vault's ledger lacks into it."""
    receipts: dict[str, str] = {}
    for name, content in ledgers.items():
        told = read_ledger(content, signers, name)
        receipts = told.receipts | receipts
        restored.left += told.refused
    path = wanted.to / config.erasure.ledger
    here = read_ledger(path.read_bytes(), signers, str(path)).receipts if path.exists() else {}
    make_ledger(path)
    if missing := [line for digest, line in receipts.items() if digest not in here]:
        StatementFile(path).append(missing)
    return receipts


async def _replay(
    work: Config, tenant: str, opened: Opened, clock: Clock, receipts: dict[str, str], restored: Restored
) -> None:
    """Erase everybody who is in the ledger, by the verb that erases anybody."""
    stores, keyring = opened.stores, opened.keyring
    assert opened.file is not None  # noqa: S101 - there is a folder
    watch = KeyWatch(opened.file, keyring, opened.sealer, stores.keys, stores.processes, clock)
    audit = wiring.audit_of(work, tenant, clock, opened, watch)
    await make_known(stores.keys, keyring, opened.sealer, audit, clock)
    await audit.record(audit.event("vault.restored", None, {"made_at": restored.made_at}))
    await Custody(opened.file, keyring, opened.sealer, stores, audit, clock).forget_others()
    erasures: Erasures = wiring.erasures_of(work, tenant, clock, opened, audit)
    async for tokens in _people(stores):
        restored.erased += await erasures.erase_listed(tokens, lambda token: token_digest(token) in receipts)


async def _people(stores: Stores) -> AsyncIterator[list[str]]:
    """Yield the user tokens of all profiles, and of sessions, whose profile may be gone."""
    boxes = {store.name: store for store in stores.sealed}
    after: int | bytes | None = None
    while page := await boxes["profiles"].page(after, PAGE):
        yield [row.name for row in page]
        after = page[-1].cursor
    after = None
    while page := await boxes["sessions"].page(after, PAGE):
        rows = [await stores.sessions.find(row.cursor) for row in page if isinstance(row.cursor, bytes)]
        yield sorted({row.user_token for row in rows if row is not None and row.user_token is not None})
        after = page[-1].cursor


def _is_shared(config: Config, wanted: Wanted) -> bool:
    """Whether the settings name one keyring for both folders."""
    return (wanted.data / config.keyring.file).resolve() == (wanted.to / config.keyring.file).resolve()


def _publish(config: Config, wanted: Wanted, lent: list[Path]) -> None:
    """Give the new vault its keyring, the last thing that it lacked."""
    path = wanted.to / config.keyring.file
    content = (wanted.to / DRAFT).read_bytes()
    for draft in wanted.to.glob(f"{DRAFT}*"):
        draft.unlink()
    if _is_shared(config, wanted) and path.exists():
        return
    if path.exists():
        raise BackupRefused(f"The keyring {path} exists already and is never overwritten.")
    path.parent.mkdir(parents=True, exist_ok=True)
    whole_file.publish(path, content, path.with_name(f"{path.name}.new"))
