"""Boxes, tags, keyrings: against vectors made by an implementation that shares no code with the vault."""

import json
import os
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors import reference
from vault.crypto.blind_index import BlindIndex
from vault.crypto.derive import fingerprint, length_prefixed
from vault.crypto.keyring import Keyring, KeyState, KeyVersion
from vault.crypto.sealer import PADDING_BLOCKS, Sealer
from vault.errors import BoxError, KeyringError, MalformedBox, TamperedBox, UnknownKey, WrongKey
from vault.tokens import is_handle, is_session_id, is_user_token, parse_access_key, session_digest

OUTCOMES = {
    "malformed": MalformedBox,
    "unknown_key": UnknownKey,
    "wrong_key": WrongKey,
    "tampered": TamperedBox,
}
VECTORS = {name: json.loads((reference.FOLDER / name).read_text("utf-8")) for name in reference.files()}


def keyring(*versions: KeyVersion) -> Keyring:
    """Return a keyring with the reference master as data 1, another as data 2, and the given ones."""
    keys = {
        ("data", 1): KeyVersion("data", 1, KeyState.ACTIVE, 0, reference.MASTER),
        ("data", 2): KeyVersion("data", 2, KeyState.RETIRING, 0, reference.OTHER_MASTER),
        ("index", 1): KeyVersion("index", 1, KeyState.ACTIVE, 0, reference.MASTER),
    }
    return Keyring({**keys, **{(key.line, key.version): key for key in versions}}.values())


def test_the_vector_files_are_what_the_reference_makes() -> None:
    """Nobody edits a vector by hand."""
    for name, content in reference.files().items():
        assert (reference.FOLDER / name).read_text("utf-8") == reference.render(content)


@pytest.mark.parametrize("vector", VECTORS["boxes.json"]["vectors"], ids=lambda vector: vector["sentence"])
def test_a_box_has_the_outcome_of_its_vector(vector: dict[str, Any]) -> None:
    """The vault reads boxes as the format says, and names each failure."""
    sealer = Sealer(keyring(), "default")
    sealed = bytes.fromhex(vector["box"])
    if vector["outcome"] == "opens":
        assert sealer.open("profile", reference.TOKEN, sealed) == bytes.fromhex(vector["plaintext"])
    else:
        with pytest.raises(OUTCOMES[vector["outcome"]]):
            sealer.open("profile", reference.TOKEN, sealed)


@given(st.binary(max_size=700), st.sampled_from(sorted(PADDING_BLOCKS)))
def test_what_the_vault_seals_the_reference_seals_the_same(plaintext: bytes, purpose: str) -> None:
    """With the nonce of a fresh box, the other implementation makes the same bytes."""
    sealed, version = Sealer(keyring(), "default").seal(purpose, "some record", plaintext)
    context = {"purpose": purpose, "tenant": "default", "record_id": "some record", "key_version": version}
    nonce = sealed[21:45]
    assert reference.seal(reference.MASTER, plaintext, PADDING_BLOCKS[purpose], context, nonce) == sealed


MOVES = {
    "to another row": {"record_id": "other"},
    "to another table": {"purpose": "session"},
    "to another tenant": {"tenant": "other"},
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_box_does_not_open_where_it_was_moved(move: dict[str, str]) -> None:
    """Row, table and tenant are bound into the key."""
    sealed = Sealer(keyring(), "default").seal("profile", "row", b"{}").box
    place = {"purpose": "profile", "tenant": "default", "record_id": "row", **move}
    with pytest.raises(WrongKey):
        Sealer(keyring(), place["tenant"]).open(place["purpose"], place["record_id"], sealed)


def test_a_box_does_not_open_under_another_version() -> None:
    """A rewritten version in the header points at another key."""
    sealed = Sealer(keyring(), "default").seal("profile", "row", b"{}").box
    with pytest.raises(WrongKey):
        Sealer(keyring(), "default").open("profile", "row", sealed[:1] + bytes([0, 0, 0, 2]) + sealed[5:])


@given(st.binary(max_size=200))
def test_no_bytes_but_a_box_open(noise: bytes) -> None:
    """Whatever is read from a damaged row, the answer is one of the four."""
    with pytest.raises(BoxError):
        Sealer(keyring(), "default").open("profile", "row", noise)


@given(st.integers(0, 316), st.integers(1, 255))
def test_every_altered_byte_is_noticed(place: int, change: int) -> None:
    """There is no byte of a box that may be changed."""
    sealer = Sealer(keyring(), "default")
    sealed = bytearray(sealer.seal("profile", "row", b'{"a":1}').box)
    assert len(sealed) == 317
    sealed[place] ^= change
    with pytest.raises(BoxError):
        sealer.open("profile", "row", bytes(sealed))


@pytest.mark.parametrize(
    ("state", "opens"), [(state, state in ("pending", "active", "retiring")) for state in KeyState]
)
def test_only_some_states_open(state: KeyState, opens: bool) -> None:
    """A disabled or destroyed version opens nothing."""
    sealed = Sealer(keyring(), "default").seal("profile", "row", b"{}").box
    second = KeyVersion("data", 2, KeyState.ACTIVE, 0, reference.OTHER_MASTER)
    first = KeyVersion("data", 1, state, 0, reference.MASTER)
    if state is KeyState.ACTIVE:
        second = replace(second, state=KeyState.RETIRING)
    sealer = Sealer(keyring(first, second), "default")
    if opens:
        assert sealer.open("profile", "row", sealed) == b"{}"
    else:
        with pytest.raises(UnknownKey):
            sealer.open("profile", "row", sealed)


@pytest.mark.parametrize("vector", VECTORS["tags.json"]["vectors"], ids=lambda vector: vector["value"])
def test_a_tag_is_that_of_its_vector(vector: dict[str, str]) -> None:
    """The blind index computes what the format says."""
    (tag,) = BlindIndex(keyring(), "default", "US").tags(vector["field"], vector["value"])
    assert (tag.field, tag.version, tag.digest.hex()) == (vector["field"], 1, vector["tag"])


def test_tags_differ_by_tenant_field_and_version() -> None:
    """The same value looks different wherever it must not be linked."""
    index = keyring(KeyVersion("index", 2, KeyState.PENDING, 0, reference.OTHER_MASTER))
    tags = [
        *BlindIndex(index, "default", "US").tags("login", "ada"),
        *BlindIndex(index, "other", "US").tags("login", "ada"),
        *BlindIndex(index, "default", "US").tags("custom", "ada"),
    ]
    assert len({tag.digest for tag in tags}) == 6
    assert [tag.version for tag in tags[:2]] == [2, 1]  # the newest first


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_length_prefixing_is_injective(one: list[bytes], other: list[bytes]) -> None:
    """Two different lists never give the same bytes."""
    assert (length_prefixed(*one) == length_prefixed(*other)) == (one == other)


@pytest.mark.parametrize(
    "vector",
    VECTORS["strings.json"]["vectors"],
    ids=lambda vector: f"{vector['kind']} {vector['outcome']} {vector['text']!r}",
)
def test_an_opaque_string_is_taken_and_stored_as_its_vector_says(vector: dict[str, str]) -> None:
    """Shapes are exact, and of secrets only digests are kept."""
    text = vector["text"]
    key = parse_access_key(text)
    stored = {
        "user_token": text if is_user_token(text) else None,
        "session_id": session_digest(text).hex() if is_session_id(text) else None,
        "handle": text if is_handle(text) else None,
        "access_key": f"{key.id} {key.secret_digest.hex()}" if key else None,
    }
    assert stored[vector["kind"]] == vector.get("stored")


def test_fingerprints_are_those_of_the_vectors() -> None:
    """A key's public name is the same in every implementation."""
    for name, expected in VECTORS["keys.json"]["fingerprints"].items():
        line, version = name.split()
        assert fingerprint(reference.MASTER, line, int(version)) == expected


def test_a_canary_vouches_for_its_own_key_alone() -> None:
    """A canary is sealed by the very key it stands for, and no other opens it."""
    ring = keyring()
    sealer = Sealer(ring, "default")
    first, second = ring.of_line("data")
    canary = sealer.canary(second)
    assert sealer.opens_canary(second, canary)
    assert not sealer.opens_canary(first, canary)
    assert not sealer.opens_canary(replace(second, secret=os.urandom(32)), canary)


def test_a_line_needs_exactly_one_active_version() -> None:
    """None or two: nobody guesses which key writes."""
    with pytest.raises(KeyringError, match="'data' has 0 active"):
        keyring(KeyVersion("data", 1, KeyState.RETIRING, 0, reference.MASTER))
    with pytest.raises(KeyringError, match="'data' has 2 active"):
        keyring(KeyVersion("data", 2, KeyState.ACTIVE, 0, reference.MASTER))


def test_keys_are_in_no_repr_and_in_no_pickle() -> None:
    """A key does not reach a log by accident."""
    ring = keyring()
    (key, *_) = ring
    for text in (repr(key), repr(ring), str(key)):
        assert reference.MASTER.hex() not in text
        assert repr(reference.MASTER) not in text
    for thing in (key, ring):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(thing)
