"""Blind index: finds a profile by e-mail, login, phone or custom value without storing any of them.

A tag is keyed BLAKE2b over the normalised value (docs/format.md, "Blind index"). Without the index key a
tag cannot be computed, so a stolen database cannot be searched with a list of known e-mails.
"""

import hashlib
from collections.abc import Mapping

from vault.crypto.derive import PERSON_INDEX, length_prefixed
from vault.crypto.keyring import Keyring, KeyVersion
from vault.crypto.normalise import FIELDS, NORMALISER_VERSION, normalise
from vault.errors import Invalid
from vault.records import Tag

TAG_BYTES = 32


class BlindIndex:
    """Tags of one tenant. ``region`` reads phone numbers that have no country code (ISO 3166, two letters)."""

    def __init__(self, keyring: Keyring, tenant: str, region: str) -> None:
        self._keyring = keyring
        self._tenant = tenant
        self._region = region

    def tags(self, field: str, value: object) -> tuple[Tag, ...]:
        """Return the value's tag under every live index version; none for an absent or empty value.

        Look-ups ask for all of them and inserts claim all of them, so that no duplicate slips in while two
        versions are live. Raises ``Invalid`` naming the field for anything but text or a whole number.
        """
        if value is None:
            return ()
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Invalid(fields={field: "must be text or a whole number: it is indexed"})
        text = normalise(field, value, self._region)
        return () if text is None else self.exact_tags(field, text)

    def exact_tags(self, field: str, text: str) -> tuple[Tag, ...]:
        """Return the tag of this very text under every live index version, the newest first.

        A field that is not a profile's has a name that no profile's has: equal texts must not get equal tags.
        """
        return tuple(
            Tag(field, key.version, self._digest(key, field, text)) for key in self._keyring.live("index")
        )

    @property
    def versions(self) -> set[int]:
        """The index versions under which every profile has its tags."""
        return {key.version for key in self._keyring.live("index")}

    def profile_tags(self, profile: Mapping[str, object]) -> tuple[Tag, ...]:
        """Return the tags of all indexed fields of a profile. Raises ``Invalid``."""
        return tuple(tag for field in FIELDS if field in profile for tag in self.tags(field, profile[field]))

    def _digest(self, key: KeyVersion, field: str, text: str) -> bytes:
        message = length_prefixed(
            self._tenant.encode(),
            field.encode(),
            NORMALISER_VERSION.to_bytes(4, "big"),
            key.version.to_bytes(4, "big"),
            text.encode(),
        )
        return hashlib.blake2b(message, key=key.secret, person=PERSON_INDEX, digest_size=TAG_BYTES).digest()
