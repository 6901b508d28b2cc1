"""Sources that hand out an unlock key of 32 bytes, whose slots have the method ``key``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NoReturn

from vault.crypto import unlock_key
from vault.crypto.keyring_file import Slot
from vault.crypto.keyring_text import told as told
from vault.errors import BoxError, KeyringError

METHOD = "key"


class KeySource(ABC):
    """An unlock key that is fetched whenever it is needed, and not kept.

    A subclass says in ``name`` what a message may call it, and fetches the key's text.
    """

    name: str

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a source of an unlock key is not pickled")

    @abstractmethod
    def text(self) -> bytes:
        """Return the key's text as it is kept. Raises ``KeyringError``."""

    def key(self) -> bytes:
        """Return the unlock key, 32 bytes. Raises ``KeyringError``."""
        key = unlock_key.from_text(self.text())
        if key is None:
            raise KeyringError(
                f"{self.name} does not hold an unlock key: 32 bytes as 44 characters of base64 or 64 hex digits."
            )
        return key

    def wrap(self, keyring_key: bytes) -> Slot:
        """Wrap the keyring key under the unlock key; the slot carries the unlock key's public name."""
        key = self.key()
        return unlock_key.wrap(key, METHOD, {"key_id": unlock_key.key_id(key)}, keyring_key)

    def unwrap(self, slots: Sequence[Slot]) -> bytes:
        """Open the slot that carries this key's name; no other is tried."""
        key = self.key()
        name = unlock_key.key_id(key)
        for slot in slots:
            if slot.method == METHOD and slot.parameters.get("key_id") == name:
                try:
                    return unlock_key.unwrap(key, slot)
                except BoxError:
                    raise KeyringError(
                        f"The keyring's slot of key {name} is damaged. Restore the keyring from its backup."
                    ) from None
        raise KeyringError(
            f"{self.name} holds key {name}, and the keyring has no slot for it. It has {told(slots)}. "
            "Name the source of one of these in keyring.unlock, or restore the keyring that goes with this key."
        )
