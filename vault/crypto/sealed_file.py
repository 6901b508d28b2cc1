"""Large files sealed to a public key, in a stream (docs/format.md, "Sealed file").

Whoever seals cannot open: the machine that makes backups need not hold what reads them.
"""

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import BinaryIO

import nacl.exceptions
from nacl import bindings
from nacl.public import PrivateKey, PublicKey, SealedBox

from vault.errors import SealedFileRefused

MAGIC = b"tokenvault-sealed-file/1\n"

#: Bytes of plaintext in each chunk but the last.
CHUNK = 1 << 20

_KEY_BYTES = bindings.crypto_secretstream_xchacha20poly1305_KEYBYTES
_SEALED_KEY_BYTES = _KEY_BYTES + bindings.crypto_box_SEALBYTES
_HEADER_BYTES = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_OVERHEAD = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_MESSAGE = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL


def new_private_key() -> bytes:
    """Make a private key (X25519), 32 bytes."""
    return bytes(PrivateKey.generate())


def public_key(private_key: bytes) -> str:
    """Return its public key: base64 of 32 bytes."""
    return base64.b64encode(bytes(PrivateKey(private_key).public_key)).decode()


def read_public_key(text: str) -> bytes:
    """Return the 32 bytes of a public key in base64. Raises ``SealedFileRefused``."""
    try:
        key = base64.b64decode(text, validate=True)
        SealedBox(PublicKey(key)).encrypt(b"")  # a point of low order is refused here, and not half way
    except (ValueError, TypeError, binascii.Error, nacl.exceptions.CryptoError):
        raise SealedFileRefused("This is not a public key: 44 characters of base64 are.") from None
    return key


def seal(
    source: BinaryIO, target: BinaryIO, public: bytes, name: str, advance: Callable[[int], None]
) -> None:
    """Seal a file. ``name`` is bound into it, so that one sealed file cannot stand for another."""
    key = secrets.token_bytes(_KEY_BYTES)
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    sealed_key = SealedBox(PublicKey(public)).encrypt(key)
    target.write(MAGIC + sealed_key)
    target.write(bindings.crypto_secretstream_xchacha20poly1305_init_push(state, key))
    chunk = source.read(CHUNK)
    while True:
        following = source.read(CHUNK)
        tag = _MESSAGE if following else _FINAL
        target.write(bindings.crypto_secretstream_xchacha20poly1305_push(state, chunk, name.encode(), tag))
        advance(len(chunk))
        if not following:
            return
        chunk = following


def unseal(
    source: BinaryIO, target: BinaryIO, private: bytes, name: str, advance: Callable[[int], None]
) -> None:
    """Open a sealed file of this name.

    Raises ``SealedFileRefused`` for another key, and for whatever was altered, cut off, put in another order or
    added; what was written until then is not to be used.
    """
    head = source.read(len(MAGIC) + _SEALED_KEY_BYTES + _HEADER_BYTES)
    if not head.startswith(MAGIC) or len(head) != len(MAGIC) + _SEALED_KEY_BYTES + _HEADER_BYTES:
        raise SealedFileRefused(f"{name} is not a sealed file of a format that is known here.")
    try:
        key = SealedBox(PrivateKey(private)).decrypt(head[len(MAGIC) : -_HEADER_BYTES])
    except nacl.exceptions.CryptoError:
        raise SealedFileRefused(f"{name} was sealed to another key than the one named.") from None
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, head[-_HEADER_BYTES:], key)
    tag = _MESSAGE
    while sealed := source.read(CHUNK + _OVERHEAD):
        try:
            if tag == _FINAL or len(sealed) < _OVERHEAD:
                raise nacl.exceptions.CryptoError
            chunk, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(state, sealed, name.encode())
        except (nacl.exceptions.CryptoError, RuntimeError):
            raise SealedFileRefused(f"{name} was altered since it was sealed.") from None
        target.write(chunk)
        advance(len(chunk))
    if tag != _FINAL:
        raise SealedFileRefused(f"{name} was cut off: its end is missing.")
