"""Reads a request's JSON strictly: what is ambiguous or hostile is refused, never guessed (RFC 8259, RFC 7493).

The standard library's decoder is used for its hooks: msgspec is faster but keeps the last of duplicate keys,
and two programs that disagree on which key counts is how checks are bypassed.
"""

import asyncio
import json
import math
import re
from collections.abc import Collection
from typing import Any, NoReturn

from aiohttp import web

from vault.errors import Malformed, TooLarge, UnsupportedMediaType

#: Whole numbers beyond these do not survive other JSON implementations, nor our encoder.
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**64 - 1

#: What aiohttp decodes everywhere; another coding would be taken for the text itself.
CODINGS = ("identity", "gzip", "deflate")

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


async def read_json(
    request: web.Request,
    *,
    limit: int,
    depth: int,
    seconds: float,
    media_types: Collection[str] | None = ("application/json",),
    empty: Any = None,
) -> tuple[bytes, Any]:
    """Return a request's body and what it says.

    ``limit`` is in bytes after decompression, ``depth`` in nested arrays and objects, ``seconds`` for all of it to
    arrive. ``media_types`` None takes any; ``empty``, unless it is None, is what no text at all says. Raises
    ``UnsupportedMediaType``, ``TooLarge``, ``Malformed``, and ``web.HTTPRequestTimeout``.
    """
    if media_types is not None and request.content_type not in media_types:
        raise UnsupportedMediaType(f"Send the body as {' or '.join(media_types)}.")
    if request.headers.get("Content-Encoding", "identity").lower() not in CODINGS:
        raise UnsupportedMediaType(
            f"Send the body without Content-Encoding, or as one of {', '.join(CODINGS)}."
        )
    try:
        async with asyncio.timeout(seconds):
            body = await _read(request, limit)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return body, decode(body, depth) if body or empty is None else empty


def decode(body: bytes, depth: int) -> Any:
    """Return what JSON text says, or raise ``Malformed`` without quoting any of it."""
    try:
        value = _DECODER.decode(body.decode("utf-8"))
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails on half a surrogate pair
    except RecursionError:
        raise Malformed("The JSON body is nested too deeply.") from None
    except UnicodeError:
        raise Malformed("The JSON body is not Unicode text.") from None
    except ValueError:
        raise Malformed("The body is not JSON.") from None
    if _deeper_than(value, depth):
        raise Malformed(f"The JSON body is nested more than {depth} levels deep.")
    return value


async def _read(request: web.Request, limit: int) -> bytes:
    """Read the body, but never more than ``limit`` bytes of it into memory."""
    too_large = TooLarge(f"The body may be at most {limit} bytes here.")
    if (request.content_length or 0) > limit:
        raise too_large
    chunks, size = [], 0
    try:
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > limit:
                raise too_large
            chunks.append(chunk)
    except web.RequestPayloadError:
        raise Malformed("The body does not match its headers.") from None
    return b"".join(chunks)


def _deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        layer = [each for each in layer if type(each) in (dict, list)]
        if not layer:
            return False
        layer = [inner for outer in layer for inner in (outer.values() if type(outer) is dict else outer)]
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("An object in the JSON body has the same key twice.")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise Malformed("NaN and Infinity are not JSON.")


def _integer(text: str) -> int:
    # The length is looked at first: turning a million digits into a number is slow.
    if len(text) > 20 or not LEAST_INTEGER <= (number := int(text)) <= MOST_INTEGER:
        raise Malformed("A whole number in the JSON body has more than 64 bits.")
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Malformed("A number in the JSON body is too large.")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_float
)
