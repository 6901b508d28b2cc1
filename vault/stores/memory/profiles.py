"""Profiles and their tags."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

from msgspec.structs import replace

from vault.errors import Duplicate
from vault.ports import AnswerKeeper, Claimed, Collision, Entry, Former, NewProfile
from vault.records import ProfileRow, SealedRow, Tag
from vault.stores.memory.answers import MemoryAnswers
from vault.stores.memory.audit import MemoryAudit
from vault.stores.memory.fence import Fence
from vault.stores.memory.sealed import Boxes


class MemoryProfiles(MemoryAnswers):
    """Profiles by token, and the owner of each tag."""

    def __init__(self, fence: Fence, audit: MemoryAudit) -> None:
        super().__init__(fence)
        self._audit = audit
        self.profiles: dict[str, NewProfile] = {}
        self.owners: dict[Tag, str] = {}
        #: Told the token of whoever is deleted, in the same breath.
        self.on_delete: list[Callable[[str], None]] = []
        #: Told the former versions that a change leaves, in the same breath.
        self.on_replace: list[Callable[[Former], Callable[[], None]]] = []

    async def insert(
        self,
        batch: Sequence[NewProfile],
        now: int,
        keeper: AnswerKeeper | None = None,
        tell: Callable[[ProfileRow, str | None], Entry] | None = None,
    ) -> list[str | None]:
        """Decide about all first, then insert."""
        self._refuse_repeat(keeper, now)
        for new in batch:
            self._fence.check_box(new.row.key_version)
            self._fence.check_tags(new.tags)
        claimed: set[Tag] = set()
        tokens: set[str] = set()
        outcomes: list[str | None] = []
        for new in batch:
            taken = (tag.field for tag in new.tags if tag in claimed or self._live_owner(tag, now))
            is_here = new.row.token in self.profiles or new.row.token in tokens
            outcomes.append("token" if is_here else next(taken, None))
            if outcomes[-1] is None:
                claimed.update(new.tags)
                tokens.add(new.row.token)
        answer = self._answer(keeper, outcomes)
        if tell:
            self._audit.record([tell(new.row, taken) for new, taken in zip(batch, outcomes, strict=True)])
        self._keep(answer)
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

    async def replace(
        self,
        row: ProfileRow,
        tags: Sequence[Tag],
        expected_revision: int,
        entries: Sequence[Entry] = (),
        former: Former | None = None,
    ) -> bool:
        """Compare the revision, check the tags, then swap."""
        stored = self.profiles.get(row.token)
        if stored is None or stored.row.erasing_at is not None or stored.row.revision != expected_revision:
            return False
        self._fence.check_box(row.key_version)
        keep_former = [check(former) for check in self.on_replace] if former else []
        self._fence.check_tags(tags)
        for tag in tags:
            if self._live_owner(tag, row.updated_at) not in (None, row.token):
                raise Duplicate(tag.field)
        self._audit.record(entries)
        self._take(row.token)
        self._put(NewProfile(row, tuple(tags)))
        for keep in keep_former:
            keep()
        return True

    async def put_off(self, token: str, expires_at: int, now: int) -> None:
        """Compare the end, and move it."""
        profile = self.profiles.get(token)
        if profile and profile.row.is_alive(now) and (profile.row.expires_at or expires_at) < expires_at:
            self.profiles[token] = profile._replace(row=replace(profile.row, expires_at=expires_at))

    async def note_erasure(self, token: str, now: int, entries: Sequence[Entry] = ()) -> bool:
        """Mark the profile, keeping the time of the first mark."""
        profile = self.profiles.get(token)
        if profile is None:
            return False
        if profile.row.erasing_at is None:
            self._audit.record(entries)
            self.profiles[token] = profile._replace(row=replace(profile.row, erasing_at=now))
        return True

    async def unfinished_erasures(self, limit: int) -> list[str]:
        """Scan for marks."""
        marked = (token for token, (row, _) in self.profiles.items() if row.erasing_at is not None)
        return list(islice(marked, limit))

    async def delete(self, token: str) -> None:
        """Remove the profile, every tag it still owns, its documents, and the details of its events."""
        self._take(token)
        self._audit.forget_details(token)
        for forget in self.on_delete:
            forget(token)

    async def expired(self, now: int, limit: int) -> list[str]:
        """Scan for expired profiles."""
        ends = [
            (row.expires_at, row.token) for row, _ in self.profiles.values() if row.expires_at is not None
        ]
        return [token for expires_at, token in sorted(ends) if expires_at <= now][:limit]

    async def tokens(self, after: str, limit: int, now: int, offset: int = 0) -> list[str]:
        """Sort the living."""
        living = (token for token, (row, _) in self.profiles.items() if token > after and row.is_alive(now))
        return sorted(living)[offset : offset + limit]

    async def count(self, now: int) -> int:
        """Scan for the living."""
        return sum(row.is_alive(now) for row, _ in self.profiles.values())

    async def add_tags(self, rows: Sequence[tuple[SealedRow, Sequence[Tag]]], now: int) -> Claimed:
        """Compare each box and check the tags, then claim what no living other holds."""
        added, collisions = 0, []
        unchanged = []
        for row, tags in rows:
            profile = self.profiles.get(row.name)
            if profile is None or profile.row.box != row.box or not profile.row.is_alive(now):
                continue
            self._fence.check_tags(tags, profile.tags)
            unchanged.append((row, tags))
        for row, tags in unchanged:
            for tag in tags:
                if self._live_owner(tag, now) in (None, row.name):
                    self.owners[tag] = row.name
                    profile = self.profiles[row.name]
                    self.profiles[row.name] = profile._replace(tags=(*profile.tags, tag))
                    added += 1
                else:
                    collisions.append(Collision(row.name, tag.field))
        return Claimed(added, collisions)

    async def tags_of(self, tokens: Sequence[str]) -> dict[str, set[Tag]]:
        """Scan the owners."""
        found: dict[str, set[Tag]] = {}
        for tag, owner in self.owners.items():
            if owner in tokens:
                found.setdefault(owner, set()).add(tag)
        return found

    async def orphan_tags(self, limit: int) -> list[str]:
        """Scan the owners."""
        return list(islice({token for token in self.owners.values() if token not in self.profiles}, limit))

    async def tag_census(self) -> dict[int, int]:
        """Count the owned tags."""
        return dict(Counter(tag.version for tag in self.owners))

    async def drop_tags(self, version: int, limit: int) -> int:
        """Scan for the version."""
        doomed = list(islice((tag for tag in self.owners if tag.version == version), limit))
        for tag in doomed:
            del self.owners[tag]
        return len(doomed)

    def profile_boxes(self) -> Boxes:
        """Show the profiles as boxes."""

        def put(row: SealedRow) -> None:
            profile = self.profiles[row.name]
            self.profiles[row.name] = profile._replace(
                row=replace(profile.row, box=row.box, key_version=row.key_version)
            )

        return Boxes(
            lambda: [
                SealedRow(t, t.encode(), p.row.box, p.row.key_version) for t, p in self.profiles.items()
            ],
            put,
            self._take,
        )

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
