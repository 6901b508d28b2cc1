"""What the benchmark of rotations found, as tables and as JSON."""

import os
import platform
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench_rotation_load import LookUp, Memory
from rich.console import Console
from rich.table import Table
from rotation_process import Run

#: The step that a pass ends with, by line: the name of the pass, a pattern of the step's words, and how often the pass
#: walks over all rows. Tags are claimed in one walk, and a second proves that none is missing.
PASSES = {
    "data": (("re-seal", r"rows? (is|are) re-sealed", 1), ("verify", r"rows? .*read back", 1)),
    "index": (("claim tags, prove it", r"tags? .*added", 2), ("delete old tags", r"tags? .*deleted", 1)),
}

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over rows."""

    line: str
    name: str
    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long look-ups took in one phase, in milliseconds from when each was due.

    ``reads_p99`` leaves out those that moved the session's idle window, which is a durable write: ``slid`` is their
    share. ``late_p99`` is how much of it the load itself was late. ``seconds`` is how long the phase was.
    """

    phase: str
    seconds: float
    count: int
    failed: int
    p50: float
    p99: float
    most: float
    reads_p99: float
    slid: float
    late_p99: float


@dataclass(frozen=True, slots=True)
class Held:
    """Resident MiB of a process during a rotation: at shares of its time, the most in its first quarter and in all
    of it, and the kernel's own peak since the process began."""

    process: str
    line: str
    at_10: float
    at_50: float
    at_100: float
    first_quarter: float
    whole: float
    peak: float


def passes(line: str, run: Run) -> list[Pass]:
    """Return how long each pass of a rotation took, by the steps that it told."""
    report = run.told["lines"][line]
    found, before = [], 0.0
    for moment, step in run.steps:
        if not step.startswith("- "):
            continue  # how far a pass is, and not that a step is done
        for name, words, walks in PASSES[line]:
            if re.search(words, step):
                rows = sum((report["moved"] if name == "re-seal" else report["verified"]).values())
                found.append(Pass(line, name, rows * walks, moment - before))
        before = moment
    return found


def waiting(phase: str, look_ups: Sequence[LookUp], seconds: float) -> Waiting:
    """Sum a phase up."""
    return Waiting(
        phase,
        seconds,
        len(look_ups),
        sum(1 for one in look_ups if not one.ok),
        _percentile([one.took for one in look_ups], 0.5),
        _percentile([one.took for one in look_ups], 0.99),
        _percentile([one.took for one in look_ups], 1),
        _percentile([one.took for one in look_ups if not one.slid], 0.99),
        sum(1 for one in look_ups if one.slid) / max(1, len(look_ups)),
        _percentile([one.late for one in look_ups], 0.99),
    )


def held(process: str, line: str, memory: Memory, run: Run) -> Held:
    """Sum a process's memory up, from the first step of the rotation to its end."""
    start, end = run.began_at + run.steps[0][0], run.began_at + run.seconds
    early, half, late = (memory.at(start + (end - start) * share) / MIB for share in (0.1, 0.5, 1))
    quarter = memory.most(start, start + (end - start) / 4) / MIB
    return Held(process, line, early, half, late, quarter, memory.most(start, end) / MIB, memory.peak / MIB)


@dataclass(frozen=True, slots=True)
class Found:
    """All of it."""

    passes: list[Pass]
    waiting: list[Waiting]
    held: list[Held]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "machine": machine(),
            "passes": [{**asdict(one), "rows_per_second": one.rate} for one in self.passes],
            "look_ups": [asdict(one) for one in self.waiting],
            "memory": [asdict(one) for one in self.held],
        }

    def show(self, console: Console) -> None:
        """Print the tables."""
        table = _table("pass", "rows", "seconds", "rows/s")
        for one in self.passes:
            table.add_row(
                f"{one.line}: {one.name}", f"{one.rows:,}", f"{one.seconds:.1f}", f"{one.rate:,.0f}"
            )
        console.print(table)
        titles = (
            "seconds",
            "failed",
            "p50 ms",
            "p99 ms",
            "÷ before",
            "most ms",
            "reads p99",
            "slid",
            "late p99",
        )
        table = _table("look-ups", "number", *titles)
        for each in self.waiting:
            table.add_row(
                each.phase, f"{each.count:,}", f"{each.seconds:.0f}", str(each.failed), f"{each.p50:.2f}",
                f"{each.p99:.2f}", f"{each.p99 / self.waiting[0].p99:.2f}" if self.waiting[0].p99 else "",
                f"{each.most:.1f}", f"{each.reads_p99:.2f}", f"{each.slid:.0%}", f"{each.late_p99:.2f}",
            )  # fmt: skip
        console.print(table)
        table = _table(
            "resident MiB", "at 10 %", "at 50 %", "at 100 %", "most, first quarter", "most", "kernel's peak"
        )
        for row in self.held:
            figures = row.at_10, row.at_50, row.at_100, row.first_quarter, row.whole, row.peak
            table.add_row(f"{row.process}, line {row.line}", *(f"{figure:.1f}" for figure in figures))
        console.print(table)
        console.print(", ".join(f"{name} {value}" for name, value in machine().items()), highlight=False)


def machine() -> Mapping[str, Any]:
    """Return what the figures depend on."""
    return {"cores": os.cpu_count(), "Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}


def _table(first: str, *others: str) -> Table:
    table = Table(first)
    for title in others:
        table.add_column(title, justify="right")
    return table


def _percentile(seconds: Sequence[float], share: float) -> float:
    """Return milliseconds; 0 for nothing."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0
