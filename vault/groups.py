"""Groups of people, and the roles that they have there. Policies ask for both.

Whoever is in a group is so by a document of their own, which ends with them or with the group.
"""

from dataclasses import dataclass

from vault.audit import Audit
from vault.documents import Document, Documents, NewDocument
from vault.errors import NameTaken, RecordNotFound
from vault.named_records import NamedRecords, Reference, changed
from vault.roles import Roles
from vault.verdicts import Person

MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Membership:
    """One person in one group. ``role`` None: no role there, or one that is gone."""

    user_token: str
    group: Document
    role: Document | None


class Groups:
    """The groups of one vault."""

    def __init__(self, documents: Documents, audit: Audit, roles: Roles) -> None:
        self._documents = documents
        self._roles = roles
        self._records = NamedRecords(documents, audit, "group")

    async def create(self, name: str, description: str | None = None, form: str | None = None) -> Document:
        """Make a group. ``form`` is its type in the client's words. Raises ``NameTaken``, ``Invalid``."""
        return await self._records.create(name, {"description": description, "type": form})

    async def find(self, reference: Reference) -> Document:
        """Return a group. Raises ``RecordNotFound``."""
        return await self._records.find(reference)

    async def all(self) -> list[Document]:
        """Return all groups, in the order in which they came."""
        return await self._records.all()

    async def update(
        self,
        reference: Reference,
        name: str | None = None,
        description: str | None = None,
        form: str | None = None,
    ) -> None:
        """Change what is not None. Raises as ``create`` and ``find``."""
        await self._records.change(
            reference, lambda old: changed(old, description=description, type=form), name
        )

    async def delete(self, reference: Reference) -> None:
        """Delete a group; its people stay. Raises ``RecordNotFound``."""
        group = await self.find(reference)
        await self._records.remove(group, f"{MEMBER}/{group.id}/")

    async def join(self, group: Document, user_token: str, role: Document | None = None) -> None:
        """Put a person into a group; who is there already gets the role. Raises ``ProfileNotFound``."""
        content = {"role": role.id if role else None}
        new = NewDocument(MEMBER, f"{group.id}/{user_token}", content, user_token)
        details = {"role": role.key} if role else {}
        event = self._records.event("joined", group.key, user_token, **details)
        try:
            await self._documents.add(new, [event])
        except NameTaken:
            member = await self._documents.get(MEMBER, new.key)
            await self._documents.change(member, lambda _: content, [event])

    async def leave(self, group: Document, user_token: str) -> None:
        """Take a person out of a group. Raises ``RecordNotFound`` for one who is not there."""
        event = self._records.event("left", group.key, user_token)
        try:
            await self._documents.remove(MEMBER, f"{group.id}/{user_token}", [event])
        except RecordNotFound:
            raise RecordNotFound("The user is not in the group") from None

    async def members(self, group: Document, offset: int = 0, limit: int = -1) -> list[Membership]:
        """Return who is in a group, in the order in which they came to it. ``limit`` -1: all."""
        found = await self._documents.page(MEMBER, f"{group.id}/", offset, limit)
        roles: dict[int | None, Document | None] = {}
        for one in found:
            if (number := one.content["role"]) not in roles:
                roles[number] = await self._role(number)
        return [Membership(one.owner or "", group, roles[one.content["role"]]) for one in found]

    async def count(self, group: Document) -> int:
        """Count who is in a group."""
        return await self._documents.count(MEMBER, f"{group.id}/")

    async def of_person(self, user_token: str) -> list[Membership]:
        """Return the groups of a person, in the order in which they were joined; none for an unknown one."""
        found = []
        for one in await self._documents.of_person(user_token):
            if one.kind == MEMBER:
                try:
                    group = await self.find(int(one.key.partition("/")[0]))
                except RecordNotFound:  # deleted at this very moment
                    continue
                found.append(Membership(user_token, group, await self._role(one.content["role"])))
        return found

    async def person(self, user_token: str) -> Person:
        """Return what policies know of a person."""
        found = await self.of_person(user_token)
        return Person(
            frozenset(str(one.group.id) for one in found),
            frozenset(one.role.key for one in found if one.role),
        )

    async def _role(self, number: int | None) -> Document | None:
        try:
            return None if number is None else await self._roles.find(number)
        except RecordNotFound:
            return None
