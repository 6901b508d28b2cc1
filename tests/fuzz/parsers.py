"""The targets, in a process beside this one, since atheris ends the one that it is in."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.result import Result

ROOT = Path(__file__).parents[2]

#: Seconds for the start of a process, and for its last input.
GRACE = 60

_EXECUTED = re.compile(r"^stat::number_of_executed_units: (\d+)", re.MULTILINE)
_ENDED = re.compile(r"^stat::target: (\w+) (-?\d+) ([\d.]+)\n", re.MULTILINE)


def run(
    targets: Sequence[str], seconds: float, seed: int, folder: Path | None = None, *, blind: bool = False
) -> list[Result]:
    """Fuzz targets one after the other, each for so long.

    ``folder`` keeps the corpora, and the inputs of findings; without it both are forgotten.
    """
    with tempfile.TemporaryDirectory(prefix="tokenvault-fuzz-") as name:
        kept = (folder or Path(name)).absolute()
        artifacts = kept / "findings"
        artifacts.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "tests.fuzz.run", *targets, "--seconds", str(seconds), "--seed", str(seed),
            "--corpus", str(kept / "corpus"), "--artifacts", str(artifacts), *(["--blind"] if blind else []),
        ]  # fmt: skip
        before = {*artifacts.iterdir()}
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=(seconds + GRACE) * len(targets),
            check=False,
        )
        made = sorted({*artifacts.iterdir()} - before) if folder else []
    # What was printed, then for each target its name, how it ended and its seconds, and what was printed after it.
    parts = _ENDED.split(done.stdout)
    ended = dict(zip(parts[1::4], zip(parts[0::4], parts[2::4], parts[3::4], strict=False), strict=False))
    return [_result(target, seed, made, *ended.get(target, (done.stdout, "1", "0"))) for target in targets]


def _result(target: str, seed: int, made: Sequence[Path], printed: str, code: str, taken: str) -> Result:
    executed = _EXECUTED.search(printed)
    tried = int(executed[1]) if executed else 0
    findings = [] if code == "0" and tried else [printed[-9000:]]
    inputs = [path for path in made if path.name.startswith(f"{target}-")]
    replay = (
        f".venv/bin/python -m tests.fuzz.run {target} --replay {inputs[0]}"
        if inputs
        else f"scripts/fuzz parsers --target {target} --seed {seed}"
    )
    return Result(f"parsers: {target}", seed, float(taken), {"executions": tried}, replay, findings)
