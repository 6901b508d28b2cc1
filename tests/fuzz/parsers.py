"""The targets, each in a process of its own, since atheris ends the one that it is in."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.result import Result

ROOT = Path(__file__).parents[2]

#: Seconds for the start of a process, and for its last input.
GRACE = 60

_EXECUTED = re.compile(r"^stat::number_of_executed_units: (\d+)", re.MULTILINE)


def run(target: str, seconds: float, seed: int, folder: Path | None = None, *, blind: bool = False) -> Result:
    """Fuzz one target. ``folder`` keeps the corpus, and the input of a finding; without it both are forgotten."""
    with tempfile.TemporaryDirectory(prefix="tokenvault-fuzz-") as name:
        kept = (folder or Path(name)).absolute()
        corpus, artifacts = kept / "corpus" / target, kept / "findings"
        artifacts.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "tests.fuzz.run", target, str(seconds), "--seed", str(seed),
            "--corpus", str(corpus), "--artifacts", str(artifacts), *(["--blind"] if blind else []),
        ]  # fmt: skip
        before, began = {*artifacts.iterdir()}, time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + GRACE,
            check=False,
        )
        taken = time.monotonic() - began
        made = sorted({*artifacts.iterdir()} - before)
    executed = _EXECUTED.search(done.stderr)
    tried = int(executed[1]) if executed else 0
    findings = [] if done.returncode == 0 and tried else [done.stdout[-3000:] + done.stderr[-6000:]]
    replay = (
        f".venv/bin/python -m tests.fuzz.run {target} --replay {made[0]}"
        if folder and made
        else f"scripts/fuzz parsers --target {target} --seed {seed}"
    )
    return Result(f"parsers: {target}", seed, taken, {"executions": tried}, replay, findings)
