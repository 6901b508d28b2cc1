"""Shares: a part of a profile, or of app data, for whoever holds the share's id, for a while.

The id is a secret that needs no other, so what is kept is its digest. A share holds no values: it says what to show,
and what is shown is what is there by then.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vault.acting import acting
from vault.app_data import AppData
from vault.audit import Audit
from vault.clock import Clock
from vault.documents import Document, Documents, NewDocument
from vault.errors import ProfileNotFound, RateLimited, RecordNotFound
from vault.masking import Content, project
from vault.profiles import Profiles
from vault.rates import Rates
from vault.tokens import is_bearer_uuid, new_bearer_uuid

KIND = "share"

#: Seconds that a share lives unless it is asked to live shorter or longer, and the most it may ask for.
DEFAULT_LIFETIME, MOST_LIFETIME = 86_400, 30 * 86_400

#: Openings of one share a minute, in one process: each is an event, and who opens has shown nothing but the share.
PER_MINUTE = 60

#: Whoever opens a share, and why, in the audit trail.
PUBLIC, PURPOSE = "public", "shared record"


class OpenedTooOften(RateLimited):
    """This record is opened too often; try again after Retry-After."""


@dataclass(frozen=True, slots=True)
class Share:
    """What there is to say of a share. ``fields`` None: all; ``app`` None: of the profile. Times in milliseconds."""

    created_at: int
    expires_at: int | None
    fields: list[str] | None
    partner: str | None = field(repr=False)
    app: str | None


class Shares:
    """The shares of one vault."""

    def __init__(
        self, documents: Documents, profiles: Profiles, app_data: AppData, audit: Audit, clock: Clock
    ) -> None:
        self._documents = documents
        self._profiles = profiles
        self._app_data = app_data
        self._audit = audit
        self._clock = clock
        self._rates = Rates()

    async def create(
        self,
        token: str,
        fields: Sequence[str] | None,
        *,
        partner: str | None = None,
        app: str | None = None,
        expires_in: int | None = None,
    ) -> str:
        """Share these fields (None: all) of a profile, or of app data; return the share's id, once.

        ``expires_in`` in seconds, cut at ``MOST_LIFETIME``. Raises ``ProfileNotFound``, ``RecordNotFound`` for app data
        that is not there.
        """
        if app is not None and not await self._app_data.has(token, app):
            raise RecordNotFound
        record = new_bearer_uuid()
        ends = self._clock.now() + min(expires_in or DEFAULT_LIFETIME, MOST_LIFETIME) * 1000
        said = {"fields": None if fields is None else list(fields), "partner": partner, "app": app}
        details = {name: value for name, value in said.items() if value is not None}
        new = NewDocument(KIND, _digest(record), said, token, ends)
        await self._documents.add(new, [self._audit.event("share.created", token, details)])
        return record

    async def open(self, record: str) -> Content:
        """Open what is shared, once that is recorded, as ``PUBLIC``.

        Raises ``RecordNotFound`` for a share that is unknown, over, or of what is gone; ``OpenedTooOften``, and as
        ``Profiles.get`` does.
        """
        if not is_bearer_uuid(record.lower()):
            raise RecordNotFound
        share = await self._documents.get(KIND, _digest(record))
        token, said = share.owner or "", share.content
        if wait := self._rates.take(share.key, PER_MINUTE, self._clock.now()).wait:
            raise OpenedTooOften(-(-wait // 1000))
        if by := acting.get():
            by.key_id, by.purpose = PUBLIC, PURPOSE
        try:
            if said["app"] is not None:
                content = (await self._app_data.get(token, said["app"], fields=said["fields"])).data
            else:
                content = (await self._profiles.get(token, said["fields"])).content
        except (ProfileNotFound, RecordNotFound):
            raise RecordNotFound from None  # one answer for whatever is not there any more
        return content if said["fields"] is None else project(content, said["fields"])


def shares_in(documents: Iterable[Document]) -> list[Share]:
    """Return the shares among a person's documents; never an id."""
    return [_share(one) for one in documents if one.kind == KIND]


def _share(one: Document) -> Share:
    said = one.content
    return Share(one.created_at, one.expires_at, said["fields"], said["partner"], said["app"])


def _digest(record: str) -> str:
    return hashlib.sha256(record.lower().encode()).hexdigest()
