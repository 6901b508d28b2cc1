"""Policies: what a caller on Databunker's wire may do, and what it is shown. A deny is a deny before any look-up.

The one look-up that a policy may need is that of the person whom the call is about, where it speaks of their groups;
who is not reached then is answered as who is not there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vault.audit import Audit
from vault.documents import Document, Documents
from vault.errors import Denied, Invalid, RecordNotFound
from vault.grants import Grant
from vault.groups import Groups
from vault.named_records import NamedRecords, Reference, changed
from vault.policy_language import Statement, read
from vault.roles import Roles
from vault.verdicts import Asked, judge

#: It is about many people, and asks about each of them.
OF_GROUPS = "BulkListGroupUsers"


@dataclass(frozen=True, slots=True)
class Question:
    """What remains to be judged once the person is known."""

    statements: Sequence[Statement] = field(repr=False)
    asked: Asked


@dataclass(frozen=True, slots=True)
class Decision:
    """``fields`` are the only profile paths that are shown, None for all; ``masked`` are hidden in any case.

    With a ``question`` it hangs on the person: ``Policies.about`` has to be asked before anything is done.
    """

    allowed: bool
    fields: tuple[str, ...] | None = None
    masked: tuple[str, ...] = ()
    question: Question | None = None


class Policies:
    """The policies of one vault's roles."""

    def __init__(self, documents: Documents, audit: Audit, roles: Roles, groups: Groups) -> None:
        self._roles = roles
        self._groups = groups
        self._records = NamedRecords(documents, audit, "policy")

    async def create(self, name: str, policy: Any, description: str | None = None) -> Document:
        """Keep a policy. Raises ``Invalid`` for one that cannot be read, ``NameTaken``."""
        read(policy)
        return await self._records.create(name, {"description": description, "policy": policy})

    async def find(self, reference: Reference) -> Document:
        """Return a policy. Raises ``RecordNotFound``."""
        return await self._records.find(reference)

    async def all(self) -> list[Document]:
        """Return all policies, in the order in which they came."""
        return await self._records.all()

    async def update(
        self,
        reference: Reference,
        name: str | None = None,
        policy: Any | None = None,
        description: str | None = None,
    ) -> None:
        """Change what is not None; it takes effect at once. Raises as ``create`` and ``find``."""
        if policy is not None:
            read(policy)
        await self._records.change(
            reference, lambda old: changed(old, policy=policy, description=description), name
        )

    async def decide(
        self, grant: Grant, action: str, metadata: Mapping[str, Any], *, of_person: bool = False
    ) -> Decision:
        """Say whether ``grant`` may call the method ``action``. ``metadata`` is the request's ``request_metadata``.

        ``of_person``: the call is about one person, and ``about`` will be asked when it is known which.
        """
        if grant.kind != "role" or grant.role is None:
            return Decision(grant.kind == "root")
        try:
            role = await self._roles.find(int(grant.role))
            statements = await self._statements(role)
        except (RecordNotFound, Invalid):
            return Decision(allowed=False)
        asked = Asked(role.key, action, metadata)
        verdict = judge(statements, asked, later=of_person or action == OF_GROUPS)
        question = Question(statements, asked) if verdict.hangs else None
        return Decision(verdict.allowed, verdict.fields, verdict.masked, question)

    async def about(self, decision: Decision, user_token: str) -> Decision:
        """Return what was decided, now that the person is known. Raises ``Denied``."""
        if decision.question is None:
            return decision
        asked = replace(decision.question.asked, person=await self._groups.person(user_token))
        verdict = judge(decision.question.statements, asked)
        if not verdict.allowed:
            raise Denied
        return Decision(True, verdict.fields, verdict.masked, decision.question)

    async def _statements(self, role: Document) -> list[Statement]:
        """Return what is linked to a role. One that cannot be read, or is gone, might have denied: then all is."""
        return [
            statement
            for number in role.content["policies"]
            for statement in read((await self.find(number)).content["policy"])
        ]
