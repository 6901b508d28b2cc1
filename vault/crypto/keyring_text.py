"""The text of a keyring file: keys to bytes and back (docs/format.md, "Keyring file"). It touches no disk."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from vault.crypto import box
from vault.crypto.derive import COMMITMENT_BYTES, KEY_BYTES, RecordKey, length_prefixed
from vault.crypto.keyring import LINES, Keyring, KeyState, KeyVersion
from vault.errors import BoxError, WrongKey

FORMAT = "tokenvault-keyring/2"
#: The format before: the same keys, not sealed. It is read and never written.
PLAIN_FORMAT = "tokenvault-keyring/1"

#: Domain separation, as in derive.py.
PERSON_KEYRING = b"tokenvault.krg.1"
#: Slots that a file may have.
MOST_SLOTS = 16
#: Bytes that the sealed keys are padded to a multiple of: it blurs how many there are.
_BLOCK = 256
_FINGERPRINT_DIGITS = 16

Parameters = Mapping[str, str | int]


class Damaged(ValueError):
    """These bytes are no keyring file. Without a cause: that would quote them."""


class UnknownFormat(ValueError):
    """The file says it has a format that is not known here."""


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One way to unlock a keyring. Everything in it is public.

    ``wrapped`` is the keyring key as the method wrapped it. A slot is ``leaving`` while its unlock key is being
    exchanged for another; who finds it so later may drop it.
    """

    method: str
    wrapped: str
    parameters: dict[str, str | int] = {}
    leaving: bool = False


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of format 2, taken apart. Parsing knows no keys."""

    format: str
    generation: Annotated[int, msgspec.Meta(ge=1, lt=2**32)]
    slots: Annotated[list[Slot], msgspec.Meta(min_length=1, max_length=MOST_SLOTS)]
    sealed: str


def told(slots: Sequence[Slot]) -> str:
    """Say what a keyring's slots are, as far as that is public."""
    names = [
        f"a slot of {slot.method}" + (f" {slot.parameters['key_id']}" if "key_id" in slot.parameters else "")
        for slot in slots
    ]
    return ", ".join(names) or "no slot"


class _Head(msgspec.Struct):
    format: str


class _Key(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    line: str
    version: Annotated[int, msgspec.Meta(ge=1, lt=2**32)]
    state: KeyState
    created_at: int
    secret: str
    tombstone: str = ""

    def __repr__(self) -> str:  # msgspec's own would print the secret
        return f"<key {self.line} {self.version}>"


class _Keys(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_Key]


class _Plain(_Keys):
    format: str


def parse(content: bytes) -> Sealed | Keyring:
    """Take a file apart: sealed, or the keyring itself where it is of format 1.

    Raises ``Damaged``, ``UnknownFormat``, and ``KeyringError`` for keys that make no keyring.
    """
    try:
        match msgspec.json.decode(content, type=_Head).format:
            case "tokenvault-keyring/2":
                return msgspec.json.decode(content, type=Sealed)
            case "tokenvault-keyring/1":
                return _keyring(msgspec.json.decode(content, type=_Plain).keys)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Damaged from None
    raise UnknownFormat


def seal(keyring_key: bytes, generation: int, slots: Sequence[Slot], keyring: Keyring) -> bytes:
    """Return the bytes of a file of format 2."""
    plaintext = msgspec.json.encode(
        _Keys(
            [
                _Key(
                    key.line,
                    key.version,
                    key.state,
                    key.created_at,
                    base64.b64encode(key.secret).decode(),
                    key.tombstone,
                )
                for key in sorted(keyring, key=lambda key: (key.line, key.version))
            ]
        )
    )
    sealed = box.seal(_file_key(keyring_key, generation), generation, plaintext, _BLOCK)
    file = Sealed(FORMAT, generation, list(slots), base64.b64encode(sealed).decode())
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def unseal(file: Sealed, keyring_key: bytes) -> Keyring:
    """Open the sealed keys.

    Raises ``WrongKey`` where another keyring key sealed them or the generation is not theirs, ``Damaged``, and
    ``KeyringError`` for keys that make no keyring.
    """
    try:
        sealed = box.parse(base64.b64decode(file.sealed, validate=True))
        plaintext = box.unseal(_file_key(keyring_key, file.generation), sealed, _BLOCK)
        return _keyring(msgspec.json.decode(plaintext, type=_Keys).keys)
    except WrongKey:
        raise
    except (BoxError, msgspec.MsgspecError, ValueError):
        raise Damaged from None


def _file_key(keyring_key: bytes, generation: int) -> RecordKey:
    """Derive the key of one generation: neither boxes nor generations of two files can be exchanged."""
    message = length_prefixed(FORMAT.encode(), generation.to_bytes(4, "big"))
    derived = hashlib.blake2b(
        message, key=keyring_key, person=PERSON_KEYRING, digest_size=KEY_BYTES + COMMITMENT_BYTES
    ).digest()
    return RecordKey(derived[:KEY_BYTES], derived[KEY_BYTES:])


def _keyring(read: Sequence[_Key]) -> Keyring:
    keys = [
        KeyVersion(
            key.line,
            key.version,
            key.state,
            key.created_at,
            base64.b64decode(key.secret, validate=True),
            key.tombstone,
        )
        for key in read
    ]
    if len({(key.line, key.version) for key in keys}) != len(keys) or not all(map(_is_whole, keys)):
        raise Damaged
    return Keyring(keys)


def _is_whole(key: KeyVersion) -> bool:
    """Whether it is 32 bytes, or of a destroyed key nothing but the fingerprint that it had."""
    if key.line not in LINES:
        return False
    if key.state is KeyState.DESTROYED:
        digits = len(key.tombstone) == _FINGERPRINT_DIGITS and set(key.tombstone) <= set("0123456789abcdef")
        return not key.secret and digits
    return len(key.secret) == KEY_BYTES and not key.tombstone
