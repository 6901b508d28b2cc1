"""Looks for secrets in bytes, in every form that a careless line of code could have given them."""

import base64
import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import quote

Secret = str | bytes

#: Shorter text is found by chance: a word of the schema, a few random bytes.
SHORTEST = 6
SHORTEST_ENCODED = 8


def leaks(haystacks: Mapping[str, bytes], secrets: Mapping[str, Secret]) -> list[str]:
    """Return "what as which form in where" for each secret found; case makes no difference."""
    needles = [
        (name, form, needle.lower()) for name, secret in secrets.items() for form, needle in forms(secret)
    ]
    found = []
    for place, content in haystacks.items():
        lowered = content.lower()
        found += [f"{name} as {form} in {place}" for name, form, needle in needles if needle in lowered]
    return found


def forms(secret: Secret) -> Iterator[tuple[str, bytes]]:
    """Yield the secret as each form by name, without those too short to mean anything."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    assert len(raw) >= SHORTEST, "too short to look for"
    yield "itself", raw
    if isinstance(secret, str):
        for name, text in (("folded", secret.casefold()), ("capitals", secret.upper())):
            yield name, text.encode()
        for name in ("NFD", "NFKC"):
            yield name, unicodedata.normalize(name, secret).encode()
        for name in ("utf-16-le", "utf-16-be"):
            yield name, secret.encode(name)
        yield "JSON", json.dumps(secret)[1:-1].encode()
        yield "percent", quote(secret).encode()
    encoded = {"repr": repr(raw)[2:-1].encode(), "hex": raw.hex().encode()}
    encoded |= {f"base64 at {offset}": _base64(raw, offset) for offset in range(3)}
    encoded |= {
        f"{name}, for URLs": text.translate(bytes.maketrans(b"+/", b"-_")) for name, text in encoded.items()
    }
    for name, needle in encoded.items():
        if len(needle) >= SHORTEST_ENCODED:
            yield name, needle


def digests(name: str, text: str) -> dict[str, Secret]:
    """Return what an unkeyed index would hold of a text, which anybody could search by guessing."""
    return {
        f"SHA-256 of {name}, {spelling}": hashlib.sha256(spelled.encode()).digest()
        for spelling, spelled in (("as is", text), ("folded", text.casefold()), ("lower", text.lower()))
    }


def leaves(value: object, path: str = "") -> dict[str, Secret]:
    """Return each text and number of a JSON value that is long enough to look for, by its path."""
    if isinstance(value, dict):
        return {name: leaf for key in value for name, leaf in leaves(value[key], f"{path}.{key}").items()}
    if isinstance(value, list):
        return {
            name: leaf for n, inner in enumerate(value) for name, leaf in leaves(inner, f"{path}.{n}").items()
        }
    text = "" if value is None or isinstance(value, bool) else str(value)
    return {path: text} if len(text.encode()) >= SHORTEST else {}


def _base64(raw: bytes, offset: int) -> bytes:
    """Return the base64 characters that depend on the secret alone when it begins ``offset`` bytes after a third."""
    encoded = base64.b64encode(bytes(offset) + raw)
    return encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
