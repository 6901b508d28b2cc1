"""The log may be lost; the service goes on."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from vault import logs
from vault.acting import Acting


@pytest.fixture
def full() -> Iterator[TextIO]:
    """A file on a full disk."""
    root = logging.getLogger()
    handlers, level, root.handlers = root.handlers[:], root.level, []
    stream = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 - closing it fails as well
    yield stream
    root.handlers, root.level = handlers, level
    with suppress(OSError):
        stream.close()
    structlog.reset_defaults()


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(full: TextIO) -> None:
    """Of any length: neither what is flushed nor what overflows a buffer is anybody's trouble."""
    logs.configure("debug", "json", full)
    for count in range(1000):
        structlog.get_logger().info("session.opened", reason="x" * 100, count=count)


async def test_request_lines_that_cannot_be_written_are_lost_and_nothing_else(full: TextIO) -> None:
    """The same for the lines that are written in bulk."""
    log = logs.RequestLog("json", full)
    for _ in range(3):
        log.write(Acting("r", None), "/x", "GET", 200, 0.1)
        log.flush()
