"""The audit chain: what makes an edited, deleted, reordered or forged event show (docs/format.md, "Audit trail").

Each event has a link, a plain hash over the link before it and all that the event says, and a MAC over that link,
keyed with a version of the line "audit". So whoever writes to the database cannot forge an event, and a rotation
puts new MACs on old events without touching the chain that was signed by checkpoints.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from vault.crypto.derive import length_prefixed
from vault.crypto.keyring import Keyring, KeyVersion

#: Domain separation, as in ``vault.crypto.derive``.
PERSON_LINK = b"tokenvault.lnk.1"
PERSON_MAC = b"tokenvault.mac.1"
PERSON_END = b"tokenvault.end.1"
PERSON_DETAILS = b"tokenvault.det.1"

LINK_BYTES = 32

#: What the first event links to.
GENESIS = bytes(LINK_BYTES)

Said = Sequence[str | int | None]


class Mac(NamedTuple):
    """A MAC and the version of the line "audit" that made it."""

    digest: bytes
    version: int


def link(previous: bytes, said: Said, details_digest: bytes | None) -> bytes:
    """Return the link of an event that says this, behind the event with the link ``previous``."""
    text = msgspec.json.encode([*said, None if details_digest is None else details_digest.hex()])
    return hashlib.blake2b(previous + text, person=PERSON_LINK, digest_size=LINK_BYTES).digest()


def digest_of_details(plaintext: bytes) -> bytes:
    """Return what the link holds of sealed details. They begin with a random salt: nothing can be tried against it."""
    return hashlib.blake2b(plaintext, person=PERSON_DETAILS, digest_size=LINK_BYTES).digest()


class Chain:
    """The MACs of one tenant's chain."""

    def __init__(self, keyring: Keyring, tenant: str) -> None:
        self._keyring = keyring
        self._tenant = tenant

    def mac(self, event_link: bytes) -> Mac:
        """Return the MAC of an event, under the active key. Raises ``NoSuchKey``."""
        key = self._keyring.active("audit")
        return Mac(self._keyed(key, PERSON_MAC, event_link), key.version)

    def end(self, sequence: int, last_link: bytes) -> Mac:
        """Return the MAC that says: this is the last event. It is kept for no other, so no end can be forged."""
        key = self._keyring.active("audit")
        return Mac(self._keyed(key, PERSON_END, last_link, sequence.to_bytes(8, "big")), key.version)

    def holds(self, event_link: bytes, mac: Mac) -> bool:
        """Whether the MAC is the event's. Raises ``UnknownKey`` where its key version opens nothing."""
        key = self._keyring.opening("audit", mac.version)
        return hmac.compare_digest(mac.digest, self._keyed(key, PERSON_MAC, event_link))

    def ends(self, sequence: int, last_link: bytes, mac: Mac) -> bool:
        """Whether the MAC says that this is the last event. Raises ``UnknownKey``."""
        key = self._keyring.opening("audit", mac.version)
        return hmac.compare_digest(
            mac.digest, self._keyed(key, PERSON_END, last_link, sequence.to_bytes(8, "big"))
        )

    def _keyed(self, key: KeyVersion, person: bytes, *parts: bytes) -> bytes:
        message = length_prefixed(self._tenant.encode(), key.version.to_bytes(4, "big"), *parts)
        return hashlib.blake2b(message, key=key.secret, person=person, digest_size=LINK_BYTES).digest()
