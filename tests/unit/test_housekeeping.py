"""Housekeeping goes on, whatever a round runs into."""

import asyncio
from contextlib import suppress

import pytest

from tests.clock import FakeClock
from vault import config
from vault.errors import StoreUnavailable
from vault.housekeeping import Housekeeping
from vault.stores import open_stores


@pytest.mark.parametrize(
    "trouble", [StoreUnavailable(), RuntimeError("ada@example.org")], ids=["known", "unforeseen"]
)
async def test_a_round_that_fails_is_not_the_last(trouble: Exception) -> None:
    """The next round comes, and what went wrong in the first is not repeated in the log."""
    calls: list[int] = []
    second = asyncio.Event()

    async def sweep(limit: int) -> int:
        calls.append(limit)
        if len(calls) == 1:
            raise trouble
        second.set()
        return 0

    async with open_stores("memory:", None, 1) as stores:
        rounds = Housekeeping(stores, [sweep], [], FakeClock(), config.Housekeeping(interval=0, chunk=7))
        task = asyncio.create_task(rounds.run())
        async with asyncio.timeout(10):
            await second.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert set(calls) == {7}
