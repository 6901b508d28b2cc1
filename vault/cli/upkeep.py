"""Commands that make, prove and describe an installation."""

import json
import sys

import click

from vault import wiring
from vault.cli.place import Place, placed, run
from vault.config import render_example


@click.command(epilog="Example: tokenvault init --data ./data")
@click.option("--json", "as_json", is_flag=True, help='Print {"access_key": "tvk_…"}.')
@placed
def init(place: Place, *, as_json: bool) -> None:
    """Make the data folder, the keyring and the first admin access key, which is printed once."""
    key = run(wiring.initialise(place.config, place.data))
    if as_json:
        click.echo(json.dumps({"access_key": key}))
        return
    click.echo(
        f"Vault made in {place.data}. Keep a backup of {place.data / place.config.keyring.file}, and apart from"
    )
    click.echo(
        f"it of what unlocks it ({place.config.keyring.unlock}): without both nothing can ever be opened."
    )
    show_first_key(key)


def show_first_key(key: str) -> None:
    """Print the first access key."""
    click.echo(f"first admin access key, shown only this once: {key}")


@click.command(epilog="Example: tokenvault check --data ./data")
@placed
def check(place: Place) -> None:
    """Prove settings, keyring, files, modes and schema; print what is wrong and how to mend it."""
    trouble = run(wiring.check(place.config, place.data))
    for sentence in trouble:
        click.echo(f"- {sentence}")
    if trouble:
        sys.exit(1)
    click.echo(f"{place.data}: settings, keyring, files, modes and schema are as they should be.")


@click.command("config", epilog="Example: tokenvault config > config.toml")
def show_config() -> None:
    """Print every setting with its default and the reason for it: a file to start from."""
    click.echo(render_example(), nl=False)
