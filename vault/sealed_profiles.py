"""Profiles as they lie in their store: which of them live, what opens and seals them, and until when they live on."""

import msgspec
from msgspec.structs import replace

from vault import config
from vault.clock import Clock
from vault.crypto.sealer import Sealed, Sealer
from vault.errors import Invalid, ProfileNotFound
from vault.masking import Content
from vault.ports import ProfileStore
from vault.profile_views import NewContent, Profile, head_of
from vault.records import ProfileRow
from vault.tokens import is_user_token, new_user_token

#: The end of a profile that slides is put off in steps of at most this many milliseconds, or a tenth of its window if
#: that is less, so that one that is read all the time costs a write a minute. It may end one step early, never late.
STEP = 60_000


class SealedProfiles:
    """The boxes of one vault's profiles. ``most_bytes`` bounds a profile's JSON text, however it came or grew."""

    def __init__(
        self, store: ProfileStore, sealer: Sealer, clock: Clock, settings: config.Profiles, most_bytes: int
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._settings = settings
        self._most_bytes = most_bytes

    async def living(self, token: str) -> ProfileRow:
        """Return the row. Raises ``ProfileNotFound`` for unknown, expired and erased alike."""
        row = await self._store.find(token) if is_user_token(token) else None
        if row is None or not row.is_alive(self._clock.now()):
            raise ProfileNotFound
        return row

    def open(self, row: ProfileRow) -> Profile:
        """Open the box. Raises ``BoxError``."""
        return Profile(head_of(row), self._sealer.open("profile", row.token, row.box))

    def seal(self, token: str, content: Content) -> Sealed:
        """Seal a content for this person alone. Raises ``Invalid`` for one that is too large."""
        text = msgspec.json.encode(content)
        if len(text) > self._most_bytes:
            raise Invalid(fields={"profile": f"must be at most {self._most_bytes} bytes of JSON"})
        return self._sealer.seal("profile", token, text)

    def new(self, new: NewContent, now: int) -> ProfileRow:
        """Seal a new person's content under its token or a new one. Raises ``Invalid``, also for too long a life."""
        token, end = new.token or new_user_token(), None
        if new.expires_in is not None:
            most = self._settings.max_expires_in
            if most and new.expires_in > most:
                raise Invalid(fields={"expires_in": f"must be at most {most} seconds"})
            end = now + new.expires_in * 1000
        sealed = self.seal(token, new.content)
        row = ProfileRow(token, sealed.box, sealed.key_version, 1, now, now, end)
        if new.sliding is None:
            return row
        return slid(replace(row, expires_at=now, sliding=new.sliding * 1000, ends_at=end), now)

    async def touch(self, row: ProfileRow) -> ProfileRow:
        """Put off the end of a profile that was used just now; return the row after that."""
        now = self._clock.now()
        touched = slid(row, now)
        if row.expires_at is None or touched.expires_at is None or row.sliding is None:
            return row
        if touched.expires_at - row.expires_at < min(STEP, row.sliding // 10):
            return row
        await self._store.put_off(row.token, touched.expires_at, now)
        return touched


def slid(row: ProfileRow, now: int) -> ProfileRow:
    """Return the row with the end that a use at ``now`` gives it: never an earlier one than it has."""
    if row.sliding is None or row.expires_at is None:
        return row
    end = now + row.sliding if row.ends_at is None else min(now + row.sliding, row.ends_at)
    return replace(row, expires_at=max(row.expires_at, end))
