"""Made-up people for the benchmark, and request bodies about them in which no two are alike."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

#: Stands in a template where each body has a number of its own; as long as that number.
MARK = "@@@@@@@@@@@@"

#: Bytes of an ordinary profile as compact JSON.
PROFILE_BYTES = 1024

#: Fields of a wide profile, which is what the batch is made of.
WIDE_FIELDS = 120


def person(mark: str) -> dict[str, Any]:
    """Return a profile of 1 KB with one indexed field, its e-mail."""
    profile = {
        "email": f"person-{mark}@example.org",
        "first_name": "Marguerite",
        "last_name": "Featherstonehaugh",
        "birth_date": "1984-02-29",
        "address": {
            "street": "Lange Straße 117",
            "city": "Nürnberg",
            "zip": "90402",
            "country": "DE",
        },
        "customer": f"C-{mark}",
        "newsletter": True,
        "visits": 42,
        "notes": "",
    }
    missing = PROFILE_BYTES - len(encode(profile))
    return {**profile, "notes": ("prefers mornings, rings twice. " * 40)[:missing]}


def wide_person(mark: str) -> dict[str, Any]:
    """Return a profile of 120 fields, about 3.5 KB, with one indexed field, its e-mail."""
    fields = {f"field_{number:03d}": f"value of {number:03d}" for number in range(WIDE_FIELDS - 1)}
    return {"email": f"wide-{mark}@example.org", **fields}


def encode(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def marks() -> Iterator[str]:
    """Yield marks that never come again."""
    return (f"{number:0{len(MARK)}d}" for number in count(1))


def bodies(template: dict[str, Any], numbers: Iterator[str]) -> Callable[[], bytes]:
    """Return a maker of bodies: the template with the next number wherever it holds ``MARK``.

    Joining costs a microsecond, so the load generator's time goes into requests and not into making them.
    """
    pieces = encode(template).split(MARK.encode())
    return lambda: next(numbers).encode().join(pieces)


def batches(size: int, numbers: Iterator[str]) -> Callable[[], bytes]:
    """Return a maker of bodies for ``POST /profiles/batch`` with ``size`` wide people each."""
    entry = bodies({"profile": wide_person(MARK)}, numbers)
    return lambda: b'{"profiles":[' + b",".join([entry() for _ in range(size)]) + b"]}"
