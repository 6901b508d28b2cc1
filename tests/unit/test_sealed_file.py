"""Sealed files: what opens, and that nothing else does."""

import base64
import io
from collections.abc import Callable

import pytest
from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_init_push,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
)
from nacl.public import PrivateKey, PublicKey, SealedBox

from vault.crypto import sealed_file
from vault.errors import SealedFileRefused

PRIVATE = bytes(range(32))
PUBLIC = sealed_file.read_public_key(sealed_file.public_key(PRIVATE))
HEAD = len(b"tokenvault-sealed-file/1\n") + 80 + 24
MIB = 1 << 20
STEP = MIB + 17
SIZES = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 5]


def plain(size: int) -> bytes:
    """Return bytes of which no two chunks are alike."""
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


def sealed(content: bytes, name: str = "vault.db") -> bytes:
    """Seal it."""
    target = io.BytesIO()
    sealed_file.seal(io.BytesIO(content), target, PUBLIC, name, lambda _: None)
    return target.getvalue()


def opened(content: bytes, private: bytes = PRIVATE, name: str = "vault.db") -> bytes:
    """Open it."""
    target = io.BytesIO()
    sealed_file.unseal(io.BytesIO(content), target, private, name, lambda _: None)
    return target.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_opens(size: int) -> None:
    """Of any size about a chunk's, byte for byte; and its own length tells only that of the content."""
    content = plain(size)
    made = sealed(content)
    assert opened(made) == content
    assert len(made) == HEAD + size + 17 * max(1, -(-size // MIB))


def test_a_sealed_file_is_what_the_format_says() -> None:
    """Taken apart here with nacl alone, as docs/format.md has it."""
    content = plain(MIB + 3)
    made = sealed(content)
    assert made[:25] == b"tokenvault-sealed-file/1\n"
    key = SealedBox(PrivateKey(PRIVATE)).decrypt(made[25:105])
    state = crypto_secretstream_xchacha20poly1305_state()
    crypto_secretstream_xchacha20poly1305_init_pull(state, made[105:129], key)
    first, tag = crypto_secretstream_xchacha20poly1305_pull(state, made[129 : 129 + STEP], b"vault.db")
    last, end = crypto_secretstream_xchacha20poly1305_pull(state, made[129 + STEP :], b"vault.db")
    assert (first + last, tag, end) == (content, 0, 3)


#: Made once by this program, and opened by every later one.
KEPT = (
    "dG9rZW52YXVsdC1zZWFsZWQtZmlsZS8xCp7cyurguxVH+q07fuANSmb74A3KRIyaP96ed9K6pUAGKPSMp0q46Kah60v+7iU2qXWU"
    "5nVw59EKSe0u0242vAkIQyHr1X2o9dnOTQ+5s/1ys1pCWg81K4pUBUhcMxGIguqo/GJyvIK19ejko5kUKE2Zu4Wh2Bw6md/353Xi"
)


def test_a_file_of_before_opens() -> None:
    """A backup of today can be read by any later version."""
    assert opened(base64.b64decode(KEPT)) == b"kept"


def flip(at: int) -> Callable[[bytes], bytes]:
    """Return what alters one bit."""
    return lambda made: made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :]


def chunks(made: bytes) -> list[bytes]:
    """Return the chunks behind the head."""
    return [made[at : at + STEP] for at in range(HEAD, len(made), STEP)]


ALTERED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a bit of the format": (flip(0), "not a sealed file"),
    "a bit of the sealed key": (flip(30), "sealed to another key"),
    "a bit of the stream's header": (flip(HEAD - 1), "altered"),
    "a bit of the first chunk": (flip(HEAD), "altered"),
    "the last bit": (flip(-2), "altered"),
    "cut within the head": (lambda made: made[: HEAD - 1], "not a sealed file"),
    "cut behind the head": (lambda made: made[:HEAD], "cut off"),
    "cut behind the first chunk": (lambda made: made[: HEAD + STEP], "cut off"),
    "cut by one byte": (lambda made: made[:-1], "altered"),
    "cut within a chunk's tag": (lambda made: made[: HEAD + STEP + 5], "altered"),
    "two chunks swapped": (
        lambda made: made[:HEAD] + b"".join([chunks(made)[1], chunks(made)[0], chunks(made)[2]]),
        "altered",
    ),
    "a chunk twice": (lambda made: made[: HEAD + STEP] + made[HEAD:], "altered"),
    "a chunk left out": (lambda made: made[:HEAD] + made[HEAD + STEP :], "altered"),
    "a byte appended": (lambda made: made + b"\0", "altered"),
    "nothing at all": (lambda _: b"", "not a sealed file"),
    "another file's chunks behind this head": (
        lambda made: made[:HEAD] + sealed(plain(2 * MIB + 9))[HEAD:],
        "altered",
    ),
}


@pytest.mark.parametrize(("alter", "told"), ALTERED.values(), ids=ALTERED)
def test_nothing_else_opens(alter: Callable[[bytes], bytes], told: str) -> None:
    """Truncated, reordered, repeated, appended to, or with any bit flipped."""
    with pytest.raises(SealedFileRefused, match=told):
        opened(alter(sealed(plain(2 * MIB + 9))))


def test_a_chunk_after_a_full_last_one_is_refused() -> None:
    """Where the content ends with a chunk's end, the end is marked as well."""
    made = sealed(plain(MIB))
    assert len(made) == HEAD + STEP
    with pytest.raises(SealedFileRefused, match="altered"):
        opened(made + made[HEAD:])


def test_nothing_follows_the_end() -> None:
    """Not even what the maker of the stream has put there."""
    key, state = bytes(range(32)), crypto_secretstream_xchacha20poly1305_state()
    made = b"tokenvault-sealed-file/1\n" + SealedBox(PublicKey(PUBLIC)).encrypt(key)
    made += crypto_secretstream_xchacha20poly1305_init_push(state, key)
    for _ in range(2):
        made += crypto_secretstream_xchacha20poly1305_push(state, plain(MIB), b"vault.db", 3)
    assert opened(made[: HEAD + STEP]) == plain(MIB)
    with pytest.raises(SealedFileRefused, match="altered"):
        opened(made)


def test_another_key_does_not_open_it() -> None:
    """Nor does the same key under another file's name."""
    with pytest.raises(SealedFileRefused, match="another key"):
        opened(sealed(b"content"), sealed_file.new_private_key())
    with pytest.raises(SealedFileRefused, match="altered"):
        opened(sealed(b"content"), name="sessions.db")


@pytest.mark.parametrize(
    "text", ["", "AAAA", "*" * 44, base64.b64encode(bytes(32)).decode(), base64.b64encode(bytes(33)).decode()]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    """Before anything is sealed to it: a key of low order, too, to which anybody could open."""
    with pytest.raises(SealedFileRefused, match="not a public key"):
        sealed_file.read_public_key(text)


def test_progress_is_told_in_bytes() -> None:
    """As many as the content has."""
    told: list[int] = []
    sealed_file.seal(io.BytesIO(plain(MIB + 7)), io.BytesIO(), PUBLIC, "vault.db", told.append)
    assert told == [MIB, 7]
