"""Commands that make, rotate and undo."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vault.cli.keys.desk import at, at_desk, dry_option, json_option, line_option, one_line_option, paced
from vault.cli.place import Place, placed, run
from vault.cli.watching import watching
from vault.clock import SystemClock
from vault.crypto.keyring import LINES
from vault.journal import Report
from vault.key_desk import KeyDesk, Manner
from vault.progress import Progress
from vault.quarantine import CAUSES
from vault.rehearsal import rehearse as rehearse_rotation
from vault.sweep import Findings


@click.command(epilog="Example: tokenvault keys new --line data --data ./data")
@one_line_option
@json_option
@dry_option
@placed
def new(place: Place, *, line: str, as_json: bool, dry_run: bool) -> None:
    """Add a key version, pending: it opens, and does not seal. Running services load it by themselves."""

    async def work(desk: KeyDesk, _: Progress) -> dict[str, Any]:
        if dry_run:
            key = desk.custody.keyring.added(line, SystemClock().now()).of_line(line)[-1]
            return {"line": line, "version": key.version, "state": key.state, "dry_run": True}
        key = await desk.rotations.new_key(line)
        return {"line": line, "version": key.version, "state": key.state, "fingerprint": key.fingerprint}

    made = at_desk(place, work, as_json=as_json)
    if as_json:
        click.echo(json.dumps(made))
    elif dry_run:
        click.echo(f"would make version {made['version']} of line {line}, {made['state']}")
    else:
        click.echo(f"version {made['version']} of line {line} is {made['state']}, {made['fingerprint']}")
        click.echo(
            f"next: tokenvault keys rotate --line {line}{at(place)}   "
            f"(undo: tokenvault keys disable {line} {made['version']}{at(place)})"
        )


@click.command(
    epilog="Example: tokenvault keys rotate --line data --rate 5000 --until 05:30 --data ./data\n\n"
    "What an interruption left is finished by the same command. Exit code 1: something is left, and it says what."
)
@line_option
@click.option("--plan", is_flag=True, help="Open every row, say what does not open and why; change nothing.")
@paced
@json_option
@dry_option
@placed
def rotate(
    place: Place,
    *,
    line: str | None,
    plan: bool,
    manner: Manner,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Rotate keys beside the running service: new version, every process has it, sweep, verify, old one disabled."""
    if plan:
        findings = at_desk(place, lambda desk, _: desk.sweep.plan(), manner, as_json=as_json)
        _tell_plan(findings, as_json=as_json)
        return
    if dry_run:
        _tell_dry_run(place, line, as_json=as_json)
        return

    async def work(desk: KeyDesk, _: Progress) -> list[Report]:
        return await desk.rotations.rotate_all() if line is None else [await desk.rotations.rotate(line)]

    reports = at_desk(place, work, manner, as_json=as_json)
    _tell_reports(reports, as_json=as_json)


@click.command(epilog="Example: tokenvault keys rehearse --scratch /mnt/spare --data ./data")
@line_option
@click.option(
    "--scratch", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the copy is made, and removed. Default: beside the data folder.",
)  # fmt: skip
@paced
@json_option
@placed
def rehearse(
    place: Place,
    *,
    line: str | None,
    scratch: Path | None,
    manner: Manner,
    as_json: bool,
) -> None:
    """Rotate a copy of the vault: how long it takes, and what would not open. The vault itself is left alone."""

    async def work() -> Any:
        # Without what undoes a step: typed as told, it would go to the vault, and the copy is gone.
        with watching(as_json=as_json, undo=False) as progress:
            return await rehearse_rotation(
                place.config, place.data, scratch, manner, progress, line, place.tenant
            )

    rehearsed = run(work())
    if as_json:
        told = {"copied_bytes": rehearsed.copied, "copy_seconds": rehearsed.copy_seconds}
        click.echo(
            json.dumps({**told, **_as_json(rehearsed.reports), "plan": _plan_json(rehearsed.findings)})
        )
    else:
        _say_findings(rehearsed.findings)
        _say_reports(rehearsed.reports)
        click.echo(
            f"copied {rehearsed.copied:,} bytes in {rehearsed.copy_seconds:.1f} s; the copy is removed, and the vault "
            "itself was left alone"
        )
    sys.exit(1 if any(report.left for report in rehearsed.reports) else 0)


def _moving(name: str, doc: str, example: str) -> click.Command:
    @click.command(name, help=doc, epilog=f"Example: tokenvault keys {example}")
    @click.argument("line", type=click.Choice(LINES))
    @click.argument("version", type=click.IntRange(1))
    @json_option
    @placed
    def move(place: Place, *, line: str, version: int, as_json: bool) -> None:
        async def work(desk: KeyDesk, _: Progress) -> str:
            await getattr(desk.rotations, name)(line, version)
            key = desk.custody.keyring.get(line, version)
            return key.state if key else ""

        state = at_desk(place, work, as_json=as_json)
        if as_json:
            click.echo(json.dumps({"line": line, "version": version, "state": state}))
        else:
            click.echo(f"version {version} of line {line} is {state}")

    return move


activate = _moving(
    "activate",
    "Let a pending or retiring version write: undoes a rotation that has begun.",
    "activate data 1",
)
disable = _moving(
    "disable", "Let a version that no row needs open nothing; undo with enable.", "disable data 1"
)
enable = _moving("enable", "Let a disabled version open again.", "enable data 1")


def _tell_reports(reports: list[Report], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_json(reports)))
    else:
        _say_reports(reports)
    sys.exit(1 if any(report.left for report in reports) else 0)


def _as_json(reports: list[Report]) -> dict[str, Any]:
    left = [sentence for report in reports for sentence in report.left]
    return {"lines": {report.line: asdict(report) for report in reports}, "left": left}


def _say_reports(reports: list[Report]) -> None:
    for report in reports:
        old = ", ".join(map(str, report.from_versions)) or "none"
        moved = ", ".join(f"{count:,} {store}" for store, count in report.moved.items() if count) or "no rows"
        click.echo(
            f"line {report.line}: version {old} -> {report.to_version}, {moved}, {report.seconds:.1f} s"
        )
        for sentence in report.left:
            click.echo(f"  left: {sentence}")
        if report.traces:
            click.echo(f"  pieces of old boxes may be left in unused parts of {', '.join(report.traces)}.")
            click.echo("  At an hour when writers can wait: tokenvault keys shred")


@click.command(
    epilog="Example: tokenvault keys shred --data ./data\n\n"
    "Writers wait until a file is done, and are refused after storage.busy_timeout; look-ups go on."
)
@json_option
@placed
def shred(place: Place, *, as_json: bool) -> None:
    """Write the databases anew, so that nothing deleted or overwritten is left in unused parts of them."""
    left = at_desk(place, lambda desk, _: desk.shred(), as_json=as_json)
    if as_json:
        click.echo(json.dumps({"left": left}))
    else:
        click.echo(f"left: {', '.join(left)}" if left else "the databases are written anew")
    sys.exit(1 if left else 0)


def _tell_plan(findings: dict[str, Findings], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"plan": _plan_json(findings)}))
    else:
        _say_findings(findings)
    sys.exit(1 if any(found.unopened for found in findings.values()) else 0)


def _say_findings(findings: dict[str, Findings]) -> None:
    for store, found in findings.items():
        versions = ", ".join(f"{count:,} under version {v}" for v, count in sorted(found.opened.items()))
        click.echo(
            f"{store}: {versions or 'no rows'}" + (": all open" if versions and not found.unopened else "")
        )
        for code, count in found.unopened.items():
            click.echo(f"  do not open, {CAUSES[code][0]}: {count:,} ({CAUSES[code][1]})")
            for name in found.names[code]:
                click.echo(f"    {name}")


def _plan_json(findings: dict[str, Findings]) -> dict[str, Any]:
    return {
        store: {
            "opened": {str(version): count for version, count in found.opened.items()},
            "unopened": {CAUSES[code][0]: count for code, count in found.unopened.items()},
            "names": {CAUSES[code][0]: names for code, names in found.names.items()},
        }
        for store, found in findings.items()
    }


def _tell_dry_run(place: Place, line: str | None, *, as_json: bool) -> None:
    async def work(desk: KeyDesk, _: Progress) -> dict[str, Any]:
        return {one: (await desk.custody.census(one)) for one in ([line] if line else LINES)}

    counts = at_desk(place, work, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"dry_run": True, "rows": counts}))
        return
    for one, versions in counts.items():
        rows = sum(count for found in versions.values() for count in found.values())
        what = {"data": f"re-seal {rows:,} rows and ", "index": f"renew {rows:,} index tags and "}.get(
            one, ""
        )
        click.echo(f"would rotate line {one}: {what}disable the version before")
    click.echo("nothing was changed")
