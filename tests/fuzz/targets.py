"""What reads bytes or text from outside, as functions that take any bytes and raise only if a promise is broken.

Refused input raises what the reader's docstring says, and is fine; what is let in has to survive the way back.
"""

from tests.fuzz.request_targets import REQUESTS
from tests.fuzz.sealed_targets import SEALED
from tests.fuzz.target import Target, holds

TARGETS: dict[str, Target] = {**SEALED, **REQUESTS}


def check_broken(data: bytes) -> None:
    """Break a promise: the reader is there to be found out."""
    holds(data.count(b"a") < 2, "found")


#: For the test of the fuzzers themselves.
BROKEN = Target(check_broken, [b"abc"])
