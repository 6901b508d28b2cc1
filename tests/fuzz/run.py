"""Targets, each in its own process: ``python -m tests.fuzz.run TARGET... [--seconds N] [--seed N] [--corpus DIR]``.

With atheris, which follows what the code does, where there is a wheel of it; else with random changes alone. Atheris
ends its process itself, so each target has a fork, which finds the code already imported. ``--replay FILE`` does one
input again, without either.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
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


def apart(name: str, work: Callable[[], None]) -> None:
    """Work in a fork, and print under the target's name how it ended and how many seconds it took."""
    began, child = time.monotonic(), os.fork()
    if child == 0:
        work()
        sys.exit()  # as a process ends: atheris keeps the input of a finding then
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(f"stat::target: {name} {code} {time.monotonic() - began:.2f}", file=sys.stderr, flush=True)


def guided(target: "Target", seconds: float, seed: int, corpus: Path, artifacts: str) -> None:
    """Fuzz with atheris; does not return. ``artifacts`` is how the name of a finding's file begins."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(content)
    options = [
        f"-seed={seed % 2**32 or 1}", f"-max_len={MOST_BYTES}", f"-timeout={PATIENCE}", "-rss_limit_mb=2048",
        "-print_final_stats=1", f"-artifact_prefix={artifacts}",
    ]  # fmt: skip
    # Its own clock counts whole seconds, and one more than it was given; this signal ends it as that does.
    end = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1))
    end.daemon = True
    end.start()
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.check)
    atheris.Fuzz()


def blind(target: "Target", seconds: float, seed: int, artifacts: str) -> None:
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
            Path(f"{artifacts}crash").write_bytes(data)
            print(f"kept as {artifacts}crash", file=sys.stderr)
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
    parser.add_argument("targets", nargs="+", metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=10, help="For each.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="Keep interesting inputs here, and start from them.")
    parser.add_argument("--artifacts", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--blind", action="store_true", help="Random changes, even if atheris is here.")
    parser.add_argument("--replay", type=Path, help="Try this one input.")
    chosen, known = parser.parse_args(), targets()
    if chosen.replay:
        known[chosen.targets[0]].check(chosen.replay.read_bytes())
        return
    corpora = chosen.corpus or Path(tempfile.mkdtemp(prefix="tokenvault-corpus-"))
    for name in chosen.targets:
        target, artifacts = known[name], f"{chosen.artifacts}/{name}-"
        if chosen.blind or atheris is None:
            apart(name, partial(blind, target, chosen.seconds, chosen.seed, artifacts))
        else:
            apart(name, partial(guided, target, chosen.seconds, chosen.seed, corpora / name, artifacts))


if __name__ == "__main__":
    main()
