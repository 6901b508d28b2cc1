"""Commands about rows whose box does not open."""

import json
import sys

import click
from rich.console import Console
from rich.table import Column, Table

from vault.cli.keys.desk import at_desk, json_option
from vault.cli.place import Place, placed
from vault.key_desk import KeyDesk
from vault.progress import Progress
from vault.quarantine import CAUSES, Note


@click.group()
def quarantine() -> None:
    """List, retry and discard rows whose box does not open."""


@quarantine.command("list", epilog="Example: tokenvault keys quarantine list --data ./data")
@json_option
@placed
def list_notes(place: Place, *, as_json: bool) -> None:
    """List the rows, each with its cause and what helps."""
    notes: list[Note] = at_desk(place, lambda desk, _: desk.quarantine.list(), as_json=as_json)
    if as_json:
        told = [
            {"name": n.name, "key_version": n.row.key_version, "cause": n.cause, "advice": n.advice}
            for n in notes
        ]
        click.echo(json.dumps({"quarantine": told}))
        return
    if not notes:
        click.echo("nothing is in quarantine")
        return
    table = Table(Column("name", no_wrap=True), "key version", "cause", "what helps")
    for note in notes:
        table.add_row(note.name, str(note.row.key_version), note.cause, note.advice)
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)


@quarantine.command(
    epilog="Example: tokenvault keys quarantine retry profiles/0b0c9a5e-6f0e-4d39-8a53-0e6d2c1f7a10"
)
@click.argument("names", nargs=-1, required=True)
@json_option
@placed
def retry(place: Place, *, names: tuple[str, ...], as_json: bool) -> None:
    """Try rows again, by name; what opens now is re-sealed."""

    async def work(desk: KeyDesk, _: Progress) -> dict[str, str | None]:
        return {name: await desk.quarantine.retry(name) for name in names}

    outcomes = {
        name: code and CAUSES[code][0] for name, code in at_desk(place, work, as_json=as_json).items()
    }
    if as_json:
        click.echo(json.dumps(outcomes))
    else:
        for name, cause in outcomes.items():
            click.echo(f"{name}: {f'still does not open, {cause}' if cause else 'opens, and is re-sealed'}")
    sys.exit(1 if any(outcomes.values()) else 0)


@quarantine.command(
    epilog="Example: tokenvault keys quarantine discard profiles/0b0c9a5e-6f0e-4d39-8a53-0e6d2c1f7a10"
)
@click.argument("names", nargs=-1, required=True)
@json_option
@placed
def discard(place: Place, *, names: tuple[str, ...], as_json: bool) -> None:
    """Give rows up for good, by name: erases the person, ends the session. Nothing undoes this."""

    async def work(desk: KeyDesk, _: Progress) -> None:
        for name in names:
            await desk.quarantine.discard(name)

    at_desk(place, work, as_json=as_json)
    click.echo(json.dumps({"discarded": list(names)}) if as_json else f"{len(names)} rows are discarded")
