"""Commands about what unlocks the keyring. A running service goes on through all of them."""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import click

from vault.cli.place import Place, fail, installed
from vault.errors import VaultError
from vault.progress import counted
from vault.tenant_folder import keyrings, locked
from vault.unlock import changing
from vault.unlock import recovery as sheets

T = TypeVar("T")

_share_files = click.argument(
    "files", nargs=-1, type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), metavar="[FILE]..."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command(epilog="Example: tokenvault keys rewrap --to aws-kms:alias/tokenvault --dry-run")
@click.option("--to", metavar="SOURCE", help="Let this source unlock the keyring too (as in keyring.unlock).")
@click.option("--only", metavar="SOURCE", help="Let nothing but this source unlock the keyring any more.")
@click.option(
    "--fresh", is_flag=True, help="Take another keyring key too: the keyring was stolen with what unlocks it."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@_as_json
@installed
def rewrap(
    place: Place, *, to: str | None, only: str | None, fresh: bool, dry_run: bool, as_json: bool
) -> None:
    """Change what unlocks the keyring: without options a fresh key in place, or the end of what was interrupted.

    The keys themselves stay as they are, and so do all rows. A keyring of format 1 is sealed.
    """
    if bool(to) + bool(only) + fresh > 1:
        raise click.UsageError(
            "--to adds a source, --only drops the others, --fresh is for itself: one after the other."
        )
    path, source = _keyring(place)
    with locked(place.data) if path.exists() else nullcontext(True) as is_alone:
        if not is_alone:
            raise click.ClickException("a tenant is being made or ended just now; run the command again.")
        # What unlocks the installation's keyring unlocks those of its tenants.
        beside = keyrings(place.config, place.data)
        options: dict[str, Any] = {"beside": beside, "dry_run": dry_run}
        if to:
            change = _told(lambda: changing.add(path, source, to, place.data, **options))
        elif only:
            change = _told(lambda: changing.keep_only(path, source, only, place.data, **options))
        elif fresh:
            change = _told(lambda: changing.take_fresh(path, source, place.data, **options))
        else:
            change = _told(lambda: changing.renew(path, source, place.data, **options))
    if as_json:
        click.echo(json.dumps({**change._asdict(), "tenants": len(beside), "dry_run": dry_run}))
        return
    click.echo(change.sentence)
    click.echo(f"{path}: generation {change.generation}, with {change.slots}.")
    if beside:
        click.echo(f"The keyrings of {counted(len(beside), 'tenant', 'tenants')} go along.")


@click.group()
def recovery() -> None:
    """Keep the unlock key on five sheets of paper, of which any three restore it (SLIP-39)."""


@recovery.command(epilog="Example: tokenvault keys recovery split --out ./shares")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write share-1.txt to share-5.txt into this folder instead of printing them.",
)
@click.option("--source", help="The source whose key is split. Default: the setting keyring.unlock.")
@_as_json
@installed
def split(place: Place, *, out: Path | None, source: str | None, as_json: bool) -> None:
    """Split the unlock key into five shares; give each to another holder."""
    path, configured = _keyring(place)
    shares = _told(lambda: sheets.make(path, source or configured, place.data))
    files = [] if out is None else _told(lambda: sheets.write_sheets(shares, out))
    if as_json:
        made = {"files": [str(file) for file in files]} if files else {"shares": list(shares.texts)}
        click.echo(json.dumps({"key_id": shares.key_id, **made}))
        return
    for number, text in enumerate(shares.texts, 1):
        click.echo(files[number - 1] if files else f"{text}\n")
    click.echo(
        f"Any three of these five restore unlock key {shares.key_id}; two tell nothing of it.", err=True
    )


@recovery.command(epilog="Example: tokenvault keys recovery restore share-1.txt share-3.txt share-4.txt")
@_share_files
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new file for the key. Default: the one of the setting keyring.unlock.",
)
@_as_json
@installed
def restore(place: Place, *, files: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Write the unlock key of three shares, once it has unlocked the keyring.

    Shares are read from files, or from standard input, one a line.
    """
    path, source = _keyring(place)
    target = out or _told(lambda: sheets.out_of(source, place.data))
    key_id = _told(lambda: sheets.restore(path, _shares(files), target))
    if as_json:
        click.echo(json.dumps({"key_id": key_id, "file": str(target)}))
    else:
        click.echo(f"{target}: unlock key {key_id}, which unlocks {path}.")


@recovery.command(epilog="Example: tokenvault keys recovery rehearse share-2.txt share-3.txt share-5.txt")
@_share_files
@click.option(
    "--source", help="Without shares: the source whose key is split in memory. Default: keyring.unlock."
)
@_as_json
@installed
def rehearse(place: Place, *, files: tuple[Path, ...], source: str | None, as_json: bool) -> None:
    """Prove that three shares unlock the keyring, and write nothing; a dash reads them from standard input.

    Without shares the key is split in memory, and each of the ten triples is proven.
    """
    path, configured = _keyring(place)
    if files:
        key_id = _told(lambda: sheets.prove(path, _shares(files)))
        told: dict[str, object] = {"key_id": key_id}
        sentence = f"These shares unlock {path} with key {key_id}."
    else:
        proven = _told(lambda: sheets.rehearse(path, source or configured, place.data))
        told = {"triples": proven}
        sentence = f"Each of the {proven} triples of five shares unlocks {path}."
    click.echo(json.dumps(told) if as_json else sentence)


def _keyring(place: Place) -> tuple[Path, str]:
    return place.data / place.config.keyring.file, place.config.keyring.unlock


def _shares(files: tuple[Path, ...]) -> list[str]:
    if not files or files == (Path("-"),):
        return sheets.read_lines(sys.stdin)
    return sheets.read_sheets(files)


def _told(work: Callable[[], T]) -> T:
    """Do it, or end the program with what the vault says is wrong."""
    try:
        return work()
    except VaultError as error:
        fail(error)
