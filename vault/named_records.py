"""Records that are found by their name or by their number, and listed: roles, policies and groups."""

from collections.abc import Callable, Mapping
from typing import Any

from vault.audit import Audit
from vault.documents import Content, Document, Documents, NewDocument
from vault.errors import Invalid, NameTaken, RecordNotFound
from vault.ports import Entry

#: A number, or a name.
Reference = int | str

MOST_NAME = 100


class NamedRecords:
    """The documents of one kind. Names are no secret: they stand in the clear in the database."""

    def __init__(self, documents: Documents, audit: Audit, kind: str) -> None:
        self._documents = documents
        self._audit = audit
        self._kind = kind

    async def create(self, name: str, content: Content) -> Document:
        """Keep a record. Raises ``NameTaken``, ``Invalid``."""
        try:
            return await self._documents.add(
                NewDocument(self._kind, self._checked(name), content), [self.event("created", name)]
            )
        except NameTaken:
            raise self._taken() from None

    async def find(self, reference: Reference) -> Document:
        """Return a record. Raises ``RecordNotFound``."""
        try:
            if isinstance(reference, int):
                return await self._documents.get_by_id(self._kind, reference)
            return await self._documents.get(self._kind, reference)
        except RecordNotFound:
            raise self._missing() from None

    async def change(
        self,
        reference: Reference,
        change: Callable[[dict[str, Any]], Content],
        name: str | None = None,
        **details: Any,
    ) -> Document:
        """Apply a pure function to the content; ``name`` is another one. Raises as ``create`` and ``find``."""
        document = await self.find(reference)
        key = document.key if name is None else self._checked(name)
        try:
            return await self._documents.change(
                document, change, [self.event("changed", key, **details)], key=key
            )
        except NameTaken:
            raise self._taken() from None
        except RecordNotFound:
            raise self._missing() from None

    async def remove(self, document: Document, under: str = "") -> None:
        """Delete a record, and with it all documents whose name begins with ``under``. Raises ``RecordNotFound``."""
        try:
            await self._documents.remove(
                self._kind, document.key, [self.event("deleted", document.key)], under
            )
        except RecordNotFound:
            raise self._missing() from None

    async def all(self) -> list[Document]:
        """Return all, in the order in which they came."""
        return await self._documents.page(self._kind)

    def event(self, what: str, name: str, user_token: str | None = None, **details: Any) -> Entry:
        """Return the event of an act on the record of this name."""
        return self._audit.event(f"{self._kind}.{what}", user_token, {self._kind: name, **details})

    def _checked(self, name: str) -> str:
        """A name of digits alone would be taken for a number by clients."""
        if not 0 < len(name) <= MOST_NAME or not name.isprintable() or name.strip() != name or name.isdigit():
            raise Invalid(
                fields={
                    f"{self._kind}name": f"must be 1 to {MOST_NAME} visible characters, not all of them digits"
                }
            )
        return name

    def _taken(self) -> NameTaken:
        return NameTaken(f"The {self._kind} record already exists")

    def _missing(self) -> RecordNotFound:
        return RecordNotFound(f"The {self._kind} record was not found")


def changed(old: Mapping[str, Any], **new: Any) -> Content:
    """Return the content with those of the new members that are not None."""
    return {**old, **{name: value for name, value in new.items() if value is not None}}
