"""Quarantine: rows whose box does not open. They stay where they are, are never hidden, and are retried by name."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from vault.audit import Audit
from vault.custody import Custody
from vault.errors import NotInQuarantine, TagsCollide
from vault.ports import SealedStore
from vault.records import Quarantined
from vault.reindex import Reindex
from vault.sweep import Sweep

#: What each code of a ``BoxError`` means to an operator, and what helps.
CAUSES: Mapping[str, tuple[str, str]] = {
    "box_unknown_key": ("unknown key", "enable that key version, or restore the keyring that has it"),
    "box_wrong_key": (
        "wrong key for that version",
        "it is another row's box or another vault's: put the row's own back from a backup, or discard it",
    ),
    "box_tampered": ("tampered", "put the row back from a backup, or discard it"),
    "box_malformed": ("malformed", "put the row back from a backup, or discard it"),
}

#: Notes that one list shows.
MOST_LISTED = 100_000


@dataclass(frozen=True, slots=True)
class Note:
    """One row in quarantine, by a name that ``retry`` and ``discard`` take: "store/name"."""

    name: str
    row: Quarantined

    @property
    def cause(self) -> str:
        """The cause, in words."""
        return CAUSES[self.row.cause][0]

    @property
    def advice(self) -> str:
        """What helps."""
        return CAUSES[self.row.cause][1]


class Quarantine:
    """The rows of one vault that do not open. ``ending`` ends what a row of a store stands for, by its name."""

    def __init__(
        self,
        custody: Custody,
        stores: Sequence[SealedStore],
        sweep: Sweep,
        reindex: Reindex,
        audit: Audit,
        ending: Mapping[str, Callable[[str], Awaitable[object]]],
    ) -> None:
        self._custody = custody
        self._stores = {store.name: store for store in stores}
        self._sweep = sweep
        self._reindex = reindex
        self._audit = audit
        self._ending = ending

    async def list(self) -> "list[Note]":
        """Return the notes."""
        return [
            Note(f"{store.name}/{row.name}", row)
            for store in self._stores.values()
            for row in await store.set_aside_rows(MOST_LISTED)
        ]

    async def retry(self, name: str) -> str | None:
        """Try a row again: None if it opens now and is re-sealed, else the cause.

        A profile or value gets back the index tags that it missed meanwhile. Raises ``NotInQuarantine``, and
        ``TagsCollide`` if another has taken what it is found by since: it opens, and is not found by that.
        """
        store, row_name = await self._find(name)
        async with self._custody.claim("a retry of what is in quarantine"):
            cause = await self._sweep.retry(store, row_name)
            if cause is None:
                await self._claim_tags(store.name, row_name)
            return cause

    async def discard(self, name: str) -> None:
        """Give a row up for good: erase the person, end the session, forget the answer. Raises ``NotInQuarantine``."""
        store, row_name = await self._find(name)
        if store.name in self._ending:
            await self._ending[store.name](row_name)
        else:
            await self._audit.record(self._audit.event("quarantine.discarded", None, {"row": name}))
            await store.discard(row_name)

    async def _claim_tags(self, store: str, name: str) -> None:
        live = [
            key.version for key in self._custody.keyring.live("index")
        ]  # newest first, as the fence wants it
        for version in live:
            taken = await self._reindex.claim_one(store, name, version)
            if taken:
                fields = ", ".join(sorted({one.field for one in taken}))
                raise TagsCollide(
                    f"This row opens again, but another has its {fields} by now, and is the one found. "
                    "Change or erase one of the two.",
                    [name],
                )

    async def _find(self, name: str) -> tuple[SealedStore, str]:
        store_name, _, row_name = name.partition("/")
        store = self._stores.get(store_name)
        if store is None or all(note.name != row_name for note in await store.set_aside_rows(MOST_LISTED)):
            raise NotInQuarantine
        return store, row_name
