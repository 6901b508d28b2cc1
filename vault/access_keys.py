"""Access keys as they are kept: whatever gives rights is sealed in the row, so a writer of the file gives none.

docs/format.md, "Access keys", has the format, and what a writer can still do.
"""

import builtins
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict

from vault.crypto.sealer import Sealer
from vault.errors import BoxError, Conflict, MalformedBox
from vault.ports import AccessStore, Entry
from vault.records import AccessKey, AccessKeyRow

#: How often a change is tried again when another writer was faster: of those who race for a key one wins each time.
TRIES = 100


class Listed(NamedTuple):
    """All access keys: those whose rows open, the oldest first, and the ids of the others with the box error's code."""

    keys: list[AccessKey]
    unreadable: dict[str, str]


class AccessKeys:
    """The access keys of one vault. Whatever opens a row raises ``BoxError`` where it does not."""

    def __init__(self, store: AccessStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def insert(self, key: AccessKey, entries: Sequence[Entry]) -> None:
        """Keep a new key and record the events. Raises ``StaleKeys``."""
        await self._store.insert(self._row(key), entries)

    async def find(self, key_id: str) -> AccessKey | None:
        """Return the key, alive or not."""
        row = await self._store.find(key_id)
        return None if row is None else self._key(row)

    async def list(self) -> Listed:
        """Open every row."""
        keys, unreadable = [], {}
        for row in await self._store.list():
            try:
                keys.append(self._key(row))
            except BoxError as error:
                unreadable[row.id] = error.code
        return Listed(sorted(keys, key=lambda key: key.created_at), unreadable)

    async def trouble(self, folder: Path) -> builtins.list[str]:
        """Return what is wrong with the keys in this data folder and how to mend it, in sentences."""
        keys, unreadable = await self.list()
        trouble = [
            f"The row of access key {key_id} does not open ({code}), and lets nobody in: somebody has written to it. "
            "Restore it from a backup, or make another key."
            for key_id, code in unreadable.items()
        ]
        if not keys:
            trouble.append(
                "There is no access key. Make one: "
                f"tokenvault access create --name admin --scopes admin --data {folder}"
            )
        return trouble

    async def change(
        self, key_id: str, change: Callable[[AccessKey], AccessKey], entries: Sequence[Entry]
    ) -> bool:
        """Apply a pure function to the key, and record the events; anew on whatever came in between.

        False, and nothing is done, if there is no such key. Raises ``StaleKeys``, and ``Conflict`` after ``TRIES``.
        """
        for _ in range(TRIES):
            row = await self._store.find(key_id)
            if row is None:
                return False
            if await self._store.swap(row, self._row(change(self._key(row))), entries):
                return True
        raise Conflict

    def _row(self, key: AccessKey) -> AccessKeyRow:
        told = {**asdict(key), "secret_digest": key.secret_digest.hex()}
        del told["id"]  # bound into the box's key
        sealed = self._sealer.seal("access", key.id, msgspec.json.encode(told, order="sorted"))
        return AccessKeyRow(key.id, sealed.box, sealed.key_version)

    def _key(self, row: AccessKeyRow) -> AccessKey:
        told = msgspec.json.decode(self._sealer.open("access", row.id, row.box))
        try:
            told["secret_digest"] = bytes.fromhex(told["secret_digest"])
            return msgspec.convert({**told, "id": row.id}, AccessKey)
        except msgspec.ValidationError:
            # Sealed by a program that knows more: a rail that this one does not know must not be passed over.
            raise MalformedBox from None
