"""``transit:MOUNT/KEY``: the transit engine of HashiCorp Vault or OpenBao wraps the keyring key.

Address and token are found as hvac finds them: VAULT_ADDR, VAULT_TOKEN, VAULT_CACERT, VAULT_NAMESPACE.
"""

import base64
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import hvac
import hvac.exceptions
import requests

from vault.crypto.derive import KEY_BYTES
from vault.crypto.keyring_file import Slot
from vault.errors import ConfigError, KeyringError
from vault.unlock.key_source import told

METHOD = "transit"
#: Seconds until a service that does not answer is called away.
PATIENCE = 10


class Transit:
    """One key of a transit engine. It must exist, and its policy needs update on encrypt/ and decrypt/."""

    def __init__(self, mount: str, key: str) -> None:
        self._mount, self._key = mount, key

    def __repr__(self) -> str:
        return f"<Transit {self._mount}/{self._key}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a source of an unlock key is not pickled")

    def wrap(self, keyring_key: bytes) -> Slot:
        """Have the newest version of the key encrypt the keyring key. Raises ``KeyringError``."""
        plaintext = base64.b64encode(keyring_key).decode()
        answer = self._ask(
            lambda transit: transit.encrypt_data(self._key, plaintext=plaintext, mount_point=self._mount)
        )
        return Slot(METHOD, str(answer["ciphertext"]), {"mount": self._mount, "key": self._key})

    def unwrap(self, slots: Sequence[Slot]) -> bytes:
        """Have the service decrypt this key's slot. Raises ``KeyringError``."""
        own = {"mount": self._mount, "key": self._key}
        found = next((slot for slot in slots if slot.method == METHOD and slot.parameters == own), None)
        if found is None:
            raise KeyringError(
                f"The keyring has no slot for transit:{self._mount}/{self._key}. It has {told(slots)}. "
                "Name the source of one of these in keyring.unlock."
            )
        answer = self._ask(
            lambda transit: transit.decrypt_data(self._key, ciphertext=found.wrapped, mount_point=self._mount)
        )
        try:
            keyring_key = base64.b64decode(answer["plaintext"], validate=True)
        except ValueError:
            keyring_key = b""
        if len(keyring_key) != KEY_BYTES:
            raise KeyringError(
                "The keyring's slot of transit is damaged. Restore the keyring from its backup."
            )
        return keyring_key

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        try:
            client = hvac.Client(timeout=PATIENCE)
            with closing(client.adapter):
                return question(client.secrets.transit)["data"]
        except (hvac.exceptions.VaultError, requests.RequestException) as error:
            # The kind alone: what a server or a proxy says may quote what it was sent.
            reason = type(error).__name__
        except (KeyError, TypeError, ValueError):
            reason = "what answers is no transit engine"
        raise KeyringError(
            f"The transit engine does not unlock the keyring with key {self._mount}/{self._key}: {reason}. "
            "Mind VAULT_ADDR, VAULT_TOKEN, whether the service is unsealed, and that the token's policy allows update "
            f"on {self._mount}/encrypt/{self._key} and {self._mount}/decrypt/{self._key}."
        )


def open_source(rest: str, folder: Path) -> Transit:  # every source has this shape
    """Open ``transit:MOUNT/KEY``; the mount may have several parts. Raises ``ConfigError``."""
    mount, _, key = rest.rpartition("/")
    if not mount or not key:
        raise ConfigError("keyring.unlock: transit needs mount and key, as in transit:transit/tokenvault.")
    return Transit(mount, key)
