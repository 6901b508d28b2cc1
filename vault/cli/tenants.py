"""Commands about tenants. They work beside a running service."""

import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from rich.console import Console
from rich.table import Column, Table

from vault import wiring
from vault.cli.place import Place, installed, run
from vault.cli.times import shown
from vault.installation import Vault
from vault.tenants import Tenant, Tenants

T = TypeVar("T")

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def tenants() -> None:
    """Make, list and end tenants: vaults of their own, each with its own keys and files."""


@tenants.command(epilog="Example: tokenvault tenants create acme --org 'Acme Inc.' --data ./data")
@click.argument("name")
@click.option("--org", help="Whose it is.")
@click.option("--email", help="Where its people are reached.")
@_json_option
@installed
def create(place: Place, *, name: str, org: str | None, email: str | None, as_json: bool) -> None:
    """Make a tenant; its root token (X-Bunker-Token) is printed once."""
    tenant, token = _at(place, lambda tenants: tenants.create(name, org, email))
    if as_json:
        click.echo(json.dumps({**_presented(tenant), "xtoken": token}))
    else:
        click.echo(f"root token of tenant {name}, id {tenant.id}, shown only this once: {token}")


@tenants.command("list", epilog="Example: tokenvault tenants list --data ./data")
@_json_option
@installed
def list_tenants(place: Place, *, as_json: bool) -> None:
    """List tenants; each has its folder under tenants/, by its id."""
    found = _at(place, lambda tenants: tenants.page())
    if as_json:
        click.echo(json.dumps([_presented(one) for one in found]))
        return
    table = Table(Column("id", no_wrap=True), Column("name", no_wrap=True), "org", "email", "created")
    for one in found:
        table.add_row(str(one.id), one.name, one.org or "", one.email or "", shown(one.created_at))
    Console().print(table)


@tenants.command(epilog="Example: tokenvault tenants token acme --data ./data")
@click.argument("name")
@_json_option
@installed
def token(place: Place, *, name: str, as_json: bool) -> None:
    """Make another root token in the place of a tenant's, which ends: it was lost, or stolen."""

    async def renew(tenants: Tenants[Vault]) -> str:
        return await tenants.renew_root((await tenants.find(name)).id)

    made = _at(place, renew)
    click.echo(
        json.dumps({"xtoken": made})
        if as_json
        else f"root token of tenant {name}, shown only this once: {made}"
    )


@tenants.command(epilog="Example: tokenvault tenants delete acme --data ./data")
@click.argument("name")
@click.confirmation_option(
    "--yes", prompt="All of its people, keys and files go for good, and nothing undoes this. Go on?"
)
@installed
def delete(place: Place, *, name: str) -> None:
    """End a tenant: its keys are destroyed first, then all of its files. Nothing undoes this."""

    async def end(tenants: Tenants[Vault]) -> None:
        await tenants.delete((await tenants.find(name)).id)

    _at(place, end)
    click.echo(f"tenant {name} is gone, its keys first")
    click.echo("Its backups open with a backup of its keyring and what unlocks that: delete those too.")


def _at(place: Place, work: Callable[[Tenants[Vault]], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with wiring.open_vault(place.config, place.data) as vault:
            assert vault.tenants is not None  # noqa: S101 - it is an installation's
            return await work(vault.tenants)

    return run(whole())


def _presented(tenant: Tenant) -> dict[str, object]:
    return {
        "id": tenant.id,
        "name": tenant.name,
        "org": tenant.org,
        "email": tenant.email,
        "created_at": shown(tenant.created_at),
    }
