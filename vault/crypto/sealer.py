"""Seals and opens for one tenant: the keyring's active key writes, the key a box names reads."""

import hmac
from typing import NamedTuple

from vault.crypto import box
from vault.crypto.derive import record_key
from vault.crypto.keyring import Keyring, KeyVersion
from vault.errors import TamperedBox, WrongKey

#: What is sealed, and to how many bytes its plaintext is padded. Profiles vary by address and by names, claims
#: by roles, access keys by scopes and rails: within a block, the lengths tell nothing.
PADDING_BLOCKS = {
    "profile": 256,
    "session": 64,
    "answer": 256,
    "event": 128,
    "access": 256,
    "document": 256,
    "canary": 64,
}

CANARY_TEXT = b"tokenization-vault canary"


class Sealed(NamedTuple):
    """A box and the key version that sealed it, which the row carries in a column as well."""

    box: bytes
    key_version: int


class Sealer:
    """Boxes of one tenant. The tenant is bound into every key, so boxes do not move between tenants."""

    def __init__(self, keyring: Keyring, tenant: str) -> None:
        self._keyring = keyring
        self._tenant = tenant

    def seal(self, purpose: str, record_id: str, plaintext: bytes) -> Sealed:
        """Seal under the active data key, for this record alone."""
        key = self._keyring.active("data")
        derived = record_key(key.secret, purpose, self._tenant, record_id, key.version)
        return Sealed(box.seal(derived, key.version, plaintext, PADDING_BLOCKS[purpose]), key.version)

    def open(self, purpose: str, record_id: str, sealed: bytes) -> bytes:
        """Open a box of this record.

        Raises ``MalformedBox``, ``UnknownKey``, ``WrongKey`` or ``TamperedBox``: four causes, told apart,
        because each asks something else of the operator.
        """
        parsed = box.parse(sealed)
        key = self._keyring.opening("data", parsed.key_version)
        derived = record_key(key.secret, purpose, self._tenant, record_id, key.version)
        return box.unseal(derived, parsed, PADDING_BLOCKS[purpose])

    def reseal(self, purpose: str, record_id: str, sealed: bytes) -> Sealed:
        """Open a box and seal its content under the active key. Raises as ``open``.

        The new box is opened again before it is given out: what it replaces will be gone for good, and a bit
        that flipped in memory must not be what remains.
        """
        plaintext = self.open(purpose, record_id, sealed)
        renewed = self.seal(purpose, record_id, plaintext)
        if not hmac.compare_digest(self.open(purpose, record_id, renewed.box), plaintext):
            raise TamperedBox
        return renewed

    def canary(self, key: KeyVersion) -> bytes:
        """Seal the known text under exactly this key (not the active one: a canary vouches for its own key)."""
        derived = record_key(key.secret, "canary", self._tenant, key.line, key.version)
        return box.seal(derived, key.version, CANARY_TEXT, PADDING_BLOCKS["canary"])

    def opens_canary(self, key: KeyVersion, canary: bytes) -> bool:
        """Whether this very key opens the canary. Raises ``MalformedBox`` or ``TamperedBox``."""
        derived = record_key(key.secret, "canary", self._tenant, key.line, key.version)
        try:
            return box.unseal(derived, box.parse(canary), PADDING_BLOCKS["canary"]) == CANARY_TEXT
        except WrongKey:
            return False
