"""Proof that keyring and database belong together. Nothing is opened, and no key made, before it."""

from collections import Counter

from vault.crypto.keyring import LINES, Keyring, KeyState, KeyVersion
from vault.crypto.sealer import Sealer
from vault.errors import BoxError
from vault.ports import KeyStore, Stores
from vault.records import KeyRecord

_MEND = "Restore the keyring file that belongs to this database from its backup; nothing was changed."


async def unproven(store: KeyStore, keyring: Keyring, sealer: Sealer) -> list[str]:
    """Return, in sentences, every key version that is not the one the database was written with."""
    trouble = []
    for record in await store.known():
        name, key = _name(record.line, record.version), keyring.get(record.line, record.version)
        if key is None:
            trouble.append(f"The database needs {name}, and the keyring lacks it. {_MEND}")
        elif key.state is not KeyState.DESTROYED and record.destroyed_at is not None:
            trouble.append(f"The keyring holds {name}, which was destroyed: it is an old copy. {_MEND}")
        elif not _vouches(sealer, key, record):
            trouble.append(
                f"The keyring's {name} is another key than the database was written with"
                f" (fingerprint {key.fingerprint}, expected {record.fingerprint}). {_MEND}"
            )
    return trouble


async def left_behind(store: KeyStore, keyring: Keyring) -> list[str]:
    """Return, in sentences, every line whose active version may not write any more: the keyring is an old copy."""
    closed = await store.closed()
    trouble = []
    for line in LINES:
        active = [key for key in keyring.of_line(line) if key.state is KeyState.ACTIVE]
        for key in active:
            if (line, key.version) not in closed:
                continue
            newer = any(other.version > key.version and other.state.opens for other in keyring.of_line(line))
            mend = f"Bring it up to date: tokenvault keys rotate --line {line}" if newer else _MEND
            trouble.append(
                f"The keyring's active {_name(line, key.version)} was left behind by a rotation: it is an old copy. "
                f"{mend}"
            )
    return trouble


async def mismatches(stores: Stores, keyring: Keyring, sealer: Sealer) -> list[str]:
    """Return, in sentences, every way in which the keyring does not fit the database; empty if it does.

    Rows that are set aside do not count: that they do not open is known. Nor do tags under a version that is
    disabled: a rotation of the index line leaves them for a moment, and nobody looks for them.
    """
    trouble = await unproven(stores.keys, keyring, sealer)
    trouble += await left_behind(stores.keys, keyring)
    trouble += await _lost_index(stores, keyring)
    end = await stores.audit.end()
    last = keyring.get("audit", end.mac_version) if end else None
    if last is not None and last.state is KeyState.DISABLED:
        trouble.append(
            f"The audit trail ends under {_name('audit', last.version)}, which is disabled: nothing can be recorded "
            f"behind it. Enable it before any other: tokenvault keys enable audit {last.version}"
        )
    known = {(record.line, record.version) for record in await stores.keys.known()}
    for line, versions in sorted((await stores.keys.versions_in_use()).items()):
        for version in sorted(versions):
            name, key = _name(line, version), keyring.get(line, version)
            if key is None:
                if (line, version) not in known and await _openable_rows(stores, line, version):
                    trouble.append(f"The database needs {name}, and the keyring lacks it. {_MEND}")
            elif (line, version) not in known:
                trouble.append(f"Rows use {name}, but its fingerprint and canary are gone from the database.")
            elif line == "data" and not key.state.opens and await _openable_rows(stores, line, version):
                trouble.append(
                    f"Rows still use {name}, which is {key.state}: no row under it can be opened."
                    + (
                        f" Enable it: tokenvault keys enable {line} {version}"
                        if key.state is KeyState.DISABLED
                        else ""
                    )
                )
    return trouble


async def _lost_index(stores: Stores, keyring: Keyring) -> list[str]:
    """Return what is wrong if most index tags are under a version that nobody looks for any more.

    A database from before the rotation has them all there, and knows nothing of the rotation: the version is not
    closed in it, and the journal has nothing unfinished.
    """
    gone = {key.version for key in keyring.of_line("index") if not key.state.opens}
    stale = gone & (await stores.keys.versions_in_use())["index"]
    stale -= {version for line, version in await stores.keys.closed() if line == "index"}
    if not stale or any(
        e.line == "index" and e.finished_at is None for e in await stores.rotations.journal(100)
    ):
        return []  # and no walk over all tags
    tags = Counter(await stores.tag_census())
    trouble = []
    for version in sorted(stale):
        if tags[version] > tags[keyring.active("index").version]:
            key = keyring.get("index", version)
            state = key.state if key else KeyState.DESTROYED
            # Tags are made from the profiles, so the key of the old ones is not needed for a rotation.
            enable = f"tokenvault keys enable index {version}; " if state is KeyState.DISABLED else ""
            trouble.append(
                f"The index tags of this database are under version {version}, which is {state}: nobody would be "
                f"found, and duplicates would come in. Do: {enable}tokenvault keys rotate --line index"
            )
    return trouble


async def _openable_rows(stores: Stores, line: str, version: int) -> int:
    """Return how many rows need a version, without those that are set aside."""
    if line == "index":
        return (await stores.tag_census()).get(version, 0)
    rows = 0
    for store in stores.sealed:
        rows += (await store.census()).get(version, 0)
        rows -= sum(count for (v, _), count in (await store.set_aside_census()).items() if v == version)
    return rows


def _name(line: str, version: int) -> str:
    return f"key version {version} of line '{line}'"


def _vouches(sealer: Sealer, key: KeyVersion, record: KeyRecord) -> bool:
    if key.fingerprint != record.fingerprint:
        return False
    try:
        return key.state is KeyState.DESTROYED or sealer.opens_canary(key, record.canary)
    except BoxError:
        return False
