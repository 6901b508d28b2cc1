"""Profiles and their tags."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from msgspec.structs import replace

from vault.errors import Duplicate
from vault.ports import AnswerKeeper, NewProfile
from vault.records import ProfileRow, Tag
from vault.stores.memory.answers import MemoryAnswers


class MemoryProfiles(MemoryAnswers):
    """Profiles by token, and the owner of each tag."""

    def __init__(self) -> None:
        super().__init__()
        self.profiles: dict[str, NewProfile] = {}
        self.owners: dict[Tag, str] = {}

    async def insert(
        self, batch: Sequence[NewProfile], now: int, keeper: AnswerKeeper | None = None
    ) -> list[str | None]:
        """Decide about all first, then insert."""
        self._refuse_repeat(keeper, now)
        claimed: set[Tag] = set()
        outcomes: list[str | None] = []
        for new in batch:
            taken = (tag.field for tag in new.tags if tag in claimed or self._live_owner(tag, now))
            outcomes.append(next(taken, None))
            if outcomes[-1] is None:
                claimed.update(new.tags)
        self._keep(keeper, outcomes)
        for new, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                self._put(new)
        return outcomes

    async def find(self, token: str) -> ProfileRow | None:
        """Look the profile up by its token."""
        profile = self.profiles.get(token)
        return profile.row if profile else None

    async def find_by_tag(self, tags: Sequence[Tag]) -> ProfileRow | None:
        """Look the profile up by the first tag that has an owner."""
        owners = (self.owners[tag] for tag in tags if tag in self.owners)
        token = next(owners, None)
        return self.profiles[token].row if token else None

    async def replace(self, row: ProfileRow, tags: Sequence[Tag], expected_revision: int) -> bool:
        """Compare the revision, check the tags, then swap."""
        stored = self.profiles.get(row.token)
        if stored is None or stored.row.erasing_at is not None or stored.row.revision != expected_revision:
            return False
        for tag in tags:
            if self._live_owner(tag, row.updated_at) not in (None, row.token):
                raise Duplicate(tag.field)
        self._take(row.token)
        self._put(NewProfile(row, tuple(tags)))
        return True

    async def note_erasure(self, token: str, now: int) -> bool:
        """Mark the profile, keeping the time of the first mark."""
        profile = self.profiles.get(token)
        if profile is None:
            return False
        if profile.row.erasing_at is None:
            self.profiles[token] = profile._replace(row=replace(profile.row, erasing_at=now))
        return True

    async def unfinished_erasures(self, limit: int) -> list[str]:
        """Scan for marks."""
        marked = (token for token, (row, _) in self.profiles.items() if row.erasing_at is not None)
        return list(islice(marked, limit))

    async def delete(self, token: str) -> None:
        """Remove the profile and every tag it still owns."""
        self._take(token)

    async def expired(self, now: int, limit: int) -> list[str]:
        """Scan for expired profiles."""
        ends = [
            (row.expires_at, row.token) for row, _ in self.profiles.values() if row.expires_at is not None
        ]
        return [token for expires_at, token in sorted(ends) if expires_at <= now][:limit]

    async def census(self) -> dict[int, int]:
        """Count the boxes."""
        return dict(Counter(row.key_version for row, _ in self.profiles.values()))

    def _live_owner(self, tag: Tag, now: int) -> str | None:
        token = self.owners.get(tag)
        return token if token and self.profiles[token].row.is_alive(now) else None

    def _put(self, profile: NewProfile) -> None:
        """Store the profile and make it the owner of its tags, whoever had them."""
        self.profiles[profile.row.token] = profile
        self.owners.update(dict.fromkeys(profile.tags, profile.row.token))

    def _take(self, token: str) -> None:
        """Remove the profile and its tags, but for those that another has taken over."""
        profile = self.profiles.pop(token, None)
        for tag in profile.tags if profile else ():
            if self.owners.get(tag) == token:
                del self.owners[tag]
