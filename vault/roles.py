"""Roles: what tokens are made for that are nobody's, and what somebody is in a group. Policies are linked to them."""

from vault.audit import Audit
from vault.documents import Document, Documents
from vault.errors import Invalid
from vault.named_records import NamedRecords, Reference, changed

#: Policies of one role: all are read at each request of its tokens.
MOST_POLICIES = 100


class Roles:
    """The roles of one vault: documents with a description and the numbers of linked policies."""

    def __init__(self, documents: Documents, audit: Audit) -> None:
        self._records = NamedRecords(documents, audit, "role")

    async def create(self, name: str, description: str | None = None) -> Document:
        """Make a role, which may do nothing as yet. Raises ``NameTaken``, ``Invalid``."""
        return await self._records.create(name, {"description": description, "policies": []})

    async def find(self, reference: Reference) -> Document:
        """Return a role. Raises ``RecordNotFound``."""
        return await self._records.find(reference)

    async def update(
        self, reference: Reference, name: str | None = None, description: str | None = None
    ) -> None:
        """Change name or description. Policies name roles: rename it there too. Raises as ``create``, ``find``."""
        await self._records.change(reference, lambda old: changed(old, description=description), name)

    async def link(self, reference: Reference, policy: Document) -> None:
        """Link a policy, once. It takes effect at once, also for tokens that are out. Raises ``RecordNotFound``."""

        def add(old: dict[str, list[int]]) -> dict[str, list[int]]:
            linked = list(dict.fromkeys([*old["policies"], policy.id]))
            if len(linked) > MOST_POLICIES:
                raise Invalid(fields={"policyid": f"a role has at most {MOST_POLICIES} policies"})
            return {**old, "policies": linked}

        await self._records.change(reference, add, linked=policy.key)
