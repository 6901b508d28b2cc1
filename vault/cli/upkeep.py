"""Commands that make, prove and describe an installation."""

import json
import sys

import click

from vault import audit_desk, wiring
from vault.audit_proof import Verdict
from vault.cli.place import Place, installed, placed, run
from vault.cli.watching import watching
from vault.config import render_example
from vault.deep_check import Findings, deep_check
from vault.errors import VaultError


@click.command(epilog="Example: tokenvault init --data ./data")
@click.option("--json", "as_json", is_flag=True, help='Print {"access_key": "tvk_…"}.')
@installed
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


@click.command(epilog="Example: tokenvault check --deep --data ./data")
@click.option(
    "--deep", is_flag=True, help="Also open every box, compare every index tag, prove the audit trail."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@placed
def check(place: Place, *, deep: bool, as_json: bool) -> None:
    """Prove settings, keyring, files, modes and schema; print what is wrong and how to mend it."""
    findings, verdict = Findings(), Verdict()

    async def work() -> list[str]:
        nonlocal verdict
        trouble = await wiring.check(place.config, place.data, place.tenant)
        try:
            if deep:
                with watching(as_json=as_json, undo=False) as progress:
                    await deep_check(place.config, place.data, findings, progress, tenant=place.tenant)
                    verdict = await audit_desk.verify(place.config, place.data, progress, place.tenant)
        except VaultError as error:  # what keeps it from opening is in the list already, as a rule
            trouble += [error.message] if error.message not in trouble else []
        return trouble

    trouble = run(work())
    told = [f"{one.kind}: {one.where}: {one.what}" for one in findings.found]
    told += [f"audit: event {one.sequence}: {one.what}" for one in verdict.findings]
    is_right = not (trouble or told)
    if as_json:
        findings.looked_at["events"] = verdict.events
        audit = [("audit", f"event {one.sequence}", one.what) for one in verdict.findings]
        rows = [dict(zip(("kind", "where", "what"), one, strict=True)) for one in (*findings.found, *audit)]
        counts = {**findings.counts, **({"audit": verdict.count} if verdict.count else {})}
        click.echo(
            json.dumps(
                {
                    "right": is_right,
                    "trouble": trouble,
                    "looked_at": findings.looked_at,
                    "counts": counts,
                    "findings": rows,
                }
            )
        )
    for sentence in () if as_json else (*trouble, *told):
        click.echo(f"- {sentence}")
    if not is_right:
        sys.exit(1)
    if not as_json:
        click.echo(f"{place.data}: settings, keyring, files, modes and schema are as they should be.")
        for what, count in findings.looked_at.items():
            click.echo(f"  {what}: {count:,} looked at")


@click.command("config", epilog="Example: tokenvault config > config.toml")
def show_config() -> None:
    """Print every setting with its default and the reason for it: a file to start from."""
    click.echo(render_example(), nl=False)
