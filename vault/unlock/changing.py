"""Changes what unlocks a keyring, in steps after each of which the vault still starts with its settings.

A new key for a key file: write the new key beside the old one; seal the keyring to both; put the new file in the place
of the old one; drop the old slot, and the generation before with it. Who is killed in between runs the command again.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from vault.crypto import whole_file
from vault.crypto.derive import KEY_BYTES
from vault.crypto.keyring_file import KeyringFile, Slot, Unlock
from vault.errors import ConfigError, KeyringError
from vault.unlock import open_unlock, prepare
from vault.unlock.key_file import KeyFile
from vault.unlock.key_source import KeySource, told
from vault.unlock.passphrase import Passphrase


class Change(NamedTuple):
    """What was done, or would be; and what the keyring file is now."""

    sentence: str
    generation: int
    slots: str


class _Keyring(NamedTuple):
    """A keyring file that was read, and the slots that the source of these settings opens."""

    file: KeyringFile
    unlock: Unlock
    own: Sequence[Slot]


def renew(
    path: Path, source: str, folder: Path, *, beside: Sequence[Path] = (), dry_run: bool = False
) -> Change:
    """Change the unlock key in place, seal a keyring of format 1, or finish a change that was interrupted.

    A key file gets a fresh key; a key service wraps anew under its newest key. Other sources are not the vault's to
    write. ``beside`` are other keyrings that the same source unlocks, here and below. Raises ``KeyringError`` and
    ``ConfigError``.
    """
    keyring = _read(path, source, folder)
    others = [_read(one, source, folder) for one in beside]
    if keyring.file.generation == 0:
        return _seal(keyring, source, folder, dry_run)
    if isinstance(keyring.unlock, KeyFile):
        return _renew_key_file([keyring, *others], keyring.unlock, dry_run)
    if isinstance(keyring.unlock, KeySource | Passphrase):
        raise KeyringError(
            "The vault does not write to this source, so its key cannot be changed in place. Put a new one at another "
            "source; then run 'tokenvault keys rewrap --to SOURCE', set keyring.unlock to it, and run "
            "'tokenvault keys rewrap --only SOURCE'."
        )
    for one in () if dry_run else (keyring, *others):
        staying = [slot for slot in one.file.slots if slot not in one.own]
        one.file.rewrap([one.unlock], keep=staying, forget=True)
    return _change(keyring.file, "The keyring key is wrapped anew under the service's newest key.", dry_run)


def take_fresh(
    path: Path, source: str, folder: Path, *, beside: Sequence[Path] = (), dry_run: bool = False
) -> Change:
    """Seal the keys under another keyring key, which this source alone unlocks; nothing is left of the one before.

    For a keyring that was stolen together with what unlocks it: the thief could open later files too. Raises
    ``KeyringError`` and ``ConfigError``.
    """
    keyring = _read(path, source, folder)
    _require_sealed(keyring.file)
    others = [_read(one, source, folder) for one in beside]
    for one in () if dry_run else (keyring, *others):
        one.file.rewrap([one.unlock], forget=True, fresh=True)
    return _change(
        keyring.file,
        f"The keys are sealed under another keyring key, which {_called(source)} alone unlocks. The keys themselves "
        "are the same: rotate those that were stolen with the file.",
        dry_run,
    )


def add(
    path: Path, source: str, to: str, folder: Path, *, beside: Sequence[Path] = (), dry_run: bool = False
) -> Change:
    """Let another source unlock the keyring too. A key file that does not exist is made.

    Raises ``KeyringError`` and ``ConfigError``; ``KeyringFull``, having changed none of the keyrings.
    """
    keyring = _read(path, source, folder)
    _require_sealed(keyring.file)
    other = open_unlock(to, folder)
    keyrings = [keyring, *(_read(one, source, folder) for one in beside)]
    lacking = [one for one in keyrings if not _opened_by(other, one.file.slots)]
    if not lacking:
        return _change(
            keyring.file, f"{_called(to)} unlocks the keyring already; nothing was changed.", False
        )
    _require_room(lacking)
    if not dry_run:
        prepare(to, folder)
        for one in lacking:
            one.file.rewrap([other], keep=one.file.slots)
    return _change(
        keyring.file,
        f"{_called(to)} unlocks the keyring too. To drop what did so before, set keyring.unlock to it, start the vault "
        "once, and run 'tokenvault keys rewrap --only' with it.",
        dry_run,
    )


def keep_only(
    path: Path, source: str, only: str, folder: Path, *, beside: Sequence[Path] = (), dry_run: bool = False
) -> Change:
    """Drop every slot but that of one source, and the generation before with them.

    Raises ``KeyringError`` where that source does not unlock the keyring, and ``ConfigError`` where the source of the
    settings would not do so afterwards.
    """
    keyring = _read(path, only, folder)
    _require_sealed(keyring.file)
    keyrings = [keyring, *(_read(one, only, folder) for one in beside)]
    if source != only and not _opened_by(open_unlock(source, folder), keyring.own[:1]):
        raise ConfigError(
            f"keyring.unlock names {_called(source)}, which would not unlock the keyring any more; nothing was "
            f"changed. Set keyring.unlock to {_called(only)} first."
        )
    if all(len(one.file.slots) == 1 for one in keyrings):
        return _change(
            keyring.file,
            f"Nothing but {_called(only)} unlocks the keyring already; nothing was changed.",
            False,
        )
    for one in () if dry_run else keyrings:
        if len(one.file.slots) > 1:
            one.file.rewrap([], keep=one.own[:1], forget=True)
    return _change(keyring.file, f"Nothing but {_called(only)} unlocks the keyring.", dry_run)


def _seal(keyring: _Keyring, source: str, folder: Path, dry_run: bool) -> Change:
    if not dry_run:
        prepare(source, folder)
        keyring.file.rewrap([keyring.unlock], forget=True)
    return _change(keyring.file, f"The keyring is sealed; {_called(source)} unlocks it.", dry_run)


def _renew_key_file(keyrings: Sequence[_Keyring], held: KeyFile, dry_run: bool) -> Change:
    file = keyrings[0].file
    place = held.path.resolve()  # a link to the file stays one
    fresh = KeyFile(place.with_name(place.name + ".new"))
    begun = fresh.path.exists() or any(slot.leaving for one in keyrings for slot in one.file.slots)
    sentence = (
        "The key file holds a fresh key, and the old one unlocks nothing any more, nor do its recovery shares: make "
        "new ones with 'tokenvault keys recovery split'."
    )
    if begun:
        sentence = "The change that was interrupted is finished. " + sentence
    # Without the new file there are two cases: nothing has begun, or it took the old one's place already.
    is_in_place = begun and not fresh.path.exists() and not any(one.own[0].leaving for one in keyrings)
    lacking = [] if is_in_place else [one for one in keyrings if not _opened_by(fresh, one.file.slots)]
    _require_room(lacking)
    if dry_run:
        return _change(file, sentence, dry_run)
    if not is_in_place:
        try:
            if not fresh.path.exists():
                fresh.publish(secrets.token_bytes(KEY_BYTES))
            # A second name of the same key, if the making of it was interrupted.
            fresh.draft.unlink(missing_ok=True)
            for one in lacking:
                others = [slot for slot in one.file.slots if slot != one.own[0]]
                leaving = msgspec.structs.replace(one.own[0], leaving=True)
                one.file.rewrap([fresh], keep=[leaving, *others])
            os.rename(fresh.path, place)  # noqa: PTH104  # as in whole_file.py
            whole_file.sync_folder(place.parent)
        except OSError as error:
            raise KeyringError(
                f"{held.name} cannot be replaced: {error.strerror}. It unlocks the keyring as before; try again."
            ) from None
    for one in keyrings:
        staying = [slot for slot in one.file.slots if not slot.leaving]
        held.unwrap(staying)  # raises: what is about to go is not what the settings need
        if len(staying) < len(one.file.slots):
            one.file.rewrap([], keep=staying, forget=True)
    return _change(file, sentence, dry_run)


def _read(path: Path, source: str, folder: Path) -> _Keyring:
    unlock = open_unlock(source, folder)
    file = KeyringFile(path, unlock)
    file.read()
    return _Keyring(file, unlock, _opened_by(unlock, file.slots))


def _opened_by(unlock: Unlock, slots: Sequence[Slot]) -> list[Slot]:
    """Return those slots that a source opens."""
    opened = []
    for slot in slots:
        try:
            unlock.unwrap([slot])
        except KeyringError:
            continue
        opened.append(slot)
    return opened


def _require_room(keyrings: Sequence[_Keyring]) -> None:
    """Raise ``KeyringFull`` before the first is changed: they go in step."""
    for one in keyrings:
        one.file.require_room(one.file.slots)


def _require_sealed(file: KeyringFile) -> None:
    if file.generation == 0:
        raise KeyringError(
            f"The keyring {file.path} is not sealed yet. Seal it first with: tokenvault keys rewrap"
        )


def _called(source: str) -> str:
    """Name a source; of a command not the arguments, which may be secret."""
    return " ".join(source.split()[:1]) if source.startswith("command:") else source


def _change(file: KeyringFile, sentence: str, dry_run: bool) -> Change:
    return Change(f"Would be so: {sentence}" if dry_run else sentence, file.generation, told(file.slots))
