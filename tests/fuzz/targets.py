"""What reads bytes or text from outside, as functions that take any bytes and raise only if a promise is broken.

Refused input raises what the reader's docstring says, and is fine; what is let in has to survive the way back.
"""

import base64
import copy
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from nacl.bindings import sodium_pad
from nacl.secret import SecretBox

from vault import tokens
from vault.access import Caller
from vault.claims import MAX_BYTES, MAX_CLAIMS, ClaimsPolicy
from vault.config import Config, load, render_example
from vault.crypto import box, certificate, keyring_text, unlock_key
from vault.crypto.derive import record_key
from vault.crypto.keyring import LINES, Keyring, KeyState, KeyVersion
from vault.crypto.normalise import FIELDS, normalise
from vault.crypto.sealer import PADDING_BLOCKS, Sealer
from vault.errors import (
    BoxError,
    CertificateRefused,
    ClaimRefused,
    ConfigError,
    Invalid,
    KeyringError,
    Malformed,
    MalformedBox,
    PatchFailed,
    TamperedBox,
    WrongKey,
)
from vault.http.json_body import LEAST_INTEGER, MOST_INTEGER, decode
from vault.http.native.operation import _attempt
from vault.http.native.profiles import _if_match
from vault.patches import json_patch, merge_patch

JSON_DEPTH = 32

#: Keys that never protect anything.
_SECRET = bytes(range(32))
_KEYRING = Keyring([KeyVersion(line, 1, KeyState.ACTIVE, 1_800_000_000_000, _SECRET) for line in LINES])
_SIGNING = _KEYRING.active("signing")
_SEALER = Sealer(_KEYRING, "default")
_RECORD_KEY = record_key(_SECRET, "profile", "default", "a record", 1)
_BLOCK = PADDING_BLOCKS["profile"]


@dataclass(frozen=True, slots=True)
class Target:
    """``check`` raises if a promise is broken; ``seeds`` are inputs from which the fuzzer starts."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]


def _text(data: bytes) -> str:
    """Read bytes as any text at all, lone surrogates among it, as a header or an argument may hold."""
    return data.decode("utf-8", "surrogateescape")


def _holds(promise: bool, words: str) -> None:
    # Not assert, which Python may be told to leave out.
    if not promise:
        raise AssertionError(words)


# --- boxes --------------------------------------------------------------------------------------------------


def check_box(data: bytes) -> None:
    """Taking apart loses nothing; nobody's bytes open; a sealed text opens, and one byte changed does not."""
    try:
        parsed = box.parse(data)
    except MalformedBox:
        parsed = None
    if parsed is not None:
        whole = bytes([box.FORMAT]) + parsed.key_version.to_bytes(4, "big") + b"".join(parsed[1:])
        _holds(whole == data, "a box taken apart is another box")
        with suppress(WrongKey, TamperedBox):
            box.unseal(_RECORD_KEY, parsed, _BLOCK)
            # A record's key is derived for one version: the sealer below looks at it, and this alone does not.
            _holds(parsed.key_version != 1 or data in _BOX_SEEDS, "a box opened that nobody sealed")
    with suppress(BoxError):
        _SEALER.open("profile", "a record", data)
        _holds(data in _BOX_SEEDS, "a box opened that nobody sealed")
    sealed = box.seal(_RECORD_KEY, 1, data, _BLOCK)
    _holds(box.unseal(_RECORD_KEY, box.parse(sealed), _BLOCK) == data, "a sealed text came back another")
    place, bit = int.from_bytes(data[:2], "big") % len(sealed), 1 << (sum(data[2:3]) % 8)
    altered = sealed[:place] + bytes([sealed[place] ^ bit]) + sealed[place + 1 :]
    with suppress(BoxError):
        _SEALER.open("profile", "a record", altered)
        raise AssertionError("a box opened that was altered")


def _sealed(text: bytes) -> bytes:
    """Seal under a nonce that is always the same: a corpus outlives the process, and its boxes are known again."""
    encrypted = SecretBox(_RECORD_KEY.key).encrypt(sodium_pad(text, _BLOCK), bytes(SecretBox.NONCE_SIZE))
    return bytes([box.FORMAT]) + (1).to_bytes(4, "big") + _RECORD_KEY.commitment + encrypted


_BOX_SEEDS = tuple(map(_sealed, (b"", b"{}", b"x" * 300)))

# --- opaque strings -----------------------------------------------------------------------------------------


def check_tokens(data: bytes) -> None:
    """Each text is one kind at most, of exactly its length; taking an access key apart loses nothing public."""
    text = _text(data)
    key = tokens.parse_access_key(text)
    kinds = {
        36: tokens.is_user_token(text),
        47: tokens.is_session_id(text),
        26: tokens.is_handle(text),
        64: key is not None,
    }
    _holds(sum(kinds.values()) <= 1, "a text is two kinds at once")
    for length, is_one in kinds.items():
        _holds(not is_one or (len(text) == length and text.isascii() and text.isprintable()), "an odd shape")
    if tokens.is_session_id(text):
        digest = tokens.session_digest(text)
        _holds(len(digest) == 32 and not tokens.is_session_id(digest.decode("latin-1")), "a digest is an id")
    if key is not None:
        _holds(text.startswith(f"tvk_{key.id}_") and len(key.secret_digest) == 32, "another access key")


# --- the keyring --------------------------------------------------------------------------------------------


def check_keyring(data: bytes) -> None:
    """What is read is written as it was; what nobody sealed does not open; sealed nonsense is called damaged."""
    with suppress(keyring_text.Damaged, keyring_text.UnknownFormat, KeyringError):
        parsed = keyring_text.parse(data)
        if isinstance(parsed, Keyring):
            _same_keys(parsed)
        else:
            with suppress(WrongKey):
                _same_keys(keyring_text.unseal(parsed, _SECRET))
            for slot in parsed.slots:
                unlock_key.opens(_SECRET, slot)
    sealed = box.seal(keyring_text._file_key(_SECRET, 1), 1, data, 256)
    file = keyring_text.Sealed(keyring_text.FORMAT, 1, [], base64.b64encode(sealed).decode())
    with suppress(keyring_text.Damaged, KeyringError):
        _same_keys(keyring_text.unseal(file, _SECRET))
    key = unlock_key.from_text(data)
    _holds(
        key is None or unlock_key.from_text(unlock_key.to_text(key)) == key, "an unlock key came back another"
    )


def _same_keys(keyring: Keyring) -> None:
    written = keyring_text.seal(_SECRET, 7, [unlock_key.wrap(_SECRET, "key", {}, _SECRET)], keyring)
    parsed = keyring_text.parse(written)
    _holds(isinstance(parsed, keyring_text.Sealed) and parsed.generation == 7, "the file came back another")
    again = keyring_text.unseal(parsed, _SECRET)  # type: ignore[arg-type]
    _holds({*again} == {*keyring}, "the keys came back others")


_PLAIN = {
    "format": keyring_text.PLAIN_FORMAT,
    "keys": [
        {
            "line": key.line, "version": key.version, "state": key.state.value, "created_at": key.created_at,
            "secret": base64.b64encode(key.secret).decode(),
        }
        for key in _KEYRING
    ],
}  # fmt: skip

# --- certificates -------------------------------------------------------------------------------------------

_STATEMENT = {
    "line": "data", "version": 1, "fingerprint": "0" * 16, "created_at": "2026-01-31T12:00:00Z", "activated_at": None,
    "destroyed_at": "2026-02-28T12:00:00Z", "censuses": [{"at": "2026-02-27T12:00:00Z", "rows": {"profiles": 0}}] * 2,
    "verify": {"rows": {"profiles": 3}, "digest": "0" * 64},
}  # fmt: skip
_CERTIFICATE = certificate.issue(_SIGNING, _STATEMENT)
_ISSUED = json.loads(_CERTIFICATE)


def check_certificate(data: bytes) -> None:
    """What our key signed is what it signed, whatever was done to the text."""
    with suppress(CertificateRefused):
        checked = certificate.check(_text(data))
        if checked.public_key == _ISSUED["signer"]["public_key"]:
            _holds(
                {**checked.statement, "signature": _ISSUED["signature"]} == _ISSUED, "a signature was forged"
            )
    with suppress(CertificateRefused):
        certificate.check(_text(data), _ISSUED["signer"]["public_key"])


# --- JSON ---------------------------------------------------------------------------------------------------


def check_json(data: bytes) -> None:
    """What is let in is unambiguous: any JSON program reads the same, and so do we what we write of it."""
    value = _decoded(data)
    if value is not ...:
        _holds(json.loads(data, object_pairs_hook=_unambiguous) == value, "read otherwise than JSON is")
        written = msgspec.json.encode(value)
        _holds(decode(written, JSON_DEPTH) == value, "came back another")
        _holds(all(LEAST_INTEGER <= n <= MOST_INTEGER for n in _integers(value)), "an integer is too large")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _holds(len({name for name, _ in pairs}) == len(pairs), "one name, two values")
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


# --- claims and patches -------------------------------------------------------------------------------------

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
            _holds(not telling or value not in told, "a refusal tells a value")
        return
    _holds(len(claims) <= MAX_CLAIMS and claims.keys() <= _POLICY.rules.keys(), "an undeclared claim")
    _holds(len(msgspec.json.encode(claims)) <= MAX_BYTES, "too much")
    _holds("@" not in str(claims) and "lovelace" not in str(claims).split("'"), "personal data")


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
            _holds(msgspec.json.decode(msgspec.json.encode(result)) == result, "the result is no JSON")
            _holds(
                apply is json_patch or merge_patch(result, patch) == result, "a merge done twice is another"
            )
        _holds((document, patch) == before, "a patch changed what it was given")


# --- settings and headers -----------------------------------------------------------------------------------


def check_config(data: bytes) -> None:
    """A file and the environment give settings, or the sentences that say what is wrong with them."""
    with tempfile.NamedTemporaryFile(suffix=".toml", dir=_SHM) as file:
        file.write(data)
        file.flush()
        with suppress(ConfigError):
            _holds(isinstance(load(Path(file.name), {}), Config), "no settings")
    variables = (line.partition("=") for line in _text(data).split("\n"))
    with suppress(ConfigError):
        load(None, {name.strip(): value for name, _, value in variables})


#: Memory instead of a disk, where there is such a folder.
_SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - random names, gone at once


def check_headers(data: bytes) -> None:
    """An Idempotency-Key names an attempt or is refused; If-Match gives revisions that can be, or none."""
    text = _text(data)
    headers = CIMultiDictProxy(CIMultiDict({"Idempotency-Key": text, "If-Match": text}))
    request: Any = SimpleNamespace(headers=headers)
    caller = Caller("key", frozenset(), None, _SECRET)
    operation: Any = SimpleNamespace(method="POST", path="/profiles")
    with suppress(Malformed):
        tried = _attempt(request, operation, caller, data)
        _holds(tried is not None and len(tried.digest) == 32, "a digest of another size")
        _holds(text.isascii() and text.isprintable() and 1 <= len(text) <= 255, "an odd key was let in")
    call: Any = SimpleNamespace(request=request)
    seen = _if_match(call)
    _holds((seen is None) == (text == "*"), "If-Match is not there, or is")
    _holds(all(0 < revision < 2**63 for revision in seen or ()), "a revision that cannot be")


def check_normalise(data: bytes) -> None:
    """No text is refused, and normalising twice changes nothing."""
    text = data.decode("utf-8", "replace")
    for field in FIELDS:
        once = normalise(field, text, "US")
        _holds(once is None or normalise(field, once, "US") == once, "normalising twice gives another")


def check_broken(data: bytes) -> None:
    """Break a promise: the reader is there to be found out."""
    _holds(data.count(b"a") < 2, "found")


def _json(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


_JSON_SEEDS = [
    *_json({}, {"a": [1, -2.5e10, True, None, "é"]}, [[[[]]]], 2**64 - 1, -(2**63), "\U0001d49c"),
    b'{"a":1,"a":2}', b'"\\ud800"', b'"\\ud835\\udc9c"', b"NaN", b"1e999", b"[" * 40 + b"]" * 40, b"9" * 30, b"-0",
]  # fmt: skip

TARGETS: dict[str, Target] = {
    "box": Target(check_box, [b"", *_BOX_SEEDS]),
    "tokens": Target(
        check_tokens,
        [one.encode() for one in (
            tokens.new_user_token(), tokens.new_session_id(), tokens.new_handle(), tokens.new_access_key()[0],
        )],
    ),
    "keyring": Target(
        check_keyring,
        [
            *_json(_PLAIN, {"keys": _PLAIN["keys"]}),
            keyring_text.seal(_SECRET, 1, [unlock_key.wrap(_SECRET, "key", {"key_id": "0"}, _SECRET)], _KEYRING),
            unlock_key.to_text(_SECRET), _SECRET.hex().encode(),
        ],
    ),
    "certificate": Target(check_certificate, [_CERTIFICATE.encode(), *_json(_ISSUED)]),
    "json": Target(check_json, _JSON_SEEDS),
    "claims": Target(
        check_claims,
        _json({"roles": ["a", "b"], "locale": "pt-BR"}, {"role": "lovelace"}, {"scope": "a b"}, {"email": "a@b.org"},
              {"role": "4111 1111 1111 1111"}, {"tenant": "10.0.0.1"}, {"scope": "dGVzdEBleGFtcGxlLm9yZw"}),
    ),
    "patches": Target(
        check_patches,
        _json(*({"document": document, "patch": patch} for document, patch in (
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

#: For the test of the fuzzers themselves.
BROKEN = Target(check_broken, [b"abc"])
