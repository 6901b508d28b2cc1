"""Retirement certificates: vectors with an expected outcome each, made here with nacl and json alone."""

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from nacl.signing import SigningKey

from vault.crypto import certificate
from vault.crypto.keyring import KeyState, KeyVersion
from vault.crypto.signed import public_key
from vault.errors import CertificateRefused

SEED = bytes(range(32))
OTHER_SEED = bytes(range(1, 33))
KEY = KeyVersion("signing", 3, KeyState.ACTIVE, 0, SEED)
#: RFC 8032 says how it follows from the seed; libsodium computed it once for this file.
PUBLIC_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="

STATEMENT: dict[str, Any] = {
    "line": "data",
    "version": 7,
    "fingerprint": "0123456789abcdef",
    "created_at": "2026-01-01T00:00:00Z",
    "activated_at": None,
    "destroyed_at": "2027-01-02T00:00:00Z",
    "censuses": [
        {"at": "2027-01-01T00:00:00Z", "rows": {"profiles": 0}},
        {"at": "2027-01-02T00:00:00Z", "rows": {"profiles": 0}},
    ],
    "verify": {"rows": {"profiles": 1_000_000}, "digest": "ab" * 32},
}


def fingerprint(seed: bytes, version: int) -> str:
    """Compute docs/format.md, "Fingerprint", anew."""
    parts = (b"signing", version.to_bytes(4, "big"))
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.blake2b(message, key=seed, person=b"tokenvault.fpr.1", digest_size=8).hexdigest()


def signed(
    body: dict[str, Any], seed: bytes = SEED, domain: bytes = b"tokenvault.retirement.1\0"
) -> dict[str, Any]:
    """Sign as docs/format.md, "Certificate", says, without the vault's code."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    signature = SigningKey(seed).sign(domain + text.encode()).signature
    return {**body, "signature": base64.b64encode(signature).decode()}


def body(seed: bytes = SEED, **changes: Any) -> dict[str, Any]:
    """Return what is signed."""
    public = base64.b64encode(bytes(SigningKey(seed).verify_key)).decode()
    signer = {"version": 3, "fingerprint": fingerprint(SEED, 3), "public_key": public}
    return {"format": "tokenvault-retirement/1", **copy.deepcopy(STATEMENT), "signer": signer, **changes}


def test_a_certificate_is_what_the_format_says() -> None:
    """Byte for byte the signature of the other implementation, and its members in any order and spacing."""
    issued = certificate.issue(KEY, STATEMENT)
    assert json.loads(issued) == signed(body())
    assert issued.endswith("}\n")
    assert public_key(KEY) == PUBLIC_KEY
    mixed = json.dumps(dict(sorted(signed(body()).items(), reverse=True)), indent=7)
    for text in (issued, mixed, json.dumps(signed(body()), ensure_ascii=True)):
        checked = certificate.check(text, PUBLIC_KEY)
        assert checked.public_key == PUBLIC_KEY
        assert checked.statement == body()


def test_the_signature_of_a_fixed_seed_stays_the_same() -> None:
    """A certificate of today can be checked by any later version: what is signed has not changed."""
    assert json.loads(certificate.issue(KEY, STATEMENT))["signature"] == (
        "wLrm6lOsaOk520CJsywaFDiCVUFrci9ZC/pwS6jKfzUYvxKkQc0IArYaguWHCzOO6CI8FpSz9hiPjPTHLlKzCA=="
    )


def test_text_beyond_ascii_is_signed_as_utf_8() -> None:
    """However JSON escapes it in the file."""
    wanted = signed(body(fingerprint="Zürich 🔑"))
    assert certificate.check(json.dumps(wanted, ensure_ascii=True))
    assert certificate.check(json.dumps(wanted, ensure_ascii=False))


def each_member() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """Return an alteration for every member, at every depth."""

    def alter(path: tuple[str | int, ...]) -> Callable[[dict[str, Any]], Any]:
        def work(told: dict[str, Any]) -> None:
            place: Any = told
            for step in path[:-1]:
                place = place[step]
            value = place[path[-1]]
            place[path[-1]] = value + 1 if isinstance(value, int) else f"{value}x" if value else "2026"

        return work

    paths: list[tuple[str | int, ...]] = [
        ("line",), ("version",), ("fingerprint",), ("created_at",), ("activated_at",), ("destroyed_at",),
        ("censuses", 0, "at"), ("censuses", 1, "rows", "profiles"), ("verify", "rows", "profiles"),
        ("verify", "digest"), ("signer", "version"), ("signer", "fingerprint"),
    ]  # fmt: skip
    return {" ".join(map(str, path)): alter(path) for path in paths}


@pytest.mark.parametrize("alter", each_member().values(), ids=each_member())
def test_no_member_can_be_altered(alter: Callable[[dict[str, Any]], Any]) -> None:
    """The signature is over all of them."""
    told = signed(body())
    alter(told)
    with pytest.raises(CertificateRefused, match="the certificate was altered"):
        certificate.check(json.dumps(told))


ALTERED, NO_CERTIFICATE = "was altered", "is not a retirement certificate"
VECTORS: dict[str, tuple[Any, str]] = {
    "as issued": (signed(body()), ""),
    "another domain": (signed(body(), domain=b""), ALTERED),
    "a domain without its end": (signed(body(), domain=b"tokenvault.retirement.1"), ALTERED),
    "signed by another key than it names": (signed(body(), OTHER_SEED), ALTERED),
    "another public key in it": ({**signed(body()), "signer": body(OTHER_SEED)["signer"]}, ALTERED),
    "another format, well signed": (signed(body(format="tokenvault-retirement/2")), NO_CERTIFICATE),
    "a member more, well signed": (signed(body(comment="trust me")), NO_CERTIFICATE),
    "a member less, well signed": (
        signed({name: value for name, value in body().items() if name != "censuses"}),
        NO_CERTIFICATE,
    ),
    "no signature": (body(), NO_CERTIFICATE),
    "an empty signature": ({**signed(body()), "signature": ""}, NO_CERTIFICATE),
    "a signature that is a number": ({**signed(body()), "signature": 7}, NO_CERTIFICATE),
    "a signature that is no base64": ({**signed(body()), "signature": "*" * 88}, NO_CERTIFICATE),
    "a signature cut short": (
        {**signed(body()), "signature": signed(body())["signature"][:84]},
        NO_CERTIFICATE,
    ),
    "a signature of other bytes": (
        {**signed(body()), "signature": base64.b64encode(bytes(64)).decode()},
        ALTERED,
    ),
    "no signer": (
        signed({name: value for name, value in body().items() if name != "signer"}),
        NO_CERTIFICATE,
    ),
    "a signer that is text": (signed(body(signer="me")), NO_CERTIFICATE),
    "a public key that is null": (signed(body(signer={"public_key": None})), NO_CERTIFICATE),
    "a public key cut short": (
        signed(body(signer={"public_key": base64.b64encode(bytes(31)).decode()})),
        NO_CERTIFICATE,
    ),
    "a list": ([signed(body())], NO_CERTIFICATE),
    "text": ("certificate", NO_CERTIFICATE),
    "a number": (7, NO_CERTIFICATE),
    "null": (None, NO_CERTIFICATE),
    "nothing in it": ({}, NO_CERTIFICATE),
}


@pytest.mark.parametrize(("told", "outcome"), VECTORS.values(), ids=VECTORS)
def test_a_vector_has_its_outcome(told: Any, outcome: str) -> None:
    """Valid, altered, or no certificate at all."""
    if not outcome:
        assert certificate.check(json.dumps(told)).public_key == PUBLIC_KEY
        return
    with pytest.raises(CertificateRefused, match=outcome):
        certificate.check(json.dumps(told))


BROKEN = {
    "no text": "",
    "half a file": certificate.issue(KEY, STATEMENT)[:200],
    "two in one file": certificate.issue(KEY, STATEMENT) * 2,
    "nested beyond reason": "[" * 200_000,
    "objects nested beyond reason": '{"format":' * 100_000,
    "a null character": "\0",
    "a lone surrogate": json.dumps(signed(body())).replace('"data"', '"\\ud800"'),
    "a number beyond all": json.dumps(signed(body())).replace(": 7,", f": {'9' * 5000},"),
    "a number that JSON has not": json.dumps(signed(body())).replace(": 7,", ": NaN,"),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_is_refused_and_not_more(text: str) -> None:
    """No other error comes out, whatever somebody hands over as a certificate."""
    with pytest.raises(CertificateRefused):
        certificate.check(text)


def test_one_who_signs_for_themselves_is_told_apart() -> None:
    """A forger's own signature holds; only the key that one knows says whose it is."""
    forged = json.dumps(signed(body(OTHER_SEED), OTHER_SEED))
    assert certificate.check(forged).public_key != PUBLIC_KEY
    with pytest.raises(CertificateRefused, match="signed by another key than the one named"):
        certificate.check(forged, PUBLIC_KEY)
    for unknown in ("", "A", PUBLIC_KEY.rstrip("="), PUBLIC_KEY + "\n"):
        with pytest.raises(CertificateRefused):
            certificate.check(certificate.issue(KEY, STATEMENT), unknown)


def test_a_member_named_twice_is_judged_as_it_is_read() -> None:
    """The last one counts for the signature and for whoever reads it with the same rule."""
    text = certificate.issue(KEY, STATEMENT)
    assert certificate.check(text.replace('"line": "data"', '"line": "index", "line": "data"'))
    with pytest.raises(CertificateRefused, match=ALTERED):
        certificate.check(text.replace('"line": "data"', '"line": "data", "line": "index"'))


def test_each_version_signs_for_itself() -> None:
    """Another signing key gives another signature and another signer."""
    other = KeyVersion("signing", 4, KeyState.ACTIVE, 0, OTHER_SEED)
    told = json.loads(certificate.issue(other, STATEMENT))
    assert told["signer"]["version"] == 4
    assert told["signer"]["fingerprint"] == fingerprint(OTHER_SEED, 4)
    assert told["signature"] != json.loads(certificate.issue(KEY, STATEMENT))["signature"]
