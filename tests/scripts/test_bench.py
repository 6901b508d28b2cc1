"""The benchmark as a process. Its shape is checked, never its speeds: those are the machine's."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench.py"

#: A run as short as it gets; the batch alone needs longer than a moment.
SHORTEST = ("--rounds", "1", "--seconds", "0.1", "--connections", "2", "--sessions", "20")


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the script with its temporary files in this folder."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"},
        check=False,
    )


def test_json_holds_every_route_with_figures_goal_and_verdict(tmp_path: Path) -> None:
    """The machine-readable result has the names that docs/benchmarks.md explains, and no request failed."""
    done = run(tmp_path, *SHORTEST, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"machine", "settings", "routes", "notes"}
    assert {"cores", "Python", "aiohttp", "SQLite", "fsync ms"} <= set(told["machine"])
    assert told["settings"] == {"rounds": 1, "seconds": 0.1, "connections": 2, "sessions": 20}
    assert [line["route"] for line in told["routes"]] == ["look-up", "read", "create", "batch"]
    for line in told["routes"]:
        assert line["wall_ratio"] > 0
        assert line["cpu_ratio"] > 0
        assert line["goal"].startswith("≥ ")
        assert isinstance(line["met"], bool)
        for figures in (line["figures"], line["base_figures"]):
            assert figures["failures"] == {}
            assert 0 < figures["p50"] <= figures["p99"]
            assert figures["requests_per_second"] > 0
            assert figures["cpu"] > 0


def test_table_is_for_people_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """Without --json there is a table of the chosen routes; afterwards the folder of temporary files is empty."""
    done = run(tmp_path, *SHORTEST, "--only", "look-up")
    assert done.returncode == 0, done.stderr
    assert "look-up" in done.stdout
    assert "÷ bare wall" in done.stdout
    assert "batch" not in done.stdout
    assert "round 1 of 1, look-up" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_route_is_refused(tmp_path: Path) -> None:
    """A misspelt route is an error that names it, not an empty table."""
    done = run(tmp_path, "--only", "look-up,lookup")
    assert done.returncode == 2
    assert "no such route: lookup" in done.stderr


def test_help_has_an_example(tmp_path: Path) -> None:
    """--help shows how it is called."""
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert "Example: python scripts/bench.py" in done.stdout
