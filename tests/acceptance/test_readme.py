"""The README's commands, run as they are written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import Program

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
FIRST_STEPS = README.split("## The first profile and session")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", FIRST_STEPS, re.DOTALL)


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed, and the README's commands use it"
)
def test_the_first_profile_and_session(tmp_path: Path) -> None:
    """Each command succeeds and prints what the text around it says."""
    address, commands, _ = BLOCKS
    with Program(tmp_path / "data", tmp_path) as program:
        exports = address.replace("http://127.0.0.1:3000", program.url).replace("tvk_…", program.access_key)
        script = f"set -e\n{exports}\n{commands}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert '"profile":{"first_name":"Ada"}' in done.stdout
    assert done.stdout.count('"claims":{"roles":["editor"]}') == 2
    assert '"status"' not in done.stdout  # no problem among the answers


def test_the_access_keys_of_the_readme_can_be_made(tmp_path: Path) -> None:
    """The two commands that give each backend a key of its own."""
    with Program(tmp_path / "data", tmp_path):
        for line in BLOCKS[2].strip().splitlines():
            command = line.replace(".venv/bin/tokenvault", "python -m vault") + f" --data {tmp_path / 'data'}"
            done = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, check=False, env=_with_this_python()
            )
            assert done.returncode == 0, done.stderr
            assert "tvk_" in done.stdout


def _with_this_python() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
