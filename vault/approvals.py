"""Held requests: changes that somebody asked for, and that wait for somebody else to approve or cancel them."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from vault.audit import Audit
from vault.clock import Clock
from vault.documents import Document, Documents, NewDocument
from vault.errors import Conflict, RecordNotFound, RequestClosed, VaultError
from vault.patches import json_patch, merge_patch
from vault.ports import Entry
from vault.profiles import Profiles

KIND = "request"

#: Milliseconds after which an approval that neither took effect nor failed was interrupted, and may be given again.
INTERRUPTED = 60_000

#: Open requests of one person: their own token makes them, and nobody is to fill the disk with it.
MOST_OPEN = 100

OPEN, APPROVING, APPROVED, CANCELLED = "open", "approving", "approved", "cancelled"

#: What a request does to its person once it is approved; given what was asked for.
Verb = Callable[[str, dict[str, Any]], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Held:
    """A request. ``said`` is what was asked for, ``reason`` why it was decided so; times in milliseconds."""

    id: str
    verb: str
    user_token: str
    status: str
    reason: str | None
    said: dict[str, Any] = field(repr=False)
    created_at: int
    decided_at: int | None


class Approvals:
    """The held requests of one vault. Whoever has a verb that can be asked for puts it into ``verbs``, by its name."""

    def __init__(self, documents: Documents, profiles: Profiles, audit: Audit, clock: Clock) -> None:
        self._documents = documents
        self._profiles = profiles
        self._audit = audit
        self._clock = clock
        self.verbs: dict[str, Verb] = {
            "UserUpdate": self._update,
            "UserPatch": self._patch,
            "UserDelete": lambda token, _: profiles.erase(token),
        }

    async def hold(self, verb: str, user_token: str, said: Mapping[str, Any]) -> str:
        """Keep a request about a person, and return its id. Raises ``ProfileNotFound``, ``Conflict`` for too many."""
        if sum(held.status == OPEN for held in await self.of_person(user_token)) >= MOST_OPEN:
            raise Conflict(f"{MOST_OPEN} requests about this person are open; decide some of them first.")
        request_id = str(uuid.uuid4())
        content = {"verb": verb, "said": said, "status": OPEN, "reason": None, "decided_at": None}
        new = NewDocument(KIND, request_id, content, user_token)
        await self._documents.add(new, [self._event("request.held", user_token, request_id, verb)])
        return request_id

    async def get(self, request_id: str, of: str | None = None) -> Held:
        """Open a request, once that is recorded: it holds what a profile is to hold.

        ``of`` is the only person whose requests there are. Raises ``RecordNotFound``, and as ``Profiles.get``.
        """
        self._audit.require_purpose()
        document = await self._find(request_id, of)
        details = {"request": request_id}
        await self._audit.reveal(
            self._audit.event(
                "profile.revealed", document.owner, details, revealed_version=document.key_version
            )
        )
        return _held(document)

    async def of_person(self, user_token: str) -> list[Held]:
        """Return all requests about a person, the oldest first: what they ask for is not to be shown."""
        documents = await self._documents.of_person(user_token)
        return [_held(document) for document in documents if document.kind == KIND]

    async def page(self, offset: int, limit: int) -> tuple[list[Held], int]:
        """Return requests, the oldest first, and how many there are: what they ask for is not to be shown."""
        documents = await self._documents.page(KIND, "", offset, limit)
        return [_held(document) for document in documents], await self._documents.count(KIND)

    async def approve(self, request_id: str, reason: str | None = None) -> None:
        """Do what was asked for, and close the request; that of an erased person goes with the person.

        If the verb refuses, the request is open again, and what the verb raises is raised. Two who approve at once do
        it once; one who is interrupted in between may do it again, after ``INTERRUPTED``. Raises ``RecordNotFound``,
        ``RequestClosed``.
        """
        document = await self._find(request_id, None)
        held = _held(document)
        await self._decide(document, APPROVING, reason, "request.approved")
        try:
            await self.verbs[held.verb](held.user_token, held.said)
        except VaultError as refused:
            entry = self._event("request.reopened", held.user_token, request_id, held.verb, refused.code)
            with suppress(RecordNotFound):  # the person is gone
                await self._set(document, OPEN, [entry])
            raise
        with suppress(RecordNotFound):  # the person was erased, by this very request or another
            await self._set(document, APPROVED)

    async def cancel(self, request_id: str, reason: str | None = None, of: str | None = None) -> None:
        """Close a request without doing anything. Raises as ``approve``; ``of`` as in ``get``."""
        await self._decide(await self._find(request_id, of), CANCELLED, reason, "request.cancelled")

    async def _find(self, request_id: str, of: str | None) -> Document:
        document = await self._documents.get(KIND, request_id)
        if of is not None and document.owner != of:
            raise RecordNotFound
        return document

    async def _decide(self, document: Document, status: str, reason: str | None, action: str) -> None:
        now, held = self._clock.now(), _held(document)

        def decide(content: dict[str, Any]) -> dict[str, Any]:
            began = content["decided_at"] if content["status"] == APPROVING else None
            if content["status"] != OPEN and (began is None or now - began < INTERRUPTED):
                raise RequestClosed
            return {**content, "status": status, "reason": reason, "decided_at": now}

        entry = self._event(action, held.user_token, held.id, held.verb)
        await self._documents.change(document, decide, [entry])

    async def _set(self, document: Document, status: str, entries: list[Entry] | None = None) -> None:
        await self._documents.change(document, lambda content: {**content, "status": status}, entries or [])

    def _event(self, action: str, user_token: str, request_id: str, verb: str, outcome: str = "ok") -> Entry:
        return self._audit.event(action, user_token, {"request": request_id, "verb": verb}, outcome=outcome)

    async def _update(self, user_token: str, said: dict[str, Any]) -> None:
        await self._profiles.change(user_token, lambda content: merge_patch(content, said["profile"]), None)

    async def _patch(self, user_token: str, said: dict[str, Any]) -> None:
        await self._profiles.change(user_token, lambda content: json_patch(content, said["patch"]), None)


def _held(document: Document) -> Held:
    said = document.content
    return Held(
        document.key, said["verb"], document.owner or "", said["status"], said["reason"], said["said"],
        document.created_at, said["decided_at"],
    )  # fmt: skip
