"""Proves that keys rotate safely: kills the real rotation and the real service at random, hundreds of times.

A writer and a reader ask the service over HTTP all the while. At the end everything that was acknowledged must be
there, everything that was ended gone, and no box, tag or duplicate may be left that a rotation should have taken.
"""

import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from prove_rotation_book import Book
from prove_rotation_rounds import Proof
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

#: Rounds between two plain lines.
LINE_EVERY = 10


@contextmanager
def progress(rounds: int) -> Iterator[Callable[[str], None]]:
    """Show how far it is on standard error: a bar on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        done = 0

        def line(text: str) -> None:
            nonlocal done
            if done % LINE_EVERY == 0 or done >= rounds:
                console.print(f"round {done} of {rounds}: {text}", highlight=False, soft_wrap=True)
            done += 1

        yield line
        return
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("filling the vault", total=rounds, completed=-1)
        yield lambda text: bar.update(task, advance=1, description=text)


def _show(proof: Proof, seed: int, console: Console) -> None:
    book = proof.book
    table = Table("the rotation was killed when it was last seen at", "times", title=f"seed {seed}")
    for step, times in proof.kills.most_common():
        table.add_row(step, f"{times:,}")
    table.add_row("all", f"{proof.kills.total():,}", style="bold")
    console.print(table)
    table = Table("counted", "times")
    for what, times in sorted(book.counts.items()):
        table.add_row(what, f"{times:,}")
    table.add_row("slowest request", f"{book.slowest * 1000:,.0f} ms")
    console.print(table)
    for sentence in book.failures:
        console.print(f"FAILED: {sentence}", highlight=False, soft_wrap=True)
    console.print("It holds." if not book.failures else "It does not hold.")


@click.command(epilog="Example: python scripts/prove_rotation.py --rotations 200 --seed 7")
@click.option("--rotations", type=click.IntRange(1), default=200, show_default=True, help="Rounds of kills.")
@click.option(
    "--profiles", type=click.IntRange(20), default=200, show_default=True, help="People at the start."
)
@click.option(
    "--service-every", type=click.IntRange(1), default=8, show_default=True, metavar="ROUNDS",
    help="Kill the service too in one of so many rounds.",
)  # fmt: skip
@click.option("--seed", type=int, help="Repeats the random choices of an earlier run, though not its timing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--keep", type=click.Path(path_type=Path), help="Use this new folder, and leave it there.")
def main(
    rotations: int, profiles: int, service_every: int, seed: int | None, keep: Path | None, *, as_json: bool
) -> None:
    """Kill rotations and the service beside them at random moments, and check that nothing was lost.

    Exit code 0: it holds. Files are made in the folder for temporary files (TMPDIR).
    """
    seed = random.randrange(2**32) if seed is None else seed
    if keep:
        keep.mkdir(mode=0o700, parents=True)
    place = nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="tokenvault-proof-")
    with place as folder, progress(rotations) as step:
        proof = Proof(Path(folder), Book(), random.Random(seed), service_every)
        asyncio.run(proof.run(rotations, profiles, step))
    if as_json:
        told = {"seed": seed, "rotations": rotations, "profiles": profiles, **proof.as_json()}
        click.echo(json.dumps(told, indent=2))
    else:
        console = Console()
        _show(proof, seed, console if console.is_terminal else Console(width=120))
    sys.exit(1 if proof.book.failures else 0)


if __name__ == "__main__":
    main()
