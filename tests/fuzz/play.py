"""The model against the real vault, over one back-end, for a number of runs or for some time."""

import random
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hypothesis
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.machine import SqliteVaultMachine, VaultMachine
from tests.fuzz.result import Result

BACKENDS: dict[str, type[VaultMachine]] = {"memory": VaultMachine, "sqlite": SqliteVaultMachine}

#: Runs of one back-end that end in a few seconds, for the test suite.
SHORT = {"memory": 100, "sqlite": 30}
#: Runs between two lines of progress, each with a seed of its own.
ROUND = {"memory": 100, "sqlite": 20}
STEPS = 50

#: No time limit on a step, which may wait for a disk; nothing kept on this disk, so that a seed says it all.
PROFILE = settings(
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    print_blob=False,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the vault log nothing: it would tell of every step."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.reset_defaults()


def play(backend: str, runs: int, seed: int, *, shrink: bool = True) -> Result:
    """Play so many runs with the steps that this seed chooses."""
    machine = type(f"{backend}_machine", (BACKENDS[backend],), {"steps": 0, "runs": 0})
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    began, findings = time.monotonic(), []
    with _quiet():
        try:
            run_state_machine_as_test(
                hypothesis.seed(seed)(machine), settings=settings(PROFILE, max_examples=runs, phases=phases)
            )
        except Exception as error:
            findings.append("".join(traceback.format_exception(error))[-12_000:])
    counts = {"runs": machine.runs, "steps": machine.steps}
    replay = f"scripts/fuzz model --backend {backend} --seed {seed}"
    return Result(f"model: {backend}", seed, time.monotonic() - began, counts, replay, findings)


def play_for(backend: str, seconds: float, seed: int, say: Callable[[str], None]) -> Result:
    """Play rounds until the time is over or something is found; the first round has the seed itself."""
    began, runs, steps, number = time.monotonic(), 0, 0, seed
    while True:
        one = play(backend, ROUND[backend], number)
        runs, steps = runs + one.counts["runs"], steps + one.counts["steps"]
        taken = time.monotonic() - began
        say(f"model: {backend}: {taken:.0f} of {seconds:.0f} s, {runs:,} runs, {steps:,} steps")
        if one.findings or taken >= seconds:
            counts = {"runs": runs, "steps": steps}
            return Result(f"model: {backend}", seed, taken, counts, one.replay, one.findings)
        number = random.Random(number).randrange(2**32)
