"""Times on the wire: RFC 3339, UTC, with milliseconds."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=65_536)
def rfc3339(milliseconds: int) -> str:
    """Return "2026-01-31T12:00:00.000Z" for milliseconds since the epoch. Cached: a look-up shows five."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def rfc3339_or_none(milliseconds: int | None) -> str | None:
    """Return the time, or None for none."""
    return None if milliseconds is None else rfc3339(milliseconds)
