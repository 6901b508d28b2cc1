"""The manifest of a backup: what is in it and which keys it needs, signed (docs/format.md, "Backup")."""

from collections.abc import Mapping
from typing import Any

import msgspec

from vault.crypto import signed
from vault.crypto.keyring import KeyVersion

FORMAT = "tokenvault-backup/1"

#: The names of a backup's files. Sealed, they end with ``SEALED``; the manifest never is.
NAME = "manifest.json"
LEDGER = "erasures.ndjson"
CHECKPOINTS = "checkpoints.ndjson"
KEYRING = "keyring.json"
SEALED = ".sealed"


class File(msgspec.Struct, forbid_unknown_fields=True):
    """A file of the backup as it lies there, sealed or not."""

    bytes: int
    sha256: str


class Key(msgspec.Struct, forbid_unknown_fields=True):
    """A key version, as the keyring was when the backup ended."""

    fingerprint: str
    state: str


class Manifest(signed.Statement, forbid_unknown_fields=True):
    """What a manifest says. ``keys`` is by line and version, ``rows`` by table and version."""

    made_at: str
    program: str
    tenant: str
    sealed_to: str | None
    files: dict[str, File]
    keys: dict[str, dict[str, Key]]
    rows: dict[str, dict[str, int]]
    migrations: dict[str, list[str]]


def issue(key: KeyVersion, statement: Mapping[str, Any]) -> str:
    """Sign a manifest with a version of the line "signing"; return its JSON text."""
    return signed.issue(key, FORMAT, statement)


def check(text: bytes) -> tuple[Manifest, str]:
    """Return a manifest whose signature holds, and the public key (base64) that signed it.

    Raises ``StatementRefused`` with the reason.
    """
    checked = signed.check(text, FORMAT, Manifest, noun="a backup's manifest")
    return msgspec.convert({**checked.statement, "signature": ""}, Manifest), checked.public_key
