"""The command behind ``scripts/fuzz``."""

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from tests.fuzz import api, parsers
from tests.fuzz.play import BACKENDS, play_for
from tests.fuzz.result import Result
from tests.fuzz.targets import TARGETS

#: Where corpora and findings are kept; git does not look there.
FOLDER = Path(".fuzz")

KINDS = ("model", "api", "parsers")


def _say(text: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def _model(seconds: float, seed: int, backends: tuple[str, ...]) -> Iterator[Result]:
    for backend in backends:
        yield play_for(backend, seconds / len(backends), seed, _say)


def _api(seconds: float, seed: int) -> Iterator[Result]:
    yield api.run(max(1, round(seconds)), seed, _say)


def _parsers(seconds: float, seed: int, folder: Path, targets: tuple[str, ...]) -> Iterator[Result]:
    for target in targets:
        _say(f"parsers: {target} for {seconds / len(targets):.0f} s")
        yield from parsers.run([target], seconds / len(targets), seed, folder)


@click.command(epilog="Example: scripts/fuzz --minutes 10 all")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=10, show_default=True, help="For each kind."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Repeat the choices of an earlier run.")
@click.option("--backend", type=click.Choice([*BACKENDS]), help="Play the model over this one alone.")
@click.option(
    "--target", type=click.Choice([*TARGETS, "broken"]),
    help="Fuzz this parser alone; 'broken' is one that is to be found out.",
)  # fmt: skip
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, show_default=True,
    help="Keeps the parsers' corpora and findings.",
)  # fmt: skip
@click.argument("kind", type=click.Choice([*KINDS, "all"]), default="all")
def main(
    kind: str, minutes: float, seed: int | None, backend: str | None, target: str | None, folder: Path
) -> None:
    """Look for what breaks the vault's promises, by chance and for long.

    "model" plays verbs, rotations, restarts and a moving clock against a model of what should be; "api" lets
    Schemathesis at the real program by its own OpenAPI document; "parsers" gives bytes to whatever reads them.

    Exit code 0: nothing was found. 1: something was, and how to do it again is printed.
    """
    seed = random.randrange(2**32) if seed is None else seed
    seconds = minutes * 60
    results: list[Result] = []
    for one in KINDS if kind == "all" else [kind]:
        found = {
            "model": lambda: _model(seconds, seed, (backend,) if backend else tuple(BACKENDS)),
            "api": lambda: _api(seconds, seed),
            "parsers": lambda: _parsers(seconds, seed, folder, (target,) if target else tuple(TARGETS)),
        }[one]()
        for result in found:
            _say(result.line())
            results.append(result)
    click.echo("\n".join(result.line() for result in results))
    for result in results:
        for finding in result.findings:
            click.echo(f"\n=== {result.name}\n{finding}")
        if result.findings:
            click.echo(f"\nTo do it again: {result.replay}")
    sys.exit(1 if any(result.findings for result in results) else 0)


if __name__ == "__main__":
    main()
