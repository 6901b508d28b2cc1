"""Two requests at once, over HTTP, against real processes: the short form of scripts/prove_races.py."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "prove_races.py"

ROUNDS = 20


def prove(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the proof with its temporary files in this folder."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True, text=True, timeout=110, env={**os.environ, "TMPDIR": str(folder)}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("processes", ["1", "2"])
def test_every_race_ends_as_the_rules_say(tmp_path: Path, processes: str) -> None:
    """Whoever wins: what was ended is dead, an old id has one successor, nobody is let in from before."""
    done = prove(tmp_path, "--rounds", str(ROUNDS), "--processes", processes, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    told = json.loads(done.stdout)
    assert told["holds"]
    assert told["failures"] == []
    assert list(told["seen"]) == [
        "logout against touch",
        "rotate against look-up",
        "revoke-all against create",
        "erase against open",
    ]
    for race, seen in told["seen"].items():
        assert sum(seen.values()) == ROUNDS, race
        assert sum(times for what, times in seen.items() if "(overlapping)" in what) > ROUNDS / 4, race
    assert told["counts"]["look-ups after a race"] >= 5 * ROUNDS * int(processes)
    assert list(tmp_path.iterdir()) == []


def test_help_has_an_example(tmp_path: Path) -> None:
    """--help shows how it is called."""
    done = prove(tmp_path, "--help")
    assert done.returncode == 0
    assert "Example: python scripts/prove_races.py" in done.stdout


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The room that aims."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import prove_races_pair

    return prove_races_pair


def test_the_aim_finds_the_moment_at_which_both_win(pair: Any) -> None:
    """Where one side is three milliseconds slower, the other is sent so much later, and then both win."""
    aim, slower, wins = pair.Aim(random.Random(7)), 0.003, []
    for _ in range(400):
        held, late = aim.delays()
        assert min(held, late) == 0
        wins.append(held < late + slower)
        aim.note(one_won=wins[-1])
    assert all(wins[:10])
    assert 0.3 < sum(wins[200:]) / 200 < 0.7


def test_requests_overlap_unless_one_was_answered_before_the_other_was_asked(pair: Any) -> None:
    """What the printed table says of each round."""
    first, during, after = (pair.Timed(None, asked, asked + 2, 0) for asked in (0, 1, 2))
    assert pair.order(first, during) == pair.order(during, first) == "overlapping"
    assert pair.order(first, after) == pair.order(after, first) == "one after the other"
