"""Proves that a crash loses nothing: kills the real service with SIGKILL at random moments, under load, many times.

Writers, a reader and commands that make access keys go on all the while. After each kill the files are looked at as
the dead process left them, and after each start the service is asked for everything that was acknowledged.
"""

import asyncio
import json
import random
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click
from prove_crashes_rounds import Crashes
from prove_rotation import progress
from prove_rotation_book import Book
from rich.console import Console
from rich.table import Table


def _show(proof: Crashes, seed: int, console: Console) -> None:
    book = proof.book
    table = Table("the service was killed", "times", title=f"seed {seed}")
    for moment, times in proof.kills.most_common():
        table.add_row(moment, f"{times:,}")
    table.add_row("all", f"{proof.kills.total():,}", style="bold")
    console.print(table)
    table = Table("counted", "times")
    for what, times in sorted(book.counts.items()):
        table.add_row(what, f"{times:,}")
    table.add_row("slowest request", f"{book.slowest * 1000:,.0f} ms")
    table.add_row("slowest start", f"{proof.slowest_start * 1000:,.0f} ms")
    console.print(table)
    for sentence in book.failures:
        console.print(f"FAILED: {sentence}", highlight=False, soft_wrap=True)
    console.print("It holds." if not book.failures else f"It does not hold. (seed {seed})")


@click.command(epilog="Example: python scripts/prove_crashes.py --rounds 100 --seed 7")
@click.option(
    "--rounds", type=click.IntRange(1), default=100, show_default=True, help="Rounds of a kill each."
)
@click.option(
    "--profiles", type=click.IntRange(60), default=120, show_default=True, help="People at the start."
)
@click.option("--seed", type=int, help="Repeats the random choices of an earlier run, though not its timing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--keep", type=click.Path(path_type=Path), help="Use this new folder, and leave it there.")
def main(rounds: int, profiles: int, seed: int | None, keep: Path | None, *, as_json: bool) -> None:
    """Kill the service at random moments, and check that nothing was lost and nothing is there by half.

    Exit code 0: it holds. Files are made in the folder for temporary files (TMPDIR).
    """
    seed = random.randrange(2**32) if seed is None else seed
    if keep:
        keep.mkdir(mode=0o700, parents=True)
    place = nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="tokenvault-proof-")
    with place as folder, progress(rounds) as step:
        proof = Crashes(Path(folder), Book(), random.Random(seed))
        asyncio.run(proof.prove(rounds, profiles, step))
    if as_json:
        told = {"seed": seed, "rounds": rounds, "profiles": profiles, **proof.as_json()}
        click.echo(json.dumps(told, indent=2))
    else:
        console = Console()
        _show(proof, seed, console if console.is_terminal else Console(width=120))
    sys.exit(1 if proof.book.failures else 0)


if __name__ == "__main__":
    main()
