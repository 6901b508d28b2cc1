"""The server under test, as a child process of ``bench.py``: one event loop, three applications.

- ``bare``: an aiohttp application that answers GET with a fixed JSON text of 200 bytes.
- ``vault``: the product's own application over SQLite files, with the settings it ships with.
- ``unwritten``: the same application over the same vault, but for a profile store that keeps nothing.

It says where they listen in one line of JSON, then answers each line on standard input with its processor
seconds so far, and ends when standard input does.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from aiohttp import web
from bench_load import run
from bench_people import encode, marks, person

from vault import logs, wiring
from vault.clock import SystemClock
from vault.config import Config
from vault.crypto.keyring import new_keyring
from vault.crypto.sealer import Sealer
from vault.http.app import STRAIGHT, make_app
from vault.http.server import Runner
from vault.installation import Vault
from vault.key_watch import KeyWatch
from vault.ports import NewProfile, Stores
from vault.profile_views import NewContent
from vault.sessions import Wanted
from vault.stores import open_stores
from vault.stores.memory.audit import MemoryAudit
from vault.stores.memory.fence import Fence
from vault.stores.memory.profiles import MemoryProfiles

BARE_BYTES = 200
SCOPES = {"profiles:read", "profiles:write", "sessions:read"}
CLAIMS = {"roles": ["editor", "reviewer"], "locale": "en-GB", "tenant": "acme"}

#: Sessions that are opened, and profiles that are created, together while filling.
TOGETHER = 500


class _Unwritten(MemoryProfiles):
    """A profile store that accepts every profile and keeps none, nor tells of it."""

    async def insert(self, batch: Sequence[NewProfile], *_: Any) -> list[str | None]:
        """Say that all were inserted."""
        return [None] * len(batch)


def _bare() -> web.Application:
    filler = "x" * (BARE_BYTES - len(encode({"fixed": ""})))
    body = encode({"fixed": filler})

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/bare", answer)
    return app


def _without_write(vault: Vault, memory: Stores) -> Vault:
    """Return the vault with another profile store; keys, access and settings are of the same kinds."""
    clock = SystemClock()
    keyring = new_keyring(clock.now())
    fence = Fence()
    stores = replace(memory, profiles=_Unwritten(fence, MemoryAudit(fence)))
    opened = wiring.Opened(None, keyring, Sealer(keyring, vault.tenant), stores)
    watch = KeyWatch(None, keyring, opened.sealer, stores.keys, stores.processes, clock)
    unwritten = wiring.assemble(vault.config, vault.tenant, clock, opened, watch)
    return replace(vault, profiles=unwritten.profiles)


async def _fill(vault: Vault, people: int) -> tuple[list[str], list[str]]:
    """Make profiles of 1 KB and one session for each; return user tokens and session ids."""
    tokens: list[str] = []
    session_ids: list[str] = []
    numbers = marks()
    while len(tokens) < people:
        some = islice(numbers, min(TOGETHER, people - len(tokens)))
        entries = await vault.profiles.create_many([NewContent(person(f"in-{mark[3:]}")) for mark in some])
        made = [entry.token for entry in entries if entry.token is not None]
        opened = await asyncio.gather(*(vault.sessions.open(Wanted(token, CLAIMS)) for token in made))
        tokens += made
        session_ids += [session.session_id for session in opened]
    return tokens, session_ids


async def _listen(app: web.Application) -> tuple[web.AppRunner, int]:
    """Serve the vault as ``tokenvault serve`` does and the bare application as aiohttp does; return the port."""
    runner = (Runner if STRAIGHT in app else web.AppRunner)(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


async def _converse() -> None:
    """Answer each line with the processor seconds of this process, all threads together."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _say(usage.ru_utime + usage.ru_stime)


def _say(value: Any) -> None:
    print(json.dumps(value), flush=True)


async def _serve(folder: Path, people: int) -> None:
    config = Config()
    logs.configure(config.log.level, config.log.format)
    await wiring.initialise(config, folder)
    runners = []
    async with (
        wiring.open_vault(config, folder, housekeeping=True) as vault,
        open_stores("memory:", None, 1) as memory,
    ):
        access_key, _ = await vault.access.create("bench", SCOPES)
        tokens, session_ids = await _fill(vault, people)
        ports = {}
        try:
            apps = {
                "bare": _bare(),
                "vault": make_app(vault),
                "unwritten": make_app(_without_write(vault, memory)),
            }
            for name, app in apps.items():
                runner, ports[name] = await _listen(app)
                runners.append(runner)
            _say({"ports": ports, "access_key": access_key, "tokens": tokens, "session_ids": session_ids})
            await _converse()
        finally:
            for runner in runners:
                await runner.cleanup()


if __name__ == "__main__":
    run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
