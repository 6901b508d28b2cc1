"""docs/databunker.md and the wire say the same."""

import json
import re
from pathlib import Path

from vault.http.databunker import METHODS
from vault.policy_language import read

PAGE = (Path(__file__).parents[2] / "docs" / "databunker.md").read_text("utf-8")


def test_every_method_stands_in_the_table() -> None:
    """And no other."""
    table = PAGE.partition("<!-- methods")[2].partition("<!-- /methods")[0]
    assert sorted(re.findall(r"\b[A-Z]\w*[a-z][A-Z]\w+", table)) == sorted(method.name for method in METHODS)


def test_every_policy_of_the_page_is_read() -> None:
    """As it is written."""
    [policy] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert read(json.loads(policy))
