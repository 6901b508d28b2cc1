"""docs/format.md once more, from libsodium's own functions and none of the vault's code.

``python -m tests.vectors.reference`` prints the vector files' content; the tests compare both ways.
"""

import base64
import json
import struct
import sys
from pathlib import Path
from typing import Any

from nacl import bindings

FOLDER = Path(__file__).parent
MASTER = bytes(range(32))
OTHER_MASTER = bytes(range(1, 33))
NONCE = bytes(range(100, 124))
TOKEN = "7c9e6679-7425-4de4-944b-e07fc1f90ae7"
PROFILE = {"purpose": "profile", "tenant": "default", "record_id": TOKEN, "key_version": 1}


def lp(*parts: bytes) -> bytes:
    """Join length-prefixed."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def blake2b(size: int, key: bytes, person: str, message: bytes) -> bytes:
    """Hash with libsodium (the vault uses the standard library's implementation)."""
    return bindings.crypto_generichash_blake2b_salt_personal(
        message, digest_size=size, key=key, person=person.encode()
    )


def derive(master: bytes, purpose: str, tenant: str, record_id: str, key_version: int) -> tuple[bytes, bytes]:
    """Return key and commitment."""
    message = lp(purpose.encode(), tenant.encode(), record_id.encode(), struct.pack(">I", key_version))
    derived = blake2b(48, master, "tokenvault.box.1", message)
    return derived[:32], derived[32:]


def seal(master: bytes, plaintext: bytes, block: int, context: dict[str, Any], nonce: bytes = NONCE) -> bytes:
    """Seal a box."""
    key, commitment = derive(master, **context)
    padded = plaintext + b"\x80" + bytes(-(len(plaintext) + 1) % block)
    header = struct.pack(">BI", 1, context["key_version"]) + commitment + nonce
    return header + bindings.crypto_secretbox(padded, nonce, key)


def tag(master: bytes, tenant: str, field: str, version: int, value: str) -> bytes:
    """Make a blind-index tag of a normalised value."""
    message = lp(
        tenant.encode(), field.encode(), struct.pack(">I", 1), struct.pack(">I", version), value.encode()
    )
    return blake2b(32, master, "tokenvault.idx.1", message)


def fingerprint(master: bytes, line: str, version: int) -> str:
    """Name a key publicly."""
    return blake2b(8, master, "tokenvault.fpr.1", lp(line.encode(), struct.pack(">I", version))).hex()


def _binding(key: bytes, person: str, message: bytes) -> tuple[bytes, bytes]:
    derived = blake2b(48, key, person, message)
    return derived[:32], derived[32:]


def _enclose(pair: tuple[bytes, bytes], number: int, plaintext: bytes, block: int) -> str:
    key, commitment = pair
    padded = plaintext + b"\x80" + bytes(-(len(plaintext) + 1) % block)
    header = struct.pack(">BI", 1, number) + commitment + NONCE
    return base64.b64encode(header + bindings.crypto_secretbox(padded, NONCE, key)).decode()


def _disclose(pair: tuple[bytes, bytes], text: str) -> bytes:
    key, commitment = pair
    sealed = base64.b64decode(text)
    if sealed[5:21] != commitment:
        raise ValueError("another key")
    padded = bindings.crypto_secretbox_open(sealed[45:], sealed[21:45], key)
    return padded[: padded.rindex(b"\x80")]


def _slot_pair(unlock_key: bytes, method: str) -> tuple[bytes, bytes]:
    return _binding(unlock_key, "tokenvault.slt.1", lp(method.encode()))


def _file_pair(keyring_key: bytes, generation: int) -> tuple[bytes, bytes]:
    message = lp(b"tokenvault-keyring/2", struct.pack(">I", generation))
    return _binding(keyring_key, "tokenvault.krg.1", message)


def seal_keyring(unlock_key: bytes, keyring_key: bytes, generation: int, keys: bytes) -> dict[str, Any]:
    """Make a keyring file of format 2 with one key slot."""
    slot = {
        "method": "key",
        "wrapped": _enclose(_slot_pair(unlock_key, "key"), 1, keyring_key, 64),
        "parameters": {"key_id": blake2b(8, unlock_key, "tokenvault.uid.1", b"").hex()},
    }
    return {
        "format": "tokenvault-keyring/2",
        "generation": generation,
        "slots": [slot],
        "sealed": _enclose(_file_pair(keyring_key, generation), generation, keys, 256),
    }


def open_keyring(content: bytes, unlock_key: bytes) -> Any:
    """Read a keyring file of format 2 by its key slot."""
    file = json.loads(content)
    name = blake2b(8, unlock_key, "tokenvault.uid.1", b"").hex()
    (slot,) = (slot for slot in file["slots"] if slot["parameters"].get("key_id") == name)
    keyring_key = _disclose(_slot_pair(unlock_key, slot["method"]), slot["wrapped"])
    return json.loads(_disclose(_file_pair(keyring_key, file["generation"]), file["sealed"]))


def keyring() -> dict[str, Any]:
    """Return a keyring file, the key that unlocks it, and what it holds."""
    held = [
        ("data", 1, "destroyed", b"", fingerprint(OTHER_MASTER, "data", 1)),
        ("data", 2, "active", MASTER, ""),
        ("index", 1, "active", OTHER_MASTER, ""),
    ]
    keys = []
    for line, version, state, secret, tombstone in held:
        key = {"line": line, "version": version, "state": state, "created_at": 1_800_000_000_000}
        key["secret"] = base64.b64encode(secret).decode()
        keys.append({**key, "tombstone": tombstone} if tombstone else key)
    unlock_key = bytes(range(64, 96))
    return {
        "unlock_key": _hex(unlock_key),
        "file": seal_keyring(unlock_key, bytes(range(96, 128)), 7, json.dumps({"keys": keys}).encode()),
        "keys": [
            {
                "line": line,
                "version": version,
                "state": state,
                "fingerprint": tombstone or fingerprint(secret, line, version),
            }
            for line, version, state, secret, tombstone in held
        ],
    }


def _hex(data: bytes) -> str:
    return data.hex()


def boxes() -> list[dict[str, Any]]:
    """Return vectors of boxes, opened in the context of one profile under one keyring."""
    good = seal(MASTER, b'{"name":"Ada"}', 256, PROFILE)
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    other_nonce = good[:21] + bytes(24) + good[45:]
    cases = {
        "a box opens where it was sealed": (good, "opens"),
        "an empty plaintext is padded to a whole block": (seal(MASTER, b"", 256, PROFILE), "opens"),
        "a plaintext of exactly one block gets a block of padding": (
            seal(MASTER, b"x" * 256, 256, PROFILE),
            "opens",
        ),
        "a flipped bit in the ciphertext": (flipped, "tampered"),
        "another nonce": (other_nonce, "tampered"),
        "a cut end": (good[:-1], "tampered"),
        "sealed under another master key": (seal(OTHER_MASTER, b"{}", 256, PROFILE), "wrong_key"),
        "moved from another row": (
            seal(MASTER, b"{}", 256, {**PROFILE, "record_id": TOKEN[:-1] + "8"}),
            "wrong_key",
        ),
        "moved from another table": (
            seal(MASTER, b"{}", 256, {**PROFILE, "purpose": "session"}),
            "wrong_key",
        ),
        "moved from another tenant": (seal(MASTER, b"{}", 256, {**PROFILE, "tenant": "other"}), "wrong_key"),
        "its version rewritten to one that exists": (good[:1] + struct.pack(">I", 2) + good[5:], "wrong_key"),
        "a version the keyring lacks": (good[:1] + struct.pack(">I", 9) + good[5:], "unknown_key"),
        "an unknown format byte": (b"\x02" + good[1:], "malformed"),
        "a header without a box": (good[:61], "malformed"),
        "nothing at all": (b"", "malformed"),
    }
    plaintexts = {0: b'{"name":"Ada"}', 1: b"", 2: b"x" * 256}
    return [
        {
            "sentence": sentence,
            "box": _hex(box),
            "outcome": outcome,
            **({"plaintext": _hex(plaintexts[number])} if outcome == "opens" else {}),
        }
        for number, (sentence, (box, outcome)) in enumerate(cases.items())
    ]


def tags() -> list[dict[str, Any]]:
    """Return vectors of tags: as a caller writes the value, and what it is normalised to."""
    cases = [
        ("email", "Ada@Example.ORG ", "ada@example.org"),
        ("email", "müller@bücher.example", "müller@xn--bcher-kva.example"),
        ("login", "STRASSE", "strasse"),
        ("login", "straße", "strasse"),
        ("phone", "+1 (650) 253-0000", "+16502530000"),
        ("phone", "650-253-0000", "+16502530000"),
        ("custom", "Ab-1", "Ab-1"),
    ]
    return [
        {
            "field": field,
            "value": value,
            "normalised": normalised,
            "tag": _hex(tag(MASTER, "default", field, 1, normalised)),
        }
        for field, value, normalised in cases
    ]


def strings() -> list[dict[str, Any]]:
    """Return vectors of opaque strings: what is accepted, and what is stored of it."""
    secret = base64.urlsafe_b64encode(MASTER).decode().rstrip("=")
    short = base64.urlsafe_b64encode(MASTER[:16]).decode().rstrip("=")
    accepted = [
        ("user_token", TOKEN, TOKEN),
        ("session_id", f"tvs_{secret}", _sha256(f"tvs_{secret}")),
        ("handle", f"tsh_{short}", f"tsh_{short}"),
        ("access_key", f"tvk_0123456789abcdef_{secret}", f"0123456789abcdef {_sha256(secret)}"),
    ]
    refused = [
        ("user_token", TOKEN.upper()),
        ("user_token", TOKEN.replace("-4de4-", "-1de4-")),
        ("user_token", TOKEN.replace("-", "")),
        ("session_id", f"tvs_{secret}="),
        ("session_id", f"tvs_{secret[:-1]}"),
        ("session_id", f"tvs_{secret}\n"),
        ("session_id", _sha256(f"tvs_{secret}")),
        ("handle", f"tvs_{short}"),
        ("access_key", f"tvk_0123456789ABCDEF_{secret}"),
        ("access_key", f"tvk_0123456789abcdef{secret}"),
        ("access_key", "DEMO"),
    ]
    return [
        *(
            {"kind": kind, "text": text, "outcome": "accepted", "stored": stored}
            for kind, text, stored in accepted
        ),
        *({"kind": kind, "text": text, "outcome": "refused"} for kind, text in refused),
    ]


def _sha256(text: str) -> str:
    return bindings.crypto_hash_sha256(text.encode()).hex()


def files() -> dict[str, Any]:
    """Return each vector file's content."""
    return {
        "boxes.json": {
            "master": _hex(MASTER),
            "other_version": 2,
            "context": PROFILE,
            "block": 256,
            "vectors": boxes(),
        },
        "tags.json": {"master": _hex(MASTER), "tenant": "default", "region": "US", "vectors": tags()},
        "strings.json": {"vectors": strings()},
        "keyring.json": keyring(),
        "keys.json": {
            "master": _hex(MASTER),
            "fingerprints": {
                f"{line} {version}": fingerprint(MASTER, line, version)
                for line in ("data", "index")
                for version in (1, 2)
            },
        },
    }


def render(content: Any) -> str:
    """Return a file's text."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, content in files().items():
        (FOLDER / name).write_text(render(content), encoding="utf-8")
        sys.stdout.write(f"{name}: {len(base64.b64encode(render(content).encode()))} bytes\n")
