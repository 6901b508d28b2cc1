"""Readers of what the vault itself has sealed, signed or handed out: boxes, keyrings, certificates, opaque strings."""

import base64
import json
from contextlib import suppress

from nacl.bindings import sodium_pad
from nacl.secret import SecretBox

from tests.fuzz.target import Target, holds, json_seeds, text_of
from vault import tokens
from vault.crypto import box, certificate, keyring_text, unlock_key
from vault.crypto.derive import record_key
from vault.crypto.keyring import LINES, Keyring, KeyState, KeyVersion
from vault.crypto.sealer import PADDING_BLOCKS, Sealer
from vault.errors import BoxError, CertificateRefused, KeyringError, MalformedBox, TamperedBox, WrongKey

#: Keys that never protect anything.
_SECRET = bytes(range(32))
_KEYRING = Keyring([KeyVersion(line, 1, KeyState.ACTIVE, 1_800_000_000_000, _SECRET) for line in LINES])
_SIGNING = _KEYRING.active("signing")
_SEALER = Sealer(_KEYRING, "default")
_RECORD_KEY = record_key(_SECRET, "profile", "default", "a record", 1)
_BLOCK = PADDING_BLOCKS["profile"]


def check_box(data: bytes) -> None:
    """Taking apart loses nothing; nobody's bytes open; a sealed text opens, and one byte changed does not."""
    try:
        parsed = box.parse(data)
    except MalformedBox:
        parsed = None
    if parsed is not None:
        whole = bytes([box.FORMAT]) + parsed.key_version.to_bytes(4, "big") + b"".join(parsed[1:])
        holds(whole == data, "a box taken apart is another box")
        with suppress(WrongKey, TamperedBox):
            box.unseal(_RECORD_KEY, parsed, _BLOCK)
            # A record's key is derived for one version: the sealer below looks at it, and this alone does not.
            holds(parsed.key_version != 1 or data in _BOX_SEEDS, "a box opened that nobody sealed")
    with suppress(BoxError):
        _SEALER.open("profile", "a record", data)
        holds(data in _BOX_SEEDS, "a box opened that nobody sealed")
    sealed = box.seal(_RECORD_KEY, 1, data, _BLOCK)
    holds(box.unseal(_RECORD_KEY, box.parse(sealed), _BLOCK) == data, "a sealed text came back another")
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


def check_tokens(data: bytes) -> None:
    """Each text is one kind at most, of exactly its length; taking an access key apart loses nothing public."""
    text = text_of(data)
    key = tokens.parse_access_key(text)
    kinds = {
        36: tokens.is_user_token(text),
        47: tokens.is_session_id(text),
        26: tokens.is_handle(text),
        64: key is not None,
    }
    holds(sum(kinds.values()) <= 1, "a text is two kinds at once")
    for length, is_one in kinds.items():
        holds(not is_one or (len(text) == length and text.isascii() and text.isprintable()), "an odd shape")
    if tokens.is_session_id(text):
        digest = tokens.session_digest(text)
        holds(len(digest) == 32 and not tokens.is_session_id(digest.decode("latin-1")), "a digest is an id")
    if key is not None:
        holds(text.startswith(f"tvk_{key.id}_") and len(key.secret_digest) == 32, "another access key")


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
    holds(
        key is None or unlock_key.from_text(unlock_key.to_text(key)) == key, "an unlock key came back another"
    )


def _same_keys(keyring: Keyring) -> None:
    written = keyring_text.seal(_SECRET, 7, [unlock_key.wrap(_SECRET, "key", {}, _SECRET)], keyring)
    parsed = keyring_text.parse(written)
    holds(isinstance(parsed, keyring_text.Sealed) and parsed.generation == 7, "the file came back another")
    again = keyring_text.unseal(parsed, _SECRET)  # type: ignore[arg-type]
    holds({*again} == {*keyring}, "the keys came back others")


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
        checked = certificate.check(text_of(data))
        if checked.public_key == _ISSUED["signer"]["public_key"]:
            holds(
                {**checked.statement, "signature": _ISSUED["signature"]} == _ISSUED, "a signature was forged"
            )
    with suppress(CertificateRefused):
        certificate.check(text_of(data), _ISSUED["signer"]["public_key"])


SEALED: dict[str, Target] = {
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
            *json_seeds(_PLAIN, {"keys": _PLAIN["keys"]}),
            keyring_text.seal(_SECRET, 1, [unlock_key.wrap(_SECRET, "key", {"key_id": "0"}, _SECRET)], _KEYRING),
            unlock_key.to_text(_SECRET), _SECRET.hex().encode(),
        ],
    ),
    "certificate": Target(check_certificate, [_CERTIFICATE.encode(), *json_seeds(_ISSUED)]),
}  # fmt: skip
