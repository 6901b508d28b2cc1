"""The house itself: what the README says is so, and the rooms are kept as the plan has them."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vault.cli import main
from vault.config import settings_table
from vault.http.native import OPERATIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")

TOP_LEVEL = {
    "pyproject.toml", "vault", "tests", "scripts", "docs", "config.example.toml",
    "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
}  # fmt: skip


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(line) for line in listed.stdout.splitlines()]


def _between(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert found, name
    return found[1]


def test_every_room_has_its_floor() -> None:
    """The import contract holds, and a new file without a floor breaks it."""
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_top_level_holds_what_it_should() -> None:
    """Nothing but the agreed files and folders, dot-files aside."""
    assert {path.parts[0] for path in _tracked() if not path.parts[0].startswith(".")} <= TOP_LEVEL


def test_each_file_holds_one_noun() -> None:
    """No room of odds and ends, and none so long that a second noun hides in it."""
    for path in _tracked():
        if path.parts[0] == "vault" and path.suffix == ".py":
            assert path.stem not in {"utils", "helpers", "common", "base", "manager", "misc"}, path
            assert len((ROOT / path).read_text("utf-8").splitlines()) <= 320, path


def test_the_readme_lists_every_call_with_its_scope() -> None:
    """The API table is that of the service."""
    rows = re.findall(r"^\| `(\w+) (/[^`]*)` \|.*\| `([a-z:]+)` \|$", _between("api"), re.MULTILINE)
    assert sorted(rows) == sorted((each.method, each.path, each.scope) for each in OPERATIONS)


def test_the_readme_lists_every_setting() -> None:
    """The settings table is made from the declarations."""
    assert _between("settings").strip() == settings_table()


def test_the_readme_links_lead_somewhere() -> None:
    """No link to a page that does not exist."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def _commands(group: click.Group, path: str = "tokenvault") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        inner = f"{path} {name}"
        found += _commands(command, inner) if isinstance(command, click.Group) else [(inner, command)]
    return found


@pytest.mark.parametrize(("path", "command"), _commands(main), ids=[path for path, _ in _commands(main)])
def test_every_command_explains_itself(path: str, command: click.Command) -> None:
    """``--help`` says what it does and gives an example that starts as one would type it."""
    text = command.get_help(click.Context(command, info_name=path))
    assert (command.help or "").strip()
    assert f"Example: {path}" in text


def test_both_scripts_of_the_readme_can_be_run() -> None:
    """They are there, executable, and syntactically sound."""
    for name in ("serve", "test"):
        script = ROOT / "scripts" / name
        assert script.stat().st_mode & 0o111
        assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
        assert f"./scripts/{name}" in README


def test_ci_calls_the_readmes_test_command() -> None:
    """What people run is what lands."""
    assert "\n./scripts/test\n" in (ROOT / ".ci" / "run").read_text("utf-8")
