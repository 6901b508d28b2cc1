"""Commands about honey tokens: profiles that nobody should ever open."""

import json
from typing import Any, TextIO

import click

from vault import wiring
from vault.cli.place import Place, placed, run
from vault.cli.times import shown
from vault.errors import ProfileNotFound
from vault.installation import Vault

suspend_option = click.option(
    "--suspend-key", is_flag=True, help="Suspend the access key that opens it (see tokenvault access resume)."
)


@click.group()
def honey() -> None:
    """Plant decoys: whoever opens one raises an alarm."""


@honey.command(epilog="Example: tokenvault honey plant decoy.json --suspend-key --data ./data")
@click.argument("profile", type=click.File("r"))
@suspend_option
@placed
def plant(place: Place, *, profile: TextIO, suspend_key: bool) -> None:
    """Keep a decoy, a profile in a JSON file ('-' reads standard input), and print its user token.

    Make it look like the others, with an e-mail that is nobody's: looking it up raises the alarm as well.
    """
    try:
        content: Any = json.load(profile)
    except ValueError:
        raise click.UsageError("the file does not hold JSON") from None
    if not isinstance(content, dict):
        raise click.UsageError("a profile is a JSON object")

    async def work(vault: Vault) -> str:
        token = (await vault.profiles.create(content)).token
        await vault.alarms.plant(token, suspends=suspend_key)
        return token

    click.echo(_at(place, work))


@honey.command(epilog="Example: tokenvault honey mark 7c9e6679-7425-4de4-944b-e07fc1f90ae7 --data ./data")
@click.argument("token")
@suspend_option
@placed
def mark(place: Place, *, token: str, suspend_key: bool) -> None:
    """Make a decoy of a profile that there is."""

    async def work(vault: Vault) -> None:
        if await vault.profiles.person(token) is None:
            raise ProfileNotFound
        await vault.alarms.plant(token, suspends=suspend_key)

    _at(place, work)
    click.echo("marked: whoever opens it raises an alarm")


@honey.command(epilog="Example: tokenvault honey remove 7c9e6679-7425-4de4-944b-e07fc1f90ae7 --data ./data")
@click.argument("token")
@placed
def remove(place: Place, *, token: str) -> None:
    """Make an ordinary profile of a decoy; the profile stays."""
    _at(place, lambda vault: vault.alarms.remove(token))
    click.echo("removed: it is a profile like any other")


@honey.command("list", epilog="Example: tokenvault honey list --data ./data")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@placed
def list_honey(place: Place, *, as_json: bool) -> None:
    """List the decoys."""
    told = [
        {"token": one.token, "suspends_key": one.suspends, "planted_at": shown(one.planted_at)}
        for one in _at(place, lambda vault: vault.alarms.list())
    ]
    if as_json:
        click.echo(json.dumps(told))
    for one in () if as_json else told:
        click.echo(
            f"{one['token']}  {one['planted_at']}" + ("  suspends the key" if one["suspends_key"] else "")
        )


def _at(place: Place, work: Any) -> Any:
    async def whole() -> Any:
        async with wiring.open_vault(place.config, place.data, tenant=place.tenant) as vault:
            return await work(vault)

    return run(whole())
