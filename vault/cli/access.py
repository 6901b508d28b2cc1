"""Commands about access keys. A running service heeds them within a second."""

import json
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Column, Table

from vault import wiring
from vault.access import SCOPES
from vault.access_keys import Listed
from vault.cli.place import Place, installed, placed, run
from vault.cli.times import shown
from vault.clock import SystemClock
from vault.records import AccessKey, Rails


@click.group()
def access() -> None:
    """Create, list, suspend and revoke access keys."""


@access.command(
    epilog="Example: tokenvault access create --name web --scopes sessions:read\n\n"
    + "Example: tokenvault access create --name support --scopes profiles:read --fields first_name,phone"
    + " --masked phone --networks 10.1.0.0/16 --per-minute 60 --reveals-per-day 200\n\n"
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
@click.option(
    "--fields", help="The only profile fields it is shown, such as email,address.city. Default: all."
)
@click.option("--masked", help="Fields of which it is shown '***' (nothing, where the value is no text).")
@click.option("--networks", help="The only networks it may call from, such as 10.1.0.0/16,2001:db8::/32.")
@click.option("--per-minute", type=click.IntRange(min=1), metavar="N", help="Requests a minute.")
@click.option("--reveals-per-hour", type=click.IntRange(min=1), metavar="N", help="Profiles opened an hour.")
@click.option("--reveals-per-day", type=click.IntRange(min=1), metavar="N", help="Profiles opened a day.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@installed
def create(
    place: Place,
    *,
    name: str,
    scopes: str,
    expires_in: int | None,
    claims: str | None,
    fields: str | None,
    masked: str | None,
    networks: str | None,
    as_json: bool,
    **numbers: int | None,
) -> None:
    """Make an access key; it is printed once."""

    rails = Rails(fields=_listed(fields), masked=_listed(masked) or (), networks=_listed(networks), **numbers)

    async def work() -> tuple[str, AccessKey]:
        async with wiring.open_vault(place.config, place.data, tenant=place.tenant) as vault:
            return await vault.access.create(
                name, _words(scopes), expires_in, None if claims is None else _words(claims), rails
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

    async def work() -> Listed:
        async with wiring.open_vault(place.config, place.data, tenant=place.tenant) as vault:
            return await vault.access.list()

    rows, unreadable = run(work())
    for key_id, code in unreadable.items():
        click.echo(f"access key {key_id} lets nobody in: its row does not open ({code})", err=True)
    if as_json:
        click.echo(json.dumps([_present(row) for row in rows]))
        return
    table = Table(
        Column("id", no_wrap=True),
        "name",
        "scopes",
        "rails",
        "created",
        "expires",
        Column("state", no_wrap=True),
    )
    for row in rows:
        ends = shown(row.expires_at) or "never"
        scopes, created = ", ".join(row.scopes), shown(row.created_at)
        table.add_row(row.id, row.name, scopes, _rails_told(row.rails), created, ends, _state(row))
    Console().print(table)


@access.command(epilog="Example: tokenvault access revoke 0123456789abcdef")
@click.argument("key_id")
@installed
def revoke(place: Place, *, key_id: str) -> None:
    """End an access key, by its id."""

    async def work() -> None:
        async with wiring.open_vault(place.config, place.data, tenant=place.tenant) as vault:
            await vault.access.revoke(key_id)

    run(work())
    click.echo(f"access key {key_id} is revoked; a running service heeds it within a second.")


@access.command(epilog="Example: tokenvault access suspend 0123456789abcdef")
@click.argument("key_id")
@installed
def suspend(place: Place, *, key_id: str) -> None:
    """Stop an access key, by its id, until it is resumed."""

    async def work() -> None:
        async with wiring.open_vault(place.config, place.data, tenant=place.tenant) as vault:
            await vault.access.suspend(key_id)

    run(work())
    click.echo(f"access key {key_id} is suspended; a running service heeds it within a second.")


@access.command(epilog="Example: tokenvault access resume 0123456789abcdef")
@click.argument("key_id")
@installed
def resume(place: Place, *, key_id: str) -> None:
    """Let a suspended access key in again; one that was revoked stays dead."""

    async def work() -> None:
        async with wiring.open_vault(place.config, place.data, tenant=place.tenant) as vault:
            await vault.access.resume(key_id)

    run(work())
    click.echo(f"access key {key_id} is no longer suspended.")


def _words(text: str) -> set[str]:
    return {word.strip() for word in text.split(",") if word.strip()}


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(_words(text))


def _rails_told(rails: Rails) -> str:
    """Return the rails that are set, as the options that set them."""
    held: dict[str, Any] = msgspec.to_builtins(rails)
    return "\n".join(
        f"{name.replace('_', '-')} {(', '.join(value) or 'none') if isinstance(value, tuple | list) else value}"
        for name, value in held.items()
    )


def _present(row: AccessKey) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": list(row.scopes),
        "claims": None if row.claims is None else list(row.claims),
        "rails": msgspec.to_builtins(row.rails),
        "created_at": shown(row.created_at),
        "expires_at": shown(row.expires_at),
        "state": _state(row),
    }


def _state(row: AccessKey) -> str:
    if row.revoked_at is not None:
        return "revoked"
    if row.suspended_at is not None:
        return "suspended"
    return "live" if row.is_alive(SystemClock().now()) else "expired"
