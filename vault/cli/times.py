"""Times as commands print them."""

from datetime import UTC, datetime


def shown(milliseconds: int | None) -> str | None:
    """Return RFC 3339 in UTC, whole seconds; None for no time."""
    if milliseconds is None:
        return None
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
