"""Retirement certificates: what was proven before a key was destroyed, signed (docs/format.md, "Certificate")."""

from collections.abc import Mapping
from typing import Any

import msgspec

from vault.crypto import signed
from vault.crypto.keyring import KeyVersion
from vault.crypto.signed import Checked
from vault.errors import CertificateRefused, StatementRefused

FORMAT = "tokenvault-retirement/1"


class _Census(msgspec.Struct, forbid_unknown_fields=True):
    at: str
    rows: dict[str, int]


class _Verify(msgspec.Struct, forbid_unknown_fields=True):
    rows: dict[str, int]
    digest: str


class _Certificate(signed.Statement, forbid_unknown_fields=True):
    line: str
    version: int
    fingerprint: str
    created_at: str
    activated_at: str | None
    destroyed_at: str
    censuses: list[_Census]
    verify: _Verify


def issue(key: KeyVersion, statement: Mapping[str, Any]) -> str:
    """Sign a statement with a version of the line "signing"; return the certificate, JSON text."""
    return signed.issue(key, FORMAT, statement)


def check(text: str, expected_key: str | None = None) -> Checked:
    """Check a certificate, and that ``expected_key`` (base64) signed it if one is given.

    Raises ``CertificateRefused`` with the reason.
    """
    try:
        return signed.check(text, FORMAT, _Certificate, expected_key, noun="a retirement certificate")
    except StatementRefused as refused:
        raise CertificateRefused(refused.message) from None
