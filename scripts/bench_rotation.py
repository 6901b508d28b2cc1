"""Measures rotations of a large vault: rows a second, memory, and what look-ups beside them wait."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from bench_load import run
from bench_rotation_fill import fill
from bench_rotation_load import Load, Memory
from bench_rotation_report import Found, held, passes, waiting
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rotation_process import PATIENCE, Run, keys, serving

#: Seconds of look-ups before the first that count.
WARM_UP = 2.0

#: Seconds between two plain lines about the filling.
LINE_EVERY = 10.0

#: More seconds that a rotation may take, for each row.
ROW_PATIENCE = 0.002


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """Show on standard error how full the vault is (a bar on a terminal, lines elsewhere), and what comes then."""
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    if not console.is_terminal:
        told_at = 0.0

        def line(done: int) -> None:
            nonlocal told_at
            if done >= total or time.monotonic() - told_at > LINE_EVERY:
                told_at = time.monotonic()
                say(f"{done:,} of {total:,} profiles are in")

        yield line, say
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("filling the vault", total=total)
        yield lambda done: bar.update(task, completed=done), say


async def _measure(
    folder: Path, profiles: int, size: int, sessions: int, rate: float, seconds: float, arguments: list[str]
) -> Found:
    data = folder / "data"
    with _progress(profiles) as (step, say):
        filled = await fill(data, profiles, size, sessions, step)
        found = Found([], [], [])
        async with serving(data, folder / "service.log") as service:
            load = Load(service.port, filled.access_key, filled.session_ids, rate)

            async def quiet(phase: str) -> None:
                say(f"look-ups {phase}, {seconds:.0f} s")
                began_at = time.monotonic()
                await asyncio.sleep(seconds)
                found.waiting.append(waiting(phase, load.between(began_at, time.monotonic()), seconds))

            async with load.running():
                await asyncio.sleep(min(WARM_UP, seconds))
                await quiet("before")
                for line in ("data", "index"):
                    say(f"rotating line {line}")
                    own, its = Memory(), Memory()
                    beside = asyncio.create_task(its.watch(service.pid))
                    patience = PATIENCE + ROW_PATIENCE * profiles
                    done = await keys(
                        data, "rotate", "--line", line, *arguments, patience=patience, watch=own.watch
                    )
                    beside.cancel()
                    _require(done)
                    start, end = done.began_at + done.steps[0][0], done.began_at + done.seconds
                    found.passes.extend(passes(line, done))
                    found.waiting.append(
                        waiting(f"beside line {line}", load.between(start, end), end - start)
                    )
                    found.held.append(held("rotation", line, own, done))
                    found.held.append(held("service", line, its, done))
                await quiet("after")
    return found


def _require(done: Run) -> None:
    if done.code:
        raise click.ClickException(f"The rotation ended with {done.code}: {done.steps[-1][1]}")


@click.command(epilog="Example: python scripts/bench_rotation.py --profiles 100000 --seconds 20")
@click.option("--profiles", type=click.IntRange(10), default=1_000_000, show_default=True, help="To fill in.")
@click.option(
    "--bytes", "size", type=click.IntRange(600), default=1024, show_default=True, help="JSON of each."
)
@click.option("--sessions", type=click.IntRange(1), default=10_000, show_default=True, help="To look up.")
@click.option(
    "--rate", type=click.FloatRange(1, 10_000), default=200.0, show_default=True, help="Look-ups a second."
)
@click.option(
    "--seconds", type=click.FloatRange(0.2), default=20.0, show_default=True,
    help="Of look-ups before and after the rotations.",
)  # fmt: skip
@click.option("--batch", type=click.IntRange(1), help="Rows a transaction, for the rotation.")
@click.option("--rows", type=click.IntRange(1), help="Rows a second at most, for the rotation (its --rate).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--keep", type=click.Path(path_type=Path), help="Use this new folder, and leave it there.")
def main(
    profiles: int,
    size: int,
    sessions: int,
    rate: float,
    seconds: float,
    batch: int | None,
    rows: int | None,
    keep: Path | None,
    *,
    as_json: bool,
) -> None:
    """Rotate a large vault beside the real service, while its sessions are looked up at a fixed rate.

    Look-ups are counted from when each was due. Files are made in the folder for temporary files (TMPDIR), which
    should be on a real disk: about 2 KB a profile. Exit code 1 if a look-up failed.
    """
    if keep:
        keep.mkdir(mode=0o700, parents=True)
    place = nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="tokenvault-bench-")
    arguments = [*(["--batch", str(batch)] if batch else []), *(["--rate", str(rows)] if rows else [])]
    sessions = min(sessions, profiles)
    with place as folder:
        found = run(_measure(Path(folder), profiles, size, sessions, rate, seconds, arguments))
    if as_json:
        settings = {
            "profiles": profiles, "bytes": size, "sessions": sessions, "rate": rate, "seconds": seconds,
            "batch": batch, "rows": rows,
        }  # fmt: skip
        click.echo(json.dumps({"settings": settings, **found.as_json()}, indent=2))
    else:
        console = Console()
        found.show(console if console.is_terminal else Console(width=140))
    sys.exit(1 if any(one.failed for one in found.waiting) else 0)


if __name__ == "__main__":
    main()
