"""The rounds of the proof: rotate, kill, rotate again, beside the load; and at the end, look at everything."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import click
from prove_rotation_book import Book
from prove_rotation_client import Client, client_session
from prove_rotation_files import check_files, tokens
from prove_rotation_load import Writer
from prove_rotation_reader import Reader, check_all
from rotation_process import PATIENCE, Run, Service, keys, serving

WRITERS = READERS = 2

#: What is rotated in turn: every line, or one.
LINES = ((), ("--line", "data"), ("--line", "index"))

#: Rows a transaction: the smaller they are, the longer is the sweep in which a kill may fall.
BATCHES = (2, 10, 100)

#: Transactions that a sweep may take at most.
MOST_BATCHES = 1000

#: Shares of the rotations that are killed: of the first run of a round, and of those that finish what it left.
FIRST_KILLED, AGAIN_KILLED = 0.9, 0.3

#: Runs in a row that may say "run the same command again" before that counts as a failure.
MOST_AGAIN = 5

#: Starts that a service may need beside a rotation; each that fails is a failure all the same.
MOST_STARTS = 5

#: Questions at once in the final check.
TOGETHER = 8


class Proof:
    """One proof in one folder. ``kills`` tells how often a rotation was killed at which step.

    In one of ``service_every`` rounds the service is killed too.
    """

    def __init__(self, folder: Path, book: Book, chance: random.Random, service_every: int) -> None:
        self.book = book
        self.kills: Counter[str] = Counter()
        self.seconds = 0.0
        self._folder = folder
        self._data = folder / "data"
        self._chance = chance
        self._service_every = service_every
        self._took: dict[tuple[str, ...], float] = {}
        self._began: dict[tuple[str, ...], float] = {}
        self._most_moved = 0
        self._done = False

    def as_json(self) -> dict[str, Any]:
        """Return what it found as JSON shows it."""
        return {
            "seconds": round(self.seconds, 1),
            "kills": dict(self.kills),
            "counts": dict(self.book.counts),
            "slowest_ms": round(self.book.slowest * 1000, 1),
            "failures": self.book.failures,
            "holds": not self.book.failures,
        }

    async def run(self, rotations: int, profiles: int, step: Callable[[str], None]) -> None:
        """Do it all. ``step`` hears of each round. What does not hold is in the book."""
        began_at = time.monotonic()
        async with serving(self._data, self._folder / "service.log") as service, client_session() as http:
            client = Client(service, self.book, http)
            writers = [Writer(client, self._fork(), profiles // WRITERS) for _ in range(WRITERS)]
            for writer in writers:
                await writer.fill(profiles // WRITERS, profiles // WRITERS // 4)
            readers = [Reader(client, self._fork()) for _ in range(READERS)]
            steps = [*(one.step for one in writers), *(one.step for one in readers)]
            load = [asyncio.create_task(self._repeat(one)) for one in steps]
            try:
                for line in LINES:  # how long each takes, so that kills are spread over all of it
                    await self._rotate(line, BATCHES[-1], killed=0, killed_again=0)
                step(self._so_far())
                for number in range(rotations):
                    await self._round(number, service)
                    for task in load:
                        if task.done():
                            task.result()  # raises
                    step(self._so_far())
                await self._rotate((), self._batch(), killed=0, killed_again=0)
                self._done = True
                await asyncio.wait_for(asyncio.gather(*load), PATIENCE)
            finally:
                for task in load:
                    task.cancel()
                await asyncio.gather(*load, return_exceptions=True)
            await self._check(client, service)
        self.seconds = time.monotonic() - began_at

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self._done:
            await step()

    async def _round(self, number: int, service: Service) -> None:
        line = LINES[number % len(LINES)]
        rotation = self._rotate(line, self._batch(), killed=FIRST_KILLED, killed_again=AGAIN_KILLED)
        if number % self._service_every == self._service_every - 1:
            moment = self._chance.uniform(0, 1.5 * self._took[line])
            async with asyncio.TaskGroup() as both:
                both.create_task(rotation)
                both.create_task(self._kill_service(service, moment))
        else:
            await rotation

    def _batch(self) -> int:
        """Choose how many rows a transaction has. The trail grows all the while, and each of its events is moved."""
        return max(self._chance.choice(BATCHES), self._most_moved // MOST_BATCHES)

    async def _rotate(self, line: tuple[str, ...], batch: int, *, killed: float, killed_again: float) -> None:
        """Rotate, killed at random moments, with the same command until it is done."""
        again, share = 0, killed
        while again < MOST_AGAIN:
            kill_at = None
            if self._chance.random() < share:
                # Half of them anywhere, half not while Python still starts, which is a third of the time.
                kill_at = self._chance.uniform(self._chance.choice((0, self._began[line])), self._took[line])
            run = await keys(self._data, "rotate", *line, "--batch", str(batch), kill_at=kill_at)
            if run.code < 0:
                self.kills[run.last_step] += 1
                share = killed_again
            elif run.code == 0:
                self._note(line, run)
                return
            else:
                again += 1
                self.book.counts[f"asked to be run again: {run.complaint}"] += 1
        self.book.expect(False, f"a rotation was not done after {MOST_AGAIN} runs that were let finish")

    def _note(self, line: tuple[str, ...], run: Run) -> None:
        self.book.counts["rotations run to the end"] += 1
        self._took[line] = 0.7 * self._took.get(line, run.seconds) + 0.3 * run.seconds
        self._began[line] = run.steps[0][0]
        for report in run.told["lines"].values():
            moved = sum(report["moved"].values())
            self._most_moved = max(self._most_moved, moved)
            self.book.counts["rows moved by those that ended"] += moved
            self.book.expect(report["quarantine"] == 0, "a rotation put rows into quarantine")

    async def _kill_service(self, service: Service, moment: float) -> None:
        await asyncio.sleep(moment)
        await service.kill()
        self.book.counts["kills of the service"] += 1
        for _ in range(MOST_STARTS):
            try:
                await service.start()
                return
            except click.ClickException as error:
                self.book.expect(False, error.message)
        raise click.ClickException(f"The service did not start {MOST_STARTS} times in a row.")

    async def _check(self, client: Client, service: Service) -> None:
        """Read everything through the service, then look into the files without it."""
        await in_turn(check_all(self.book, client))
        held = await asyncio.to_thread(tokens, self._data)
        acknowledged = {person.token for person in self.book.people}
        self.book.expect(not acknowledged - set(held), "acknowledged profiles are not in the file")
        self.book.expect(not set(held) - acknowledged, "profiles are in the file that nobody has made")
        emails: Counter[str] = Counter()

        async def export(token: str) -> None:
            answer = await client.surely("GET", f"/profiles/{token}/export")
            if self.book.expect(answer.status == 200, f"an export was answered {answer.status}"):
                emails[answer.body["profile"]["email"].casefold()] += 1

        await in_turn([export(token) for token in held])
        shared = sum(1 for count in emails.values() if count > 1)
        self.book.expect(not shared, f"{shared} e-mails belong to more than one profile")
        self.book.counts["profiles at the end"] = len(held)
        self.book.counts["sessions alive at the end"] = len(self.book.sessions)
        self.book.expect(service.is_alive, "the service ended by itself")
        await service.stop()
        status = await keys(self._data, "status")
        await asyncio.to_thread(check_files, self._data, status.told, self.book)
        for line in service.log.read_text().splitlines():
            event = event_of(line)
            if event:
                self.book.counts[f"logged as an error: {event}"] += 1

    def _fork(self) -> random.Random:
        return random.Random(self._chance.getrandbits(64))

    def _so_far(self) -> str:
        counts = self.book.counts
        return (
            f"{self.kills.total()} kills, {counts['requests']:,} requests, "
            f"{counts['writes acknowledged']:,} writes acknowledged, {counts['failures']} failures"
        )


async def in_turn(work: Iterable[Awaitable[None]]) -> None:
    """Await all of it, a few at once."""
    pending = iter(work)

    async def take() -> None:
        for one in pending:
            await one

    await asyncio.gather(*(take() for _ in range(TOGETHER)))


def event_of(line: str) -> str | None:
    """Return the event of a log line that tells of trouble; what is no log line is trouble too."""
    try:
        told = json.loads(line)
    except ValueError:
        return "text that is no log line"
    return str(told.get("event")) if told.get("level") in ("error", "critical") else None
