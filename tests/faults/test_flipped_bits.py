"""One value in one column of the files is changed while nobody looks: what is served then, for every column."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.faults.bit_answers import ANSWERS
from tests.faults.bits import (
    LATE,
    NONE,
    REFUSED,
    SERVED,
    UNFORESEEN,
    UNKNOWN,
    Known,
    alter,
    columns,
    facts,
    make,
    outcome,
)

Template = tuple[Path, Known, int, dict[str, str]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A vault with two of everything, what a caller knows of it, its time, and what it answers."""
    folder = tmp_path_factory.mktemp("bits") / "data"
    known, clock = asyncio.run(make(folder))
    sound = folder.with_name("sound")
    shutil.copytree(folder, sound)
    return folder, known, clock.time, asyncio.run(ask_all(sound, known, clock.time))


async def ask_all(folder: Path, known: Known, now: int) -> dict[str, str]:
    """Ask everything now, and what is left of it hours later, when nothing was asked in between."""
    late = folder.with_name(f"{folder.name}-late")
    shutil.copytree(folder, late)
    told = await facts(folder, known, FakeClock(now))
    if "start" in told:
        return told
    return {**told, **await facts(late, known, FakeClock(now + LATE * 1000), late=True)}


def test_every_column_is_answered_for(template: Template) -> None:
    """A new table or column fails here, by its name, until somebody has thought about who writes to it."""
    there = columns(template[0])
    missing = [name for name in there if name not in ANSWERS]
    assert not missing, f"tests/faults/bit_answers.py has no answer for: {', '.join(missing)}"
    assert not [name for name in ANSWERS if name not in there], "an answer about a column that is gone"


def test_what_a_caller_is_told_does_not_differ_by_itself(template: Template, tmp_path: Path) -> None:
    """Two copies with nothing changed answer alike, and what should be dead later is."""
    folder, known, now, sound = template
    shutil.copytree(folder, tmp_path / "data")
    again = asyncio.run(ask_all(tmp_path / "data", known, now))
    assert again == sound
    assert {told for what, told in sound.items() if what.endswith(" late")} == {
        "404 session_not_found",
        "404 record_not_found",
        "401 unauthenticated",
    }


@pytest.mark.parametrize("swap", [False, True], ids=["flipped", "swapped"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_changed_value_comes_to_what_the_table_says(
    name: str, swap: bool, template: Template, tmp_path: Path
) -> None:
    """Refused, unreadable, unknown, told by check, of no consequence; or served, which the threat model has to say."""
    folder, known, now, sound = template
    shutil.copytree(folder, tmp_path / "data")
    expected = ANSWERS[name].swapped if swap else ANSWERS[name].flipped
    if not alter(tmp_path / "data", name, swap=swap):
        assert expected in (
            NONE,
            REFUSED,
        )  # whether the file lets it be depends on which rows were made at one moment
        return
    told = asyncio.run(ask_all(tmp_path / "data", known, now))
    assert outcome(sound, told) == expected, {
        what: said for what, said in told.items() if said != sound.get(what)
    }


def test_what_is_dangerous_is_marked() -> None:
    """Where the file is believed about rights, identity or life, the row says so."""
    for name, column in ANSWERS.items():
        if column.why.startswith("DANGEROUS"):
            assert {SERVED, UNKNOWN, UNFORESEEN} & {column.flipped, column.swapped}, name


def test_exceptions_that_nobody_foresaw_are_few_and_known() -> None:
    """They are defects: each that is mended leaves this list, and none comes to it."""
    assert [name for name, column in ANSWERS.items() if UNFORESEEN in (column.flipped, column.swapped)] == []
