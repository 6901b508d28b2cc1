"""Commands that make a backup and restore one."""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

import click

from vault.backup import Made, back_up
from vault.backup_proof import Wanted
from vault.cli.keys.desk import at, json_option
from vault.cli.place import Place, fail, placed, run
from vault.cli.watching import watching
from vault.crypto import sealed_file, unlock_key, whole_file
from vault.errors import BackupRefused, VaultError
from vault.restore import Restored, restore
from vault.unlock.key_file import read_secret

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example: tokenvault backup --data data --to backups/monday")
@click.option("--to", required=True, type=_FOLDER, help="A new or an empty folder.")
@click.option(
    "--seal-to",
    metavar="PUBLIC_KEY",
    help="Seal all files to this key; backup-key makes one and its other half.",
)
@click.option(
    "--with-keyring", is_flag=True, help="Take the keyring along, sealed as it is; never what unlocks it."
)
@json_option
@placed
def backup(place: Place, *, to: Path, seal_to: str | None, with_keyring: bool, as_json: bool) -> None:
    """Copy both databases as they are now, beside a running service, with a signed manifest."""

    async def whole() -> Made:
        with watching(as_json=as_json, unit="MiB") as progress:
            return await back_up(
                place.config,
                place.data,
                to,
                progress,
                seal_to=seal_to,
                with_keyring=with_keyring,
                tenant=place.tenant,
            )

    made = run(whole())
    if as_json:
        click.echo(json.dumps({**asdict(made), "folder": str(to)}))
        return
    click.echo(f"backup of {made.profiles:,} profiles in {to}:")
    for name, size in made.files.items():
        click.echo(f"  {name}  {size:,} bytes")
    if not with_keyring:
        click.echo("It opens with this vault's keyring alone, which has to be backed up apart from it.")


@click.command("backup-key", epilog="Example: tokenvault backup-key --to backup.key")
@click.option("--to", required=True, type=_FILE, help="A new file for the private key, mode 0600.")
@json_option
def backup_key(*, to: Path, as_json: bool) -> None:
    """Make the pair of keys of sealed backups; print the public one."""
    private = sealed_file.new_private_key()
    try:
        whole_file.publish(to, unlock_key.to_text(private), to.with_name(f"{to.name}.draft"))
    except FileExistsError:
        raise click.UsageError(f"{to} exists already and is never overwritten.") from None
    except OSError as error:
        raise click.UsageError(f"{to} cannot be made: {error.strerror}.") from None
    public = sealed_file.public_key(private)
    if as_json:
        click.echo(json.dumps({"public_key": public}))
        return
    click.echo(f"public key, for --seal-to: {public}")
    click.echo(f"{to} opens the backups: keep it away from the vault, and a copy of it. Nothing replaces it.")


@click.command(
    "restore", epilog="Example: tokenvault restore --from backups/monday --data data --to restored"
)
@click.option("--from", "source", required=True, type=_FOLDER, help="The folder of the backup.")
@click.option("--to", required=True, type=_FOLDER, help="A new or an empty folder, which then serves.")
@click.option("--backup-key", type=_FILE, help="The private key of a sealed backup.")
@click.option(
    "--public-key", "public_keys", multiple=True, metavar="KEY",
    help="Also trust what this key has signed; for a signing key that the keyring has no more.",
)  # fmt: skip
@click.option(
    "--with-keyring-of-backup", "own_keyring", is_flag=True,
    help="Use the keyring in the backup, if there is one, and not that of --data.",
)  # fmt: skip
@click.option(
    "--without-ledger", is_flag=True,
    help="Go on without the erasure ledger of --data: whoever was erased since the backup comes back.",
)  # fmt: skip
@json_option
@placed
def restore_backup(
    place: Place,
    *,
    source: Path,
    to: Path,
    backup_key: Path | None,
    public_keys: tuple[str, ...],
    own_keyring: bool,
    without_ledger: bool,
    as_json: bool,
) -> None:
    """Prove a backup and restore it into a new folder; --data lends its keyring and its erasure ledger."""
    wanted = Wanted(
        source,
        place.data,
        to,
        _private_key(backup_key),
        own_keyring,
        without_ledger,
        public_keys,
        place.tenant,
    )

    async def whole() -> Restored:
        with watching(as_json=as_json, unit="MiB") as progress:
            return await restore(place.config, wanted, progress)

    restored = run(whole())
    if as_json:
        click.echo(json.dumps(asdict(restored)))
    else:
        _tell(place, Place(place.config, to), restored)
    sys.exit(1 if restored.left else 0)


def _tell(place: Place, new: Place, restored: Restored) -> None:
    click.echo(f"restored into {new.data}, as it was at {restored.made_at}:")
    click.echo(f"  {restored.rows['profiles']:,} profiles, {restored.rows['sessions']:,} sessions")
    click.echo(f"  {restored.erased:,} erased anew, whom the backup had brought back")
    for sentence in restored.left:
        click.echo(f"left: {sentence}")
    for line, version in restored.enabled:
        click.echo(f"version {version} of line {line} opens again in the new keyring: rows need it")
    if place.named is not None:  # nothing serves it but the installation that it is a tenant of
        click.echo(f"next: stop the service, and move this folder to {place.data}")
        if restored.enabled:
            click.echo(f"then: tokenvault keys rotate{at(place)}")
        return
    if restored.enabled:
        click.echo(f"next: tokenvault keys rotate{at(new)}")
    click.echo("What was revoked since the backup is back; look through the access keys, and revoke again:")
    click.echo(f"next: tokenvault access list{at(new)}")
    click.echo(f"then: tokenvault serve --data {shlex.quote(str(new.data))}")


def _private_key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        private = unlock_key.from_text(
            read_secret(path, f"The backup key {path}", "Name it with --backup-key.")
        )
        if private is None:
            raise BackupRefused(f"{path} holds no key.")
    except VaultError as error:
        fail(error)
    return private
