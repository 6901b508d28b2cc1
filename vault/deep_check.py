"""The deep check: reads everything there is, and says of each thing that is not as it should be where and what.

It may run beside a service. What changes while it reads is looked at again before it is called wrong.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vault.clock import Clock, SystemClock
from vault.config import Config
from vault.crypto.blind_index import BlindIndex
from vault.crypto.sealer import Sealer
from vault.errors import BoxError, SessionNotFound
from vault.pace import Pace
from vault.ports import SealedStore, Stores
from vault.progress import Progress
from vault.records import SealedRow, Tag
from vault.reindex import Tagged, tagged
from vault.session_life import MOST_LISTED
from vault.session_views import SessionViews
from vault.walk import Walk
from vault.wiring import DEFAULT_TENANT, open_files

BATCH = 500

#: Bytes of a session's digest, which is a SHA-256.
DIGEST_BYTES = 32

#: Findings that are kept of one kind; the others are counted.
MOST_KEPT = 100


class Finding(NamedTuple):
    """``kind`` is for programs; ``where`` names a row by its public name: a token, a handle, a digest, a file."""

    kind: str
    where: str
    what: str


@dataclass(slots=True)
class Findings:
    """What was looked at, by what it is, and what is wrong."""

    looked_at: dict[str, int] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, where: str, what: str) -> None:
        """Note one."""
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_KEPT:
            self.found.append(Finding(kind, where, what))


async def deep_check(
    config: Config,
    folder: Path,
    findings: Findings,
    progress: Progress,
    clock: Clock | None = None,
    tenant: str = DEFAULT_TENANT,
) -> None:
    """Read every box, tag, session and file of a vault into the findings.

    Raises ``DataFolderError``, ``KeyringError``; what was found by then stands.
    """
    clock = clock or SystemClock()
    _files(folder, findings)
    async with open_files(config, folder, tenant, clock) as opened:
        index = BlindIndex(opened.keyring, tenant, config.profiles.default_region)
        deep = _Deep(opened.stores, opened.sealer, index, clock, progress, findings)
        for store in opened.stores.sealed:
            await deep.boxes(store)
        await deep.orphans()
        await deep.sessions()


class _Deep:
    def __init__(
        self,
        stores: Stores,
        sealer: Sealer,
        index: BlindIndex,
        clock: Clock,
        progress: Progress,
        findings: Findings,
    ) -> None:
        self._stores = stores
        self._sealer = sealer
        self._index = index
        self._tagged = tagged(stores, index)
        self._clock = clock
        self._views = SessionViews(sealer, 0)
        self._findings = findings
        self._progress = progress
        self._walk = Walk(Pace(clock, BATCH, 0, None), progress, _no_beat)

    async def boxes(self, store: SealedStore) -> None:
        """Open every box; of what is found by tags, compare them with what they should be."""
        rows = sum((await store.census()).values())
        self._walk.begin(f"opening {store.name}", rows)
        self._findings.looked_at[store.name] = rows
        tags = next((one for one in self._tagged if one.boxes.name == store.name), None)
        async for page in self._walk.pages(store):
            held = await tags.store.tags_of([row.name for row in page]) if tags else {}
            for row in page:
                plaintext = await self._opens(store, row)
                if plaintext is not None and tags and row.name.startswith(tags.prefix):
                    await self._compare(tags, row, plaintext, held.get(row.name, set()))
                if plaintext is not None and store.name == "sessions":
                    await self._bound(row)

    async def _compare(self, tags: Tagged, row: SealedRow, plaintext: bytes, held: set[Tag]) -> None:
        wanted = set(tags.wanted(plaintext))
        live = {tag for tag in held if tag.version in self._index.versions}
        if wanted != live and not await self._is_settled(tags, row):
            fields = ", ".join(sorted({tag.field for tag in wanted ^ live}))
            self._findings.add("tags", row.name, f"its index tags are not those of its content: {fields}")

    async def _opens(self, store: SealedStore, row: SealedRow) -> bytes | None:
        try:
            return self._sealer.open(store.purpose, row.name, row.box)
        except BoxError as error:
            if (await store.get(row.name)) == row:  # else it was changed or deleted since it was read
                self._findings.add("box", f"{store.name}/{row.name}", f"its box does not open: {error.code}")
            return None

    async def _is_settled(self, tags: Tagged, row: SealedRow) -> bool:
        """Whether the row is another by now, or one whose tags another may hold: expired, being erased."""
        now = await tags.find(row.name)
        return now is None or now.box != row.box or not now.is_alive(self._clock.now())

    async def orphans(self) -> None:
        """Look for tags without a row."""
        self._findings.looked_at["tags"] = sum((await self._stores.tag_census()).values())
        for store in self._stores.tagged:
            for name in await store.orphan_tags(MOST_KEPT):
                self._findings.add("orphan_tag", name, "an index tag leads to a row that is not there")

    async def sessions(self) -> None:
        """Look for sessions whose person is not there."""
        self._walk.begin("looking for the people of sessions", 0)
        after, people = "", 0
        while persons := await self._stores.sessions.persons(after, self._clock.now(), BATCH):
            for token in persons:
                row = await self._stores.profiles.find(token)
                is_here = row is not None and row.is_alive(self._clock.now())
                live = await self._stores.sessions.live_of(token, self._clock.now(), MOST_LISTED)
                # An erasure closes the sessions before it deletes: whoever is gone has none by now.
                if live and not is_here:
                    self._findings.add("session", token, "a session is of a person who is not there")
            self._progress.advance(len(persons))
            people, after = people + len(persons), persons[-1]
        self._findings.looked_at["people with sessions"] = people

    async def _bound(self, row: SealedRow) -> None:
        """Compare a session's columns with its box, whosever it is."""
        digest = row.cursor if isinstance(row.cursor, bytes) and len(row.cursor) == DIGEST_BYTES else None
        session = await self._stores.sessions.find(digest) if digest else None
        if digest and session is None:
            return  # it has ended, or has another id, since it was read
        try:
            if session is None:
                raise SessionNotFound
            self._views.claims(session)
        except SessionNotFound:
            self._findings.add(
                "session_row", row.name, "the row is not as it was sealed: nobody is let in by it"
            )
        except BoxError:
            pass  # found among the boxes


def _files(folder: Path, findings: Findings) -> None:
    """Look for files that others may read; certificates are for everybody."""
    files = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    findings.looked_at["files"] = len(files)
    for path in [folder, *files]:
        if path.exists() and path.stat().st_mode & 0o077:
            findings.add("mode", str(path), "it is open to other users: chmod go= takes that away")


async def _no_beat() -> None:
    return None
