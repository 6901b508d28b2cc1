"""The pages that say what is proven: docs/security-checklist.md, and the claims' rules in docs/sessions.md."""

import ast
import re
from pathlib import Path

from vault.claims import ClaimsPolicy

ROOT = Path(__file__).parents[2]
CHECKLIST = (ROOT / "docs" / "security-checklist.md").read_text("utf-8")
SESSIONS = (ROOT / "docs" / "sessions.md").read_text("utf-8")

ROWS = re.findall(r"^\| (T\d+) \| (.+?) \| (.+) \|$", CHECKLIST, re.MULTILINE)
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", CHECKLIST)
NUMBERS = [f"T{number}" for number in range(1, 38)]

#: No line may be without a test, but these, which ask for what the vault does not have.
WITHOUT_TEST = {"T37"}


def functions_of(path: str) -> set[str]:
    """Return the names of a file's test functions."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_line_is_there_exactly_once_and_in_order() -> None:
    """T1 to T37, each with what it asks and what shows it."""
    assert [number for number, _, _ in ROWS] == NUMBERS
    assert all(len(asks) > 10 and len(shown) > 10 for _, asks, shown in ROWS)


def test_every_named_test_exists() -> None:
    """No test that was renamed or removed is still promised."""
    files = {path for path, _ in NAMED}
    existing = {(path, name) for path in files for name in functions_of(path)}

    assert set(NAMED) - existing == set()


def test_every_line_that_applies_has_a_test_that_carries_its_number() -> None:
    """T9 is shown by a test named ..._t09_..., and so on."""
    for number, _, shown in ROWS:
        carrying = [name for _, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown)]
        label = f"_t{int(number[1:]):02}_"
        assert bool([name for name in carrying if label in name]) != (number in WITHOUT_TEST), number


def test_no_numbered_test_is_left_out() -> None:
    """Whoever adds a proof enters it into the table."""
    written = {
        (f"tests/security/{path.name}", name)
        for path in Path(__file__).parent.glob("test_checklist_*.py")
        for name in functions_of(f"tests/security/{path.name}")
        if re.match(r"test_t\d\d_", name)
    }

    assert written - set(NAMED) == set()


def test_the_page_lists_every_rule_of_the_claims() -> None:
    """The rule ids in docs/sessions.md are those that refusals name."""
    listed = re.search(r"^\| rule \|.*?\n\n", SESSIONS, re.MULTILINE | re.DOTALL)
    assert listed
    ids = {
        rule
        for row in listed[0].strip().splitlines()[2:]
        for rule in re.findall(r"`(\w+)`", row.split("|")[1])
    }

    assert ids == set(re.findall(r"``(\w+)``", (ClaimsPolicy.__doc__ or "").partition("Rule ids")[2]))
