"""Measures the vault's routes against a bare handler in the same process. docs/benchmarks.md tells how to read it."""

import contextlib
import json
import os
import platform
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import bench_report
import click
from bench_load import Sample, measure, run
from bench_process import Server, started
from bench_report import Line
from bench_routes import ROUTES, Contrast, contrasts
from bench_wrk import cross_check
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Step = Callable[[str], None]


async def _measured(
    chosen: Sequence[Contrast], server: Server, rounds: int, seconds: float, step: Step
) -> list[Line]:
    """Load base and route in turn, round after round, route after route; the first round warms up and is dropped."""
    found: dict[str, list[tuple[Sample, Sample]]] = {contrast.route: [] for contrast in chosen}
    for contrast in chosen:
        for number in range(rounds + 1):
            pair = {}
            for which in (0, 1) if number % 2 else (1, 0):  # whoever is second gains or loses nothing
                pair[which] = await measure(
                    contrast.targets[which], contrast.connections, seconds, server.cpu
                )
            if number:
                found[contrast.route].append((pair[0], pair[1]))
            step(f"round {number} of {rounds}, {contrast.route}")
    return [bench_report.line(one.route, one.base, found[one.route], one.records, one.goal) for one in chosen]


def _machine(folder: Path) -> dict[str, Any]:
    """Return what the figures depend on; ``fsync ms`` is how long 4 KB take to be on disk in the folder."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))
            started_at = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started_at)
    versions = {}
    for name in ("aiohttp", "uvloop"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
        **versions,
        "SQLite": sqlite3.sqlite_version,
        "fsync ms": round(median(times) * 1000, 2),
    }


@contextmanager
def _progress(steps: int) -> Iterator[Step]:
    """Show how far it is on standard error: a bar on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: console.print(text, highlight=False)
        return
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
    # Drawn between rounds only: a thread that draws would take time from the load.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("filling the vault", total=steps)
        bar.refresh()

        def step(text: str) -> None:
            bar.update(task, advance=1, description=text, refresh=True)

        yield step


def _routes(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    names = value.split(",") if value else list(ROUTES)
    if unknown := set(names) - set(ROUTES):
        raise click.BadParameter(f"no such route: {', '.join(sorted(unknown))}")
    return names


@click.command(epilog="Example: python scripts/bench.py --rounds 9 --only look-up,create")
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=7, help="Rounds that count, after one that warms up."
)
@click.option(
    "--seconds", type=click.FloatRange(0.05, 60), default=1.2, help="Length of each half of a round."
)
@click.option("--connections", type=click.IntRange(1, 1000), default=64, help="Clients that ask at once.")
@click.option(
    "--sessions", type=click.IntRange(1, 5_000_000), default=10_000, help="Profiles and sessions to fill in."
)
@click.option("--only", default="", metavar="ROUTES", callback=_routes, help=f"Some of {','.join(ROUTES)}.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--wrk", "with_wrk", is_flag=True, help="Measure the reads with wrk as well, if it is installed."
)
def main(
    rounds: int,
    seconds: float,
    connections: int,
    sessions: int,
    only: list[str],
    *,
    as_json: bool,
    with_wrk: bool,
) -> None:
    """Measure session look-up, profile read, create and batch, each against a bare handler in the same process.

    Goals are information: the exit code does not depend on them. Files are made in the folder for temporary
    files (TMPDIR), which should be on a real disk.
    """
    if with_wrk and shutil.which("wrk") is None:
        raise click.UsageError("wrk is not installed")

    async def work(folder: Path, step: Step) -> tuple[list[Line], list[str]]:
        async with started(folder, sessions) as (server, hello):
            chosen = [one for one in contrasts(hello, connections) if one.route in only]
            lines = await _measured(chosen, server, rounds, seconds, step)
            notes = [note for line in lines for note in line.notes()]
            return lines, notes + (await cross_check(chosen, rounds, seconds, step) if with_wrk else [])

    with tempfile.TemporaryDirectory(prefix="tokenvault-bench-") as name:
        folder = Path(name)
        machine = _machine(folder)
        with _progress((rounds + 1) * len(only)) as step:
            lines, notes = run(work(folder, step))
    if as_json:
        settings = {"rounds": rounds, "seconds": seconds, "connections": connections, "sessions": sessions}
        routes = [line.as_json() for line in lines]
        click.echo(
            json.dumps({"machine": machine, "settings": settings, "routes": routes, "notes": notes}, indent=2)
        )
    else:
        console = Console()
        wide = Console(width=max(console.width, bench_report.WIDTH))
        bench_report.show(lines, machine, notes, console if console.is_terminal else wide)


if __name__ == "__main__":
    main()
