"""The audit chain: against vectors made here from docs/format.md, with hashlib and json and none of the vault's code.

``python -m tests.unit.test_chain`` writes the vector file anew.
"""

import hashlib
import json
import struct
from typing import Any, NamedTuple

import pytest

from tests.vectors import reference
from vault.crypto.chain import GENESIS, Chain, Mac, digest_of_details, link
from vault.crypto.keyring import Keyring, KeyState, KeyVersion
from vault.errors import UnknownKey

FILE = reference.FOLDER / "chain.json"
PERSON = reference.TOKEN
ACTOR = "0123456789abcdef"
OPENED = "profile.revealed"

#: Everything that a reader may make of an event's place, its MAC, or the note of the end.
OUTCOMES = frozenset({"holds", "broken", "unknown_key"})

#: What each event says but its place, and its details with their salt.
EVENTS: list[tuple[list[Any], bytes | None]] = [
    ([1_800_000_000_000, "default", "operator", "key.added", "ok", None, None, None, None], None),
    ([1_800_000_000_001, "default", ACTOR, OPENED, "ok", PERSON, "3f9c1a2b-7", "ticket 4711", 2],
     bytes(range(16)) + b'{"fields":["email"]}'),
    ([1_800_000_000_002, "default", ACTOR, "profile.looked_up", "profile_not_found", None, "3f9c1a2b-8",
      'a "Grund" \\ für\tдело', None], bytes(16) + b"{}"),
]  # fmt: skip


class Made(NamedTuple):
    """An event in its place, by the format."""

    said: list[Any]
    details: bytes | None
    digest: bytes | None
    link: bytes
    mac: bytes
    end: bytes


def blake(message: bytes, person: str, key: bytes = b"") -> bytes:
    """Hash with hashlib."""
    return hashlib.blake2b(message, digest_size=32, key=key, person=person.encode()).digest()


def linked(previous: bytes, said: list[Any], digest: bytes | None) -> bytes:
    """Make a link."""
    told = json.dumps([*said, digest and digest.hex()], separators=(",", ":"), ensure_ascii=False)
    return blake(previous + told.encode(), "tokenvault.lnk.1")


def mac(master: bytes, tenant: str, version: int, this: bytes) -> bytes:
    """Make the MAC of a link."""
    message = reference.lp(tenant.encode(), struct.pack(">I", version), this)
    return blake(message, "tokenvault.mac.1", master)


def end(master: bytes, tenant: str, version: int, this: bytes, sequence: int) -> bytes:
    """Make the MAC of the note of the end."""
    message = reference.lp(tenant.encode(), struct.pack(">I", version), this, struct.pack(">Q", sequence))
    return blake(message, "tokenvault.end.1", master)


def trail() -> list[Made]:
    """Chain the events, under version 1 of the reference master."""
    made, previous = list[Made](), bytes(32)
    for number, (rest, details) in enumerate(EVENTS, 1):
        digest = None if details is None else blake(details, "tokenvault.det.1")
        said = [number, *rest]
        previous = linked(previous, said, digest)
        master = reference.MASTER
        made.append(
            Made(said, details, digest, previous, mac(master, "default", 1, previous),
                 end(master, "default", 1, previous, number))
        )  # fmt: skip
    return made


def links() -> dict[str, tuple[dict[str, Any], str]]:
    """Return what may be done to the second event, and what becomes of its link."""
    first, second, _ = trail()
    good = {"previous": first.link, "said": second.said, "digest": second.digest}
    changed = {"sequence": 7, "at": 0, "tenant": "other", "actor": "vault", "action": "x", "outcome": "x",
               "user token": None, "request id": None, "purpose": None, "revealed version": 1}  # fmt: skip
    cases: dict[str, tuple[dict[str, Any], str]] = {"as it was recorded": (good, "holds")}
    for number, (name, value) in enumerate(changed.items()):
        said = [*second.said[:number], value, *second.said[number + 1 :]]
        cases[f"another {name}"] = ({**good, "said": said}, "broken")
    assert len(changed) == len(second.said)
    cases["other details"] = ({**good, "digest": bytes(32)}, "broken")
    cases["no details"] = ({**good, "digest": None}, "broken")
    cases["behind another event"] = ({**good, "previous": second.link}, "broken")
    cases["as the first of all"] = ({**good, "previous": bytes(32)}, "broken")
    swapped = [*second.said[:7], second.said[8], second.said[7], *second.said[9:]]
    return {**cases, "request id and purpose exchanged": ({**good, "said": swapped}, "broken")}


def macs() -> dict[str, tuple[dict[str, Any], str]]:
    """Return MACs on the second link, notes that it is the last, and what a reader says of each."""
    first, second, _ = trail()
    ours, other, this = reference.MASTER, reference.OTHER_MASTER, second.link
    cases: dict[str, tuple[str, bytes, int, str]] = {
        "the MAC of the active key": ("mac", second.mac, 1, "holds"),
        "the MAC of a key that retires": ("mac", mac(other, "default", 2, this), 2, "holds"),
        "the MAC of another event": ("mac", first.mac, 1, "broken"),
        "the MAC of another tenant": ("mac", mac(ours, "other", 1, this), 1, "broken"),
        "the MAC of another key": ("mac", mac(other, "default", 1, this), 1, "broken"),
        "a MAC that names another version": ("mac", second.mac, 2, "broken"),
        "the note of the end in place of the MAC": ("mac", second.end, 1, "broken"),
        "a cut MAC": ("mac", second.mac[:-1], 1, "broken"),
        "no MAC": ("mac", b"", 1, "broken"),
        "a MAC of a disabled key": ("mac", mac(ours, "default", 3, this), 3, "unknown_key"),
        "a MAC of a version that there is not": ("mac", second.mac, 9, "unknown_key"),
        "the note of the end": ("end", second.end, 1, "holds"),
        "the note of an earlier end": ("end", first.end, 1, "broken"),
        "the event's MAC in place of the note": ("end", second.mac, 1, "broken"),
        "the note of this link in another place": ("end", end(ours, "default", 1, this, 1), 1, "broken"),
        "a note of another tenant": ("end", end(ours, "other", 1, this, 2), 1, "broken"),
        "a note that names a disabled key": ("end", second.end, 3, "unknown_key"),
    }
    return {
        sentence: ({"kind": kind, "mac": digest, "version": version}, outcome)
        for sentence, (kind, digest, version, outcome) in cases.items()
    }


def content() -> dict[str, Any]:
    """Return the content of the vector file."""
    return _hex(
        {
            "masters": {"1": reference.MASTER, "2": reference.OTHER_MASTER, "3": reference.MASTER},
            "states": {"1": "active", "2": "retiring", "3": "disabled"},
            "tenant": "default",
            "trail": [one._asdict() for one in trail()],
            "links": [{"sentence": name, **case, "outcome": told} for name, (case, told) in links().items()],
            "macs": [{"sentence": name, **case, "outcome": told} for name, (case, told) in macs().items()],
        }
    )


def _hex(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _hex(inner) for name, inner in value.items()}
    return [_hex(inner) for inner in value] if isinstance(value, list) else value


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


VECTORS = json.loads(FILE.read_text("utf-8"))


@pytest.fixture
def chain() -> Chain:
    """The vault's reading of the vectors' keys."""
    others = [KeyVersion(line, 1, KeyState.ACTIVE, 0, bytes(32)) for line in ("data", "index")]
    keys = [
        KeyVersion("audit", int(version), KeyState(VECTORS["states"][version]), 0, bytes.fromhex(master))
        for version, master in VECTORS["masters"].items()
    ]
    return Chain(Keyring([*others, *keys]), VECTORS["tenant"])


def test_the_vector_file_is_what_the_format_makes() -> None:
    """Nobody edits a vector by hand; and its outcomes are of the closed list, each of them used."""
    assert FILE.read_text("utf-8") == reference.render(content())
    assert {vector["outcome"] for name in ("links", "macs") for vector in VECTORS[name]} == OUTCOMES


def test_the_vault_writes_the_trail_of_the_vectors(chain: Chain) -> None:
    """Digest, link, MAC and note of the end, byte for byte, from the first event on."""
    previous = GENESIS
    assert previous == bytes(32)
    for sequence, event in enumerate(VECTORS["trail"], 1):
        details = _bytes(event["details"])
        digest = None if details is None else digest_of_details(details)
        assert digest == _bytes(event["digest"])
        previous = link(previous, event["said"], digest)
        assert previous.hex() == event["link"]
        assert chain.mac(previous) == Mac(bytes.fromhex(event["mac"]), 1)
        assert chain.end(sequence, previous) == Mac(bytes.fromhex(event["end"]), 1)


@pytest.mark.parametrize("vector", VECTORS["links"], ids=lambda vector: vector["sentence"])
def test_a_link_has_the_outcome_of_its_vector(vector: dict[str, Any]) -> None:
    """Whatever an event says, and where it stands, is in its link."""
    made = link(bytes.fromhex(vector["previous"]), vector["said"], _bytes(vector["digest"]))
    assert ("holds" if made.hex() == VECTORS["trail"][1]["link"] else "broken") == vector["outcome"]


@pytest.mark.parametrize("vector", VECTORS["macs"], ids=lambda vector: vector["sentence"])
def test_a_mac_has_the_outcome_of_its_vector(chain: Chain, vector: dict[str, Any]) -> None:
    """A MAC is one key's, one tenant's, one event's, and for one use."""
    given, this = (
        Mac(bytes.fromhex(vector["mac"]), vector["version"]),
        bytes.fromhex(VECTORS["trail"][1]["link"]),
    )

    def holds() -> bool:
        return chain.ends(2, this, given) if vector["kind"] == "end" else chain.holds(this, given)

    if vector["outcome"] == "unknown_key":
        with pytest.raises(UnknownKey):
            holds()
    else:
        assert holds() is (vector["outcome"] == "holds")


def test_details_of_equal_content_have_different_digests() -> None:
    """The salt decides: nothing can be tried against a digest that stays when a person is erased."""
    assert digest_of_details(bytes(16) + b"{}") != digest_of_details(b"\1" * 16 + b"{}")


if __name__ == "__main__":
    FILE.write_text(reference.render(content()), "utf-8")
