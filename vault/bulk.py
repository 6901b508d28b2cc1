"""Reading many profiles at once: only for a while, for a reason that is named first, and each one recorded."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from vault.acting import ITSELF, acting
from vault.audit import Audit
from vault.clock import Clock
from vault.errors import UnlockRefused
from vault.key_watch import KeyWatch, with_fresh_keys
from vault.ports import UnlockStore
from vault.profile_views import Profile
from vault.profiles import Profiles
from vault.records import UnlockRow
from vault.tokens import is_bearer_uuid, is_unlock, new_bearer_uuid, new_unlock

#: Seconds that an unlock lasts.
LIFETIME = 60


@dataclass(frozen=True, slots=True)
class Unlocked:
    """Leave to read in bulk: the text is shown this once, and it ends at ``expires_at`` (milliseconds)."""

    unlock: str = field(repr=False)
    expires_at: int


class Bulk:
    """Bulk reads of one vault."""

    def __init__(
        self, store: UnlockStore, profiles: Profiles, audit: Audit, clock: Clock, watch: KeyWatch
    ) -> None:
        self._store = store
        self._profiles = profiles
        self._audit = audit
        self._clock = clock
        self._watch = watch

    @with_fresh_keys
    async def unlock(self, reason: str, *, as_uuid: bool = False) -> Unlocked:
        """Give whoever asks leave to read in bulk for ``LIFETIME``, bound to the access key; it is recorded.

        ``as_uuid`` gives it the shape that Databunker's clients take.
        """
        text = new_bearer_uuid() if as_uuid else new_unlock()
        expires_at = self._clock.now() + LIFETIME * 1000
        row = UnlockRow(_digest(text), _caller(), reason, expires_at)
        await self._store.insert(row, [self._audit.event("bulk.unlocked", None, {"reason": reason})])
        return Unlocked(text, expires_at)

    async def read(self, unlock: str, tokens: Sequence[str]) -> list[Profile]:
        """Open these profiles, once that is recorded; unknown ones are left out.

        Raises ``UnlockRefused`` for leave that is unknown, over, or another's, and as ``Profiles.get``.
        """
        await self.enter(unlock)
        return await self._profiles.get_many(tokens)

    async def page(self, unlock: str, after: str, limit: int) -> tuple[list[Profile], str | None]:
        """Open up to ``limit`` profiles behind a user token ("": from the first), in the order of tokens.

        Returns the token to go on behind, None at the end. Raises as ``read``.
        """
        await self.enter(unlock)
        tokens = await self._profiles.tokens(after, limit)
        return await self._profiles.get_many(tokens), tokens[-1] if len(tokens) == limit else None

    async def slice(self, unlock: str, offset: int, limit: int) -> tuple[list[Profile], int]:
        """Open up to ``limit`` profiles behind the first ``offset``, in the order of tokens; say how many there are.

        Whoever comes or goes in between shifts the rest, unlike with ``page``. Raises as ``read``.
        """
        await self.enter(unlock)
        opened = await self._profiles.get_many(await self._profiles.tokens("", limit, offset))
        return opened, await self._profiles.count()

    async def sweep(self, limit: int) -> int:
        """Delete up to ``limit`` unlocks that are over; return how many."""
        return await self._store.purge(self._clock.now(), limit)

    async def enter(self, unlock: str) -> None:
        """Let the holder of an unlock in, with its reason as the purpose of what is opened.

        Raises ``UnlockRefused``.
        """
        text = unlock.lower() if is_bearer_uuid(unlock.lower()) else unlock
        has_shape = is_unlock(text) or is_bearer_uuid(text)
        row = await self._store.find(_digest(text)) if has_shape else None
        if row is None or row.key_id != _caller() or row.expires_at <= self._clock.now():
            raise UnlockRefused
        by = acting.get()
        if by is not None:
            by.purpose = row.reason


def _caller() -> str:
    by = acting.get()
    return (by and by.key_id) or ITSELF


def _digest(unlock: str) -> bytes:
    return hashlib.sha256(unlock.encode()).digest()
