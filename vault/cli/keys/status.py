"""The command that tells the state of the keys."""

import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from vault.cli.keys.desk import at_desk
from vault.cli.place import Place, placed
from vault.cli.times import shown
from vault.key_status import KeyStatus


@click.command(epilog="Example: tokenvault keys status --json --data ./data")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@placed
def status(place: Place, *, as_json: bool) -> None:
    """Show every line and version: state, fingerprint, age, rows per store, and which processes have loaded it."""
    found: KeyStatus = at_desk(place, lambda desk, _: desk.status(), as_json=as_json)
    if as_json:
        click.echo(json.dumps(_as_json(found)))
        return
    table = Table("line", "version", "state", "fingerprint", "age", "rows", "loaded by")
    for line, versions in found.lines.items():
        for one in versions:
            rows = ", ".join(f"{count:,} {store}" for store, count in one.rows.items() if count)
            rows = rows or ("none" if one.rows else "-")
            loaded = [
                p for p in found.processes if p.versions.get(line, {}).get(str(one.version)) == one.state
            ]
            marks = " COMPROMISED" if one.compromised_at else ""
            table.add_row(
                line, str(one.version), one.state + marks, one.fingerprint, f"{one.age // 86_400} d", rows,
                f"{len(loaded)} of {len(found.processes)} processes",
            )  # fmt: skip
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    click.echo(f"quarantine: {sum(found.quarantine.values())} rows")
    for warning in found.warnings:
        click.echo(f"! {warning}")


def _as_json(found: KeyStatus) -> dict[str, Any]:
    return {
        "lines": {line: [_timed(asdict(one)) for one in versions] for line, versions in found.lines.items()},
        "quarantine": sum(found.quarantine.values()),
        "quarantined_rows": found.quarantine,
        "processes": [_timed(asdict(one)) for one in found.processes],
        "warnings": found.warnings,
        "journal": [
            {
                "line": entry.line, "by": entry.by, "from": [int(version) for version in entry.from_versions.split()],
                "to": entry.to_version, "began_at": shown(entry.began_at), "finished_at": shown(entry.finished_at),
                "outcome": entry.outcome, "counts": json.loads(entry.counts), "digest": entry.digest,
            }
            for entry in found.journal
        ],
    }  # fmt: skip


def _timed(told: dict[str, Any]) -> dict[str, Any]:
    return {name: shown(value) if name.endswith(("_at", "_since")) else value for name, value in told.items()}
