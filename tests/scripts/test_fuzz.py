"""The fuzzing command as a process. What it looks for, tests/fuzz looks for too; here is what it tells."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run what scripts/fuzz runs."""
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)


def test_a_run_that_finds_nothing_says_how_much_it_tried() -> None:
    """Runs, steps, seconds and the seed, and exit code 0; progress goes to standard error."""
    done = run("model", "--backend", "memory", "--minutes", "0.001", "--seed", "5")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("model: memory: ")
    assert done.stdout.endswith(" s, seed 5: holds\n")
    assert all(word in done.stdout for word in (" runs, ", " steps, "))
    assert " of 0 s, " in done.stderr


def test_a_finding_is_told_with_the_command_that_does_it_again(tmp_path: Path) -> None:
    """Exit code 1, and the command fails as the run did."""
    done = run("parsers", "--target", "broken", "--minutes", "0.3", "--folder", str(tmp_path))
    assert done.returncode == 1
    assert "1 FINDINGS" in done.stdout
    _, _, replay = done.stdout.partition("To do it again: ")
    python, *arguments = replay.split()
    assert python == ".venv/bin/python"
    again = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "AssertionError: found" in again.stderr


def test_help_has_an_example() -> None:
    """--help shows how it is called."""
    told = run("--help").stdout
    assert all(word in told for word in ("Example: scripts/fuzz", "--minutes", "--seed", "Exit code 0"))


def test_the_script_can_be_run() -> None:
    """It is there, executable and sound."""
    script = ROOT / "scripts" / "fuzz"
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
