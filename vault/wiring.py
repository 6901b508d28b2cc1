"""The one place that knows everyone: settings in, a running vault out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vault.access import Access
from vault.access_keys import AccessKeys
from vault.alarms import Alarms
from vault.audit import Audit
from vault.bulk import Bulk
from vault.claims import ClaimsPolicy
from vault.clock import Clock, SystemClock
from vault.config import Config
from vault.crypto.blind_index import BlindIndex
from vault.crypto.keyring import LINES, Keyring, new_keyring
from vault.crypto.keyring_file import KeyringFile
from vault.crypto.sealer import Sealer
from vault.custody import make_known
from vault.erasure import Erasures
from vault.errors import AlreadyInitialised, ConfigError, DataFolderError, KeyringError, VaultError
from vault.housekeeping import Housekeeping
from vault.idempotency import Answers
from vault.installation import Vault
from vault.key_watch import KeyWatch
from vault.keys import mismatches
from vault.ledger import Ledger, make_ledger
from vault.ports import Stores
from vault.profiles import Profiles
from vault.sessions import Sessions
from vault.statement_file import StatementFile
from vault.stores import open_stores
from vault.sweep import in_quarantine
from vault.unlock import open_unlock, prepare
from vault.webhook import Webhook

DEFAULT_TENANT = "default"
DATABASES = ("vault.db", "sessions.db")
FIRST_KEY_NAME = "first admin"


@asynccontextmanager
async def open_vault(
    config: Config,
    folder: Path | None,
    *,
    tenant: str = DEFAULT_TENANT,
    clock: Clock | None = None,
    demo: bool = False,
    housekeeping: bool = False,
) -> AsyncIterator[Vault]:
    """Open a vault: prove the keyring, finish what was interrupted, and close every file at the end.

    ``folder`` is None for the memory store alone, whose keys live and die with the process. With
    ``housekeeping`` the sweeps run until the end, and the keyring is followed. Raises
    ``KeyringError``, ``DataFolderError``.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_files(config, folder, tenant, clock))
        await opened.prove(lambda: mismatches(opened.stores, opened.keyring, opened.sealer))
        for line in LINES:
            opened.keyring.active(line)  # raises, and says how to make the key that an older keyring lacks
        watch = KeyWatch(
            opened.file, opened.keyring, opened.sealer, opened.stores.keys, opened.stores.processes, clock
        )
        vault = assemble(config, tenant, clock, opened, watch, demo=demo)
        stack.push_async_callback(vault.alarms.close)
        await make_known(opened.stores.keys, opened.keyring, opened.sealer, vault.audit, clock)
        if folder is not None and not await _lacks_ledger(config, opened):
            make_ledger(folder / config.erasure.ledger)
        # Whoever was being erased when the process died is erased before anybody can ask.
        await vault.profiles.sweep(config.housekeeping.chunk)
        if housekeeping:
            await vault.profiles.erase_again(config.housekeeping.chunk)
            for name, run in (("housekeeping", vault.housekeeping.run), ("key-watch", watch.run)):
                stack.push_async_callback(_stop, asyncio.create_task(run(), name=name))
        yield vault


@dataclass(frozen=True, slots=True)
class Opened:
    """Keyring and stores of a vault, not yet proven to belong together. ``file`` is None in memory."""

    file: KeyringFile | None
    keyring: Keyring
    sealer: Sealer
    stores: Stores
    folder: Path | None = None

    async def prove(self, trouble: Callable[[], Awaitable[list[str]]]) -> None:
        """Raise ``KeyringError`` with the trouble, unless the keyring has changed since it was read.

        Then a rotation goes on beside this, and the newer keyring is judged instead.
        """
        while sentences := await trouble():
            if self.file is None or not self.file.has_changed():
                raise KeyringError(" ".join(sentences))
            self.keyring.become(await asyncio.to_thread(self.file.read))


@asynccontextmanager
async def open_files(config: Config, folder: Path | None, tenant: str, clock: Clock) -> AsyncIterator[Opened]:
    """Open keyring and stores; nothing is made but by ``initialise``. Raises as ``open_vault``."""
    file = None
    if folder is None:
        keyring = new_keyring(clock.now())
    else:
        _require_files(config)
        if not any((folder / name).exists() for name in (config.keyring.file, *DATABASES)):
            raise DataFolderError(_no_vault(folder))
        require_whole(folder, config)
        file = keyring_of(folder, config)
        keyring = file.read()
    async with open_stores(config.storage.url, folder, config.storage.busy_timeout) as stores:
        yield Opened(file, keyring, Sealer(keyring, tenant), stores, folder)


def keyring_of(folder: Path, config: Config) -> KeyringFile:
    """Return the keyring file of a data folder, not yet read. Raises ``ConfigError``."""
    return KeyringFile(folder / config.keyring.file, open_unlock(config.keyring.unlock, folder))


def assemble(
    config: Config,
    tenant: str,
    clock: Clock,
    opened: Opened,
    watch: KeyWatch,
    *,
    demo: bool = False,
) -> Vault:
    """Put the nouns of one tenant together over open stores."""
    keyring, sealer, stores = opened.keyring, opened.sealer, opened.stores
    audit = audit_of(config, tenant, clock, opened, watch)
    webhook = Webhook(config.alarms.webhook) if config.alarms.webhook else None
    access = Access(AccessKeys(stores.access, sealer), audit, clock, watch, config.access, demo=demo)
    alarms = Alarms(stores.alarms, audit, keyring, clock, watch, webhook, access.suspend)
    answers = Answers(sealer, clock, config.idempotency.lifetime)
    index = BlindIndex(keyring, tenant, config.profiles.default_region)
    profiles = Profiles(
        stores.profiles,
        erasures_of(config, tenant, clock, opened, audit),
        sealer,
        index,
        answers,
        audit,
        alarms,
        clock,
        watch,
        config.profiles,
        config.limits.profile_body,
    )
    sessions = Sessions(
        stores.sessions,
        profiles.person,
        sealer,
        ClaimsPolicy(config.sessions.claims),
        answers,
        audit,
        clock,
        watch,
        config.sessions,
    )
    bulk = Bulk(stores.unlocks, profiles, audit, clock, watch)
    sweeps = (profiles.sweep, sessions.sweep, bulk.sweep)
    chores = (audit.anchor, alarms.deliver)
    return Vault(
        tenant,
        config,
        access,
        alarms,
        audit,
        bulk,
        profiles,
        sessions,
        Housekeeping(stores, sweeps, chores, clock, config.housekeeping),
    )


def audit_of(config: Config, tenant: str, clock: Clock, opened: Opened, watch: KeyWatch) -> Audit:
    """Put the audit trail of one tenant together."""
    stores = opened.stores
    boxes = next(store for store in stores.sealed if store.name == "audit_details")
    file = StatementFile(opened.folder / config.audit.checkpoints) if opened.folder else None
    return Audit(stores.audit, boxes, opened.keyring, opened.sealer, tenant, clock, watch, config.audit, file)


def erasures_of(config: Config, tenant: str, clock: Clock, opened: Opened, audit: Audit) -> Erasures:
    """Put the erasures of one tenant together, over the ledger."""
    file = StatementFile(opened.folder / config.erasure.ledger) if opened.folder else None
    ledger = Ledger(file, opened.keyring, tenant)
    return Erasures(opened.stores.profiles, opened.stores.sessions, ledger, audit, clock)


async def initialise(config: Config, folder: Path) -> str:
    """Make data folder, keyring and the first admin access key; return that key, which is shown once.

    The databases come first and the keyring after them, so a keyring without databases always means that
    they were lost. Raises ``AlreadyInitialised``, and ``KeyringError`` where keys were in use before: a lost
    keyring is never replaced.
    """
    _require_files(config)
    path = folder / config.keyring.file
    if path.exists():
        require_whole(folder, config)
        raise AlreadyInitialised(f"{folder} already holds a vault; nothing was changed.")
    _make_folder(folder)
    async with open_stores(config.storage.url, folder, config.storage.busy_timeout) as stores:
        if await stores.keys.known() or any((await stores.keys.versions_in_use()).values()):
            keyring_of(folder, config).read()  # raises: it is missing, and what to do
        prepare(config.keyring.unlock, folder)
        keyring_of(folder, config).create(new_keyring(SystemClock().now()))
    async with open_vault(config, folder) as vault:
        return await first_access_key(vault)


async def first_access_key(vault: Vault) -> str:
    """Make the admin key of a vault that has no access key yet."""
    text, _ = await vault.access.create(FIRST_KEY_NAME, {"admin"})
    return text


def is_new(config: Config, folder: Path) -> bool:
    """Whether there is neither a keyring (which may lie elsewhere) nor anything foreign in the folder."""
    return is_fresh(folder) and not (folder / config.keyring.file).exists()


def is_fresh(folder: Path) -> bool:
    """Whether nothing is in the folder but what an interrupted ``initialise`` may have left."""
    return not folder.exists() or all(
        entry.name.startswith((*DATABASES, "unlock.key"))
        or entry.name.endswith((".json.new", ".json.lock", ".ndjson"))
        or entry.name == "lost+found"
        for entry in folder.iterdir()
    )


def require_whole(folder: Path, config: Config) -> None:
    """Raise ``DataFolderError`` if a database is missing beside an existing keyring: it is never made anew."""
    if not (folder / config.keyring.file).exists():
        return
    for name in DATABASES:
        if not (folder / name).exists():
            raise DataFolderError(
                f"{folder / name} is missing beside the keyring. Restore it from its backup"
                + (
                    f", or log everybody out by starting with no sessions: install -m 600 /dev/null {folder / name}"
                    if name == "sessions.db"
                    else "."
                )
            )


async def check(config: Config, folder: Path) -> list[str]:
    """Return what is wrong with an installation and how to mend it, in sentences; empty if nothing is."""
    if is_new(config, folder) and not any((folder / name).exists() for name in DATABASES):
        return [_no_vault(folder)]
    trouble = _open_to_others(folder)
    try:
        require_whole(folder, config)
        async with open_files(config, folder, DEFAULT_TENANT, SystemClock()) as opened:
            trouble += await opened.stores.housekeeping.check()
            await opened.prove(lambda: mismatches(opened.stores, opened.keyring, opened.sealer))
            aside = [await store.set_aside_census() for store in opened.stores.sealed]
            if rows := sum(sum(census.values()) for census in aside):
                trouble.append(in_quarantine(rows))
            if await _lacks_ledger(config, opened):
                ledger = folder / config.erasure.ledger
                trouble.append(
                    f"People were erased, and the erasure ledger {ledger} is missing: a restored backup would bring "
                    "them back. Restore it from its own backup; if there never was one, begin it with: "
                    f"install -m 600 /dev/null {ledger}"
                )
            trouble += await AccessKeys(opened.stores.access, opened.sealer).trouble(folder)
    except VaultError as error:
        trouble.append(error.message)
    return trouble


async def _lacks_ledger(config: Config, opened: Opened) -> bool:
    """Whether people were erased, and the ledger that says so is gone: then it is not begun anew as if none were."""
    assert opened.folder is not None  # noqa: S101 - memory keeps no ledger
    path = opened.folder / config.erasure.ledger
    return not path.exists() and bool(await opened.stores.sessions.closed("", 1))


def _require_files(config: Config) -> None:
    if config.storage.url == "memory:":
        raise ConfigError(
            "storage.url: 'memory:' forgets everything at the end; only 'tokenvault demo' uses it."
        )


def _no_vault(folder: Path) -> str:
    if is_fresh(folder):
        return f"{folder} holds no vault. Make one with: tokenvault init --data {folder}"
    return f"{folder} holds other files and no vault. Name an empty or a new folder with --data."


def _make_folder(folder: Path) -> None:
    if not is_fresh(folder):
        raise DataFolderError(_no_vault(folder))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def _open_to_others(folder: Path) -> list[str]:
    if folder.stat().st_mode & 0o077:
        return [f"{folder} is open to other users. Mend it with: chmod 700 {folder}"]
    return []


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
