"""The benchmark of rotations as a process. Its shape is checked, never its speeds: those are the machine's."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_rotation.py"

#: A run as short as it gets.
SHORTEST = ("--profiles", "200", "--sessions", "20", "--seconds", "1", "--rate", "50", "--batch", "50")


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the script with its temporary files in this folder."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True, text=True, timeout=100, env={**os.environ, "TMPDIR": str(folder)}, check=False,
    )  # fmt: skip


def test_json_holds_every_pass_phase_and_process(tmp_path: Path) -> None:
    """Rows and rates of each pass, waiting times of each phase, memory of both processes; no look-up failed.

    Rows are profiles, sessions and what was recorded of these, which a session's opening is at least.
    """
    done = run(tmp_path, *SHORTEST, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["settings"] == {
        "profiles": 200, "bytes": 1024, "sessions": 20, "rate": 50.0, "seconds": 1.0, "batch": 50, "rows": None,
    }  # fmt: skip
    assert {"cores", "Python", "SQLite"} <= set(told["machine"])
    assert [(one["line"], one["name"]) for one in told["passes"]] == [
        ("data", "re-seal"), ("data", "verify"), ("index", "claim tags, prove it"), ("index", "delete old tags"),
    ]  # fmt: skip
    moved, verified, claimed, deleted = (one["rows"] for one in told["passes"])
    assert 220 + 20 < moved <= verified < 220 + 20 + 20
    assert (claimed, deleted) == (400, 200)
    assert all(one["rows_per_second"] > 0 for one in told["passes"])
    phases = [one["phase"] for one in told["look_ups"]]
    assert phases == ["before", "beside line data", "beside line index", "after"]
    for one in told["look_ups"]:
        assert one["count"] > 0
        assert one["failed"] == 0
        assert 0 < one["p50"] <= one["p99"] <= one["most"]
        assert 0 <= one["slid"] <= 1
    processes = [(one["process"], one["line"]) for one in told["memory"]]
    assert processes == [(name, line) for line in ("data", "index") for name in ("rotation", "service")]
    for one in told["memory"]:
        assert 10 < one["first_quarter"] <= one["whole"] <= one["peak"] + 1
    assert list(tmp_path.iterdir()) == []


def test_tables_are_for_people(tmp_path: Path) -> None:
    """Without --json there are tables; --keep leaves the vault, which is then wholly under the new keys."""
    kept = tmp_path / "kept"
    done = run(tmp_path, *SHORTEST, "--keep", str(kept))
    assert done.returncode == 0, done.stderr
    for words in ("claim tags, prove it", "÷ before", "resident MiB"):
        assert words in done.stdout
    assert "200 of 200 profiles are in" in done.stderr
    assert (kept / "data" / "vault.db").exists()


def test_help_has_an_example(tmp_path: Path) -> None:
    """--help shows how it is called."""
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert "Example: python scripts/bench_rotation.py" in done.stdout
