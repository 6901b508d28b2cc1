"""What the benchmark found: medians of rounds and of per-round ratios, as a table and as JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench_load import Sample
from rich.console import Console
from rich.table import Table

#: Columns that the table needs, where no terminal sets them.
WIDTH = 110

#: From this share of a core on, a process counts as busy.
BUSY = 0.9


@dataclass(frozen=True, slots=True)
class Goal:
    """What is hoped for: the least of both ratios, or the least records a second."""

    ratio: float | None = None
    records: int | None = None

    def is_met(self, wall: float, cpu: float, records: float) -> bool:
        """Whether the figures reach it."""
        return min(wall, cpu) >= (self.ratio or 0) and records >= (self.records or 0)

    def __str__(self) -> str:
        return f"≥ {self.ratio:.2f}" if self.ratio is not None else f"≥ {self.records:,} records/s"


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of one target's rounds. Times in milliseconds, processor time in microseconds a request.

    The shares are of one core, so the server's may pass 1: a COMMIT runs in a thread of its own.
    """

    requests_per_second: float
    p50: float
    p99: float
    cpu: float
    server_busy: float
    generator_busy: float
    failures: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One route against its base. ``records`` is how many records a request carries."""

    route: str
    base: str
    figures: Figures
    base_figures: Figures
    wall_ratio: float
    cpu_ratio: float
    records: int
    goal: Goal

    @property
    def records_per_second(self) -> float:
        """Records a second."""
        return self.figures.requests_per_second * self.records

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.goal.is_met(self.wall_ratio, self.cpu_ratio, self.records_per_second)

    def notes(self) -> list[str]:
        """Return in sentences what makes the line less than it seems."""
        told = []
        # A base waits for nothing but the processor, so only a lack of it keeps the server from being busy.
        if self.base_figures.generator_busy >= BUSY > self.base_figures.server_busy:
            told.append(
                f"{self.route}, {self.base}: the load generator was the bottleneck; trust the CPU ratio alone."
            )
        elif self.base_figures.server_busy < BUSY:
            share = f"{self.base_figures.server_busy:.0%}"
            told.append(
                f"{self.route}, {self.base}: the server had {share} of a core; trust the CPU ratio alone."
            )
        for name, figures in ((self.base, self.base_figures), (self.route, self.figures)):
            if figures.failures:
                counts = ", ".join(f"{count} with {status}" for status, count in figures.failures.items())
                told.append(f"{name}: answered {counts}; the figures are not to be trusted.")
        return told

    def as_json(self) -> dict[str, Any]:
        """Return the line as JSON shows it."""
        return {
            **asdict(self),
            "goal": str(self.goal),
            "met": self.met,
            "records_per_second": self.records_per_second,
        }


def line(route: str, base: str, rounds: Sequence[tuple[Sample, Sample]], records: int, goal: Goal) -> Line:
    """Sum up rounds of (base, route); each ratio is taken within its round."""
    bases, samples = zip(*rounds, strict=True)
    return Line(
        route,
        base,
        _figures(samples),
        _figures(bases),
        wall_ratio=median(sample.rate / base_sample.rate for base_sample, sample in rounds),
        cpu_ratio=median(base_sample.cpu / sample.cpu for base_sample, sample in rounds),
        records=records,
        goal=goal,
    )


def _figures(samples: Sequence[Sample]) -> Figures:
    return Figures(
        median(sample.rate for sample in samples),
        median(sample.p50 for sample in samples) * 1000,
        median(sample.p99 for sample in samples) * 1000,
        median(sample.cpu for sample in samples) * 1_000_000,
        median(sample.server_cpu / sample.elapsed for sample in samples),
        median(sample.own_cpu / sample.elapsed for sample in samples),
        sum((Counter(sample.failures) for sample in samples), Counter[str]()),
    )


def show(lines: Sequence[Line], machine: Mapping[str, Any], notes: Sequence[str], console: Console) -> None:
    """Print the table, what it was measured on, and what to beware of."""
    table = Table("route")
    for title in ("req/s", "p50 ms", "p99 ms", "CPU µs", "÷ bare wall", "÷ bare CPU", "goal", "met?"):
        table.add_column(title, justify="right")
    for one in lines:
        table.add_row(one.base, *_cells(one.base_figures), "", "", "", "", style="dim")
        ratios = f"{one.wall_ratio:.2f}", f"{one.cpu_ratio:.2f}"
        table.add_row(one.route, *_cells(one.figures), *ratios, str(one.goal), "yes" if one.met else "no")
    console.print(table)
    for one in lines:
        if one.records > 1:
            console.print(f"{one.route}: {one.records_per_second:,.0f} records/s", highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    for note in notes:
        console.print(note, highlight=False)


def _cells(figures: Figures) -> list[str]:
    return [
        f"{figures.requests_per_second:,.0f}",
        f"{figures.p50:.2f}",
        f"{figures.p99:.2f}",
        f"{figures.cpu:,.0f}",
    ]
