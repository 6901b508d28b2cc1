"""Retirement certificates: what was proven before a key was destroyed, signed (docs/format.md, "Certificate").

Checked offline: whoever has the signer's public key needs neither the vault nor its keys.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import nacl.exceptions
from nacl.signing import SigningKey, VerifyKey

from vault.crypto.keyring import KeyVersion
from vault.errors import CertificateRefused

FORMAT = "tokenvault-retirement/1"

#: Domain separation: what is signed begins with it, so that no other signature of this key can stand for one.
_DOMAIN = b"tokenvault.retirement.1\0"


class _Signer(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    fingerprint: str
    public_key: str


class _Census(msgspec.Struct, forbid_unknown_fields=True):
    at: str
    rows: dict[str, int]


class _Verify(msgspec.Struct, forbid_unknown_fields=True):
    rows: dict[str, int]
    digest: str


class _Certificate(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    line: str
    version: int
    fingerprint: str
    created_at: str
    activated_at: str | None
    destroyed_at: str
    censuses: list[_Census]
    verify: _Verify
    signer: _Signer
    signature: str


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
        told = msgspec.convert(body, _Certificate)
        del body["signature"]
        signature = base64.b64decode(told.signature, validate=True)
        verify_key = VerifyKey(base64.b64decode(told.signer.public_key, validate=True))
        if told.format != FORMAT:
            raise CertificateRefused("This is not a retirement certificate of a format that is known here.")
        verify_key.verify(_DOMAIN + _canonical(body), signature)
    except nacl.exceptions.BadSignatureError:
        raise CertificateRefused("The signature does not hold: the certificate was altered.") from None
    except (ValueError, TypeError, RecursionError, msgspec.ValidationError, nacl.exceptions.CryptoError):
        raise CertificateRefused("This is not a retirement certificate.") from None
    if expected_key is not None and told.signer.public_key != expected_key:
        raise CertificateRefused("The certificate was signed by another key than the one named.")
    return Checked(body, told.signer.public_key)


def _canonical(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: members sorted by name, no white space, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
