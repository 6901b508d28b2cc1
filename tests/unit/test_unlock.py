"""Sources of what unlocks a keyring: what each takes, what it refuses, and what a refusal tells."""

import base64
import fcntl
import os
import pickle
import subprocess
import sys
import termios
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.vectors import reference
from vault.crypto.keyring import new_keyring
from vault.crypto.keyring_file import KeyringFile, KeyringFull, Slot
from vault.crypto.keyring_text import MOST_SLOTS
from vault.errors import ConfigError, KeyringError
from vault.unlock import SCHEMES, changing, open_unlock, prepare
from vault.unlock.command import Command

ROOT = Path(__file__).parents[2]
KEY = reference.MASTER
BASE64, HEX = base64.b64encode(KEY).decode(), KEY.hex()
KEYRING_KEY = bytes(range(200, 232))
PASSPHRASE = "correct horse battery staple"


def put(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file with this mode."""
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which every source that needs no service holds the same key, and one passphrase."""
    put(tmp_path / "unlock.key", BASE64 + "\n")
    put(tmp_path / "phrase", PASSPHRASE + "\n")
    (tmp_path / "credentials").mkdir()
    put(tmp_path / "credentials" / "vault-key", HEX, 0o444)  # modes are systemd's business
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.setenv("THE_KEY", f" {HEX.upper()} ")
    monkeypatch.setenv("THE_PHRASE", PASSPHRASE)
    return tmp_path


KEY_SOURCES = ("file:unlock.key", "env:THE_KEY", "credential:vault-key", f"command:printf '%s\\n' {BASE64}")
SOURCES = (*KEY_SOURCES, "passphrase:env:THE_PHRASE", "passphrase:file:phrase")


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_opens_what_it_wrapped(place: Path, source: str) -> None:
    """Whatever the source, the keyring key comes back, and is nowhere in the slot."""
    prepare(source, place)
    slot = open_unlock(source, place).wrap(KEYRING_KEY)
    assert open_unlock(source, place).unwrap([slot]) == KEYRING_KEY
    shown = msgspec.json.encode(slot)
    assert base64.b64encode(KEYRING_KEY) not in shown
    assert BASE64.encode() not in shown
    assert PASSPHRASE.encode() not in shown


def test_the_same_key_opens_from_wherever_it_comes(place: Path) -> None:
    """A key may move from a file to systemd without the keyring noticing."""
    slot = open_unlock("file:unlock.key", place).wrap(KEYRING_KEY)
    for source in KEY_SOURCES:
        assert open_unlock(source, place).unwrap([slot]) == KEYRING_KEY


def test_the_right_slot_is_taken_by_its_name_alone(place: Path) -> None:
    """A broken slot under another key's name is not even tried; one under this key's name is damage."""
    unlock = open_unlock("file:unlock.key", place)
    slot = unlock.wrap(KEYRING_KEY)
    foreign = Slot("key", "????", {"key_id": "0" * 16})
    assert unlock.unwrap([foreign, slot]) == KEYRING_KEY
    with pytest.raises(KeyringError, match=r"slot of key \w{16} is damaged"):
        unlock.unwrap([Slot("key", "????", slot.parameters), slot])


TEXTS: dict[str, tuple[str, bool]] = {
    "base64": (BASE64, True),
    "hex digits": (HEX, True),
    "hex digits in capitals between blanks": (f"\n {HEX.upper()}\t\n", True),
    "nothing": ("", False),
    "base64 of 31 bytes": (base64.b64encode(KEY[:31]).decode(), False),
    "base64 of 33 bytes": (base64.b64encode(KEY + b"x").decode(), False),
    "63 hex digits": (HEX[:-1], False),
    "64 other characters": ("x" * 64, False),
    "two keys": (f"{BASE64}\n{BASE64}", False),
    "no ASCII": ("ключ" * 16, False),
    "a long text": ("x" * 10_000, False),
}


@pytest.mark.parametrize(("text", "is_key"), TEXTS.values(), ids=TEXTS)
def test_a_key_has_one_of_two_spellings(tmp_path: Path, text: str, is_key: bool) -> None:
    """32 bytes as base64 or as hex digits; all else is refused and not quoted."""
    put(tmp_path / "unlock.key", text)
    unlock = open_unlock("file:unlock.key", tmp_path)
    if is_key:
        assert unlock.unwrap([unlock.wrap(KEYRING_KEY)]) == KEYRING_KEY
    else:
        with pytest.raises(KeyringError, match=r"does not hold an unlock key: 32 bytes"):
            unlock.wrap(KEYRING_KEY)


def test_init_makes_a_key_file_and_never_another(tmp_path: Path) -> None:
    """Mode 0600 and 32 random bytes; the second time it is used as it is, and a bad one is refused."""
    prepare("file:unlock.key", tmp_path)
    path = tmp_path / "unlock.key"
    made = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(made)) == 32
    prepare("file:unlock.key", tmp_path)
    assert path.read_bytes() == made
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("spoilt")
    with pytest.raises(KeyringError, match="does not hold"):
        prepare("file:unlock.key", tmp_path)
    assert path.read_text() == "spoilt"
    prepare("file:other.key", tmp_path)
    assert (tmp_path / "other.key").read_bytes() != made


REFUSALS = {
    "a file that is missing": ("file:none.key", r"none\.key is missing\. Restore it from its backup"),
    "a folder": ("file:credentials", "cannot be read: Is a directory"),
    "a variable that is not set": ("env:NO_SUCH", "variable NO_SUCH is not set"),
    "a credential that systemd did not give": ("credential:other", "LoadCredential=other:"),
    "a command that does not exist": (
        "command:/no/such --key hunter2",
        "'/no/such' cannot be run: No such file",
    ),
    "a command that fails": (
        "command:sh -c 'echo hunter2; echo hunter2 >&2; exit 7'",
        "ended with exit code 7",
    ),
    "a command that prints something else": ("command:echo hunter2", "'echo' does not hold an unlock key"),
    "a passphrase variable that is not set": ("passphrase:env:NO_SUCH", "variable NO_SUCH is not set"),
    "a passphrase file that is missing": ("passphrase:file:none", "none is missing"),
}


@pytest.mark.parametrize(("source", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_a_source_that_does_not_answer_says_what_to_do(place: Path, source: str, sentence: str) -> None:
    """The error names the place, and no secret: neither of the command's words nor of its output."""
    unlock = open_unlock(source, place)
    with pytest.raises(KeyringError, match=sentence) as refused:
        unlock.wrap(KEYRING_KEY)
    printed = "".join(traceback.format_exception(refused.value)) + repr(unlock)
    assert "hunter2" not in printed
    if source != "file:none.key":  # which prepare would make
        with pytest.raises(KeyringError, match=sentence):
            prepare(source, place)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
@pytest.mark.parametrize("source", ["file:unlock.key", "passphrase:file:phrase"])
def test_a_secret_that_others_may_read_is_refused(place: Path, source: str, mode: int) -> None:
    """The message says how to mend it."""
    path = place / source.rpartition(":")[2]
    path.chmod(mode)
    with pytest.raises(KeyringError, match=f"open to other users. Mend it with: chmod 600 {path}"):
        open_unlock(source, place).wrap(KEYRING_KEY)


def test_a_credential_needs_systemd(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its folder there is nothing to read."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(KeyringError, match="CREDENTIALS_DIRECTORY is not set"):
        open_unlock("credential:vault-key", place).wrap(KEYRING_KEY)


def test_a_command_that_hangs_is_ended() -> None:
    """A vault that starts does not wait for ever."""
    with pytest.raises(KeyringError, match=r"printed no unlock key within 0\.1 seconds"):
        Command(["sleep", "60"], patience=0.1).key()


USAGE = {
    "no such kind": "ftp:somewhere",
    "no kind": "unlock.key",
    "no name": "env:",
    "a path for a credential": "credential:../../etc/shadow",
    "open quotes": "command:echo 'x",
    "blanks for a command": "command:   ",
    "no source of a passphrase": "passphrase:hunter2",
    "no name of a passphrase": "passphrase:env:",
    "no mount": "transit:key",
}


@pytest.mark.parametrize("source", USAGE.values(), ids=USAGE)
def test_a_setting_that_names_no_source_is_a_matter_of_settings(tmp_path: Path, source: str) -> None:
    """It is refused before anything is asked, and tells what would do."""
    with pytest.raises(ConfigError, match=r"keyring\.unlock: "):
        open_unlock(source, tmp_path)


@pytest.mark.parametrize("scheme", [name for name, scheme in SCHEMES.items() if scheme.extra])
def test_a_missing_driver_says_which_extra_to_install(tmp_path: Path, scheme: str) -> None:
    """In an interpreter that cannot import the driver."""
    program = (
        "import sys, pathlib\n"
        "sys.modules.update(dict.fromkeys(('boto3', 'botocore', 'hvac')))\n"
        "from vault.errors import ConfigError\n"
        "from vault.unlock import open_unlock\n"
        "try:\n"
        f"    open_unlock('{scheme}:a/b', pathlib.Path())\n"
        "except ConfigError as error:\n"
        "    print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert f"pip install 'tokenization-vault[{SCHEMES[scheme].extra}]'" in done.stdout, done.stderr


def test_sources_without_a_service_import_no_driver() -> None:
    """Nobody waits for boto3 who does not use it."""
    program = "import sys, vault.unlock.changing, vault.unlock.recovery; print({'boto3', 'hvac'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "set()\n", done.stderr


def test_a_passphrase_opens_however_its_letters_are_composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFC and NFD are one passphrase, with and without an end of line; another is refused without being quoted."""
    monkeypatch.setenv("PHRASE", "schöne Grüße aus Köln")
    slot = open_unlock("passphrase:env:PHRASE", tmp_path).wrap(KEYRING_KEY)
    put(tmp_path / "phrase", "scho\u0308ne Gru\u0308ße aus Ko\u0308ln\r\n")
    assert open_unlock("passphrase:file:phrase", tmp_path).unwrap([slot]) == KEYRING_KEY
    put(tmp_path / "phrase", "schöne grüße aus Köln\n")
    with pytest.raises(KeyringError, match="does not unlock the keyring") as refused:
        open_unlock("passphrase:file:phrase", tmp_path).unwrap([slot])
    assert "grüße" not in refused.value.message


def test_a_short_passphrase_wraps_nothing(tmp_path: Path) -> None:
    """It stands alone between a copied disk and everything."""
    put(tmp_path / "phrase", "fourteen chars")
    with pytest.raises(KeyringError, match="needs 15 characters"):
        open_unlock("passphrase:file:phrase", tmp_path).wrap(KEYRING_KEY)


DOCTORED: dict[str, dict[str, Any]] = {
    "very much memory": {"memlimit": 2**40},
    "a little too much memory": {"memlimit": 2**30 + 1024},
    "very many passes": {"opslimit": 2**31},
    "no pass": {"opslimit": 0},
    "no memory": {"memlimit": 0},
    "a short salt": {"salt": "AAAA"},
    "no salt": {"salt": "?"},
    "a number as salt": {"salt": 7},
    "a text as limit": {"opslimit": "3"},
}


@pytest.mark.parametrize("edit", DOCTORED.values(), ids=DOCTORED)
def test_a_doctored_slot_is_refused_before_it_costs_anything(place: Path, edit: dict[str, Any]) -> None:
    """Neither memory nor time is spent on limits that no vault writes, and the passphrase is not even fetched."""
    parameters = {"salt": base64.b64encode(bytes(16)).decode(), "opslimit": 3, "memlimit": 2**28, **edit}
    with pytest.raises(KeyringError, match=r"[Rr]estore the keyring"):
        open_unlock("passphrase:file:none", place).unwrap([Slot("passphrase", "AAAA", parameters)])


@pytest.mark.parametrize("source", SOURCES)
def test_a_keyring_without_a_slot_for_the_source_tells_what_it_has(place: Path, source: str) -> None:
    """The message lists the slots by what is public of them."""
    slots = [Slot("aws-kms", "AAAA", {"key": "k"}), Slot("key", "AAAA", {"key_id": "0123456789abcdef"})]
    with pytest.raises(KeyringError, match=r"a slot of aws-kms, a slot of key 0123456789abcdef"):
        open_unlock(source, place).unwrap(slots)


@pytest.mark.parametrize("source", [*SOURCES, "passphrase:ask", "aws-kms:alias/x", "transit:transit/x"])
def test_a_source_is_neither_printed_nor_pickled(place: Path, source: str) -> None:
    """Its repr holds no secret, and it cannot be handed to another process."""
    unlock = open_unlock(source, place)
    for secret in (BASE64, HEX, PASSPHRASE):
        assert secret not in repr(unlock)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(unlock)


ASKING = """
import sys
from pathlib import Path
from vault.crypto.keyring import new_keyring
from vault.crypto.keyring_file import KeyringFile
from vault.errors import KeyringError
from vault.unlock import open_unlock, prepare

folder = Path(sys.argv[1])
try:
    if not (folder / "keyring.json").exists():
        prepare("passphrase:ask", folder)
        KeyringFile(folder / "keyring.json", open_unlock("passphrase:ask", folder)).create(new_keyring(1))
    KeyringFile(folder / "keyring.json", open_unlock("passphrase:ask", folder)).read()
    print("it opens")
except KeyringError as error:
    print(error.message)
"""


def typed(folder: Path, lines: Sequence[str]) -> str:
    """Run a program at a terminal of its own, type each line when it is asked for, and return what it showed."""
    outer, inner = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING, str(folder)], cwd=ROOT, stdin=inner, stdout=inner, stderr=inner,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(inner)
    shown = ""
    waiting = list(lines)
    try:
        while True:
            try:
                part = os.read(outer, 1024).decode()
            except OSError:  # a terminal's way to say that everybody has left
                break
            if not part:
                break
            shown += part
            if shown.endswith(": ") and waiting:
                os.write(outer, (waiting.pop(0) + "\n").encode())
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(30)
        os.close(outer)
    return shown


def test_a_passphrase_is_asked_for_once_at_a_terminal(tmp_path: Path) -> None:
    """A new one is typed twice and then known to the process; later it is typed once, and never shown."""
    shown = typed(tmp_path, [PASSPHRASE, PASSPHRASE])
    assert "it opens" in shown
    assert shown.count("Passphrase of the keyring: ") == 1
    again = typed(tmp_path, [PASSPHRASE])
    assert "it opens" in again
    assert "Once more" not in again
    wrong = typed(tmp_path, ["incorrect horse battery"])
    assert "does not unlock the keyring" in wrong
    assert "horse" not in shown + again + wrong


def test_two_different_passphrases_make_no_keyring(tmp_path: Path) -> None:
    """What nobody could type again is not written."""
    assert "The two passphrases differ" in typed(tmp_path, [PASSPHRASE, PASSPHRASE + "r"])
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_asked_where_there_is_no_terminal(tmp_path: Path) -> None:
    """A service that asks for a passphrase says so instead of reading it in the open."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASKING, str(tmp_path)], cwd=ROOT, input=f"{PASSPHRASE}\n",
        capture_output=True, text=True, timeout=30, start_new_session=True,
    )  # fmt: skip
    assert "passphrase:ask needs a terminal" in done.stdout, done.stderr


@pytest.fixture
def keyring(place: Path) -> Path:
    """A keyring that the key file unlocks."""
    path = place / "keyring.json"
    KeyringFile(path, open_unlock("file:unlock.key", place)).create(new_keyring(1))
    return path


def opens(path: Path, source: str) -> bool:
    """Whether a source unlocks the keyring for a new process."""
    try:
        KeyringFile(path, open_unlock(source, path.parent)).read()
    except KeyringError:
        return False
    return True


def test_a_key_file_gets_a_fresh_key_in_place(place: Path, keyring: Path) -> None:
    """The old key opens neither the keyring nor the generation before; other sources open as they did."""
    before = list(KeyringFile(keyring, open_unlock("file:unlock.key", place)).read())
    changing.add(keyring, "file:unlock.key", "passphrase:env:THE_PHRASE", place)
    dry = changing.renew(keyring, "file:unlock.key", place, dry_run=True)
    assert dry.sentence.startswith("Would be so")
    assert opens(keyring, "env:THE_KEY")
    change = changing.renew(keyring, "file:unlock.key", place)
    assert (change.generation, change.slots.count("slot")) == (4, 2)
    assert (place / "unlock.key").read_text().strip() != BASE64
    for each in (keyring, place / "keyring.json.previous"):
        assert opens(each, "file:unlock.key")
        assert opens(each, "passphrase:env:THE_PHRASE")
        assert not opens(each, "env:THE_KEY")
    assert list(KeyringFile(keyring, open_unlock("file:unlock.key", place)).read()) == before
    assert not (place / "unlock.key.new").exists()


def test_a_keyring_moves_to_another_source_in_two_steps(place: Path, keyring: Path) -> None:
    """First both open, then one; a source is dropped only once the settings do not need it."""
    phrase = "passphrase:file:phrase"
    changing.add(keyring, "file:unlock.key", phrase, place, dry_run=True)
    assert not opens(keyring, phrase)
    changing.add(keyring, "file:unlock.key", phrase, place)
    assert opens(keyring, phrase)
    assert opens(keyring, "file:unlock.key")
    assert "already" in changing.add(keyring, "file:unlock.key", phrase, place).sentence
    with pytest.raises(ConfigError, match=r"Set keyring\.unlock to passphrase:file:phrase first"):
        changing.keep_only(keyring, "file:unlock.key", phrase, place)
    changing.keep_only(keyring, phrase, phrase, place, dry_run=True)
    assert opens(keyring, "file:unlock.key")
    changing.keep_only(keyring, phrase, phrase, place)
    for each in (keyring, place / "keyring.json.previous"):
        assert opens(each, phrase)
        assert not opens(each, "file:unlock.key")
    assert "already" in changing.keep_only(keyring, phrase, phrase, place).sentence
    assert KeyringFile(keyring, open_unlock(phrase, place)).read()


def test_adding_a_key_file_makes_it(place: Path, keyring: Path) -> None:
    """A key for emergencies is one command, and a dry run makes none."""
    changing.add(keyring, "file:unlock.key", "file:recovery.key", place, dry_run=True)
    assert not (place / "recovery.key").exists()
    changing.add(keyring, "file:unlock.key", "file:recovery.key", place)
    assert opens(keyring, "file:recovery.key")
    assert (place / "recovery.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "source", ["env:THE_KEY", "credential:vault-key", KEY_SOURCES[-1], "passphrase:env:THE_PHRASE"]
)
def test_what_the_vault_cannot_write_it_does_not_change(place: Path, keyring: Path, source: str) -> None:
    """The message tells the two steps that do it."""
    changing.add(keyring, "file:unlock.key", source, place)
    before = keyring.read_bytes()
    with pytest.raises(KeyringError, match=r"--to SOURCE.*--only SOURCE"):
        changing.renew(keyring, source, place)
    assert keyring.read_bytes() == before


def test_a_key_file_behind_a_link_is_changed_where_it_lies(place: Path, keyring: Path) -> None:
    """The link stays a link."""
    (place / "unlock.key").rename(place / "credentials" / "real.key")
    (place / "unlock.key").symlink_to(place / "credentials" / "real.key")
    changing.renew(keyring, "file:unlock.key", place)
    assert (place / "unlock.key").is_symlink()
    assert opens(keyring, "file:credentials/real.key")


def test_a_fresh_key_that_was_lost_half_way_is_made_again(place: Path, keyring: Path) -> None:
    """Sealed to old and new, and the new file is gone: the old one stays until another new one is there."""
    file = KeyringFile(keyring, open_unlock("file:unlock.key", place))
    file.read()
    leaving = [msgspec.structs.replace(slot, leaving=True) for slot in file.slots]
    prepare("file:lost.key", place)
    file.rewrap([open_unlock("file:lost.key", place)], keep=leaving)
    change = changing.renew(keyring, "file:unlock.key", place)
    assert "interrupted is finished" in change.sentence
    assert opens(keyring, "file:unlock.key")
    assert not opens(keyring, "env:THE_KEY")
    assert (place / "unlock.key").read_text().strip() != BASE64


@pytest.fixture
def full(place: Path, keyring: Path) -> Path:
    """That keyring with as many slots as it can have, each of a key file that was added."""
    for number in range(1, MOST_SLOTS):
        changing.add(keyring, "file:unlock.key", f"file:{number}.key", place)
        assert opens(keyring, f"file:{number}.key")
    return keyring


@pytest.mark.parametrize("dry_run", [True, False], ids=["said beforehand", "done"])
def test_a_full_keyring_takes_no_other_source(place: Path, full: Path, dry_run: bool) -> None:
    """It opens as before, no key file is made that unlocks nothing, and what is there already is no matter."""
    before = full.read_bytes()
    with pytest.raises(KeyringFull, match=r"All but that .* can be removed.*--only SOURCE"):
        changing.add(full, "file:unlock.key", "file:late.key", place, dry_run=dry_run)
    assert full.read_bytes() == before
    assert opens(full, "file:unlock.key")
    assert not (place / "late.key").exists()
    assert "already" in changing.add(full, "file:unlock.key", "file:7.key", place, dry_run=dry_run).sentence


@pytest.mark.parametrize("dry_run", [True, False], ids=["said beforehand", "done"])
def test_a_full_keyring_gets_no_fresh_key_in_place(place: Path, full: Path, dry_run: bool) -> None:
    """That needs a slot more for a moment; the key file stays, and no new one beside it."""
    before = full.read_bytes(), (place / "unlock.key").read_bytes()
    with pytest.raises(KeyringFull):
        changing.renew(full, "file:unlock.key", place, dry_run=dry_run)
    assert (full.read_bytes(), (place / "unlock.key").read_bytes()) == before
    assert not (place / "unlock.key.new").exists()


def test_a_full_keyring_has_room_again_once_others_are_dropped(place: Path, full: Path) -> None:
    """By the command that the refusal names."""
    changing.keep_only(full, "file:unlock.key", "file:unlock.key", place)
    changing.add(full, "file:unlock.key", "file:late.key", place)
    assert opens(full, "file:late.key")
    changing.renew(full, "file:unlock.key", place)
    assert opens(full, "file:unlock.key")


@pytest.mark.parametrize("source", ["file:late.key", ""], ids=["another source", "a fresh key in place"])
def test_keyrings_go_in_step_or_not_at_all(place: Path, full: Path, source: str) -> None:
    """Where one of them is full the others get no slot either."""
    first = place / "first.json"
    KeyringFile(first, open_unlock("file:unlock.key", place)).create(new_keyring(1))
    before = first.read_bytes(), full.read_bytes()
    change = partial(changing.add, to=source) if source else changing.renew
    with pytest.raises(KeyringFull, match=r"keyring\.json has 16 slots"):
        change(first, "file:unlock.key", folder=place, beside=[full])
    assert (first.read_bytes(), full.read_bytes()) == before
    assert not (place / "late.key").exists()
    assert not (place / "unlock.key.new").exists()


def test_a_change_that_took_the_last_slot_is_finished(place: Path, full: Path) -> None:
    """It needs no more room than it has already."""
    file = KeyringFile(full, open_unlock("file:unlock.key", place))
    file.read()
    first, *others = file.slots
    prepare("file:unlock.key.new", place)
    leaving = msgspec.structs.replace(first, leaving=True)
    file.rewrap([open_unlock("file:unlock.key.new", place)], keep=[leaving, *others[1:]])
    assert "interrupted is finished" in changing.renew(full, "file:unlock.key", place).sentence
    assert opens(full, "file:unlock.key")
    assert not opens(full, "env:THE_KEY")
