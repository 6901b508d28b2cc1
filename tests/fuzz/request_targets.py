"""Readers of what callers and operators write: JSON, claims, patches, settings, headers, values that are indexed."""

import copy
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from tests.fuzz.target import Target, holds, json_seeds, text_of
from vault.access import Caller
from vault.claims import MAX_BYTES, MAX_CLAIMS, ClaimsPolicy
from vault.config import Config, load, render_example
from vault.crypto.normalise import FIELDS, normalise
from vault.errors import ClaimRefused, ConfigError, Invalid, Malformed, PatchFailed
from vault.http.json_body import LEAST_INTEGER, MOST_INTEGER, decode
from vault.http.native.operation import _attempt
from vault.http.native.profiles import _if_match
from vault.patches import json_patch, merge_patch

JSON_DEPTH = 32


def check_json(data: bytes) -> None:
    """What is let in is unambiguous: any JSON program reads the same, and so do we what we write of it."""
    value = _decoded(data)
    if value is not ...:
        holds(json.loads(data, object_pairs_hook=_unambiguous) == value, "read otherwise than JSON is")
        written = msgspec.json.encode(value)
        holds(decode(written, JSON_DEPTH) == value, "came back another")
        holds(all(LEAST_INTEGER <= n <= MOST_INTEGER for n in _integers(value)), "an integer is too large")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    holds(len({name for name, _ in pairs}) == len(pairs), "one name, two values")
    return dict(pairs)


def _integers(value: Any) -> list[int]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [number for each in inner for number in _integers(each)]
    return [value] if isinstance(value, int) else []


def _decoded(data: bytes) -> Any:
    with suppress(Malformed):
        return decode(data, JSON_DEPTH)
    return ...


_POLICY = ClaimsPolicy(Config().sessions.claims)


def check_claims(data: bytes) -> None:
    """What is let in is declared and small; what is refused is told without its values."""
    claims = _decoded(data)
    if not isinstance(claims, dict):
        return
    try:
        _POLICY.check(claims, ("lovelace",))
    except ClaimRefused as refused:
        told = " ".join([*refused.fields, *refused.fields.values()])
        for value in claims.values():
            telling = isinstance(value, str) and len(value) > 12 and value not in _KNOWN_WORDS
            holds(not telling or value not in told, "a refusal tells a value")
        return
    holds(len(claims) <= MAX_CLAIMS and claims.keys() <= _POLICY.rules.keys(), "an undeclared claim")
    holds(len(msgspec.json.encode(claims)) <= MAX_BYTES, "too much")
    holds("@" not in str(claims) and "lovelace" not in str(claims).split("'"), "personal data")


_KNOWN_WORDS = " ".join(sentence for name in (*_POLICY.rules, "x") for sentence in (f"claims.{name}", name))


def check_patches(data: bytes) -> None:
    """A patch leaves its inputs alone, and the result is JSON that can be kept; a merge done twice is done once."""
    given = _decoded(data)
    if not isinstance(given, dict):
        return
    document, patch = given.get("document"), given.get("patch")
    document = document if isinstance(document, dict) else {}
    before = copy.deepcopy((document, patch))
    for apply in (merge_patch, json_patch):
        with suppress(Invalid, PatchFailed):
            result = apply(document, patch)
            holds(msgspec.json.decode(msgspec.json.encode(result)) == result, "the result is no JSON")
            holds(
                apply is json_patch or merge_patch(result, patch) == result, "a merge done twice is another"
            )
        holds((document, patch) == before, "a patch changed what it was given")


def check_config(data: bytes) -> None:
    """A file and the environment give settings, or the sentences that say what is wrong with them."""
    with tempfile.NamedTemporaryFile(suffix=".toml", dir=_SHM) as file:
        file.write(data)
        file.flush()
        with suppress(ConfigError):
            holds(isinstance(load(Path(file.name), {}), Config), "no settings")
    variables = (line.partition("=") for line in text_of(data).split("\n"))
    with suppress(ConfigError):
        load(None, {name.strip(): value for name, _, value in variables})


#: Memory instead of a disk, where there is such a folder.
_SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - random names, gone at once


def check_headers(data: bytes) -> None:
    """An Idempotency-Key names an attempt or is refused; If-Match gives revisions that can be, or none."""
    text = text_of(data)
    headers = CIMultiDictProxy(CIMultiDict({"Idempotency-Key": text, "If-Match": text}))
    request: Any = SimpleNamespace(headers=headers)
    caller = Caller("key", frozenset(), None, bytes(32))
    operation: Any = SimpleNamespace(method="POST", path="/profiles")
    with suppress(Malformed):
        tried = _attempt(request, operation, caller, data)
        holds(tried is not None and len(tried.digest) == 32, "a digest of another size")
        holds(text.isascii() and text.isprintable() and 1 <= len(text) <= 255, "an odd key was let in")
    call: Any = SimpleNamespace(request=request)
    seen = _if_match(call)
    holds((seen is None) == (text == "*"), "If-Match is not there, or is")
    holds(all(0 < revision < 2**63 for revision in seen or ()), "a revision that cannot be")


def check_normalise(data: bytes) -> None:
    """No text is refused, and normalising twice changes nothing."""
    text = data.decode("utf-8", "replace")
    for field in FIELDS:
        once = normalise(field, text, "US")
        holds(once is None or normalise(field, once, "US") == once, "normalising twice gives another")


_JSON_SEEDS = [
    *json_seeds({}, {"a": [1, -2.5e10, True, None, "é"]}, [[[[]]]], 2**64 - 1, -(2**63), "\U0001d49c"),
    b'{"a":1,"a":2}', b'"\\ud800"', b'"\\ud835\\udc9c"', b"NaN", b"1e999", b"[" * 40 + b"]" * 40, b"9" * 30, b"-0",
]  # fmt: skip

REQUESTS: dict[str, Target] = {
    "json": Target(check_json, _JSON_SEEDS),
    "claims": Target(
        check_claims,
        json_seeds(
            {"roles": ["a", "b"], "locale": "pt-BR"}, {"role": "lovelace"}, {"scope": "a b"}, {"email": "a@b.org"},
            {"role": "4111 1111 1111 1111"}, {"tenant": "10.0.0.1"}, {"scope": "dGVzdEBleGFtcGxlLm9yZw"},
        ),
    ),
    "patches": Target(
        check_patches,
        json_seeds(*({"document": document, "patch": patch} for document, patch in (
            ({"a": {"b": [1, 2]}}, {"a": {"b": None, "c": {}}}),
            ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}]),
            ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "test", "path": "/b", "value": 1}]),
            ({"~1": 1}, [{"op": "move", "from": "/~01", "path": "/x"}, {"op": "remove", "path": "/x"}]),
            ({"a": 1}, [{"op": "replace", "path": "", "value": {}}]),
        ))),
    ),
    "config": Target(
        check_config,
        [
            b"", b'[server]\nport = 0\n', b'VAULT_SERVER__PORT=1\nVAULT_SESSIONS__CLAIMS={ role = "slug" }',
            render_example().encode(),
        ],
    ),
    "headers": Target(check_headers, [b"key", b"*", b'"3"', b'W/"3", "4"', b'"999999999999999999"', "é".encode()]),
    "normalise": Target(
        check_normalise,
        [text.encode() for text in (
            "ada@Example.ORG", "ẞtraße@münchen.de", "+82 00 74649", "(212) 555-0100 ext 7", "İ\u0345",
        )],
    ),
}  # fmt: skip
