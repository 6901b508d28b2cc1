"""A vault whose keys rotate: processes that look at the keyring only when told to, and the operator's desk."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from vault import wiring
from vault.config import Config
from vault.crypto.keyring import Keyring, KeyState
from vault.crypto.keyring_file import KeyringFile
from vault.http.app import make_app
from vault.idempotency import Attempt, attempt
from vault.installation import Vault
from vault.key_desk import KeyDesk, Manner, open_desk
from vault.key_watch import KeyWatch
from vault.keys import mismatches
from vault.ports import Stores
from vault.sessions import Wanted
from vault.unlock import open_unlock

#: The two lines whose versions rows depend on.
LINES_OF_ROWS = ("data", "index")


@dataclass(frozen=True, slots=True)
class Process:
    """One process that serves: it looks at the keyring file when ``watch`` is told to, or a verb has to."""

    vault: Vault
    watch: KeyWatch
    stores: Stores
    keyring: Keyring


@asynccontextmanager
async def process(data: Path, clock: FakeClock, config: Config | None = None) -> AsyncIterator[Process]:
    """Open a vault as a service does, without the task that follows the keyring."""
    config = config or Config()
    async with wiring.open_files(config, data, wiring.DEFAULT_TENANT, clock) as opened:
        keyring, sealer, stores = opened.keyring, opened.sealer, opened.stores
        await opened.prove(lambda: mismatches(stores, keyring, sealer))
        watch = KeyWatch(opened.file, keyring, sealer, stores.keys, stores.processes, clock)
        vault = wiring.assemble(config, wiring.DEFAULT_TENANT, clock, opened, watch)
        yield Process(vault, watch, stores, keyring)


@asynccontextmanager
async def client_of(serving: Process) -> AsyncIterator[TestClient[Any, Any]]:
    """Yield a client of this process that may do everything."""
    text, _ = await serving.vault.access.create("test", {"admin"})
    headers = {"Authorization": f"Bearer {text}"}
    async with TestClient(TestServer(make_app(serving.vault)), headers=headers) as client:
        yield client


async def take_in(serving: Process, count: int) -> list[str]:
    """Keep people and a session of each, asked for with an Idempotency-Key: a row or more in every store."""
    tokens = []
    for number in range(count):
        content = {"email": f"person{number}@example.org", "city": "London"}
        token = (await serving.vault.profiles.create(content, attempt=_attempt(content["email"]))).token
        wanted = Wanted(token, {"role": "reader"})
        await serving.vault.sessions.open(wanted, _attempt(token))
        tokens.append(token)
    return tokens


def _attempt(key: str) -> Attempt:
    return attempt(bytes(32), "a call", key, key.encode())


def desk(data: Path, clock: FakeClock, manner: Manner | None = None) -> AbstractAsyncContextManager[KeyDesk]:
    """Open the operator's desk, which waits for nobody."""
    return open_desk(Config(), data, manner or Manner(patience=0), clock=clock)


def keyring_of(data: Path) -> Keyring:
    """Read the keyring as it lies on disk."""
    return wiring.keyring_of(data, Config()).read()


def keyring_file(data: Path, keyring: Keyring, name: str = "keyring.json") -> None:
    """Put a keyring file in the place of another, or of none, sealed by the vault's own unlock key."""
    config = Config()
    path = data / name
    path.unlink(missing_ok=True)
    KeyringFile(path, open_unlock(config.keyring.unlock, data)).create(keyring)


def states(keyring: Keyring, line: str) -> dict[int, KeyState]:
    """Return the state of each version of a line."""
    return {key.version: key.state for key in keyring.of_line(line)}


def select(path: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Read a database file past the vault."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, parameters).fetchall()


def spoil(path: Path, sql: str, *parameters: Any) -> None:
    """Change exactly one row of a database file past the vault."""
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(sql, parameters).rowcount == 1


def boxes(data: Path) -> dict[str, list[int]]:
    """Return the key version in the header of every box in both files, by table and column.

    It asks the schema and not the vault's registry: whatever bytes begin as a box does are one.
    """
    found: dict[str, list[int]] = {}
    for path in sorted(data.glob("*.db")):
        for table, column in select(
            path,
            "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c"
            " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND c.type = 'BLOB'",
        ):
            rows = select(path, f'SELECT "{column}" FROM "{table}"')  # noqa: S608 - names of the schema
            versions = [
                int.from_bytes(value[1:5], "big")
                for (value,) in rows
                if value and len(value) > 61 and value[0] == 1
            ]
            if versions:
                found[f"{path.stem}.{table}.{column}"] = sorted(versions)
    return found
