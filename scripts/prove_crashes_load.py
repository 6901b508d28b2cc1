"""The load of the proof beside the writers of the rotation's: people who pass by, and commands about access keys."""

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from prove_rotation_book import Book
from prove_rotation_client import Answer, Client
from rotation_process import PATIENCE, ROOT, Service

#: Seconds that a person who passes by may live: so housekeeping has somebody to erase in every round.
SHORT_LIFE = 1

#: Seconds between two steps of those who pass by, and between two commands.
PAUSE, COMMAND_PAUSE = 0.05, 0.1

_numbers = count(1)


class CountingClient(Client):
    """A client that knows how many of its requests are on their way."""

    asking = 0

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer | None:
        """As ``Client.ask``."""
        await self.service.up.wait()
        self.asking += 1
        try:
            return await super().ask(method, path, body, **options)
        finally:
            self.asking -= 1

    async def settled(self) -> None:
        """Wait until all who were cut off by a kill have heard of it."""
        while self.asking:  # noqa: ASYNC110 - what is waited for is the death of many sockets
            await asyncio.sleep(0.005)


class Passers:
    """Makes people who end by themselves a second later, each with a session."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.tokens: set[str] = set()
        self.last_at = 0.0

    async def step(self) -> None:
        """Make one."""
        profile = {"email": f"passer-{next(_numbers)}@example.org"}
        answer = await self._client.ask(
            "POST",
            "/profiles",
            {"profile": profile, "expires_in": SHORT_LIFE},
            Idempotency_Key=profile["email"],
        )
        if answer and self._client.acknowledged(answer, 201, "a create of somebody who passes by"):
            self.tokens.add(answer.body["token"])
            self.last_at = time.monotonic()
            opened = await self._client.ask("POST", "/sessions", {"user_token": answer.body["token"]})
            self._client.book.expect(
                opened is None or opened.status in (201, 404),
                "a session of somebody who passes by was refused",
            )
        await asyncio.sleep(PAUSE)


@dataclass(slots=True)
class AccessKeys:
    """Makes and revokes access keys with the command, as an operator does beside the running service.

    ``live`` and ``revoked`` are acknowledged, by the command's exit code: text by id.
    """

    service: Service
    book: Book
    chance: random.Random
    live: dict[str, str] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)
    _process: asyncio.subprocess.Process | None = None

    async def step(self) -> None:
        """Run one command."""
        await self.service.up.wait()
        if len(self.live) > 3 and self.chance.random() < 0.5:
            key_id = self.chance.choice(sorted(self.live))
            text = self.live.pop(key_id)
            if await self._run("revoke", key_id) is not None:
                self.revoked[key_id] = text
        else:
            said = await self._run("create", "--name", "crash", "--scopes", "profiles:read", "--json")
            if said is not None:
                told = json.loads(said)
                self.live[told["id"]] = told["access_key"]
        await asyncio.sleep(COMMAND_PAUSE * self.chance.uniform(0, 2))

    async def kill(self) -> None:
        """Kill the command that runs, if one does."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            self.book.counts["commands killed"] += 1
            await asyncio.wait_for(self._process.wait(), PATIENCE)

    async def _run(self, *arguments: str) -> bytes | None:
        """Return what the command printed, or None if it was killed."""
        command = sys.executable, "-m", "vault", "access", *arguments, "--data", str(self.service.data)
        self._process = process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, complaint = await process.communicate()
        if process.returncode is not None and process.returncode < 0:
            return None
        self.book.counts["access keys made or revoked"] += process.returncode == 0
        last = complaint.decode(errors="replace").strip().splitlines()[-1:]
        is_done = self.book.expect(
            process.returncode == 0,
            f"access {arguments[0]} ended with {process.returncode}: {' '.join(last)}",
        )
        return said if is_done else None


async def command(data: Path, *arguments: str) -> tuple[int, str]:
    """Run a command of the program to its end; return its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vault", *arguments, "--data", str(data), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode or 0, said.decode(errors="replace").strip()
