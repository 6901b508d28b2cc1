"""One target in a process of its own: ``python -m tests.fuzz.run TARGET SECONDS [--seed N] [--corpus DIR]``.

With atheris, which follows what the code does, where there is a wheel of it; else with random changes alone. Atheris
ends its process itself, so nothing comes after it. ``--replay FILE`` does one input again, without either.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

try:
    import atheris
except ModuleNotFoundError:
    atheris = None

#: Bytes of an input: beyond every length that a parser looks at, and short enough for thousands a second.
MOST_BYTES = 4096
#: Seconds that one input may take before it counts as a finding.
PATIENCE = 10
#: Characters that the parsers look for.
LETTERS = b'{}[]",:0123456789-+.eE\\u/~_@= \n\x00\xff' + "é".encode()


def targets() -> dict[str, "Target"]:
    """Import the targets, so that atheris sees where they go."""
    if atheris is not None:
        with atheris.instrument_imports(include=["vault", "jsonpatch", "jsonpointer"]):
            from tests.fuzz.targets import BROKEN, TARGETS
    else:
        from tests.fuzz.targets import BROKEN, TARGETS
    return {**TARGETS, "broken": BROKEN}


def guided(target: "Target", seconds: float, seed: int, corpus: Path, artifacts: Path) -> None:
    """Fuzz with atheris; does not return."""
    for number, content in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(content)
    options = [
        f"-max_total_time={max(1, round(seconds))}", f"-seed={seed % 2**32 or 1}", f"-max_len={MOST_BYTES}",
        f"-timeout={PATIENCE}", "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={artifacts}/",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.check)
    atheris.Fuzz()


def blind(target: "Target", seconds: float, seed: int, artifacts: Path) -> None:
    """Change the seeds at random and try each; end at the first that breaks a promise, and keep it."""
    print("atheris is not here: random changes, which follow nothing", file=sys.stderr)
    choose, tried, pool = random.Random(seed), 0, [*target.seeds, b""]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = changed(choose.choice(pool), choose, pool)
        tried += 1
        try:
            target.check(data)
        except BaseException:
            (artifacts / "crash").write_bytes(data)
            print(f"kept as {artifacts / 'crash'}", file=sys.stderr)
            raise
        if tried % 100 == 0:  # some of what came out is changed on
            pool[choose.randrange(len(pool))] = choose.choice((data, *target.seeds))
    print(f"stat::number_of_executed_units: {tried}", file=sys.stderr)


def changed(data: bytes, choose: random.Random, pool: list[bytes]) -> bytes:
    """Return the data after a few random changes."""
    for _ in range(choose.choice((1, 1, 2, 4, 8))):
        at = choose.randint(0, len(data))
        to = min(len(data), at + choose.choice((0, 1, 1, 2, 8, 64)))
        other = choose.choice(pool)
        piece = choose.choice(
            (
                b"",
                bytes([choose.randrange(256)]),
                bytes([choose.choice(LETTERS)]) * choose.choice((1, 1, 1, 2, 40)),
                data[at:to] * 2,
                other[choose.randint(0, len(other)) :][:64],
            )
        )
        data = data[:at] + piece + data[to:]
    return data[:MOST_BYTES]


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("seconds", type=float, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="Keep interesting inputs here, and start from them.")
    parser.add_argument("--artifacts", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--blind", action="store_true", help="Random changes, even if atheris is here.")
    parser.add_argument("--replay", type=Path, help="Try this one input.")
    chosen = parser.parse_args()
    target = targets()[chosen.target]
    if chosen.replay:
        target.check(chosen.replay.read_bytes())
    elif chosen.blind or atheris is None:
        blind(target, chosen.seconds, chosen.seed, chosen.artifacts)
    else:
        corpus = chosen.corpus or Path(tempfile.mkdtemp(prefix="tokenvault-corpus-"))
        corpus.mkdir(parents=True, exist_ok=True)
        guided(target, chosen.seconds, chosen.seed, corpus, chosen.artifacts)


if __name__ == "__main__":
    main()
