"""Times as Databunker's clients write them: "30m", "10d", or seconds. docs/databunker.md says how they are read."""

import re
from typing import Literal

from vault.errors import Invalid

Minutes = Literal["minutes", "months"]

_UNITS = {"s": 1, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
#: "m" is a month of 31 days for records (their tests: "12m" on a card), and a minute for sessions and shared records,
#: where their own examples say "30m" of half an hour. The shorter reading is the safe one for a session.
_M = {"minutes": 60, "months": 31 * 86_400}

_TIME = re.compile(r"([0-9]{1,12})([a-z]?)", re.ASCII)


def seconds(name: str, value: object, now: int, m: Minutes) -> int | None:
    """Return for how many seconds from ``now`` (milliseconds) a time is meant; None for none.

    A bare number that is larger than now is the second at which it ends, a smaller one a duration. Raises ``Invalid``.
    """
    if value is None or value == "":
        return None
    text = str(value).strip().lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    match = _TIME.fullmatch(text)
    if match is None or (match[2] and match[2] not in "shdwym"):
        raise Invalid(fields={name: "incorrect format"})
    number, unit = int(match[1]), match[2]
    if not unit:
        found = number - now // 1000 if number > now // 1000 else number
    else:
        found = number * (_M[m] if unit == "m" else _UNITS[unit])
    if found < 1:
        raise Invalid(fields={name: "incorrect format"})
    return found
