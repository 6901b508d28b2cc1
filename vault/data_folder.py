"""The data folder: what has to lie in it, and what must not be made anew."""

from pathlib import Path

from vault.config import Config
from vault.errors import ConfigError, DataFolderError

DATABASES = ("vault.db", "sessions.db")


def is_new(config: Config, folder: Path) -> bool:
    """Whether there is neither a keyring (which may lie elsewhere) nor anything foreign in the folder."""
    return is_fresh(folder) and not (folder / config.keyring.file).exists()


def is_fresh(folder: Path) -> bool:
    """Whether nothing is in the folder but what an interrupted ``initialise`` may have left."""
    return not folder.exists() or all(
        entry.name.startswith((*DATABASES, "unlock.key"))
        or entry.name.endswith((".json.new", ".json.lock", ".ndjson"))
        or entry.name == "lost+found"
        for entry in folder.iterdir()
    )


def require_whole(folder: Path, config: Config) -> None:
    """Raise ``DataFolderError`` if a database is missing beside an existing keyring: it is never made anew."""
    if not (folder / config.keyring.file).exists():
        return
    for name in DATABASES:
        if not (folder / name).exists():
            raise DataFolderError(
                f"{folder / name} is missing beside the keyring. Restore it from its backup"
                + (
                    f", or log everybody out by starting with no sessions: install -m 600 /dev/null {folder / name}"
                    if name == "sessions.db"
                    else "."
                )
            )


def require_files(config: Config) -> None:
    """Raise ``ConfigError`` for a store that keeps nothing."""
    if config.storage.url == "memory:":
        raise ConfigError(
            "storage.url: 'memory:' forgets everything at the end; only 'tokenvault demo' uses it."
        )


def no_vault(folder: Path) -> str:
    """Return what to say of a folder without a vault."""
    if is_fresh(folder):
        return f"{folder} holds no vault. Make one with: tokenvault init --data {folder}"
    return f"{folder} holds other files and no vault. Name an empty or a new folder with --data."


def make_folder(folder: Path) -> None:
    """Make it, for its owner alone. Raises ``DataFolderError`` if something else is in it."""
    if not is_fresh(folder):
        raise DataFolderError(no_vault(folder))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def open_to_others(folder: Path) -> list[str]:
    """Return what is wrong with its mode, and how to mend it."""
    if folder.stat().st_mode & 0o077:
        return [f"{folder} is open to other users. Mend it with: chmod 700 {folder}"]
    return []
