"""Shows on the terminal how far long work is: a bar there, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

#: Seconds between two plain lines about one piece of work.
LINE_EVERY = 5.0


class Watching:
    """A ``vault.progress.Progress``. Steps go to standard output, or to standard error beside ``--json``.

    With ``undo`` a step tells the command that takes it back, and ``place`` is what that needs to find the vault.
    """

    def __init__(
        self, bar: Progress | None, *, as_json: bool, undo: bool, place: str, unit: str = "rows"
    ) -> None:
        self._bar = bar
        self._unit = unit
        self._undo, self._place = undo, place
        self._task: TaskID | None = None
        self._to_stderr = as_json
        self._what, self._total, self._done = "", 0, 0
        self._began_at = self._told_at = 0.0

    def did(self, what: str, undo: str = "") -> None:
        """Say it."""
        self._end()
        told = f"  (undo: {undo}{self._place})" if undo and self._undo else ""
        click.echo(f"- {what}{told}", err=self._to_stderr)

    def begin(self, what: str, total: int) -> None:
        """Start a bar."""
        self._end()
        self._what, self._total, self._done = what, total, 0
        self._began_at = self._told_at = time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task(what, total=total, rate="")

    def advance(self, rows: int) -> None:
        """Move the bar, or now and then write a line."""
        self._done += rows
        now = time.monotonic()
        rate = self._done / max(now - self._began_at, 1e-9)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, rate=f"{rate:,.0f} {self._unit}/s")
        elif now - self._told_at >= LINE_EVERY:
            self._told_at = now
            left = max(self._total - self._done, 0) / rate
            unit = self._unit
            line = f"{self._what}: {self._done:,} of {self._total:,} {unit}, {rate:,.0f} {unit}/s, {left:,.0f} s left"
            click.echo(line, err=True)

    def _end(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


@contextmanager
def watching(*, as_json: bool, undo: bool = True, place: str = "", unit: str = "rows") -> Iterator[Watching]:
    """Yield what shows the work; the bar is gone at the end."""
    if not sys.stderr.isatty():
        yield Watching(None, as_json=as_json, undo=undo, place=place, unit=unit)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Watching(bar, as_json=as_json, undo=undo, place=place, unit=unit)
