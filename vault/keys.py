"""Start-up proof that keyring and database belong together. Nothing is opened, and no key made, before it."""

from vault.clock import Clock
from vault.crypto.keyring import Keyring, KeyState, KeyVersion
from vault.crypto.sealer import Sealer
from vault.errors import BoxError, KeyringError
from vault.ports import KeyStore
from vault.records import KeyRecord

_MEND = "Restore the keyring file that belongs to this database from its backup; nothing was changed."


async def mismatches(store: KeyStore, keyring: Keyring, sealer: Sealer) -> list[str]:
    """Return, in sentences, every way in which the keyring does not fit the database; empty if it does."""
    known = {(record.line, record.version): record for record in await store.known()}
    used = {
        (line, version) for line, versions in (await store.versions_in_use()).items() for version in versions
    }
    trouble = []
    for line, version in sorted(known.keys() | used):
        name, record, key = (
            f"key version {version} of line '{line}'",
            known.get((line, version)),
            keyring.get(line, version),
        )
        if key is None:
            trouble.append(f"The database needs {name}, and the keyring lacks it. {_MEND}")
        elif record is None:
            trouble.append(f"Rows use {name}, but its fingerprint and canary are gone from the database.")
        elif key.state is not KeyState.DESTROYED and not _vouches(sealer, key, record):
            trouble.append(
                f"The keyring's {name} is another key than the database was written with"
                f" (fingerprint {key.fingerprint}, expected {record.fingerprint}). {_MEND}"
            )
        elif (line, version) in used and not key.state.opens:
            trouble.append(f"Rows still use {name}, which is {key.state}: no row under it can be opened.")
    return trouble


async def check_in(store: KeyStore, keyring: Keyring, sealer: Sealer, clock: Clock) -> None:
    """Prove every key version against its fingerprint and canary, then make new ones known to the database.

    Raises ``KeyringError`` naming what does not fit; then nothing was written.
    """
    trouble = await mismatches(store, keyring, sealer)
    if trouble:
        raise KeyringError(" ".join(trouble))
    known = {(record.line, record.version) for record in await store.known()}
    for key in keyring:
        if (key.line, key.version) not in known:
            await store.insert(
                KeyRecord(key.line, key.version, key.fingerprint, sealer.canary(key), clock.now())
            )


def _vouches(sealer: Sealer, key: KeyVersion, record: KeyRecord) -> bool:
    try:
        return key.fingerprint == record.fingerprint and sealer.opens_canary(key, record.canary)
    except BoxError:
        return False
