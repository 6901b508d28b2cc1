"""Look-ups by value: whose login, email, phone or custom value it is."""

from collections.abc import Sequence
from contextlib import suppress

import structlog

from vault.alarms import Alarms
from vault.audit import Audit
from vault.clock import Clock
from vault.crypto.blind_index import BlindIndex
from vault.errors import KeyringError, ProfileNotFound
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.ports import Entry, ProfileStore
from vault.records import ProfileRow, Tag
from vault.sealed_profiles import SealedProfiles


class Lookups:
    """The look-ups of one vault."""

    def __init__(
        self,
        store: ProfileStore,
        boxes: SealedProfiles,
        index: BlindIndex,
        audit: Audit,
        alarms: Alarms,
        clock: Clock,
        watch: KeyWatch,
    ) -> None:
        self._store = store
        self._boxes = boxes
        self._index = index
        self._audit = audit
        self._alarms = alarms
        self._clock = clock
        self._watch = watch

    @with_fresh_keys
    async def token(self, field_name: str, value: str | int) -> str:
        """Return the token of the profile with this login, email, phone or custom value, once that is recorded.

        A tag is a row like any other, so the profile that it leads to is opened and has to have the value itself.
        Raises ``ProfileNotFound``, ``AuditUnavailable``, and ``BoxError`` for one that does not open.
        """
        tags = self._index.tags(field_name, value)
        row = await self._store.find_by_tag(tags)
        if row is None:
            with suppress(KeyringError):  # the watch tells of it; the keys that are loaded go on
                if await self._watch.refresh():  # slept through a rotation, and looked for tags that are gone
                    tags = self._index.tags(field_name, value)
                    row = await self._store.find_by_tag(tags)
        if row is None or not row.is_alive(self._clock.now()) or not self._has(row, field_name, tags):
            # Recorded too: whoever tries values one after the other leaves a trace.
            await self._audit.record(self._looked_up(field_name, None, ProfileNotFound.code))
            raise ProfileNotFound
        await self._audit.record(self._looked_up(field_name, row.token))
        await self._alarms.touched(row.token)
        return row.token

    @with_fresh_keys
    async def has(self, token: str, field_name: str, value: str | int) -> bool:
        """Whether this very profile has the value in an indexed field: asked of nobody but its owner.

        Raises ``ProfileNotFound``.
        """
        row = await self._boxes.living(token)
        return self._has(row, field_name, self._index.tags(field_name, value))

    def _has(self, row: ProfileRow, field_name: str, tags: Sequence[Tag]) -> bool:
        found = self._index.tags(field_name, self._boxes.open(row).content.get(field_name))
        if not (has := not set(found).isdisjoint(tags)):
            structlog.get_logger().error("tag.misleads")
        return has

    def _looked_up(self, field_name: str, token: str | None, outcome: str = "ok") -> Entry:
        return self._audit.event("profile.looked_up", token, {"field": field_name}, outcome=outcome)
