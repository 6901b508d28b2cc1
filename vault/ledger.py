"""The erasure ledger: a receipt of every erasure, in a file apart from the data (docs/format.md, "Erasure ledger").

A backup of the data brings erased people back; the ledger, which is not in that data, says who must go again.
"""

import asyncio
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vault.crypto import receipt, whole_file
from vault.crypto.keyring import Keyring
from vault.errors import DataFolderError, StatementRefused
from vault.statement_file import StatementFile


class Ledger:
    """The ledger of one tenant. Without a file, receipts are given and not kept: a vault in memory has no backup."""

    def __init__(self, file: StatementFile | None, keyring: Keyring, tenant: str) -> None:
        self._file = file
        self._keyring = keyring
        self._tenant = tenant

    def require_signer(self) -> None:
        """Raise ``NoSuchKey`` without a key that signs: before anybody is half erased."""
        self._keyring.active("signing")

    async def note(self, tokens: Sequence[str], erased_at: int) -> list[str]:
        """Return a receipt for each person (a line of JSON), all of them on disk.

        Raises ``NoSuchKey`` without a key that signs, ``StoreUnavailable``.
        """
        if not tokens:
            return []
        signer = self._keyring.active("signing")

        def write() -> list[str]:
            receipts = [receipt.issue(signer, token, erased_at, self._tenant) for token in tokens]
            if self._file is not None:
                self._file.append(receipts)
            return receipts

        return await asyncio.to_thread(write)


@dataclass(slots=True)
class Erased:
    """What a ledger says: a receipt (a line of it) for each token digest, and, in sentences, what is not obeyed."""

    receipts: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def make_ledger(path: Path) -> None:
    """Make an empty ledger, mode 0600 and durably; leave an existing one as it is. Raises ``DataFolderError``.

    That it is there from the beginning lets a lost one be told from one without erasures.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, whole_file.MODE))
        whole_file.sync_folder(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise DataFolderError(f"The erasure ledger {path} cannot be made: {error.strerror}.") from None


def read_ledger(content: bytes, signers: Collection[str], name: str) -> Erased:
    """Return what a ledger's lines say, of those that one of the ``signers`` (public keys, base64) has signed.

    The first receipt of a person counts. What stands behind the last line break was torn by a crash, and was never
    relied upon. ``name`` is what sentences call the ledger.
    """
    told = Erased()
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            checked = receipt.check(line)
        except StatementRefused as refused:
            told.refused.append(f"Line {number} of {name} is not obeyed. {refused.message}")
            continue
        if checked.public_key not in signers:
            told.refused.append(
                f"Line {number} of {name} is not obeyed: it was signed by {checked.public_key}, which is no key of "
                "this vault that is known here. If you know it, name it with --public-key."
            )
            continue
        told.receipts.setdefault(checked.statement["token_sha256"], line.decode() + "\n")
    return told
