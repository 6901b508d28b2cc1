"""A real process is killed before each of its writes while it changes what unlocks the keyring."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.test_keyring_file import write_plain
from vault.crypto.keyring import KeyVersion, new_keyring
from vault.crypto.keyring_file import KeyringFile
from vault.errors import KeyringError
from vault.unlock import changing, open_unlock, prepare

ROOT = Path(__file__).parents[2]
PATIENCE = 60

#: Kills itself right before the n-th call that changes a disk, counted from the start of the change.
VICTIM = """
import os, signal, sys
from pathlib import Path
from vault.unlock import changing

folder, which, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
calls = 0

def lethal(call):
    def counted(*arguments, **options):
        global calls
        writes = call is not opening or arguments[1] & os.O_CREAT
        calls += bool(writes)
        if writes and calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return counted

opening = os.open
for name in ("rename", "replace", "link", "unlink", "fsync", "write", "open"):
    setattr(os, name, lethal(getattr(os, name)))

path, old, new = folder / "keyring.json", "file:unlock.key", "file:other.key"
match which:
    case "renew":
        changing.renew(path, old, folder)
    case "add":
        changing.add(path, old, new, folder)
    case "only":
        changing.keep_only(path, new, new, folder)
print(calls)
"""


class Scene(NamedTuple):
    """What is there before, which change is made, and which source the settings name meanwhile."""

    prepare: Callable[[Path], None]
    change: str
    source: str
    least: int


def sealed(folder: Path) -> None:
    """A keyring that one key file unlocks, with a generation before it."""
    prepare("file:unlock.key", folder)
    file = KeyringFile(folder / "keyring.json", open_unlock("file:unlock.key", folder))
    file.create(new_keyring(1))
    file.write(file.read())


def of_two(folder: Path) -> None:
    """The same, which another key file unlocks too."""
    sealed(folder)
    changing.add(folder / "keyring.json", "file:unlock.key", "file:other.key", folder)


def plain(folder: Path) -> None:
    """A keyring of format 1."""
    write_plain(folder / "keyring.json", new_keyring(1))


SCENES = {
    "a fresh key for a key file": Scene(sealed, "renew", "file:unlock.key", 20),
    "a fresh key beside another source": Scene(of_two, "renew", "file:unlock.key", 20),
    "sealing a plain keyring": Scene(plain, "renew", "file:unlock.key", 12),
    "adding a source": Scene(sealed, "add", "file:unlock.key", 12),
    "dropping a source": Scene(of_two, "only", "file:other.key", 8),
}


def keys(folder: Path, source: str) -> list[KeyVersion]:
    """Start as a vault does: read the keyring with the source of the settings."""
    return sorted(
        KeyringFile(folder / "keyring.json", open_unlock(source, folder)).read(),
        key=lambda key: (key.line, key.version),
    )


def run(folder: Path, change: str, number: int) -> "subprocess.CompletedProcess[str]":
    """Make the change in a process that dies before its n-th write; 0 lets it live."""
    return subprocess.run(
        [sys.executable, "-c", VICTIM, str(folder), change, str(number)],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_the_vault_starts_wherever_a_change_was_killed(tmp_path: Path, scene: Scene) -> None:
    """Before every write and after the last: the same keys, and running it again finishes what was begun."""
    number = 0
    while True:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        scene.prepare(folder)
        before = keys(folder, scene.source)
        content = (folder / "unlock.key").read_text() if (folder / "unlock.key").exists() else ""
        victim = run(folder, scene.change, number)
        assert keys(folder, scene.source) == before, f"killed before write {number}"
        if victim.returncode == 0:
            break
        assert victim.returncode == -signal.SIGKILL, victim.stderr
        again = run(folder, scene.change, 0)
        assert again.returncode == 0, f"after write {number}: {again.stderr}"
        assert_done(folder, scene, before, content)
    assert_done(folder, scene, before, content)
    assert number > scene.least


def assert_done(folder: Path, scene: Scene, before: list[KeyVersion], old_key: str) -> None:
    """The settings' source opens file and generation before; what was to go opens neither, and nothing is left over."""
    assert keys(folder, scene.source) == before
    names = {path.name for path in folder.iterdir()}
    allowed = {"keyring.json", "keyring.json.lock", "keyring.json.previous", "unlock.key", "other.key"}
    assert names <= allowed, names - allowed
    gone = folder / "gone.key"
    if scene.change == "renew" and old_key:
        assert (folder / "unlock.key").read_text() != old_key
        gone.write_text(old_key)
        gone.chmod(0o600)
    elif scene.change == "only":
        gone.write_text(old_key)
        gone.chmod(0o600)
    if gone.exists():
        for name in {"keyring.json", "keyring.json.previous"} & names:
            with pytest.raises(KeyringError, match="no slot"):
                KeyringFile(folder / name, open_unlock("file:gone.key", folder)).read()
    if scene.change == "add":
        assert keys(folder, "file:other.key") == before
    for path in folder.iterdir():
        assert b"tokenvault-keyring/1" not in path.read_bytes()


def test_a_process_that_reads_meanwhile_never_sees_half_a_keyring(tmp_path: Path) -> None:
    """A running vault reads on through every change, and so does one that starts with the settings' source."""
    sealed(tmp_path)
    running = KeyringFile(tmp_path / "keyring.json", open_unlock("file:unlock.key", tmp_path))
    before = keys(tmp_path, "file:unlock.key")
    program = VICTIM + "\nfor _ in range(30):\n    changing.renew(path, old, folder)\n"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), "renew", "0"], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as changer:
        try:
            reads = 0
            running.read()
            while changer.poll() is None:
                assert sorted(running.read(), key=lambda key: (key.line, key.version)) == before
                reads += 1
            assert changer.returncode == 0
        finally:
            changer.kill()
    assert reads > 20
    assert running.generation > 30
