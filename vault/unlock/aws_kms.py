"""``aws-kms:KEY``: AWS KMS wraps the keyring key; who may decrypt, and a log of it, are KMS's business.

KEY is an id, an ARN or an alias. Address, region and credentials are found as boto3 finds them.
"""

import base64
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from vault.crypto.derive import KEY_BYTES
from vault.crypto.keyring_file import Slot
from vault.errors import KeyringError
from vault.unlock.key_source import told

METHOD = "aws-kms"
#: Bound into the ciphertext and shown in CloudTrail, which a policy can demand (kms:EncryptionContext).
CONTEXT = {"purpose": "tokenvault-keyring"}
#: Seconds and attempts: a start should fail within a minute where KMS cannot be reached.
_CLIENT = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3, "mode": "standard"})
_ARN_PARTS = 6


class AwsKms:
    """One key of AWS KMS."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"<AwsKms {self._key}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a source of an unlock key is not pickled")

    def wrap(self, keyring_key: bytes) -> Slot:
        """Have KMS encrypt the keyring key. Raises ``KeyringError``."""
        answer = self._ask(
            lambda kms: kms.encrypt(KeyId=self._key, Plaintext=keyring_key, EncryptionContext=CONTEXT)
        )
        wrapped = base64.b64encode(answer["CiphertextBlob"]).decode()
        return Slot(METHOD, wrapped, {"key": self._key})

    def unwrap(self, slots: Sequence[Slot]) -> bytes:
        """Have KMS decrypt this key's slot. KMS refuses a ciphertext of another key. Raises ``KeyringError``."""
        of_method = [slot for slot in slots if slot.method == METHOD]
        # The same key has several names; where none is the configured one, KMS itself says whether it fits.
        candidates = [slot for slot in of_method if slot.parameters.get("key") == self._key] or of_method[:1]
        if not candidates:
            raise KeyringError(
                f"The keyring has no slot for AWS KMS. It has {told(slots)}. "
                "Name the source of one of these in keyring.unlock."
            )
        try:
            blob = base64.b64decode(candidates[0].wrapped, validate=True)
        except ValueError:
            raise _damaged() from None
        answer = self._ask(
            lambda kms: kms.decrypt(KeyId=self._key, CiphertextBlob=blob, EncryptionContext=CONTEXT)
        )
        keyring_key: bytes = answer["Plaintext"]
        if len(keyring_key) != KEY_BYTES:
            raise _damaged()
        return keyring_key

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        try:
            # A session of its own: boto3's common one would keep the credentials that it found first.
            session = boto3.session.Session()
            with closing(session.client("kms", region_name=self._region(), config=_CLIENT)) as kms:
                return question(kms)
        except ClientError as error:
            # The code alone: messages of AWS name principals and accounts.
            reason = f"it answered {error.response.get('Error', {}).get('Code', 'with an error')}"
        except (BotoCoreError, ValueError) as error:  # ValueError: a malformed endpoint
            reason = f"it could not be asked ({type(error).__name__})"
        raise KeyringError(
            f"AWS KMS does not unlock the keyring with key {self._key}: {reason}. "
            "Mind region, credentials, the key's state, and that its policy allows kms:Encrypt and kms:Decrypt."
        )

    def _region(self) -> str | None:
        parts = self._key.split(":")
        return parts[3] if len(parts) == _ARN_PARTS and parts[0] == "arn" else None


def _damaged() -> KeyringError:
    return KeyringError("The keyring's slot of AWS KMS is damaged. Restore the keyring from its backup.")


def open_source(rest: str, folder: Path) -> AwsKms:  # every source has this shape
    """Open ``aws-kms:KEY``."""
    return AwsKms(rest)
