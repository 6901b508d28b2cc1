"""The threat model in SECURITY.md: no claim without a test, and none that a database writer's change is told wrong."""

import re
from itertools import groupby

from tests.faults.bit_answers import ANSWERS
from tests.faults.bits import SERVED
from tests.security.test_checklist_document import ROOT, functions_of

PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
CLAIMS = re.findall(r"^\| (gets|not) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)

#: Who attacks. Nobody of them is forgotten, and each both gets something and is kept from something.
ATTACKERS = [
    "A stolen database", "A stolen backup", "A stolen access key", "A stolen session id",
    "Somebody who writes to the databases", "Somebody who reads the logs and metrics", "Somebody on the network",
    "A stolen keyring", "A stolen key of one line", "A malicious operator",
]  # fmt: skip


def test_every_named_test_exists() -> None:
    """No test that was renamed or removed is still promised; nor is a file."""
    files = {path for path, _ in NAMED}
    existing = {(path, name) for path in files for name in functions_of(path)}

    assert set(NAMED) - existing == set()
    assert not [path for path in re.findall(r"`(tests/[\w/.]+)`", PAGE) if not (ROOT / path).exists()]


def test_every_claim_has_a_test() -> None:
    """What an attacker gets as well as what not."""
    assert len(CLAIMS) == len(re.findall(r"^\| (?:gets|not) ", PAGE, re.MULTILINE))
    for _, claim, shown in CLAIMS:
        assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`(?:<br>`tests/[\w/]+\.py::test_\w+`)*", shown), (
            claim
        )


def test_every_attacker_gets_something_and_not_all() -> None:
    """One who gets nothing was not thought through."""
    sections = re.split(r"^### ", PAGE.partition("## The threat model")[2], flags=re.MULTILINE)[1:]
    assert [section.partition("\n")[0] for section in sections] == ATTACKERS
    for section in sections:
        said = re.findall(r"^\| (gets|not) ", section, re.MULTILINE)
        assert {word for word, _ in groupby(said)} == {"gets", "not"}, section.partition("\n")[0]


def test_every_column_that_is_believed_is_named() -> None:
    """As tests/faults/bit_answers.py has it, and no other: what is mended is no longer confessed."""
    believed = {
        name
        for name, column in ANSWERS.items()
        if SERVED in (column.flipped, column.swapped) or column.why.startswith("DANGEROUS")
    }
    assert set(re.findall(r"`((?:vault|sessions)\.\w+\.\w+)`", PAGE)) == believed


def test_no_proof_of_a_threat_is_left_out() -> None:
    """Whoever adds one enters it into the page."""
    for file in ("tests/security/test_threats.py", "tests/security/test_threats_access.py"):
        proofs = {(file, name) for name in functions_of(file) if name.startswith("test_")}
        assert proofs - set(NAMED) == set()
