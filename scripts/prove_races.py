"""Proves what may come of two requests at once: the four races in which session stores have failed, over HTTP.

Both requests are sent at the same moment on connections of their own, hundreds of times, and the moment is moved until
each side wins as often as the other. What must hold afterwards is in docs/sessions.md.
"""

import asyncio
import json
import random
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click
from prove_races_rounds import RACES, Races
from prove_rotation import progress
from prove_rotation_book import Book
from rich.console import Console
from rich.table import Table


def _show(proof: Races, seed: int, console: Console) -> None:
    table = Table("race", "what came first", "times", title=f"seed {seed}, {proof.processes} process(es)")
    for race in RACES:
        seen = proof.seen[race]
        for what, times in seen.most_common():
            table.add_row(race, what, f"{times:,}")
        table.add_row(race, "all", f"{seen.total():,}", style="bold", end_section=True)
    console.print(table)
    table = Table("counted", "times")
    for what, times in sorted(proof.book.counts.items()):
        table.add_row(what, f"{times:,}")
    table.add_row("slowest request", f"{proof.book.slowest * 1000:,.0f} ms")
    console.print(table)
    for sentence in proof.book.failures:
        console.print(f"FAILED: {sentence}", highlight=False, soft_wrap=True)
    console.print("It holds." if not proof.book.failures else f"It does not hold. (seed {seed})")


@click.command(epilog="Example: python scripts/prove_races.py --rounds 1000 --processes 2 --seed 7")
@click.option(
    "--rounds", type=click.IntRange(1), default=1000, show_default=True, help="Rounds of each race."
)
@click.option(
    "--processes", type=click.IntRange(1, 2), default=1, show_default=True,
    help="Serving processes on the same data; with 2, each side of a race asks another.",
)  # fmt: skip
@click.option("--seed", type=int, help="Repeats the random choices of an earlier run, though not its timing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--keep", type=click.Path(path_type=Path), help="Use this new folder, and leave it there.")
def main(rounds: int, processes: int, seed: int | None, keep: Path | None, *, as_json: bool) -> None:
    """Race logout against touch, rotate against look-up, revoke-all against create, erase against open.

    Exit code 0: it holds. Files are made in the folder for temporary files (TMPDIR).
    """
    seed = random.randrange(2**32) if seed is None else seed
    if keep:
        keep.mkdir(mode=0o700, parents=True)
    place = nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="tokenvault-proof-")
    with place as folder, progress(rounds * len(RACES)) as step:
        proof = Races(Path(folder), Book(), random.Random(seed), processes)
        asyncio.run(proof.run(rounds, step))
    if as_json:
        told = {"seed": seed, "rounds": rounds, "processes": processes, **proof.as_json()}
        click.echo(json.dumps(told, indent=2))
    else:
        console = Console()
        _show(proof, seed, console if console.is_terminal else Console(width=120))
    sys.exit(1 if proof.book.failures else 0)


if __name__ == "__main__":
    main()
