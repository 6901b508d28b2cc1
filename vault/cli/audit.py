"""Commands about the audit trail."""

import json
import sys

import click

from vault import audit_desk, wiring
from vault.audit import PAGE
from vault.cli.place import Place, placed, run
from vault.cli.times import shown
from vault.cli.watching import watching
from vault.ports import Wanted
from vault.progress import counted
from vault.records import Checkpoint

#: Findings that are printed; the others are counted.
MOST_PRINTED = 10


@click.group()
def audit() -> None:
    """Prove, sign and export the audit trail: who did what, when and why."""


@audit.command(epilog="Example: tokenvault audit verify --data ./data")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@placed
def verify(place: Place, *, as_json: bool) -> None:
    """Check the chain, its checkpoints and its end; exit code 1 names the first broken link. Needs no service."""
    with watching(as_json=as_json, undo=False) as progress:
        verdict = run(audit_desk.verify(place.config, place.data, progress, place.tenant))
    if as_json:
        told = {
            "holds": verdict.count == 0,
            "events": verdict.events,
            "checkpoints": verdict.checkpoints,
            "details_gone_with_their_person": verdict.gone,
            "broken": verdict.count,
            "findings": [finding._asdict() for finding in verdict.findings],
        }
        click.echo(json.dumps(told))
    elif verdict.count == 0:
        events, checkpoints = (
            counted(verdict.events, "event"),
            counted(verdict.checkpoints, "signed checkpoint"),
        )
        click.echo(
            f"the audit trail holds: {events}, {checkpoints}; the details of {verdict.gone:,} went with the people"
            " who were erased"
        )
    else:
        first, *rest = verdict.findings
        click.echo(f"first broken link: event {first.sequence}: {first.what}", err=True)
        for finding in rest[: MOST_PRINTED - 1]:
            click.echo(f"  event {finding.sequence}: {finding.what}", err=True)
        if verdict.count > MOST_PRINTED:
            click.echo(f"  and {verdict.count - MOST_PRINTED:,} more (see --json)", err=True)
    sys.exit(1 if verdict.count else 0)


@audit.command(epilog="Example: tokenvault audit checkpoint --data ./data > checkpoint.json")
@placed
def checkpoint(place: Place) -> None:
    """Sign the trail as it ends now and print the checkpoint: keep it where nobody who writes here can."""

    async def work() -> Checkpoint | None:
        async with wiring.open_vault(place.config, place.data, tenant=place.tenant) as vault:
            made = await vault.audit.checkpoint()
            await vault.audit.anchor()
            return made

    made = run(work())
    if made is not None:
        click.echo(made.statement, nl=False)


@audit.command(
    epilog="Example: tokenvault audit export --action profile.revealed --data ./data > opened.ndjson"
)
@click.option("--token", help="Only of this person.")
@click.option("--actor", help="Only by this access key (its id), 'operator' or 'vault'.")
@click.option("--action", help="Only this, such as profile.revealed.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only events behind this sequence.")
@placed
def export(place: Place, *, token: str | None, actor: str | None, action: str | None, after: int) -> None:
    """Print events, one JSON object a line, with their details opened."""

    async def work() -> None:
        async with wiring.open_vault(place.config, place.data, tenant=place.tenant) as vault:
            behind = after
            while events := await vault.audit.events(Wanted(token, actor, action), behind, PAGE):
                for event in events:
                    told = await vault.audit.presented(event)
                    click.echo(json.dumps({**told, "at": shown(event.at)}))
                behind = events[-1].sequence

    run(work())
