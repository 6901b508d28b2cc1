"""What a target of the parsers' fuzzing is."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """``check`` raises if a promise is broken; ``seeds`` are inputs from which the fuzzer starts."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]


def text_of(data: bytes) -> str:
    """Read bytes as any text at all, lone surrogates among it, as a header or an argument may hold."""
    return data.decode("utf-8", "surrogateescape")


def holds(promise: bool, words: str) -> None:
    """Raise unless the promise was kept."""
    # Not assert, which Python may be told to leave out.
    if not promise:
        raise AssertionError(words)


def json_seeds(*values: Any) -> list[bytes]:
    """Return each value as JSON."""
    return [json.dumps(value).encode() for value in values]
