"""Commands about access keys. A running service heeds them within a second."""

import json

import click
from rich.console import Console
from rich.table import Column, Table

from vault import wiring
from vault.access import SCOPES
from vault.cli.place import Place, placed, run
from vault.cli.times import shown
from vault.clock import SystemClock
from vault.records import AccessKeyRow


@click.group()
def access() -> None:
    """Create, list and revoke access keys."""


@access.command(
    epilog="Example: tokenvault access create --name web --scopes sessions:read\n\n"
    + "Scopes: " + "; ".join(f"{name} ({what})" for name, what in SCOPES.items())
)  # fmt: skip
@click.option("--name", required=True, help="Who will hold the key.")
@click.option("--scopes", required=True, help="What the key may do, separated by commas.")
@click.option(
    "--expires-in", type=click.IntRange(min=1), metavar="SECONDS", help="When the key ends by itself."
)
@click.option(
    "--claims", help="The only session claims its holder is shown, separated by commas. Default: all."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@placed
def create(
    place: Place, *, name: str, scopes: str, expires_in: int | None, claims: str | None, as_json: bool
) -> None:
    """Make an access key; it is printed once."""

    async def work() -> tuple[str, AccessKeyRow]:
        async with wiring.open_vault(place.config, place.data) as vault:
            return await vault.access.create(
                name, _words(scopes), expires_in, None if claims is None else _words(claims)
            )

    key, row = run(work())
    if as_json:
        click.echo(json.dumps({"access_key": key, **_present(row)}))
    else:
        click.echo(f"access key {row.id}, shown only this once: {key}")


@access.command("list", epilog="Example: tokenvault access list --data ./data")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@placed
def list_keys(place: Place, *, as_json: bool) -> None:
    """List access keys: ids, never secrets."""

    async def work() -> list[AccessKeyRow]:
        async with wiring.open_vault(place.config, place.data) as vault:
            return await vault.access.list()

    rows = run(work())
    if as_json:
        click.echo(json.dumps([_present(row) for row in rows]))
        return
    table = Table(
        Column("id", no_wrap=True), "name", "scopes", "created", "expires", Column("state", no_wrap=True)
    )
    for row in rows:
        ends = shown(row.expires_at) or "never"
        table.add_row(row.id, row.name, ", ".join(row.scopes), shown(row.created_at), ends, _state(row))
    Console().print(table)


@access.command(epilog="Example: tokenvault access revoke 0123456789abcdef")
@click.argument("key_id")
@placed
def revoke(place: Place, *, key_id: str) -> None:
    """End an access key, by its id."""

    async def work() -> None:
        async with wiring.open_vault(place.config, place.data) as vault:
            await vault.access.revoke(key_id)

    run(work())
    click.echo(f"access key {key_id} is revoked; a running service heeds it within a second.")


def _words(text: str) -> set[str]:
    return {word.strip() for word in text.split(",") if word.strip()}


def _present(row: AccessKeyRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": list(row.scopes),
        "claims": None if row.claims is None else list(row.claims),
        "created_at": shown(row.created_at),
        "expires_at": shown(row.expires_at),
        "state": _state(row),
    }


def _state(row: AccessKeyRow) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "live" if row.is_alive(SystemClock().now()) else "expired"
