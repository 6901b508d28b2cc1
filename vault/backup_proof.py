"""The proof of a backup, before anything is made of it: who signed it, that it is whole, and that its keys are here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from vault.backup import MIB, digest_of, in_mib
from vault.config import Config
from vault.crypto import manifest, sealed_file, signed
from vault.crypto.keyring import Keyring, KeyState
from vault.crypto.manifest import Manifest
from vault.data_folder import DATABASES
from vault.errors import BackupRefused
from vault.progress import Progress
from vault.wiring import DEFAULT_TENANT, keyring_of

#: Rows that the manifest counts and that are no boxes.
_NO_BOXES = ("tags", "audit_events")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to restore: ``data`` lends keyring and ledger. ``public_keys`` (base64) are signers to trust beside its own.

    ``own_keyring`` takes the keyring that is in the backup instead of the lent one.
    """

    backup: Path
    data: Path
    to: Path
    backup_key: bytes | None = field(default=None, repr=False)
    own_keyring: bool = False
    without_ledger: bool = False
    public_keys: tuple[str, ...] = ()
    tenant: str = DEFAULT_TENANT


def prove(config: Config, wanted: Wanted, progress: Progress) -> tuple[Manifest, set[str]]:
    """Return the manifest of a backup that is whole, and the public keys that may sign."""
    path = wanted.backup / manifest.NAME
    if not path.exists():
        raise BackupRefused(f"{wanted.backup} holds no {manifest.NAME}: it is no backup, or was interrupted.")
    told, signer = manifest.check(path.read_bytes())
    if told.tenant != wanted.tenant:
        raise BackupRefused(
            f"The backup is of tenant {told.tenant}, and not of {wanted.tenant}: --tenant names whose it is."
        )
    signers = set(wanted.public_keys)
    keyring = None
    if not (wanted.own_keyring and signers):
        keyring = keyring_of(wanted.data, config).read()
        signers |= {signed.public_key(key) for key in keyring.of_line("signing") if key.secret}
    if signer not in signers:
        raise BackupRefused(
            f"The backup was signed by {signer}, which is no signing key of the keyring in {wanted.data}: it is "
            "another vault's, or that key was destroyed. If you know it, name it with --public-key."
        )
    if told.sealed_to is not None:
        if wanted.backup_key is None:
            raise BackupRefused(
                f"The backup is sealed to {told.sealed_to}. Name its private key with --backup-key."
            )
        if sealed_file.public_key(wanted.backup_key) != told.sealed_to:
            raise BackupRefused(
                f"The backup is sealed to {told.sealed_to}, and --backup-key names another key."
            )
    progress.begin("checksums", sum(one.bytes for one in told.files.values()) // MIB)
    advance = in_mib(progress)
    for name, one in told.files.items():
        file = wanted.backup / name
        if Path(name).name != name or not file.is_file():
            raise BackupRefused(f"{file} is missing: the backup is not whole.")
        if file.stat().st_size != one.bytes or digest_of(file, advance) != one.sha256:
            raise BackupRefused(f"{file} is not the file of the backup: its checksum differs.")
    for name in (*DATABASES, manifest.LEDGER):
        _named(told, name)
    progress.did("the manifest's signature and all checksums hold")
    if not wanted.without_ledger and not (wanted.data / config.erasure.ledger).exists():
        raise BackupRefused(
            f"The erasure ledger {wanted.data / config.erasure.ledger} is missing: whoever was erased since the "
            "backup would come back. Put it there from its own backup, or go on without: --without-ledger"
        )
    if keyring is not None and not wanted.own_keyring:
        require_keys(told, keyring, f"the keyring in {wanted.data}")
    return told, signers


def require_keys(told: Manifest, keyring: Keyring, name: str) -> None:
    """Raise ``BackupRefused`` unless these are the keys of the backup, and those that rows need were not destroyed."""
    for line, versions in told.keys.items():
        for version, key in versions.items():
            held = keyring.get(line, int(version))
            if held is None or held.fingerprint != key.fingerprint:
                found = "lacks it" if held is None else f"has {held.fingerprint} in its place"
                raise BackupRefused(
                    f"The backup was made with key version {version} of line '{line}' (fingerprint "
                    f"{key.fingerprint}), and {name} {found}: it is another vault's, or an old copy. Name the data "
                    "folder with the keyring that belongs to this backup."
                )
    tags = told.rows.get("tags", {})
    found_by = max((tags.get(str(key.version), 0) for key in keyring.live("index")), default=0)
    needed = {("data", v) for name, rows in told.rows.items() if name not in _NO_BOXES for v in _any(rows)}
    needed |= {("index", version) for version in _any(tags) if tags[version] > found_by}
    for line, version in sorted(needed):
        held = keyring.get(line, int(version))
        if held is not None and held.state is KeyState.DESTROYED:
            raise BackupRefused(
                f"Rows of the backup need key version {version} of line '{line}', which was destroyed since: nothing "
                "opens them with this keyring. If the backup has its own keyring, and you have what unlocked it then, "
                "add --with-keyring-of-backup."
            )


def _any(rows: dict[str, int]) -> list[str]:
    return [version for version, count in rows.items() if count]


def _named(told: Manifest, name: str) -> str:
    """Return how a file is called in the backup. Raises ``BackupRefused`` if it is not in it."""
    stored = name if told.sealed_to is None else f"{name}{manifest.SEALED}"
    if stored not in told.files:
        raise BackupRefused(f"The backup holds no {stored}.")
    return stored


def stored_name(told: Manifest, name: str) -> str:
    """Return how a file would be called in the backup."""
    return name if told.sealed_to is None else f"{name}{manifest.SEALED}"


def read_file(
    wanted: Wanted, told: Manifest, name: str, target: BinaryIO, advance: Callable[[int], None]
) -> None:
    """Copy a file of the backup, opened if it is sealed."""
    with (wanted.backup / _named(told, name)).open("rb") as source:
        if wanted.backup_key is not None and told.sealed_to is not None:
            sealed_file.unseal(source, target, wanted.backup_key, name, advance)
            return
        while chunk := source.read(MIB):
            target.write(chunk)
            advance(len(chunk))


def content_of(wanted: Wanted, told: Manifest, name: str) -> bytes:
    """Return what a small file of the backup holds."""
    target = BytesIO()
    read_file(wanted, told, name, target, lambda _: None)
    return target.getvalue()
