"""Signed statements: JSON that says who signed it (docs/format.md, "Signed statements").

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
from vault.errors import StatementRefused


class Signer(msgspec.Struct, forbid_unknown_fields=True):
    """Who signed: a version of the line "signing". A shape has it as its member ``signer``."""

    version: int
    fingerprint: str
    public_key: str


class Statement(msgspec.Struct, forbid_unknown_fields=True):
    """What every shape of a signed statement has beside its own members."""

    format: str
    signer: Signer
    signature: str


class Checked(NamedTuple):
    """A statement whose signature holds. ``public_key`` (base64) is what signed it: is it one you know?"""

    statement: Mapping[str, Any]
    public_key: str


def public_key(key: KeyVersion) -> str:
    """Return the Ed25519 public key of a version of the line "signing", base64 of 32 bytes."""
    return base64.b64encode(bytes(SigningKey(key.secret).verify_key)).decode()


def issue(key: KeyVersion, format: str, statement: Mapping[str, Any], *, one_line: bool = False) -> str:  # noqa: A002 - it is the member's name
    """Sign a statement with a version of the line "signing"; return JSON text that ends with a line break.

    ``one_line`` is for files of one statement a line.
    """
    signer = {"version": key.version, "fingerprint": key.fingerprint, "public_key": public_key(key)}
    body = {"format": format, **statement, "signer": signer}
    signature = SigningKey(key.secret).sign(_domain(format) + _canonical(body)).signature
    told = {**body, "signature": base64.b64encode(signature).decode()}
    return (json.dumps(told, separators=(",", ":")) if one_line else json.dumps(told, indent=2)) + "\n"


def check(
    text: str | bytes,
    format: str,  # noqa: A002 - it is the member's name
    shape: type[Statement],
    expected_key: str | None = None,
    *,
    noun: str = "a signed statement",
) -> Checked:
    """Check that this is a statement of that format and shape, and whose signature holds.

    With ``expected_key`` (base64) it has to be signed by that one. Raises ``StatementRefused`` with the reason, in
    which the statement is called by ``noun``.
    """
    name = noun.rpartition(" ")[2]
    try:
        body = json.loads(text)
        told = msgspec.convert(body, shape)
        del body["signature"]
        signature = base64.b64decode(told.signature, validate=True)
        verify_key = VerifyKey(base64.b64decode(told.signer.public_key, validate=True))
        if told.format != format:
            raise StatementRefused(f"This is not {noun} of a format that is known here.")
        verify_key.verify(_domain(format) + _canonical(body), signature)
    except nacl.exceptions.BadSignatureError:
        raise StatementRefused(f"The signature does not hold: the {name} was altered.") from None
    except (ValueError, TypeError, RecursionError, msgspec.ValidationError, nacl.exceptions.CryptoError):
        raise StatementRefused(f"This is not {noun}.") from None
    if expected_key is not None and told.signer.public_key != expected_key:
        raise StatementRefused(f"The {name} was signed by another key than the one named.")
    return Checked(body, told.signer.public_key)


def _domain(format: str) -> bytes:  # noqa: A002 - it is the member's name
    """Return what the signed bytes begin with, so that no signature of one format can stand for another's.

    Of "tokenvault-erasure/1" it is "tokenvault.erasure.1" and a zero byte, which is in no format's name.
    """
    product, _, rest = format.partition("-")
    name, _, number = rest.rpartition("/")
    return f"{product}.{name}.{number}\0".encode()


def _canonical(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: members sorted by name, no white space, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
