"""Whatever reads bytes from outside, given any bytes."""

from pathlib import Path

import pytest

from tests.fuzz import parsers
from tests.fuzz.targets import TARGETS


def test_the_readers_keep_their_promises() -> None:
    """Any bytes are read, or refused in the way that is documented; nothing else comes out, and nothing hangs."""
    results = parsers.run([*TARGETS], 1, seed=1)
    assert [f"{one.name}: {finding}" for one in results for finding in one.findings] == []
    assert len(results) == len(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_keep_them_too(target: str) -> None:
    """The inputs that fuzzing starts from."""
    for content in TARGETS[target].seeds:
        TARGETS[target].check(content)


@pytest.mark.parametrize("blind", [False, True], ids=["with atheris, where it is", "with random changes"])
def test_a_broken_promise_is_found(blind: bool, tmp_path: Path) -> None:
    """A fuzzer that cannot find what is there would make everything else here worth nothing."""
    (result,) = parsers.run(["broken"], 20, seed=1, folder=tmp_path, blind=blind)
    assert "AssertionError: found" in "\n".join(result.findings)
    assert [*(tmp_path / "findings").iterdir()] != []
