"""``tokenvault check --deep``: whatever is not as it should be is named, by kind and place, for people and programs."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.acceptance.terminal import run
from tests.clock import FakeClock
from tests.rotating import process, spoil, take_in
from vault import audit_desk, wiring
from vault.clock import SystemClock
from vault.config import Config
from vault.deep_check import Findings, deep_check
from vault.errors import VaultError
from vault.progress import Silent


@pytest.fixture
async def people(data: Path) -> list[str]:
    """Three people with a session and kept answers each, in a folder that nobody serves."""
    # The program checks by the machine's clock: sessions of a fake one might not be alive by it.
    clock = FakeClock(SystemClock().now())
    async with process(data, clock) as serving:
        return await take_in(serving, 3)


async def found_in(data: Path) -> list[tuple[str, str]]:
    """Return kind and place of all findings."""
    findings = Findings()
    with suppress(VaultError):  # a file open to others is not even read
        await deep_check(Config(), data, findings, Silent())
    broken = (await audit_desk.verify(Config(), data, Silent())).findings if data_opens(findings) else []
    return [(one.kind, one.where) for one in findings.found] + [
        ("audit", str(one.sequence)) for one in broken
    ]


def data_opens(findings: Findings) -> bool:
    """Whether the check came as far as the boxes."""
    return "profiles" in findings.looked_at


async def test_a_sound_vault_is_right(data: Path, people: list[str]) -> None:
    """Everything was looked at, and nothing is wrong; people are told in words."""
    done = run("check", "--deep", "--json", "--data", data)
    said = json.loads(done.stdout)
    assert (done.returncode, said["right"], said["findings"], said["trouble"]) == (0, True, [], [])
    looked_at = said["looked_at"]
    assert looked_at["profiles"] == looked_at["sessions"] == looked_at["people with sessions"] == len(people)
    assert looked_at["tags"] == len(people)
    assert looked_at["audit_details"] > 0
    assert looked_at["events"] > len(people)
    assert "profiles: 3 looked at" in run("check", "--deep", "--data", data).stdout


Harm = Callable[[Path, list[str]], object]


def _sql(name: str, sql: str) -> Harm:
    return lambda data, people: spoil(data / f"{name}.db", sql.format(first=people[0], second=people[1]))


def _all_sql(name: str, *statements: str) -> Harm:
    def harm(data: Path, people: list[str]) -> None:
        for sql in statements:
            spoil(data / f"{name}.db", sql.format(first=people[0], second=people[1]))

    return harm


#: What somebody did to the files: the kinds of findings, and whether one names the first person.
HARM: dict[str, tuple[Harm, str, bool]] = {
    "a box was altered": (
        _sql("vault", "UPDATE profiles SET box = CAST(box || x'00' AS BLOB) WHERE token = '{first}'"), "box", True,
    ),
    "a box was put into another row": (
        _sql("vault", "UPDATE profiles SET box = (SELECT box FROM profiles WHERE token = '{second}')"
             " WHERE token = '{first}'"), "box", True,
    ),
    "a session's box was altered": (
        _sql("sessions", "UPDATE sessions SET box = CAST(box || x'00' AS BLOB) WHERE user_token = '{first}'"),
        "box", False,
    ),
    "an index tag is gone": (_sql("vault", "DELETE FROM tags WHERE token = '{first}'"), "tags", True),
    "an index tag leads elsewhere": (
        _all_sql("vault", "DELETE FROM tags WHERE token = '{second}'",
                 "UPDATE tags SET token = '{second}' WHERE token = '{first}'"), "tags", True,
    ),
    "a tag's digest was altered": (
        _sql("vault", "UPDATE tags SET digest = zeroblob(32) WHERE token = '{first}'"), "tags", True,
    ),
    "a profile was deleted past the vault": (
        _sql("vault", "DELETE FROM profiles WHERE token = '{first}'"), "orphan_tag session", True,
    ),
    "a profile went, its session stayed": (
        _all_sql("vault", "DELETE FROM tags WHERE token = '{first}'", "DELETE FROM profiles WHERE token = '{first}'"),
        "session", True,
    ),
    "an event was altered": (
        _sql("vault", "UPDATE audit_events SET actor = 'somebody' WHERE sequence = 5"), "audit", False,
    ),
    "a file is open to others": (lambda data, _: (data / "unlock.key").chmod(0o644), "mode", False),
}  # fmt: skip


@pytest.mark.parametrize("sentence", HARM)
async def test_what_is_wrong_is_named(sentence: str, data: Path, people: list[str]) -> None:
    """By kind, and by the row's public name."""
    harm, kind, names = HARM[sentence]
    harm(data, people)

    found = await found_in(data)
    assert {one for one, _ in found} == set(kind.split())
    assert not names or any(people[0] in where for _, where in found)


async def test_programs_are_told(data: Path, people: list[str]) -> None:
    """One JSON object, and exit code 1."""
    spoil(data / "vault.db", "DELETE FROM tags WHERE token = ?", people[0])

    done = run("check", "--deep", "--json", "--data", data)
    said = json.loads(done.stdout)
    assert (done.returncode, said["right"], said["trouble"], said["counts"]) == (1, False, [], {"tags": 1})
    assert [(one["kind"], one["where"]) for one in said["findings"]] == [("tags", people[0])]


#: A change of the schema, and what is named.
SCHEMAS = {
    "a fence was taken out": ("vault", "DROP TRIGGER profiles_fence_insert", "profiles_fence_insert"),
    "a trigger was put in": (
        "vault", "CREATE TRIGGER spy AFTER INSERT ON access_keys BEGIN SELECT 1; END", "spy",
    ),
    "an index was taken out": ("sessions", "DROP INDEX sessions_by_end", "sessions_by_end"),
}  # fmt: skip


@pytest.mark.parametrize("sentence", SCHEMAS)
async def test_a_schema_that_is_not_as_migrated_is_named(sentence: str, data: Path) -> None:
    """The short check names it too: a fence that is gone would not be missed otherwise."""
    name, sql, named = SCHEMAS[sentence]
    with closing(sqlite3.connect(data / f"{name}.db")) as connection, connection:
        connection.execute(sql)

    (trouble,) = await wiring.check(Config(), data)
    assert f"{named} is not as the migrations make it" in trouble
