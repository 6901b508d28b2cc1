"""Retirement certificates: what was proven before a key was destroyed, signed (docs/format.md, "Certificate").

Checked offline: whoever has the signer's public key needs neither the vault nor its keys.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import nacl.exceptions
from nacl.signing import SigningKey, VerifyKey

from vault.crypto.keyring import KeyVersion
from vault.errors import CertificateRefused

FORMAT = "tokenvault-retirement/1"

#: Domain separation: what is signed begins with it, so that no other signature of this key can stand for one.
_DOMAIN = b"tokenvault.retirement.1\0"

_MEMBERS = {
    "format", "line", "version", "fingerprint", "created_at", "activated_at", "destroyed_at", "censuses", "verify",
    "signer",
}  # fmt: skip


class Checked(NamedTuple):
    """A certificate whose signature holds. ``public_key`` (base64) is what signed it: is it one you know?"""

    statement: Mapping[str, Any]
    public_key: str


def public_key(key: KeyVersion) -> str:
    """Return the Ed25519 public key of a version of the line "signing", base64 of 32 bytes."""
    return base64.b64encode(bytes(SigningKey(key.secret).verify_key)).decode()


def issue(key: KeyVersion, statement: Mapping[str, Any]) -> str:
    """Sign a statement with a version of the line "signing"; return the certificate, JSON text."""
    signer = {"version": key.version, "fingerprint": key.fingerprint, "public_key": public_key(key)}
    body = {"format": FORMAT, **statement, "signer": signer}
    signature = SigningKey(key.secret).sign(_DOMAIN + _canonical(body)).signature
    return json.dumps({**body, "signature": base64.b64encode(signature).decode()}, indent=2) + "\n"


def check(text: str, expected_key: str | None = None) -> Checked:
    """Check a certificate, and that ``expected_key`` (base64) signed it if one is given.

    Raises ``CertificateRefused`` with the reason.
    """
    try:
        body = json.loads(text)
        signature = base64.b64decode(body.pop("signature"), validate=True)
        signer = base64.b64decode(body["signer"]["public_key"], validate=True)
        if set(body) != _MEMBERS or body["format"] != FORMAT:
            raise CertificateRefused("This is not a retirement certificate of a format that is known here.")
        VerifyKey(signer).verify(_DOMAIN + _canonical(body), signature)
    except nacl.exceptions.BadSignatureError:
        raise CertificateRefused("The signature does not hold: the certificate was altered.") from None
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        binascii.Error,
        nacl.exceptions.CryptoError,
    ):
        raise CertificateRefused("This is not a retirement certificate.") from None
    if expected_key is not None and body["signer"]["public_key"] != expected_key:
        raise CertificateRefused("The certificate was signed by another key than the one named.")
    return Checked(body, body["signer"]["public_key"])


def _canonical(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: members sorted by name, no white space, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
