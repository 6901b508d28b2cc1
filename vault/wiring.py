"""The one place that knows everyone: settings in, a running vault out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from vault.access import Access
from vault.access_keys import AccessKeys
from vault.alarms import Alarms
from vault.app_data import AppData
from vault.approvals import Approvals
from vault.audit import Audit
from vault.bulk import Bulk
from vault.claims import ClaimsPolicy
from vault.clock import Clock, SystemClock
from vault.config import Config
from vault.crypto.blind_index import BlindIndex
from vault.crypto.keyring import LINES, new_keyring
from vault.custody import make_known
from vault.data_folder import (
    DATABASES,
    is_new,
    make_folder,
    no_vault,
    open_to_others,
    require_files,
    require_whole,
)
from vault.documents import Documents
from vault.erasure import Erasures
from vault.errors import AlreadyInitialised, VaultError
from vault.grants import Grants, Remember
from vault.groups import Groups
from vault.housekeeping import Housekeeping
from vault.idempotency import Answers
from vault.installation import Vault
from vault.key_watch import KeyWatch
from vault.keys import mismatches
from vault.ledger import Ledger, make_ledger
from vault.lookups import Lookups
from vault.named_sessions import NamedSessions
from vault.opened import Opened as Opened
from vault.opened import keyring_of as keyring_of
from vault.opened import open_files as open_files
from vault.policies import Policies
from vault.profiles import Profiles
from vault.roles import Roles
from vault.sealed_profiles import SealedProfiles
from vault.sessions import Sessions
from vault.shares import Shares
from vault.statement_file import StatementFile
from vault.stores import open_stores
from vault.sweep import in_quarantine
from vault.tenant_folder import TenantFolders, TenantsInMemory, lost
from vault.tenant_vaults import Grounds
from vault.tenants import DEFAULT, Tenants, ready
from vault.unlock import prepare
from vault.values import Values
from vault.versions import Versions
from vault.webhook import Webhook
from vault.wrapping import Wrapping

DEFAULT_TENANT = DEFAULT
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
    remember: Remember | None = None,
) -> AsyncIterator[Vault]:
    """Open a vault: prove the keyring, finish what was interrupted, and close every file at the end.

    ``folder`` is None for the memory store alone, whose keys live and die with the process. With
    ``housekeeping`` the sweeps run until the end, and the keyring is followed. A tenant's vault tells
    ``remember`` of the tokens that it issues. Raises ``KeyringError``, ``DataFolderError``.
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
        vault = assemble(config, tenant, clock, opened, watch, demo=demo, remember=remember)
        stack.push_async_callback(vault.alarms.close)
        await make_known(opened.stores.keys, opened.keyring, opened.sealer, vault.audit, clock)
        if folder is not None and not await _lacks_ledger(config, opened):
            make_ledger(folder / config.erasure.ledger)
        # Whoever was being erased when the process died is erased before anybody can ask.
        await vault.profiles.sweep(config.housekeeping.chunk)
        runs = {"housekeeping": vault.housekeeping.run, "key-watch": watch.run}
        if tenant == DEFAULT_TENANT:
            tenants = tenants_of(vault, folder, housekeeping=housekeeping)
            vault = replace(vault, tenants=tenants)
            stack.push_async_callback(tenants.close)
            runs["tenants"] = partial(tenants.run, config.housekeeping.interval)
        if housekeeping:
            await vault.profiles.erase_again(config.housekeeping.chunk)
            for name, run in runs.items():
                stack.push_async_callback(_stop, asyncio.create_task(run(), name=name))
        yield vault


def assemble(
    config: Config,
    tenant: str,
    clock: Clock,
    opened: Opened,
    watch: KeyWatch,
    *,
    demo: bool = False,
    remember: Remember | None = None,
) -> Vault:
    """Put the nouns of one tenant together over open stores."""
    keyring, sealer, stores = opened.keyring, opened.sealer, opened.stores
    audit = audit_of(config, tenant, clock, opened, watch)
    webhook = Webhook(config.alarms.webhook) if config.alarms.webhook else None
    access = Access(AccessKeys(stores.access, sealer), audit, clock, watch, config.access, demo=demo)
    alarms = Alarms(stores.alarms, audit, keyring, clock, watch, webhook, access.suspend)
    answers = Answers(sealer, clock, config.idempotency.lifetime)
    index = BlindIndex(keyring, tenant, config.profiles.default_region)
    documents = Documents(stores.documents, sealer, clock, watch)
    boxes = SealedProfiles(stores.profiles, sealer, clock, config.profiles, config.limits.profile_body)
    lookups = Lookups(stores.profiles, boxes, index, audit, alarms, clock, watch)
    # Whoever cannot read versions has none kept.
    versions = Versions(documents, config.databunker.versions if config.databunker.enabled else 0)
    erasures = erasures_of(config, tenant, clock, opened, audit)
    profiles = Profiles(
        stores.profiles, boxes, lookups, versions, erasures, index, answers, audit, alarms, clock, watch
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
    named_sessions = NamedSessions(
        stores.sessions,
        sessions.life,
        profiles.person,
        lookups.token,
        clock,
        watch,
        config.sessions,
        config.databunker.session_data,
    )
    bulk = Bulk(stores.unlocks, profiles, audit, clock, watch)
    roles = Roles(documents, audit)
    groups = Groups(documents, audit, roles)
    most, most_bytes = config.databunker.versions, config.limits.profile_body
    app_data = AppData(documents, boxes, audit, alarms, clock, most, most_bytes)
    approvals = Approvals(documents, profiles, audit, clock)
    approvals.verbs["AppdataUpdate"] = app_data.change_as_asked
    longest = config.databunker.max_final_time
    values = Values(
        stores.values, stores.documents, documents, index, audit, clock, watch, most_bytes, longest
    )
    sweeps = (profiles.sweep, sessions.sweep, bulk.sweep, documents.sweep)
    chores = (audit.anchor, alarms.deliver)
    return Vault(
        tenant,
        config,
        access,
        alarms,
        app_data,
        approvals,
        audit,
        bulk,
        documents,
        Grants(documents, access, audit, clock, config.databunker.max_token_time, remember),
        groups,
        named_sessions,
        Policies(documents, audit, roles, groups),
        profiles,
        roles,
        sessions,
        Shares(documents, profiles, app_data, audit, clock),
        values,
        Housekeeping(stores, sweeps, chores, clock, config.housekeeping),
        clock,
        Wrapping(config, opened.folder if tenant == DEFAULT_TENANT else None, audit),
    )


def tenants_of(vault: Vault, folder: Path | None, *, housekeeping: bool) -> Tenants[Vault]:
    """Put the tenants of an installation together; ``vault`` is its own."""

    def open_one(
        config: Config, folder: Path | None, tenant: str, remember: Remember
    ) -> AbstractAsyncContextManager[Vault]:
        return open_vault(
            config, folder, tenant=tenant, clock=vault.clock, housekeeping=housekeeping, remember=remember
        )

    grounds: Grounds[Vault] = TenantsInMemory(partial(open_one, vault.config, None))
    if folder is not None:
        grounds = TenantFolders(vault.config, folder, make_files, open_one)
    return Tenants(vault.documents, vault.audit, grounds)


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
    require_files(config)
    path = folder / config.keyring.file
    if path.exists():
        require_whole(folder, config)
        raise AlreadyInitialised(f"{folder} already holds a vault; nothing was changed.")
    make_folder(folder)
    await make_files(config, folder)
    async with open_vault(config, folder) as vault:
        return await first_access_key(vault)


async def make_files(config: Config, folder: Path) -> None:
    """Make databases and, after them, the keyring. Raises ``KeyringError`` as ``initialise``."""
    async with open_stores(config.storage.url, folder, config.storage.busy_timeout) as stores:
        if await stores.keys.known() or any((await stores.keys.versions_in_use()).values()):
            keyring_of(folder, config).read()  # raises: it is missing, and what to do
        prepare(config.keyring.unlock, folder)
        keyring_of(folder, config).create(new_keyring(SystemClock().now()))


async def first_access_key(vault: Vault) -> str:
    """Make the admin key of a vault that has no access key yet."""
    text, _ = await vault.access.create(FIRST_KEY_NAME, {"admin"})
    return text


async def check(config: Config, folder: Path, tenant: str = DEFAULT_TENANT) -> list[str]:
    """Return what is wrong with an installation and how to mend it, in sentences; empty if nothing is."""
    if is_new(config, folder) and not any((folder / name).exists() for name in DATABASES):
        return [no_vault(folder)]
    trouble = open_to_others(folder)
    try:
        require_whole(folder, config)
        async with open_files(config, folder, tenant, SystemClock()) as opened:
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
            if tenant == DEFAULT_TENANT:  # whose access keys are those of its tenants too
                trouble += await AccessKeys(opened.stores.access, opened.sealer).trouble(folder)
                trouble += lost(config, folder, await registered(opened))
    except VaultError as error:
        trouble.append(error.message)
    return trouble


async def registered(opened: Opened) -> dict[str, str]:
    """Return the names of all tenants that an installation has, by their ids."""
    clock, stores = SystemClock(), opened.stores
    watch = KeyWatch(opened.file, opened.keyring, opened.sealer, stores.keys, stores.processes, clock)
    return await ready(Documents(stores.documents, opened.sealer, clock, watch))


async def _lacks_ledger(config: Config, opened: Opened) -> bool:
    """Whether people were erased, and the ledger that says so is gone: then it is not begun anew as if none were."""
    assert opened.folder is not None  # noqa: S101 - memory keeps no ledger
    path = opened.folder / config.erasure.ledger
    return not path.exists() and bool(await opened.stores.sessions.closed("", 1))


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
