"""Erasure receipts: that a person was erased, signed, and naming them by a digest alone (docs/format.md, "Receipt")."""

import hashlib
from datetime import UTC, datetime

from vault.crypto import signed
from vault.crypto.keyring import KeyVersion
from vault.crypto.signed import Checked

FORMAT = "tokenvault-erasure/1"


class _Receipt(signed.Statement, forbid_unknown_fields=True):
    token_sha256: str
    erased_at: str
    tenant: str


def issue(key: KeyVersion, token: str, erased_at: int, tenant: str) -> str:
    """Sign that this person was erased (milliseconds since 1970); return one line of JSON with its line break."""
    told_at = f"{datetime.fromtimestamp(erased_at // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    statement = {"token_sha256": token_digest(token), "erased_at": told_at, "tenant": tenant}
    return signed.issue(key, FORMAT, statement, one_line=True)


def check(text: str | bytes, expected_key: str | None = None) -> Checked:
    """Check a receipt, and that ``expected_key`` (base64) signed it if one is given.

    Raises ``StatementRefused`` with the reason.
    """
    return signed.check(text, FORMAT, _Receipt, expected_key, noun="an erasure receipt")


def token_digest(token: str) -> str:
    """Return what a receipt calls a person: SHA-256 of the user token, hex. 122 random bits cannot be tried out."""
    return hashlib.sha256(token.encode()).hexdigest()
