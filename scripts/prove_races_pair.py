"""Sends requests at the same moment, and learns which moment that is."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from prove_rotation_client import FAILED, Answer, Client

#: Seconds by which the moments are spread at random, to both sides: most rounds, and those that are wide of it.
SPREAD, WIDE = 0.0005, 0.004

#: Share of the wide rounds: in them one side is done before the other begins, and so there is but one right answer.
WIDE_SHARE = 0.2

#: Share of the rounds in which the file is locked at first, and for how many seconds.
LOCKED_SHARE, HELD = 0.3, 0.01

#: Seconds by which each round moves the aim.
STEP = 0.0001

#: Seconds beyond which the aim does not go: a side that cannot win is not waited for.
MOST = 0.02


class Timed(NamedTuple):
    """An answer, and when it was asked for and had, by a clock that does not step; ``asked_ms`` is by the wall's."""

    answer: Answer
    asked: float
    had: float
    asked_ms: int


async def timed(
    client: Client, delay: float, method: str, path: str, body: Any = None, **headers: str
) -> Timed:
    """Ask after this many seconds, to the microsecond: a timer of the loop's is a millisecond late."""
    until = time.monotonic() + delay
    while time.monotonic() < until:  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)
    asked, asked_ms = time.monotonic(), time.time_ns() // 1_000_000
    answer = await client.ask(method, path, body, **headers)
    return Timed(answer or FAILED, asked, time.monotonic(), asked_ms)


class Aim:
    """By how much the one side has to be sent later for both to win as often.

    The side that has won is held back a little the next time.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lean = 0.0
        self.is_locked = False

    def delays(self) -> tuple[float, float]:
        """Return how many seconds each side waits: one of them none."""
        spread = WIDE if self.is_locked or self._chance.random() < WIDE_SHARE else SPREAD
        lean = (0 if self.is_locked else self._lean) + self._chance.uniform(-spread, spread)
        return max(0.0, lean), max(0.0, -lean)

    def lock(self, path: Path) -> Path | None:
        """Choose whether the file is locked in the next round."""
        self.is_locked = self._chance.random() < LOCKED_SHARE
        return path if self.is_locked else None

    def note(self, *, one_won: bool | None) -> None:
        """Say who has won, or None for a tie."""
        if one_won is not None and not self.is_locked:
            self._lean = max(-MOST, min(MOST, self._lean + (STEP if one_won else -STEP)))


async def at_once(*requests: Awaitable[Timed], locked: Path | None = None) -> list[Timed]:
    """Send all; return what came back, in their order.

    With ``locked`` nobody can write to that file for the first moments, as beside a slow writer: what each request has
    read by then is old when it comes to write, and with two processes the last to come may be the first to write.
    """
    if locked is None:
        return list(await asyncio.gather(*requests))
    with closing(sqlite3.connect(locked, isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout = 5000")
        other.execute("BEGIN IMMEDIATE")
        sent = asyncio.gather(*requests)
        await asyncio.sleep(HELD)
        other.execute("ROLLBACK")
        return list(await sent)


def order(one: Timed, other: Timed) -> str:
    """Say whether the requests overlapped, as their sender saw it."""
    if one.had <= other.asked or other.had <= one.asked:
        return "one after the other"
    return "overlapping"
