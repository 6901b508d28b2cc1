"""Commands that end a key: retire it, deal with its theft, check the certificate."""

import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from vault.cli.keys.desk import at, at_desk, dry_option, json_option, one_line_option, paced, versioned
from vault.cli.keys.openings import Openings, new_private
from vault.cli.place import Place, placed
from vault.cli.statement import judged, statement_options, tell
from vault.cli.times import shown
from vault.compromise import Exposure
from vault.crypto import certificate
from vault.key_desk import KeyDesk, Manner
from vault.progress import Progress
from vault.retirement import Retired, write_certificate

#: What the thief of a key can do with it.
_MEANING = {
    "data": "Whoever holds the key and a copy of the data opens these rows, and older boxes of them in any backup.",
    "index": "Whoever holds the key and a copy of the data can try which e-mails, logins and phones are in it.",
    "audit": "Whoever holds the key and can write to the database could have forged events since the last checkpoint.",
    "signing": "Whoever holds the key can sign certificates that nobody issued: doubt those that you did not keep.",
}


@click.command(epilog="Example: tokenvault keys retire --line data --version 1 --data ./data")
@one_line_option
@versioned
@click.option(
    "--cool-down", type=click.IntRange(0), metavar="SECONDS",
    help="How long no row must have been under it (setting keyring.cool_down).",
)  # fmt: skip
@paced
@json_option
@dry_option
@placed
def retire(
    place: Place,
    *,
    line: str,
    version: int,
    cool_down: int | None,
    manner: Manner,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Destroy a disabled version for good, once proven unused, and write the certificate of its retirement.

    Exit code 1 while the cool-down lasts: run it again then.
    """
    if dry_run:
        _tell_retire_dry_run(place, line, version, as_json=as_json)
        return
    retired: Retired = at_desk(
        place,
        lambda desk, _: desk.retirement.retire(line, version),
        replace(manner, cool_down=cool_down),
        as_json=as_json,
    )
    path = write_certificate(place.data, retired) if retired.certificate else None
    if as_json:
        told = {name: value for name, value in asdict(retired).items() if name != "certificate"}
        told["certificate"] = json.loads(retired.certificate) if retired.certificate else None
        click.echo(json.dumps({**told, "certificate_file": str(path) if path else None}))
    elif path is None:
        hours, minutes = divmod(math.ceil(retired.wait / 60), 60)
        click.echo(
            f"version {version} of line {line} has no row and rests: run the same command again in {hours} h "
            f"{minutes} min to destroy it"
        )
    else:
        click.echo(f"version {version} of line {line} is destroyed; certificate: {path}")
        click.echo(f"check it anywhere: tokenvault keys verify-certificate {path}")
        click.echo(
            "Backups of the keyring from before still hold the key: delete them when no backup of data needs it."
        )
    sys.exit(1 if retired.wait else 0)


@click.command(
    epilog="Example: tokenvault keys compromise --version 1 --end-sessions --list exposed.txt --data ./data"
)
@one_line_option
@versioned
@click.option("--end-sessions", is_flag=True, help="End every session: everybody logs in again.")
@click.option(
    "--list", "list_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the user tokens of the profiles that were under it to this new file (mode 0600).",
)  # fmt: skip
@click.option(
    "--openings", "openings_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Write every opening of a profile that was under it (when, by which access key, why) to this new file.",
)  # fmt: skip
@paced
@json_option
@dry_option
@placed
def compromise(
    place: Place,
    *,
    line: str,
    version: int,
    end_sessions: bool,
    list_file: Path | None,
    openings_file: Path | None,
    manner: Manner,
    as_json: bool,
    dry_run: bool,
) -> None:
    """EMERGENCY, a key was stolen: stop sealing under it, re-seal its rows first, say what was exposed."""
    if (list_file or openings_file) and line != "data":
        raise click.UsageError("--list and --openings are for keys of the line data, which seal profiles")

    async def work(desk: KeyDesk, _: Progress) -> tuple[Exposure, int, Openings]:
        exposure = await desk.compromise.exposure(line, version)  # raises, before a file is made
        tokens = await desk.compromise.tokens(version) if list_file else []
        if list_file:
            _write_private(list_file, tokens)
        openings = Openings(openings_file)
        if line == "data":
            async for event in desk.compromise.openings(version):
                openings.add(event)
        openings.close()
        if not dry_run:
            exposure = await desk.compromise.compromise(line, version, end_sessions=end_sessions)
        return exposure, len(tokens), openings

    # Without what undoes a step: nobody wants a stolen key back.
    exposure, listed, openings = at_desk(place, work, manner, as_json=as_json, undo=False)
    report = exposure.rotation
    if as_json:
        told = {
            **asdict(exposure),
            "since": shown(exposure.since),
            "compromised_at": shown(exposure.compromised_at),
        }
        click.echo(json.dumps({**told, "listed": listed, "opened": openings.told(), "dry_run": dry_run}))
    else:
        rows = ", ".join(f"{count:,} {store}" for store, count in exposure.rows.items() if count) or "no rows"
        click.echo(f"exposed: {rows}, by a key made at {shown(exposure.since)}")
        click.echo(_MEANING[line])
        if list_file:
            click.echo(f"the user tokens of {listed:,} profiles are in {list_file}")
        for one in openings.told():
            click.echo(
                f"opened while under it: {one['profiles']:,} profiles, {one['times']:,} times, by access key "
                f"{one['access_key']}, {one['first']} to {one['last']}"
            )
        if dry_run:
            click.echo("nothing was changed")
        elif exposure.sessions_ended:
            click.echo(f"{exposure.sessions_ended:,} sessions are ended")
        for sentence in report.left if report else ():
            click.echo(f"left: {sentence}")
        if not dry_run:
            click.echo(f"next: tokenvault keys retire --line {line} --version {version}{at(place)}")
            click.echo("and, if the keyring was stolen with what unlocks it, first of all and in this order:")
            click.echo(f"tokenvault keys rewrap{at(place)}; tokenvault keys rewrap --fresh{at(place)}")
    sys.exit(1 if report and report.left else 0)


@click.command(
    "verify-certificate", epilog="Example: tokenvault keys verify-certificate data/certificates/data-1.json"
)
@statement_options
def verify_certificate(
    file: Path, *, public_key: str | None, data: Path | None, tenant: str | None, as_json: bool
) -> None:
    """Check a retirement certificate offline: neither vault nor keys are needed."""
    checked = judged(
        lambda: certificate.check(file.read_text("utf-8", "replace"), public_key),
        "certificate",
        data,
        tenant,
        as_json=as_json,
    )
    said = checked.statement
    rows = "; ".join(f"{sum(census['rows'].values())} at {census['at']}" for census in said["censuses"])
    lines = [
        f"valid: version {said['version']} of line {said['line']} ({said['fingerprint']})",
        f"was destroyed at {said['destroyed_at']}; rows under it: {rows}",
    ]
    tell(checked, lines, is_known=data is not None or public_key is not None, as_json=as_json)


def _tell_retire_dry_run(place: Place, line: str, version: int, *, as_json: bool) -> None:
    async def work(desk: KeyDesk, _: Progress) -> dict[str, Any]:
        record = await desk.custody.record(line, version)
        key = desk.custody.keyring.get(line, version)
        rows = (await desk.custody.census(line)).get(version, {})
        return {"state": key.state if key else None, "rows": rows, "empty_since": shown(record.empty_since)}

    told = at_desk(place, work, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"dry_run": True, "line": line, "version": version, **told}))
        return
    rows = ", ".join(f"{count:,} {store}" for store, count in told["rows"].items() if count) or "none"
    empty = told["empty_since"] or "not noted"
    click.echo(f"version {version} of line {line} is {told['state']}; rows: {rows}; empty since: {empty}")
    click.echo("nothing was changed")


def _write_private(path: Path, tokens: list[str]) -> None:
    with new_private(path) as file:
        file.writelines(f"{token}\n" for token in tokens)
