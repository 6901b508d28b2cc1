"""The sealed box: libsodium's secretbox behind a header (docs/format.md, "Box").

    offset  size  field
         0     1  format, 0x01
         1     4  key version, u32 big-endian
         5    16  key commitment
        21    24  nonce, random
        45  16+n  crypto_secretbox output (XSalsa20-Poly1305): tag, then the padded plaintext encrypted

A record key seals many boxes over a record's life, each under a fresh random 192-bit nonce; at that size
random nonces do not collide in practice (libsodium manual, "Secret-key authenticated encryption").
"""

import hmac
from typing import NamedTuple

import nacl.exceptions
import nacl.utils
from nacl.bindings import sodium_pad, sodium_unpad
from nacl.secret import SecretBox

from vault.crypto.derive import COMMITMENT_BYTES, RecordKey
from vault.errors import MalformedBox, TamperedBox, WrongKey

FORMAT = 1
_VERSION_END = 5
_COMMITMENT_END = _VERSION_END + COMMITMENT_BYTES
HEADER_BYTES = _COMMITMENT_END + SecretBox.NONCE_SIZE


class Box(NamedTuple):
    """A box taken apart. Parsing knows no keys."""

    key_version: int
    commitment: bytes
    nonce: bytes
    ciphertext: bytes


def parse(sealed: bytes) -> Box:
    """Take a box apart, or raise ``MalformedBox``."""
    if len(sealed) <= HEADER_BYTES + SecretBox.MACBYTES or sealed[0] != FORMAT:
        raise MalformedBox
    return Box(
        int.from_bytes(sealed[1:_VERSION_END], "big"),
        sealed[_VERSION_END:_COMMITMENT_END],
        sealed[_COMMITMENT_END:HEADER_BYTES],
        sealed[HEADER_BYTES:],
    )


def seal(record_key: RecordKey, key_version: int, plaintext: bytes, block: int) -> bytes:
    """Seal ``plaintext``, padded (ISO/IEC 7816-4) to a multiple of ``block`` bytes to blur its length."""
    nonce = nacl.utils.random(SecretBox.NONCE_SIZE)
    ciphertext = SecretBox(record_key.key).encrypt(sodium_pad(plaintext, block), nonce).ciphertext
    return bytes([FORMAT]) + key_version.to_bytes(4, "big") + record_key.commitment + nonce + ciphertext


def unseal(record_key: RecordKey, box: Box, block: int) -> bytes:
    """Return the plaintext of a parsed box.

    Raises ``WrongKey`` where the commitment is another key's (the box was sealed under another master key, or
    moved here from another row, table, tenant or version), and ``TamperedBox`` where the key is right and the
    rest was altered.
    """
    if not hmac.compare_digest(record_key.commitment, box.commitment):
        raise WrongKey
    try:
        return sodium_unpad(SecretBox(record_key.key).decrypt(box.ciphertext, box.nonce), block)
    except nacl.exceptions.CryptoError:
        # No cause is kept: a traceback would carry the ciphertext and the key object along.
        raise TamperedBox from None
