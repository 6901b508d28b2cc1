"""What the proofs share: workers over the same files, stores that hold a caller at a chosen point, and a voice."""

import asyncio
import itertools
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient
from multidict import CIMultiDictProxy

from tests.settings import UNHELD
from vault import wiring
from vault.clock import Clock
from vault.config import Config
from vault.errors import StoreUnavailable
from vault.http.native.audit import NDJSON
from vault.installation import Vault
from vault.key_watch import KeyWatch
from vault.session_views import OpenedSession
from vault.sessions import Wanted
from vault.wiring import DEFAULT_TENANT

API = "/api/v1"
CURRENT = f"{API}/sessions/current"
ROTATE = f"{API}/sessions/current/rotate"
SESSIONS = f"{API}/sessions"

DAY, HOUR, MINUTE = 86_400, 3600, 60

Client = TestClient[Any, Any]
Wrap = Callable[[Any], Any]

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    body: Any
    headers: CIMultiDictProxy[str]
    text: str


async def ask(
    client: Client, method: str, path: str, body: object = None, session_id: str | None = None, **headers: str
) -> Answer:
    """Send one request; ``session_id`` goes into its header."""
    if session_id is not None:
        headers["Session-Id"] = session_id
    async with client.request(method, path, json=body, headers=headers) as response:
        text = await response.text()
        parsed = None
        if response.content_type == NDJSON:
            parsed = [json.loads(line) for line in text.splitlines()]
        elif "json" in response.content_type:
            parsed = await response.json(content_type=None)
        return Answer(response.status, parsed, response.headers, text)


def bearer(key: str) -> dict[str, str]:
    """Return the header of an access key."""
    return {"Authorization": f"Bearer {key}"}


async def a_person(vault: Vault, expires_in: int | None = None, **profile: object) -> str:
    """Keep a profile nobody else has, and return its token."""
    profile.setdefault("email", f"person{next(_numbers)}@example.org")
    return (await vault.profiles.create(dict(profile), expires_in)).token


async def a_session(vault: Vault, user_token: str | None = None, **wanted: Any) -> OpenedSession:
    """Open a session for a person, who is made up if not given."""
    return await vault.sessions.open(Wanted(user_token or await a_person(vault), **wanted))


class HeldStore:
    """A store that keeps every promise, and holds whoever returns from ``method`` until ``release``."""

    def __init__(self, store: Any, method: str) -> None:
        self._store, self._method = store, method
        self._arrived, self._released = asyncio.Semaphore(0), asyncio.Event()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call: Callable[..., Awaitable[Any]] = getattr(self._store, name)
        if name != self._method:
            return call

        async def held(*args: Any, **kwargs: Any) -> Any:
            result = await call(*args, **kwargs)
            self._arrived.release()
            await self._released.wait()
            return result

        return held

    async def arrivals(self, count: int = 1) -> None:
        """Wait until this many callers are being held."""
        for _ in range(count):
            await self._arrived.acquire()

    def release(self) -> None:
        """Let everybody go on, from now on."""
        self._released.set()


class CountingStore:
    """A store that notes which of its methods are called; told to break, it is unavailable for some of them."""

    def __init__(self, store: Any, broken: tuple[str, ...] = ()) -> None:
        self._store, self.broken = store, broken
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call: Callable[..., Awaitable[Any]] = getattr(self._store, name)

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if name in self.broken:
                raise StoreUnavailable
            return await call(*args, **kwargs)

        return counted


@asynccontextmanager
async def worker(
    data: Path, clock: Clock, config: Config | None = None, **around: Wrap
) -> AsyncIterator[Vault]:
    """Open the same files once more, as another process would; ``around`` wraps a store by its name."""
    config = config or UNHELD
    async with wiring.open_files(config, data, DEFAULT_TENANT, clock) as opened:
        stores = opened.stores
        wrapped = replace(stores, **{name: wrap(getattr(stores, name)) for name, wrap in around.items()})
        watch = KeyWatch(opened.file, opened.keyring, opened.sealer, stores.keys, stores.processes, clock)
        yield wiring.assemble(config, DEFAULT_TENANT, clock, replace(opened, stores=wrapped), watch)


def query(data: Path, sql: str, *parameters: object, database: str = "sessions") -> list[Any]:
    """Read the file as a thief or an auditor would, past all of our code."""
    with closing(sqlite3.connect(f"{(data / database).as_uri()}.db?mode=ro", uri=True)) as connection:
        return connection.execute(sql, parameters).fetchall()


def row_counts(data: Path) -> dict[str, int]:
    """Return how many rows each table of both databases has."""
    counts = {}
    for database in ("vault", "sessions"):
        for (table,) in query(data, "SELECT name FROM sqlite_schema WHERE type = 'table'", database=database):
            ((count,),) = query(data, f"SELECT count(*) FROM {table}", database=database)  # noqa: S608 - our tables
            counts[f"{database}.{table}"] = count
    return counts


def all_bytes(data: Path) -> bytes:
    """Return every byte of every file in the folder, WALs too."""
    return b"\0".join(path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file())


async def shredded(data: Path) -> None:
    """Wait for the WALs to be cut, which the writers do in a thread as soon as they are idle."""
    async with asyncio.timeout(10):
        # There is nothing to be told by: the disk is what is watched. The test's own clock stands still.
        while _wal_bytes(data):  # noqa: ASYNC110
            await asyncio.sleep(0)


def _wal_bytes(data: Path) -> int:
    return sum(path.stat().st_size for path in data.glob("*.db-wal"))
