"""A 32-byte key that unlocks a keyring: its text, its public name, and the slot it makes (docs/format.md)."""

import base64
import binascii
import hashlib

from vault.crypto import box
from vault.crypto.derive import COMMITMENT_BYTES, KEY_BYTES, RecordKey, length_prefixed
from vault.crypto.keyring_text import Parameters, Slot
from vault.errors import BoxError, MalformedBox

#: Domain separation, as in derive.py.
PERSON_SLOT = b"tokenvault.slt.1"
PERSON_KEY_ID = b"tokenvault.uid.1"

#: A slot's box holds one key of one length: there is nothing to blur, and one version of this derivation.
_BLOCK = 64
_VERSION = 1
_HEX_DIGITS = 2 * KEY_BYTES


def key_id(unlock_key: bytes) -> str:
    """Return the public name of an unlock key: 16 hex digits, from which the key cannot be told."""
    return hashlib.blake2b(key=unlock_key, person=PERSON_KEY_ID, digest_size=8).hexdigest()


def wrap(unlock_key: bytes, method: str, parameters: Parameters, keyring_key: bytes) -> Slot:
    """Return a slot in which the unlock key wraps the keyring key."""
    sealed = box.seal(_slot_key(unlock_key, method), _VERSION, keyring_key, _BLOCK)
    return Slot(method, base64.b64encode(sealed).decode(), dict(parameters))


def unwrap(unlock_key: bytes, slot: Slot) -> bytes:
    """Return the keyring key of a slot. Raises ``BoxError``: ``WrongKey`` where another key made the slot."""
    try:
        sealed = base64.b64decode(slot.wrapped, validate=True)
    except ValueError:
        raise MalformedBox from None
    return box.unseal(_slot_key(unlock_key, slot.method), box.parse(sealed), _BLOCK)


def opens(unlock_key: bytes, slot: Slot) -> bool:
    """Whether the unlock key made the slot."""
    try:
        unwrap(unlock_key, slot)
    except BoxError:
        return False
    return True


def to_text(unlock_key: bytes) -> bytes:
    """Return the key as a line of a key file: base64."""
    return base64.b64encode(unlock_key) + b"\n"


def from_text(text: bytes) -> bytes | None:
    """Read a key from 44 characters of base64 or 64 hex digits, blanks around them aside; None for anything else."""
    text = text.strip()
    try:
        key = (
            bytes.fromhex(text.decode())
            if len(text) == _HEX_DIGITS
            else base64.b64decode(text, validate=True)
        )
    except (ValueError, binascii.Error):  # of a text that cannot be decoded, too; a cause would quote it
        return None
    return key if len(key) == KEY_BYTES else None


def _slot_key(unlock_key: bytes, method: str) -> RecordKey:
    derived = hashlib.blake2b(
        length_prefixed(method.encode()),
        key=unlock_key,
        person=PERSON_SLOT,
        digest_size=KEY_BYTES + COMMITMENT_BYTES,
    ).digest()
    return RecordKey(derived[:KEY_BYTES], derived[KEY_BYTES:])
