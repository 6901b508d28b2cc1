"""Moves people from one server of Databunker's wire to another, through the public API of both: this vault is either.

Each person who has arrived is a line of the state file, so an interrupted run goes on where it was. People keep their
tokens in this vault; another server makes its own, and the state file says which became which.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import click

from vault.cli.watching import Watching, watching
from vault.tokens import is_user_token

Json = dict[str, Any]

#: Where the tokens are taken from: on a command line every user of the machine could read them.
FROM_TOKEN, TO_TOKEN = "IMPORT_FROM_TOKEN", "IMPORT_TO_TOKEN"

#: People on a page, the most that the wire allows; and those that are moved at once.
PAGE, TOGETHER = 100, 8

#: Seconds that one call may take.
PATIENCE = 60

#: How long an unlock is used, of the 60 seconds that it lives.
UNLOCK_SECONDS = 45.0

INDEXED = ("login", "email", "phone", "custom")


class WireError(Exception):
    """What a server refused; its message holds no value."""


@dataclass
class Wire:
    """One server. ``token`` opens it, ``tenant`` is sent if there is one."""

    http: aiohttp.ClientSession
    url: str
    token: str = field(repr=False)
    tenant: str = ""
    _unlock: tuple[float, str] = (0.0, "")

    async def __call__(self, method: str, said: Mapping[str, Any]) -> Json:
        """Call a method; raise ``WireError`` with what the server says."""
        headers = {"X-Bunker-Token": self.token} | ({"X-Bunker-Tenant": self.tenant} if self.tenant else {})
        try:
            async with self.http.post(f"{self.url}/v2/{method}", json=said, headers=headers) as response:
                answer: Json = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise WireError(f"{self.url} does not answer {method}: {type(error).__name__}.") from None
        if not isinstance(answer, dict) or answer.get("status") != "ok":
            message = answer.get("message", "no message") if isinstance(answer, dict) else "no JSON object"
            raise WireError(f"{method}: {message}")
        return answer

    async def unlock(self) -> str:
        """Return leave to read in bulk, which is asked for anew before it ends."""
        now = asyncio.get_running_loop().time()
        if not self._unlock[1] or now - self._unlock[0] > UNLOCK_SECONDS:
            self._unlock = now, (await self("BulkListUnlock", {}))["unlockuuid"]
        return self._unlock[1]

    async def people(self) -> AsyncIterator[tuple[int, list[Json]]]:
        """Yield how many people there are, and a page of them."""
        for number in itertools.count():
            said = {"unlockuuid": await self.unlock(), "offset": number * PAGE, "limit": PAGE}
            answer = await self("BulkListAllUsers", said)
            if not answer["rows"]:
                return
            yield int(answer.get("total", 0)), answer["rows"]


class State:
    """The state file: a line of JSON for each person who has arrived."""

    def __init__(self, path: Path) -> None:
        self.moved: dict[str, str] = {}
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._file = os.fdopen(descriptor, "r+b")
        lines, _, cut_off = self._file.read().rpartition(b"\n")
        for number, line in enumerate(lines.splitlines(), 1):
            try:
                said = json.loads(line)
                self.moved[said["from"]] = said["to"]
            except (ValueError, TypeError, KeyError):
                raise click.ClickException(
                    f"{path}: line {number} is not of an import; mend or remove it."
                ) from None
        # A line that was cut off by an interruption goes: that person is looked for again.
        self._file.truncate(self._file.seek(-len(cut_off), os.SEEK_END))

    def note(self, source: str, target: str) -> None:
        """Note that a person has arrived."""
        self._file.write(json.dumps({"from": source, "to": target}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.moved[source] = target


@dataclass
class Import:
    """One import. ``counts`` tells what came of it, ``refused`` the tokens of who stayed behind, with the reason."""

    source: Wire
    target: Wire
    state: State
    app_data: bool
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("moved", "before", "app data"), 0))
    refused: list[tuple[str, str]] = field(default_factory=list)

    async def run(self, progress: Watching) -> None:
        """Move everybody who has not been moved."""
        at_once, begun = asyncio.Semaphore(TOGETHER), False
        async for total, rows in self.source.people():
            if not begun:
                progress.begin("moving people", total)
                begun = True

            async def move(row: Json) -> None:
                async with at_once:
                    await self._move(row)
                progress.advance(1)

            await asyncio.gather(*map(move, rows))

    async def _move(self, row: Json) -> None:
        token = row["token"]
        if token in self.state.moved:
            self.counts["before"] += 1
            return
        try:
            arrived = await self._create(row)
            if self.app_data:
                await self._move_app_data(token, arrived)
        except WireError as error:
            self.refused.append((token, str(error)))
            return
        self.state.note(token, arrived)
        self.counts["moved"] += 1

    async def _create(self, row: Json) -> str:
        said: Json = {"profile": row["profile"]}
        if is_user_token(row["token"]):  # others have random UUIDs without a version, which are none of ours
            said["usertoken"] = row["token"]
        said |= {name: row[name] for name in ("finaltime", "slidingtime") if row.get(name)}
        try:
            return str((await self.target("UserCreate", said))["token"])
        except WireError:
            # An earlier run may have been cut off between the person and the line about them.
            found = await self._found(row)
            if found is None:
                raise
            return found

    async def _found(self, row: Json) -> str | None:
        """Return the token of the same person at the target: one whose whole profile is the same."""
        profile = row["profile"]
        names = [
            ("token", row["token"]),
            *((mode, str(profile[mode])) for mode in INDEXED if profile.get(mode)),
        ]
        for mode, identity in names:
            try:
                answer = await self.target("UserGet", {"mode": mode, "identity": identity})
            except WireError:
                continue
            if answer["profile"] == profile:
                return str(answer["token"])
        return None

    async def _move_app_data(self, token: str, arrived: str) -> None:
        try:
            listed = await self.source("AppdataListUserAppNames", {"mode": "token", "identity": token})
        except WireError:
            return  # nothing is kept for this person, or that server has no app data
        for name in listed.get("apps") or []:
            at = {"mode": "token", "identity": token, "appname": name}
            held = (await self.source("AppdataGet", at))["appdata"]
            to = {"mode": "token", "identity": arrived, "appname": name, "appdata": held}
            try:
                await self.target("AppdataCreate", to)
            except WireError:  # there from a run that was cut off; an update of the same changes nothing
                await self.target("AppdataUpdate", to)
            self.counts["app data"] += 1


@click.command(
    epilog=f"Example: {FROM_TOKEN}=… {TO_TOKEN}=tvk_… python scripts/import_databunker.py "
    "--from https://databunker.internal --to http://127.0.0.1:3000"
)
@click.option("--from", "source", required=True, help="Base URL of the server that has the people.")
@click.option("--to", "target", required=True, help="Base URL of the server that gets them.")
@click.option("--from-tenant", default="", help="Tenant there.")
@click.option("--to-tenant", default="", help="Tenant here.")
@click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), default=Path("import.ndjson"), show_default=True,
    help="File that says who has arrived, and under which token.",
)  # fmt: skip
@click.option("--app-data/--no-app-data", default=True, show_default=True, help="Move app data too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    source: str, target: str, from_tenant: str, to_tenant: str, state: Path, *, app_data: bool, as_json: bool
) -> None:
    """Move all people, with their app data, to another server; interrupted, the same command goes on.

    Root tokens are read from IMPORT_FROM_TOKEN and IMPORT_TO_TOKEN. Nothing is deleted anywhere. Sessions, single
    tokens and audit events stay: the wire cannot list them. Exit code 1: somebody was refused.
    """
    tokens = [os.environ.get(name, "") for name in (FROM_TOKEN, TO_TOKEN)]
    if not all(tokens):
        raise click.UsageError(f"set {FROM_TOKEN} and {TO_TOKEN} to the root tokens of both servers.")

    async def work(progress: Watching) -> Import:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            job = Import(
                Wire(http, source.rstrip("/"), tokens[0], from_tenant),
                Wire(http, target.rstrip("/"), tokens[1], to_tenant),
                State(state),
                app_data,
            )
            await job.run(progress)
            return job

    try:
        with watching(as_json=as_json, undo=False, unit="people") as progress:
            done = asyncio.run(work(progress))
    except WireError as error:
        raise click.ClickException(f"{error} What has arrived stays; run it again to go on.") from None
    if as_json:
        click.echo(json.dumps({**done.counts, "refused": done.refused}))
    else:
        click.echo(", ".join(f"{count:,} {what}" for what, count in done.counts.items()) + f"; see {state}")
        for token, why in done.refused:
            click.echo(f"stayed behind: {token}: {why}", err=True)
    sys.exit(1 if done.refused else 0)


if __name__ == "__main__":
    main()
