"""The rounds of the proof: serve, kill, look at the files, start again, ask for everything; and so on."""

import asyncio
import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from prove_crashes_files import look
from prove_crashes_load import SHORT_LIFE, AccessKeys, CountingClient, Passers, command
from prove_rotation_book import Book, Person, Session
from prove_rotation_client import client_session
from prove_rotation_files import tokens
from prove_rotation_load import Writer
from prove_rotation_reader import Reader, check_person, check_session
from prove_rotation_rounds import Proof, in_turn
from rotation_process import PATIENCE, Service, serving

T = TypeVar("T")

WRITERS, READERS = 12, 2

#: Seconds between two rounds of housekeeping: the least there is, so that kills fall into it.
HOUSEKEEPING = 1

#: Seconds of load before a kill, at least and at most; and about when housekeeping is due, at full seconds of its life.
MOMENTS, LATER = (0.02, 0.8), (0.8, 2.5)
DUE = (-0.03, 0.1)

#: Shares of the rounds: kills that aim at housekeeping, kills that come later (so that commands about access keys
#: get to their end), and starts that are killed once more.
AIMED, LATE, STARTS = 0.25, 0.2, 0.2

#: People and sessions who are gone and asked for in each round; all of them at the end.
GONE_ASKED = 50

#: Creates that may be on their way at a kill: each writer has two at once at most.
IN_FLIGHT = 2 * WRITERS + 1


class Crashes(Proof):
    """One proof in one folder. ``kills`` tells how often the service was killed when."""

    def __init__(self, folder: Path, book: Book, chance: random.Random) -> None:
        super().__init__(folder, book, chance, service_every=1)
        self.slowest_start = 0.0
        self._copy = folder / "copy"
        self._start_seconds, self._serves_since = 0.0, time.monotonic()

    def as_json(self) -> dict[str, Any]:
        """Return what it found as JSON shows it."""
        return {**super().as_json(), "slowest_start_ms": round(self.slowest_start * 1000, 1)}

    async def prove(self, rounds: int, profiles: int, step: Callable[[str], None]) -> None:
        """Do it all. ``step`` hears of each round. What does not hold is in the book."""
        began_at = time.monotonic()
        os.environ["VAULT_HOUSEKEEPING__INTERVAL"] = str(HOUSEKEEPING)
        async with serving(self._data, self._folder / "service.log") as service, client_session() as http:
            client = CountingClient(service, self.book, http)
            writers = [Writer(client, self._fork(), profiles // WRITERS) for _ in range(WRITERS)]
            for writer in writers:
                await writer.fill(profiles // WRITERS, profiles // WRITERS // 2)
            passers, keys = Passers(client), AccessKeys(service, self.book, self._fork())
            readers = [Reader(client, self._fork()) for _ in range(READERS)]
            steps = [*(one.step for one in writers), *(one.step for one in readers), passers.step, keys.step]
            load = [asyncio.create_task(self._repeat(one)) for one in steps]
            step(self._so_far())
            try:
                for _ in range(rounds):
                    await self._crash(client, passers, keys)
                    for task in load:
                        if task.done():
                            task.result()  # raises
                    step(self._so_far())
                self._done = True
                await asyncio.wait_for(asyncio.gather(*load), PATIENCE)
            finally:
                for task in load:
                    task.cancel()
                await asyncio.gather(*load, return_exceptions=True)
                await keys.kill()
            await self._ask_for_everything(client, keys, gone=None)
            await self._end(client, passers, keys)
        self.seconds = time.monotonic() - began_at

    async def _crash(self, client: CountingClient, passers: Passers, keys: AccessKeys) -> None:
        """Kill it, perhaps once more while it starts; look at what is left each time; ask when it serves again."""
        service = client.service
        is_aimed = self._chance.random() < AIMED
        lived = time.monotonic() - self._serves_since
        full = math.ceil(lived / HOUSEKEEPING) * HOUSEKEEPING - lived
        moments = LATER if self._chance.random() < LATE else MOMENTS
        moment = full + self._chance.uniform(*DUE) if is_aimed else self._chance.uniform(*moments)
        await asyncio.sleep(max(0.0, moment))
        self.book.expect(service.is_alive, "the service ended by itself")
        await service.kill()
        self.kills["about when housekeeping was due" if is_aimed else "at any moment under load"] += 1
        await self._look(client, passers, keys)
        while self._chance.random() < STARTS:
            await self._kill_start(service)
            await self._look(client, passers, keys)
        began_at = time.monotonic()
        await (
            service.start()
        )  # raises, with its last words: a vault that does not start after a crash is lost
        self._serves_since = time.monotonic()
        self._start_seconds = self._serves_since - began_at
        self.slowest_start = max(self.slowest_start, self._start_seconds)
        await self._ask_for_everything(client, keys, gone=GONE_ASKED)

    async def _kill_start(self, service: Service) -> None:
        starting = asyncio.create_task(service.start())
        before = service.life
        while not service.is_alive and not starting.done():  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(0.001)
        # The first third is Python's own start.
        await asyncio.sleep(self._chance.uniform(0.3, 1) * self._start_seconds)
        await service.kill()
        try:
            await starting
            self.kills["as soon as it served"] += 1
        except click.ClickException as error:
            self.book.expect("ended with -9" in error.message, error.message)
            self.kills["while it started"] += 1
        self.book.expect(service.life == before + 1, "a start was killed twice")

    async def _look(self, client: CountingClient, passers: Passers, keys: AccessKeys) -> None:
        await keys.kill()  # it writes to the same files
        await client.settled()
        look(self._data, self._copy, self.book, keys, passers.tokens, IN_FLIGHT)

    async def _ask_for_everything(self, client: CountingClient, keys: AccessKeys, gone: int | None) -> None:
        """Ask the service for all that is there, and for some, or all, of those who are gone."""
        book = self.book
        gone_people: list[Person] = self._some(book.gone_people, gone)
        gone_sessions: list[Session] = self._some(book.gone_sessions, gone)
        await in_turn(
            [
                *(check_person(client, person) for person in (*book.people, *gone_people)),
                *(check_session(client, session) for session in (*book.sessions, *gone_sessions)),
            ]
        )
        for expected, texts in ((404, list(keys.live.values())), (401, list(keys.revoked.values()))):
            for text in self._some(texts, 3):
                await self._knock(client, text, expected)
        code, said = await command(self._data, "audit", "verify")
        book.expect(code == 0, f"the audit trail is not whole: {' '.join(said.splitlines()[-1:])}")
        book.counts["audit trails proven whole"] += code == 0

    async def _knock(self, client: CountingClient, text: str, expected: int) -> None:
        """Make a call with this access key, past the client, who knows only his own."""
        nobody = f"{client.service.url}/api/v1/profiles/00000000-0000-4000-8000-000000000000"
        headers = {"Authorization": f"Bearer {text}"}
        async with client_session() as http, http.get(nobody, headers=headers) as answer:
            self.book.expect(
                answer.status == expected, f"an access key was answered {answer.status} and not {expected}"
            )

    async def _end(self, client: CountingClient, passers: Passers, keys: AccessKeys) -> None:
        """Start once more when all who passed by have ended; then do what the proof of rotations does at its end."""
        service = client.service
        await asyncio.sleep(max(0.0, passers.last_at + SHORT_LIFE - time.monotonic()))
        await service.stop()
        await service.start()  # which sweeps, whoever has died with the lease of housekeeping
        left = passers.tokens.intersection(tokens(self._data))
        self.book.expect(not left, f"a start has not erased {len(left)} people who have ended")
        await self._check(client, service)
        look(self._data, self._copy, self.book, keys, set(), in_flight=0)
        code, said = await command(self._data, "check")
        self.book.expect(code == 0, f"tokenvault check ends with {code}: {said}")
        self.book.counts["people who passed by, and were erased"] = len(passers.tokens)

    def _some(self, these: list[T], most: int | None) -> list[T]:
        return these[:] if most is None or len(these) <= most else self._chance.sample(these, most)
