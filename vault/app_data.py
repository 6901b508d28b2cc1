"""App data: what an application keeps about a person beside the profile, under the application's name.

A document for each, and one for each former version; all are the person's own, and end with it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from vault.alarms import Alarms
from vault.audit import Audit
from vault.clock import Clock
from vault.documents import Document, Documents, NewDocument
from vault.errors import Invalid, NameTaken, RecordNotFound
from vault.patches import merge_patch
from vault.ports import DocumentRow, Former
from vault.sealed_profiles import SealedProfiles

KIND, FORMER = "appdata", "appversion"

#: Names that app data was ever kept under: they are the programs', and stay when the last data of one is gone.
NAMES = "appname"

#: The name of an application, as Databunker's clients write it.
NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,30}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AppRecord:
    """One version of a person's app data, opened. ``updated_at``, in milliseconds, is when it came to be."""

    app: str
    version: int
    data: dict[str, Any] = field(repr=False)
    updated_at: int
    key_version: int


class AppData:
    """The app data of one vault, each of at most ``most_bytes`` of JSON, with at most ``most`` former versions."""

    def __init__(
        self,
        documents: Documents,
        people: SealedProfiles,
        audit: Audit,
        alarms: Alarms,
        clock: Clock,
        most: int,
        most_bytes: int,
    ) -> None:
        self._documents = documents
        self._people = people
        self._audit = audit
        self._alarms = alarms
        self._clock = clock
        self._most = most
        self._most_bytes = most_bytes

    async def create(self, token: str, app: str, data: Mapping[str, Any]) -> None:
        """Keep app data. Raises ``ProfileNotFound``, ``NameTaken`` where there is some, ``Invalid`` for too much."""
        await self._people.living(token)
        self._require_size(data)
        await self._note_name(app)
        new = NewDocument(KIND, f"{token}/{app}", {"version": 1, "data": data}, token)
        try:
            await self._documents.add(new, [self._audit.event("appdata.created", token, {"appname": app})])
        except NameTaken:
            raise NameTaken("This person has app data of this name already.") from None
        await self._alarms.touched(token)

    async def get(
        self, token: str, app: str, version: int | None = None, fields: Sequence[str] | None = None
    ) -> AppRecord:
        """Open app data, or a former version of it, once that is recorded.

        ``fields`` is what will be shown of it, for the record. Raises ``ProfileNotFound``, ``RecordNotFound``,
        ``PurposeMissing``, ``BudgetSpent``, ``AuditUnavailable``.
        """
        self._audit.require_purpose()
        held = _current(await self._held(token, app))
        if version is not None and version != held.version:
            held = _former(await self._document(FORMER, f"{token}/{app}/{version}"))
        await self._reveal(token, [held], fields)
        return held

    async def versions(self, token: str, app: str) -> list[AppRecord]:
        """Open all versions of app data, once that is recorded; the newest is the last. Raises as ``get``."""
        self._audit.require_purpose()
        held = await self._held(token, app)
        former = await self._documents.page(FORMER, f"{token}/{app}/")
        found = [*map(_former, former), _current(held)]
        await self._reveal(token, found)
        return found

    async def has(self, token: str, app: str) -> bool:
        """Whether there is such app data. Raises ``ProfileNotFound``."""
        with suppress(RecordNotFound):
            return bool(await self._held(token, app))
        return False

    async def change(self, token: str, app: str, data: Mapping[str, Any]) -> None:
        """Merge this into app data (RFC 7396); what it was stays as a former version, of which the oldest goes.

        Raises ``ProfileNotFound``, ``RecordNotFound``, ``Conflict``, ``Invalid`` for what has grown too large.
        """

        def merged(content: Mapping[str, Any]) -> dict[str, Any]:
            new = merge_patch(content["data"], data)
            self._require_size(new)
            return {"version": content["version"] + 1, "data": new}

        told = self._audit.event("appdata.changed", token, {"appname": app})
        await self._documents.change(await self._held(token, app), merged, [told], former=self._after)
        await self._alarms.touched(token)

    async def change_as_asked(self, token: str, said: Mapping[str, Any]) -> None:
        """Do what a held request asks for (``Approvals``). Raises as ``change``."""
        await self.change(token, said["appname"], said["appdata"])

    async def delete(self, token: str, app: str) -> None:
        """Delete app data and its former versions. Raises ``ProfileNotFound``, ``RecordNotFound``."""
        held = await self._held(token, app)
        told = self._audit.event("appdata.deleted", token, {"appname": app})
        await self._documents.remove(KIND, held.key, [told], under=f"{FORMER}/{held.key}/")
        await self._alarms.touched(token)

    async def names_of(self, token: str) -> list[str]:
        """Return the names under which a person has app data. Raises ``ProfileNotFound``."""
        await self._people.living(token)
        return [_current(one).app for one in await self._documents.page(KIND, f"{token}/")]

    async def names(self) -> list[str]:
        """Return every name that app data was ever kept under."""
        return sorted(one.key for one in await self._documents.page(NAMES))

    async def _held(self, token: str, app: str) -> Document:
        await self._people.living(token)  # whoever has ended is not swept at once
        return await self._document(KIND, f"{token}/{app}")

    async def _document(self, kind: str, key: str) -> Document:
        try:
            return await self._documents.get(kind, key)
        except RecordNotFound:
            raise RecordNotFound("There is no such app data.") from None

    async def _reveal(
        self, token: str, records: Sequence[AppRecord], fields: Sequence[str] | None = None
    ) -> None:
        shown = {} if fields is None else {"fields": list(fields)}
        await self._audit.reveal(
            *(
                self._audit.event(
                    "appdata.revealed",
                    token,
                    {"appname": one.app, "version": one.version, **shown},
                    revealed_version=one.key_version,
                )
                for one in records
            )
        )
        await self._alarms.touched(token)

    async def _note_name(self, app: str) -> None:
        try:
            await self._documents.get(NAMES, app)
        except RecordNotFound:
            with suppress(NameTaken):  # somebody was faster
                await self._documents.add(NewDocument(NAMES, app, {}))

    def _after(self, held: Document) -> Former:
        """Return what a change leaves of this app data."""
        under, now = f"{FORMER}/{held.key}/", self._clock.now()
        row = DocumentRow(f"{under}{held.content['version']}", held.owner, b"", 0, now, now)
        said = {"data": held.content["data"], "updated_at": held.updated_at}
        return Former(under, self._documents.sealing(row, said), self._most)

    def _require_size(self, data: Mapping[str, Any]) -> None:
        if len(msgspec.json.encode(data)) > self._most_bytes:
            raise Invalid(fields={"appdata": f"must be at most {self._most_bytes} bytes of JSON"})


def _current(one: Document) -> AppRecord:
    app = one.key.rpartition("/")[2]
    return AppRecord(app, one.content["version"], one.content["data"], one.updated_at, one.key_version)


def _former(one: Document) -> AppRecord:
    _, app, version = one.key.split("/")
    return AppRecord(app, int(version), one.content["data"], one.content["updated_at"], one.key_version)


def records_in(documents: Iterable[Document]) -> list[tuple[AppRecord, list[AppRecord]]]:
    """Return the app data among a person's documents, each with its former versions."""
    former: dict[str, list[AppRecord]] = {}
    held = list(documents)
    for one in held:
        if one.kind == FORMER:
            former.setdefault(_former(one).app, []).append(_former(one))
    return [(_current(one), former.get(_current(one).app, [])) for one in held if one.kind == KIND]
