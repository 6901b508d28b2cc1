"""One key for each record, derived from a master key (docs/format.md, "Record keys")."""

import hashlib
from typing import NamedTuple

#: Domain separation: BLAKE2b's 16-byte personalisation (RFC 7693 parameter block), one for each use.
PERSON_BOX = b"tokenvault.box.1"
PERSON_INDEX = b"tokenvault.idx.1"
PERSON_FINGERPRINT = b"tokenvault.fpr.1"

KEY_BYTES = 32
COMMITMENT_BYTES = 16


class RecordKey(NamedTuple):
    """The secretbox key of one record, and the public commitment to it that stands in the box's header."""

    key: bytes
    commitment: bytes

    def __repr__(self) -> str:
        return "<RecordKey>"


def length_prefixed(*parts: bytes) -> bytes:
    """Join parts so that no two different lists give the same bytes: each behind its length, u32 big-endian."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def record_key(master: bytes, purpose: str, tenant: str, record_id: str, key_version: int) -> RecordKey:
    """Derive the key and commitment for one record.

    One keyed BLAKE2b call of 48 bytes over (purpose, tenant, record id, key version): the first 32 are the
    key, the last 16 the commitment. Neither half tells anything of the other, so the commitment may be public.
    """
    message = length_prefixed(
        purpose.encode(), tenant.encode(), record_id.encode(), key_version.to_bytes(4, "big")
    )
    derived = hashlib.blake2b(
        message, key=master, person=PERSON_BOX, digest_size=KEY_BYTES + COMMITMENT_BYTES
    ).digest()
    return RecordKey(derived[:KEY_BYTES], derived[KEY_BYTES:])


def fingerprint(master: bytes, line: str, version: int) -> str:
    """Return the public name of a master key: 16 hex digits of keyed BLAKE2b over line and version."""
    message = length_prefixed(line.encode(), version.to_bytes(4, "big"))
    return hashlib.blake2b(message, key=master, person=PERSON_FINGERPRINT, digest_size=8).hexdigest()
