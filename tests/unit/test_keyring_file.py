"""The keyring at rest: sealed, replaced whole, never by two at once, never quoted."""

import base64
import fcntl
import json
import multiprocessing
import os
import pickle
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.vectors import reference
from vault.crypto import keyring_text, unlock_key
from vault.crypto.keyring import Keyring, KeyState, KeyVersion, new_keyring
from vault.crypto.keyring_file import KeyringFile, KeyringFull
from vault.errors import KeyringError
from vault.unlock import open_unlock, prepare
from vault.unlock.key_source import KeySource


class Held(KeySource):
    """A key in the test's hand."""

    name = "The test"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def text(self) -> bytes:
        """Return it as a key file has it."""
        return unlock_key.to_text(self._key)


class Mute(Held):
    """A source that wraps and cannot open, like a service whose policy allows half."""

    def unwrap(self, slots: Any) -> bytes:
        """Refuse."""
        raise KeyringError("no permission to decrypt")


OLD, NEW = Held(reference.MASTER), Held(reference.OTHER_MASTER)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the keyring lies."""
    return tmp_path / "keyring.json"


@pytest.fixture
def file(path: Path) -> KeyringFile:
    """A keyring file of one generation."""
    made = KeyringFile(path, OLD)
    made.create(new_keyring(1))
    return made


def plain(keyring: Keyring) -> bytes:
    """Return a file of format 1."""
    keys = [
        {
            "line": key.line,
            "version": key.version,
            "state": key.state,
            "created_at": key.created_at,
            "secret": base64.b64encode(key.secret).decode(),
        }
        for key in keyring
    ]
    return json.dumps({"format": "tokenvault-keyring/1", "keys": keys}).encode()


def write_plain(path: Path, keyring: Keyring) -> None:
    """Put a file of format 1 there."""
    path.write_bytes(plain(keyring))
    path.chmod(0o600)


def keys_of(path: Path, unlock: KeySource = OLD) -> list[KeyVersion]:
    """Read with no memory of earlier reads."""
    return in_order(KeyringFile(path, unlock).read())


def in_order(keyring: Keyring) -> list[KeyVersion]:
    """Return the keys as a file has them: by line and version."""
    return sorted(keyring, key=lambda key: (key.line, key.version))


def with_destroyed(keyring: Keyring) -> Keyring:
    """Return the keyring with a second, destroyed data key in it."""
    gone = KeyVersion("data", 2, KeyState.DESTROYED, 2, b"", tombstone="0123456789abcdef")
    return Keyring([*keyring, gone])


def test_a_new_keyring_reads_back_and_shows_no_key(path: Path, file: KeyringFile) -> None:
    """Mode 0600, generation 1, and neither a key nor the keyring key in the file's bytes."""
    keys = keys_of(path)
    assert {key.line for key in keys} >= {"data", "index"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert file.generation == 1
    content = path.read_bytes()
    for key in keys:
        assert base64.b64encode(key.secret) not in content
        assert key.secret not in base64.b64decode(json.loads(content)["sealed"])
    assert sorted(each.name for each in path.parent.iterdir()) == ["keyring.json", "keyring.json.lock"]


def test_a_keyring_is_never_overwritten_by_a_new_one(path: Path, file: KeyringFile) -> None:
    """A second keyring does not replace the first, and leaves nothing behind."""
    before = path.read_bytes()
    with pytest.raises(KeyringError, match="never overwritten"):
        KeyringFile(path, OLD).create(new_keyring(2))
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2


def test_a_write_keeps_the_generation_before(path: Path, file: KeyringFile) -> None:
    """The file holds the new keys, the file beside it the old ones, and both open."""
    before = keys_of(path)
    after = with_destroyed(file.read())
    file.write(after)
    assert keys_of(path) == in_order(after)
    assert keys_of(file.previous) == before
    assert file.generation == KeyringFile(path, OLD).generation + 2
    assert file.previous.stat().st_mode & 0o777 == 0o600


def test_what_is_to_be_forgotten_is_in_no_file(path: Path, file: KeyringFile) -> None:
    """A destroyed key does not survive in the generation before, nor in one from earlier."""
    second = KeyVersion("data", 2, KeyState.DISABLED, 2, reference.MASTER)
    keyring = file.read()
    file.write(Keyring([*keyring, second]))
    file.write(Keyring([*keyring, replace(second, created_at=3)]))
    destroyed = with_destroyed(keyring)
    file.write(destroyed, forget=True)
    for each in (path, file.previous):
        assert keys_of(each) == in_order(destroyed)
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "keyring.json",
        "keyring.json.lock",
        "keyring.json.previous",
    ]


def test_two_who_read_the_same_generation_do_not_both_write(path: Path, file: KeyringFile) -> None:
    """The second is told to run again, nothing of it is written, and after reading anew it may."""
    other = KeyringFile(path, OLD)
    keyring = other.read()
    file.write(with_destroyed(keyring))
    before = path.read_bytes()
    with pytest.raises(
        KeyringError, match=r"changed underneath.*nothing was written.*[Rr]un the command again"
    ):
        other.write(keyring)
    assert path.read_bytes() == before
    other.write(other.read())
    assert other.generation == 3


def _race(path: Path, gate: Any, told: Any) -> None:
    file = KeyringFile(path, OLD)
    keyring = file.read()
    gate.wait(30)
    try:
        file.write(keyring)
        told.put("written")
    except KeyringError:
        told.put("refused")


def test_of_many_writers_at_once_one_wins(path: Path, file: KeyringFile) -> None:
    """Processes that pass the gate together: the lock lets one through the check, and the rest are refused."""
    context = multiprocessing.get_context("spawn")
    gate, told = context.Barrier(4), context.Queue()
    writers = [context.Process(target=_race, args=(path, gate, told)) for _ in range(4)]
    for writer in writers:
        writer.start()
    outcomes = sorted(told.get(timeout=60) for _ in writers)
    for writer in writers:
        writer.join(30)
    assert outcomes == ["refused", "refused", "refused", "written"]
    assert json.loads(path.read_bytes())["generation"] == 2


def _late(path: Path, told: Any) -> None:
    file = KeyringFile(path, OLD)
    keyring = file.read()
    told.put("read")
    try:
        file.write(keyring)
        told.put("written")
    except KeyringError:
        told.put("refused")


def test_a_writer_waits_for_the_lock_before_it_compares(path: Path, file: KeyringFile) -> None:
    """What changed while it waited is noticed: the check and the write are one."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    with path.with_name("keyring.json.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = context.Process(target=_late, args=(path, told))
        writer.start()
        assert told.get(timeout=60) == "read"
        with pytest.raises(queue.Empty):  # it waits: half a second is long for a write of 1 KB
            told.get(timeout=0.5)
        other = path.with_name("other.json")
        KeyringFile(other, OLD).create(new_keyring(2))
        other.rename(path)
    assert told.get(timeout=60) == "refused"
    writer.join(30)
    assert {key.created_at for key in keys_of(path)} == {2}


def test_who_has_not_read_does_not_write(path: Path, file: KeyringFile) -> None:
    """Nobody replaces a file that it has not seen."""
    stranger = KeyringFile(path, OLD)
    with pytest.raises(KeyringError, match="was not read"):
        stranger.write(new_keyring(1))
    with pytest.raises(KeyringError, match="was not read"):
        stranger.rewrap([NEW])


def test_a_change_is_noticed_by_one_look(path: Path, file: KeyringFile) -> None:
    """Not after one's own writes; after another's, after a restored backup, and when the file is gone."""
    other = KeyringFile(path, OLD)
    assert other.has_changed()
    keyring = other.read()
    assert not other.has_changed()
    other.write(keyring)
    assert not other.has_changed()
    assert file.has_changed()
    file.read()
    assert not file.has_changed()
    path.unlink()
    assert file.has_changed()


def test_a_running_process_survives_another_unlock_key(path: Path, file: KeyringFile) -> None:
    """Who has the keyring key in memory reads on; who starts needs the new unlock key."""
    running = KeyringFile(path, OLD)
    keyring = running.read()
    file.read()
    file.rewrap([NEW], forget=True)
    assert in_order(running.read()) == in_order(keyring)
    assert running.generation == 2
    running.write(keyring)
    assert keys_of(path, NEW) == in_order(keyring)
    with pytest.raises(KeyringError, match="no slot for it"):
        keys_of(path, OLD)
    with pytest.raises(KeyringError, match="no slot for it"):
        keys_of(file.previous, OLD)


def test_a_fresh_keyring_key_shuts_out_who_had_the_one_before(path: Path, file: KeyringFile) -> None:
    """Whoever took the file with what unlocked it opens no later one; the keys stay the same."""
    thief = KeyringFile(path, OLD)
    keyring = thief.read()  # the thief has the keyring key
    file.read()
    file.rewrap([NEW], forget=True, fresh=True)
    assert keys_of(path, NEW) == in_order(keyring)
    for stolen in (thief, KeyringFile(file.previous, OLD)):
        with pytest.raises(KeyringError, match="no slot for it"):
            stolen.read()


def test_several_sources_unlock_the_same_keys(path: Path, file: KeyringFile) -> None:
    """A slot for each, as in LUKS; one that is kept needs no unlocking."""
    keyring = file.read()
    file.rewrap([NEW], keep=file.slots)
    assert keys_of(path, OLD) == keys_of(path, NEW) == in_order(keyring)


def test_no_more_slots_are_written_than_can_be_read(path: Path, file: KeyringFile) -> None:
    """Up to the last there is room; one more is refused, whoever adds it, and the file stays as it is."""
    while len(file.slots) < keyring_text.MOST_SLOTS:
        file.rewrap([Held(bytes([len(file.slots)]) * 32)], keep=file.slots)
        assert keys_of(path)
    before = path.read_bytes()
    with pytest.raises(KeyringFull) as refused:
        file.rewrap([NEW], keep=file.slots)
    with pytest.raises(KeyringFull):
        file.rewrap([OLD, NEW], keep=file.slots[1:])
    assert path.read_bytes() == before
    for slot in file.slots:
        assert str(slot.parameters["key_id"]) in refused.value.message
    assert "All but that of the source in keyring.unlock can be removed" in refused.value.message
    assert "keys rewrap --only" in refused.value.message
    file.rewrap([NEW], keep=file.slots[1:])
    assert keys_of(path, NEW)


def test_a_source_that_cannot_open_is_not_relied_upon(path: Path, file: KeyringFile) -> None:
    """A service that may encrypt and not decrypt would lock everybody out: nothing is written for it."""
    before = path.read_bytes()
    file.read()
    with pytest.raises(KeyringError, match="no permission"):
        file.rewrap([Mute(reference.MASTER)])
    assert path.read_bytes() == before
    with pytest.raises(KeyringError, match="no permission"):
        KeyringFile(path.with_name("other.json"), Mute(reference.MASTER)).create(new_keyring(1))
    assert not path.with_name("other.json").exists()


def test_a_plain_keyring_is_read_sealed_and_then_gone(path: Path) -> None:
    """Format 1 opens, is not written to until it was sealed, and leaves no plain text behind when it was."""
    keyring = new_keyring(1)
    write_plain(path, keyring)
    file = KeyringFile(path, OLD)
    assert in_order(file.read()) == in_order(keyring)
    assert file.generation == 0
    with pytest.raises(KeyringError, match="tokenvault keys rewrap"):
        file.write(keyring)
    file.rewrap([OLD])
    assert file.generation == 1
    assert keys_of(path) == in_order(keyring)
    for each in path.parent.iterdir():
        for key in keyring:
            assert base64.b64encode(key.secret) not in each.read_bytes()


def test_parts_of_two_generations_do_not_mix(path: Path, file: KeyringFile) -> None:
    """The generation is bound into the seal, and so is the keyring key's own file."""
    first = json.loads(path.read_bytes())
    file.write(file.read())
    second = json.loads(path.read_bytes())
    other = path.with_name("other.json")
    KeyringFile(other, OLD).create(new_keyring(2))
    foreign = json.loads(other.read_bytes())
    mixes = [
        {**second, "generation": 1},
        {**second, "sealed": first["sealed"]},
        {**second, "slots": foreign["slots"]},
        {**second, "sealed": foreign["sealed"]},
    ]
    for mix in mixes:
        path.write_text(json.dumps(mix))
        with pytest.raises(KeyringError, match="damaged"):
            keys_of(path)


def edited(content: dict[str, Any], **members: Any) -> bytes:
    """Return the file with other members."""
    return json.dumps({**content, **members}).encode()


def flipped(text: str) -> str:
    """Return base64 of the same bytes but for one bit of the last."""
    raw = base64.b64decode(text)
    return base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()


DAMAGE: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "it is empty": lambda content: b"",
    "it is an empty object": lambda content: b"{}",
    "it nests without end": lambda content: b"[" * 10**5,
    "its second half is missing": lambda content: json.dumps(content).encode()[: len(str(content)) // 2],
    "it is not text": lambda content: b"\xff\xfe" + json.dumps(content).encode(),
    "an unknown member": lambda content: edited(content, note="x"),
    "an unknown member in a slot": lambda content: edited(
        content, slots=[{**content["slots"][0], "note": 1}]
    ),
    "no slots": lambda content: edited(content, slots=[]),
    "very many slots": lambda content: edited(content, slots=content["slots"] * 17),
    "generation zero": lambda content: edited(content, generation=0),
    "a generation that is text": lambda content: edited(content, generation="1"),
    "no base64": lambda content: edited(content, sealed="?" * 400),
    "a short box": lambda content: edited(content, sealed="AQAAAAE="),
    "one bit of the sealed keys": lambda content: edited(content, sealed=flipped(content["sealed"])),
    "one bit of the slot": lambda content: edited(
        content, slots=[{**content["slots"][0], "wrapped": flipped(content["slots"][0]["wrapped"])}]
    ),
    "no base64 in the slot": lambda content: edited(content, slots=[{**content["slots"][0], "wrapped": "?"}]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("memory", [False, True], ids=["by a new process", "by a running one"])
def test_damage_is_refused(
    path: Path, file: KeyringFile, damage: Callable[[dict[str, Any]], bytes], memory: bool
) -> None:
    """Damage is an error that says where to restore from, never a smaller keyring; what is running keeps its state."""
    whole = path.read_bytes()
    content = damage(json.loads(whole))
    path.write_bytes(content)
    if memory and damage in (DAMAGE["one bit of the slot"], DAMAGE["no base64 in the slot"]):
        assert list(file.read())  # who knows the keyring key needs no slot
        return
    with pytest.raises(KeyringError, match=r"damaged.*[Rr]estore") as refused:
        (file if memory else KeyringFile(path, OLD)).read()
    assert json.loads(whole)["sealed"][:40] not in refused.value.message
    assert file.generation == 1


UNFIT: dict[str, list[dict[str, Any]]] = {
    "a short key": [{"secret": "AAAA"}],
    "no base64": [{"secret": "?" * 44}],
    "a key twice": [{}, {}],
    "an unknown line": [{"line": "other"}],
    "an unknown member": [{"note": "x"}],
    "an unknown state": [{"state": "asleep"}],
    "a version of zero": [{"version": 0}],
    "an empty secret": [{"secret": ""}],
    "a destroyed key that is still there": [{"state": "destroyed"}],
    "a destroyed key without a fingerprint": [{"state": "destroyed", "secret": ""}],
    "a destroyed key with half a fingerprint": [
        {"state": "destroyed", "secret": "", "tombstone": "01234567"}
    ],
    "a key with a tombstone": [{"tombstone": "0123456789abcdef"}],
    "two active keys": [{"state": "active"}],
    "no active key": [{"version": 1}],
}


@pytest.mark.parametrize("edits", UNFIT.values(), ids=UNFIT)
def test_keys_that_make_no_keyring_are_refused_without_quoting_them(
    path: Path, edits: list[dict[str, Any]]
) -> None:
    """Each key is 32 bytes or a tombstone, once; and the message holds none of it."""
    content = json.loads(plain(new_keyring(1)))
    extra = {**content["keys"][0], "version": 2, "state": "retiring"}
    if edits == UNFIT["no active key"]:
        content["keys"] = [{**key, "state": "retiring"} for key in content["keys"]]
    else:
        content["keys"] += [{**extra, **edit} for edit in edits]
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    with pytest.raises(KeyringError) as refused:
        KeyringFile(path, OLD).read()
    for key in content["keys"]:
        assert not key["secret"] or key["secret"] not in refused.value.message


def test_a_destroyed_key_reads_back_as_its_tombstone(path: Path, file: KeyringFile) -> None:
    """The secret is gone and the fingerprint stays."""
    file.write(with_destroyed(file.read()))
    (gone,) = (key for key in keys_of(path) if key.state is KeyState.DESTROYED)
    assert (gone.secret, gone.fingerprint) == (b"", "0123456789abcdef")


def test_an_unknown_format_is_told_apart_from_damage(path: Path, file: KeyringFile) -> None:
    """A file of a later version is not broken."""
    path.write_bytes(edited(json.loads(path.read_bytes()), format="tokenvault-keyring/9"))
    with pytest.raises(KeyringError, match="format this version does not know"):
        file.read()


def test_a_keyring_that_is_missing_or_open_to_others_is_refused(path: Path, file: KeyringFile) -> None:
    """Mode 0644 is an incident, and each message says how to mend it."""
    path.chmod(0o640)
    with pytest.raises(KeyringError, match=f"chmod 600 {path}"):
        file.read()
    path.unlink()
    with pytest.raises(KeyringError, match="restore the file from its backup"):
        file.read()


def test_a_write_that_fails_leaves_the_file_as_it_was(path: Path, file: KeyringFile) -> None:
    """A full disk or a folder in the draft's place is an error, and the keyring still opens."""
    before = path.read_bytes()
    keyring = file.read()
    path.with_name("keyring.json.new").mkdir()
    with pytest.raises(KeyringError, match="cannot be written"):
        file.write(keyring)
    assert path.read_bytes() == before
    path.with_name("keyring.json.new").rmdir()
    file.write(keyring)
    assert file.generation == 2


def test_what_a_killed_writer_left_is_swept_aside(path: Path) -> None:
    """Half a draft is never in use."""
    path.with_name("keyring.json.new").write_text("half a key")
    file = KeyringFile(path, OLD)
    file.create(new_keyring(1))
    path.with_name("keyring.json.new").write_text("half a key")
    file.write(file.read())
    assert not path.with_name("keyring.json.new").exists()
    assert len(keys_of(path)) == len(list(file.read()))


def test_the_reference_opens_what_the_vault_wrote(tmp_path: Path) -> None:
    """Another implementation of the format reads the same keys, under a key file's key."""
    (tmp_path / "unlock.key").write_text(reference.MASTER.hex())
    (tmp_path / "unlock.key").chmod(0o600)
    prepare("file:unlock.key", tmp_path)
    file = KeyringFile(tmp_path / "keyring.json", open_unlock("file:unlock.key", tmp_path))
    file.create(new_keyring(1))
    file.write(with_destroyed(file.read()))
    read = reference.open_keyring((tmp_path / "keyring.json").read_bytes(), reference.MASTER)
    told = {(key["line"], key["version"], key["state"], key["secret"]) for key in read["keys"]}
    assert told == {
        (key.line, key.version, key.state, base64.b64encode(key.secret).decode()) for key in file.read()
    }


def test_the_vault_opens_what_the_reference_made(path: Path) -> None:
    """The vector of a keyring file opens with its unlock key."""
    vector = json.loads((reference.FOLDER / "keyring.json").read_text("utf-8"))
    path.write_text(json.dumps(vector["file"]))
    path.chmod(0o600)
    file = KeyringFile(path, Held(bytes.fromhex(vector["unlock_key"])))
    told = [
        {"line": key.line, "version": key.version, "state": key.state, "fingerprint": key.fingerprint}
        for key in file.read()
    ]
    assert told == vector["keys"]
    assert file.generation == vector["file"]["generation"]


def test_no_key_is_in_a_repr_or_a_pickle(file: KeyringFile) -> None:
    """Neither the file's object nor its parts show or hand on what they know."""
    file.read()
    key = file._keyring_key
    assert key is not None
    for text in (repr(file), repr(file.slots), repr(keyring_text.parse(file.path.read_bytes())), repr(OLD)):
        assert key.hex() not in text
        assert repr(key)[2:-1] not in text
        assert base64.b64encode(key).decode() not in text
    for thing in (file, OLD):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(thing)


def test_the_clock_of_the_disk_is_not_trusted_alone(path: Path, file: KeyringFile) -> None:
    """A file of the same size and time is another if it is another inode."""
    status = path.stat()
    twin = path.with_name("twin")
    twin.write_bytes(path.read_bytes())
    os.utime(twin, ns=(status.st_atime_ns, status.st_mtime_ns))
    twin.rename(path)
    assert file.has_changed()


def test_a_file_that_is_unchanged_is_the_one_that_was_read(path: Path, file: KeyringFile) -> None:
    """Also to whoever asks while another thread reads it: never is it both unchanged and of an older generation."""
    other = KeyringFile(path, OLD)
    older = (KeyVersion("data", n, KeyState.DISABLED, n, reference.MASTER) for n in range(2, 200))
    ring = Keyring([*other.read(), *older])  # so many that other threads run while its digest is made
    for _ in range(100):
        other.write(ring)
        reading = threading.Thread(target=file.read)
        reading.start()
        while file.has_changed():
            pass
        seen = file.generation
        reading.join()
        assert seen == other.generation
