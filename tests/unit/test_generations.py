"""Counters of changed rows, by digest."""

from contextlib import closing
from pathlib import Path

import pytest

from vault.stores.sqlite.generations import Generations


@pytest.mark.parametrize(
    "digest", [b"", b"\x00", b"\xff", bytes(32)], ids=["nothing", "a byte", "another", "whole"]
)
def test_any_digest_has_a_counter(digest: bytes, tmp_path: Path) -> None:
    """One that somebody cut short in the file, too: a sweep that meets it goes on."""
    with closing(Generations(tmp_path / "generations")) as generations:
        noted = generations.note(digest)
        assert noted is not None
        generations.change(digest)
        assert not generations.is_current(digest, noted)
        generations.settle()
