"""The unlock key on five sheets: any three bring it back, and every mistake has its sentence."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise, permutations
from pathlib import Path

import pytest
import shamir_mnemonic
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vectors import reference
from vault.crypto import unlock_key
from vault.crypto.keyring import new_keyring
from vault.crypto.keyring_file import KeyringFile, KeyringFull
from vault.crypto.keyring_text import MOST_SLOTS
from vault.errors import ConfigError, KeyringError
from vault.unlock import changing, open_unlock, prepare, recovery
from vault.unlock.key_source import KeySource

#: Written down once, for the key of bytes 0 to 31: what lies in a safe must open with every later version.
WRITTEN_DOWN = (
    "olympic again academic acne anxiety problem course holy academic cubic database rhyme describe always pregnant "
    "legs envelope garden distance guest include endless hearing empty fangs clogs grant prisoner easy length depart "
    "task metric",
    "olympic again academic agree advocate mobile typical manual machine crazy romp auction ambition auction math "
    "short devote should teacher parking race short stay kitchen minister party olympic afraid square jump seafood "
    "anatomy mild",
    "olympic again academic amazing anatomy priest execute focus gather uncover hormone custody trip fantasy phrase "
    "escape starting cubic index exhaust problem estimate envy regular leaf iris crunch symbolic rebuild belong "
    "editor military rumor",
)
ON_PAPER = recovery.split(reference.MASTER)
OTHER_SET = recovery.split(reference.MASTER)

Edit = Callable[[list[str]], list[str]]


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """A keyring that a key file unlocks."""
    prepare("file:unlock.key", tmp_path)
    path = tmp_path / "keyring.json"
    KeyringFile(path, open_unlock("file:unlock.key", tmp_path)).create(new_keyring(1))
    return path


@settings(max_examples=10, deadline=None)  # sixteen combinations each
@given(st.binary(min_size=32, max_size=32))
def test_any_three_of_five_give_the_key(key: bytes) -> None:
    """All ten triples, and more than three as well."""
    shares = recovery.split(key)
    assert len(set(shares)) == 5
    assert {len(share.split()) for share in shares} == {recovery.WORDS}
    for number in (3, 4, 5):
        for chosen in combinations(shares, number):
            assert recovery.combine(chosen) == key


def test_shares_from_a_safe_open_for_ever() -> None:
    """Three lists that were written down give the key that they were made of."""
    assert recovery.combine(WRITTEN_DOWN) == bytes(range(32))


def test_order_case_and_blanks_do_not_matter() -> None:
    """What a person types from paper is read with patience."""
    for triple in permutations(ON_PAPER[:3]):
        assert (
            recovery.combine([f"  {share.upper()}\t".replace(" ", "  ") for share in triple])
            == reference.MASTER
        )


def word(share: str, place: int, word: str) -> str:
    """Return the share with another word at this place, counted from one."""
    words = share.split()
    words[place - 1] = word
    return " ".join(words)


def swapped(share: str) -> str:
    """Return the share with its last two different words exchanged."""
    words = share.split()
    at = next(n for n in range(len(words) - 1, 0, -1) if words[n] != words[n - 1])
    words[at], words[at - 1] = words[at - 1], words[at]
    return " ".join(words)


def another_word(share: str) -> str:
    """Return the share with a right word in the wrong place."""
    return word(share, 20, "academic" if share.split()[19] != "academic" else "acid")


def costly(exponent: int, *shares: str) -> list[str]:
    """Return shares that say how many iterations there are: 10,000 times two to that power."""
    read = [shamir_mnemonic.Share.from_mnemonic(share) for share in shares]
    return [replace(share, iteration_exponent=exponent).mnemonic() for share in read]


MISTAKES: dict[str, tuple[Edit, str]] = {
    "no share": (lambda shares: [], "Three different shares are needed, and there are 0"),
    "two shares": (lambda shares: shares[:2], "Three different shares are needed, and there are 2"),
    "the same share three times": (lambda shares: shares[:1] * 3, "needed, and there are 1"),
    "two and one of them again": (lambda shares: [*shares[:2], shares[0]], "needed, and there are 2"),
    "no such word": (
        lambda shares: [shares[0], word(shares[1], 7, "lovelace"), shares[2]],
        "Share 2: word 7 is mistyped",
    ),
    "another word of the list": (
        lambda shares: [shares[0], shares[1], another_word(shares[2])],
        "Share 3: a word is mistyped",
    ),
    "two words exchanged": (
        lambda shares: [swapped(shares[0]), *shares[1:3]],
        "Share 1: a word is mistyped, or two changed places",
    ),
    "a word missing": (lambda shares: [shares[0].rpartition(" ")[0], *shares[1:3]], "Share 1 has 32 words"),
    "an empty share": (lambda shares: ["", *shares[1:3]], "Share 1 has 0 words and needs 33"),
    "one of another set": (lambda shares: [*shares[:2], OTHER_SET[2]], "Share 3 is of another set"),
    "a fourth of another set": (lambda shares: [*shares[:3], OTHER_SET[3]], "Share 4 is of another set"),
    "a little more computing": (lambda shares: costly(1, *shares[:3]), "Share 1 is none of this vault's"),
    "minutes of computing": (lambda shares: costly(15, *shares[:3]), "Share 1 is none of this vault's"),
    "minutes of it in one": (
        lambda shares: [*shares[:2], *costly(15, shares[2])],
        "Share 3 is none of this vault's",
    ),
}


@pytest.mark.parametrize(("edit", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_without_quoting_a_share(edit: Edit, sentence: str) -> None:
    """The sentence says which share and which word, and what to do; not what the word is."""
    with pytest.raises(KeyringError, match=sentence) as refused:
        recovery.combine(edit(ON_PAPER))
    told = refused.value.message.lower()
    assert "lovelace" not in told
    for first, second in pairwise(" ".join([*ON_PAPER, *OTHER_SET]).split()):
        assert f"{first} {second}" not in told


def test_shares_restore_the_key_file_of_a_keyring(keyring: Path) -> None:
    """The file that comes back is the one that was lost, and unlocks; an existing one is never overwritten."""
    folder = keyring.parent
    shares = recovery.make(keyring, "file:unlock.key", folder)
    path = recovery.out_of("file:unlock.key", folder)
    with pytest.raises(KeyringError, match="never overwritten"):
        recovery.restore(keyring, shares.texts[:3], path)
    lost = path.read_bytes()
    path.unlink()
    assert recovery.restore(keyring, shares.texts[2:], path) == shares.key_id
    assert path.read_bytes() == lost
    assert path.stat().st_mode & 0o777 == 0o600


def test_shares_of_another_key_write_nothing(keyring: Path) -> None:
    """What does not unlock this keyring is not put where its key belongs."""
    out = keyring.with_name("out.key")
    with pytest.raises(KeyringError, match="no slot for it"):
        recovery.restore(keyring, ON_PAPER[:3], out)
    assert not out.exists()
    with pytest.raises(KeyringError, match="no slot for it"):
        recovery.prove(keyring, ON_PAPER[:3])


def test_a_rehearsal_proves_every_triple_and_writes_nothing(keyring: Path) -> None:
    """Ten of ten, in memory."""
    before = {path: path.read_bytes() for path in keyring.parent.iterdir()}
    assert recovery.rehearse(keyring, "file:unlock.key", keyring.parent) == 10
    assert {path: path.read_bytes() for path in keyring.parent.iterdir()} == before


def test_a_changed_key_needs_new_shares(keyring: Path) -> None:
    """Shares of the old key unlock nothing after a change, and a rehearsal tells."""
    shares = recovery.make(keyring, "file:unlock.key", keyring.parent)
    assert recovery.prove(keyring, shares.texts[:3]) == shares.key_id
    changing.renew(keyring, "file:unlock.key", keyring.parent)
    with pytest.raises(KeyringError, match="no slot for it"):
        recovery.prove(keyring, shares.texts[:3])


@pytest.mark.parametrize("source", ["passphrase:env:PHRASE", "aws-kms:alias/x", "transit:transit/x"])
def test_only_a_key_can_be_split(keyring: Path, source: str) -> None:
    """The message says which slot to add first."""
    with pytest.raises(KeyringError, match=r"Add a key slot first.*--to file:recovery\.key"):
        recovery.make(keyring, source, keyring.parent)


def test_a_plain_keyring_has_no_key_to_split(tmp_path: Path, keyring: Path) -> None:
    """Shares of a key that unlocks nothing would be a false comfort."""
    first = '{"format": "tokenvault-keyring/1", "keys": ['
    keys = ",".join(
        f'{{"line": "{line}", "version": 1, "state": "active", "created_at": 1, "secret": "{"A" * 43}="}}'
        for line in ("data", "index")
    )
    keyring.write_text(first + keys + "]}")
    with pytest.raises(KeyringError, match="not sealed yet"):
        recovery.make(keyring, "file:unlock.key", tmp_path)


def test_a_source_without_a_file_needs_one_to_be_named(tmp_path: Path) -> None:
    """A variable cannot be written to."""
    with pytest.raises(ConfigError, match="--out"):
        recovery.out_of("env:KEY", tmp_path)


def test_sheets_are_files_of_their_own(keyring: Path, tmp_path: Path) -> None:
    """Mode 0600 in a folder of mode 0700, never over others, and read back without their notes."""
    shares = recovery.make(keyring, "file:unlock.key", keyring.parent)
    folder = tmp_path / "new" / "shares"
    paths = recovery.write_sheets(shares, folder)
    assert [path.name for path in paths] == [f"share-{n}.txt" for n in range(1, 6)]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(shares.key_id in path.read_text() for path in paths)
    assert recovery.read_sheets(paths) == list(shares.texts)
    before = [path.read_bytes() for path in paths]
    with pytest.raises(KeyringError, match="never overwritten"):
        recovery.write_sheets(shares, folder)
    assert [path.read_bytes() for path in paths] == before
    with pytest.raises(KeyringError, match="cannot be read"):
        recovery.read_sheets([folder / "share-6.txt"])


def test_shares_are_in_no_repr_and_in_no_pickle(keyring: Path) -> None:
    """They do not reach a log by accident."""
    shares = recovery.make(keyring, "file:unlock.key", keyring.parent)
    assert shares.texts[0] not in repr(shares)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(shares)
    assert shares.key_id == unlock_key.key_id(recovery.combine(shares.texts[:3]))


def test_three_shares_let_a_fresh_key_in(keyring: Path, tmp_path: Path) -> None:
    """Beside all that unlocked the keyring before; its text is that of a key file."""
    shares = recovery.make(keyring, "file:unlock.key", tmp_path).texts

    made = recovery.add_key([keyring], shares[2:])

    (tmp_path / "fresh.key").write_text(made)
    (tmp_path / "fresh.key").chmod(0o600)
    names = {
        unlock_key.key_id(source.key())
        for source in (open_unlock(f"file:{name}.key", tmp_path) for name in ("unlock", "fresh"))
        if isinstance(source, KeySource)
    }
    for name in ("unlock", "fresh"):
        file = KeyringFile(keyring, open_unlock(f"file:{name}.key", tmp_path))
        assert file.read().active("data").version == 1
        assert {slot.parameters["key_id"] for slot in file.slots} == names


def test_a_fresh_key_needs_the_right_shares(keyring: Path) -> None:
    """Those of another key change nothing."""
    before = keyring.read_bytes()
    for texts in (ON_PAPER[:3], ON_PAPER[:2], []):
        with pytest.raises(KeyringError):
            recovery.add_key([keyring], texts)
    assert keyring.read_bytes() == before


@pytest.fixture
def beside(keyring: Path) -> Path:
    """A keyring with other keys that the same key file unlocks."""
    path = keyring.with_name("beside.json")
    KeyringFile(path, open_unlock("file:unlock.key", keyring.parent)).create(new_keyring(2))
    return path


def test_one_fresh_key_unlocks_all_keyrings(keyring: Path, beside: Path, tmp_path: Path) -> None:
    """And each of them holds its own keys as before."""
    shares = recovery.make(keyring, "file:unlock.key", tmp_path).texts
    (tmp_path / "fresh.key").write_text(recovery.add_key([keyring, beside], shares[:3]))
    (tmp_path / "fresh.key").chmod(0o600)
    for made_at, path in enumerate((keyring, beside), 1):
        for source in ("file:fresh.key", "file:unlock.key"):
            keys = KeyringFile(path, open_unlock(source, tmp_path)).read()
            assert keys.active("data").created_at == made_at


def test_a_keyring_that_the_shares_do_not_open_holds_up_all(keyring: Path, beside: Path) -> None:
    """None of them gets a slot that another lacks."""
    shares = recovery.make(keyring, "file:unlock.key", keyring.parent).texts
    changing.add(beside, "file:unlock.key", "file:other.key", beside.parent)
    changing.keep_only(beside, "file:other.key", "file:other.key", beside.parent)
    before = keyring.read_bytes(), beside.read_bytes()
    with pytest.raises(KeyringError, match="no slot for it"):
        recovery.add_key([keyring, beside], shares[:3])
    assert (keyring.read_bytes(), beside.read_bytes()) == before


def test_there_is_room_for_so_many_slots_only(keyring: Path, beside: Path, tmp_path: Path) -> None:
    """One more could not be read again, and would lock everybody out; a full keyring holds up all."""
    shares = recovery.make(keyring, "file:unlock.key", tmp_path).texts
    for _ in range(MOST_SLOTS - 1):
        recovery.add_key([beside], shares[:3])
    before = keyring.read_bytes(), beside.read_bytes()

    with pytest.raises(KeyringFull, match=r"beside\.json has 16 slots and no room for another"):
        recovery.add_key([keyring, beside], shares[:3])

    assert (keyring.read_bytes(), beside.read_bytes()) == before
    file = KeyringFile(beside, open_unlock("file:unlock.key", tmp_path))
    file.read()
    assert len(file.slots) == MOST_SLOTS == 16
