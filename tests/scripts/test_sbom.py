"""The bill of what the product needs: here of the environment that the tests run in, and not of one that is made."""

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "bill_of_materials.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def run(*arguments: object) -> str:
    """Run what scripts/sbom runs; return what it printed."""
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def bill() -> str:
    """The bill of this environment."""
    return run("--environment", sys.executable)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bill_keeps_to_the_schema(bill: str) -> None:
    """CycloneDX 1.6, strictly; and the validator is one that refuses."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(bill) is None
    assert validator.validate_str(bill.replace('"purl"', '"pearl"', 1)) is not None


def test_all_that_the_product_asks_for_is_in_it(bill: str) -> None:
    """Each dependency of pyproject.toml, with its version, below the product itself."""
    told = json.loads(bill)
    assert told["metadata"]["component"]["name"] == PROJECT["name"]
    versions = {part["name"].lower().replace("_", "-"): part["version"] for part in told["components"]}
    (below,) = (each["dependsOn"] for each in told["dependencies"] if each["ref"] == "root-component")
    names = {each.split("==")[0].lower().replace("_", "-") for each in below}
    asked = {each.split(">=")[0] for each in PROJECT["dependencies"]}
    assert asked <= names
    assert all(versions[name] for name in asked)


def test_it_says_nothing_of_time_place_and_addresses(bill: str) -> None:
    """So the same versions give the same bytes, wherever they were fetched from."""
    assert run("--environment", sys.executable) == bill
    assert [line.strip() for line in bill.splitlines() if "://" in line] == [
        '"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",'
    ]
    assert str(ROOT) not in bill


LEFT: dict[str, dict[str, Any]] = {
    "an address in a licence": {"licenses": [{"license": {"name": "see https://index.internal/x"}}]},
    "a path of this machine": {"purl": f"pkg:generic/x?file={ROOT}/x.whl"},
}


@pytest.mark.parametrize("part", LEFT.values(), ids=LEFT)
def test_an_address_that_is_left_is_refused(part: dict[str, Any], script: ModuleType) -> None:
    """With a sentence that names the package, and not the address."""
    product: dict[str, Any] = {"name": "product"}
    tools: dict[str, Any] = {"components": []}
    bill = {"components": [{"name": "x", **part}], "metadata": {"component": product, "tools": tools}}
    with pytest.raises(
        click.ClickException, match=r"^x brings an address or a path along: nothing is written\.$"
    ):
        script.without_addresses(bill)
    bill["components"] = [{"name": "x", "externalReferences": [{"type": "chat", "url": "https://x"}]}]
    assert "https" not in script.without_addresses(bill)


def test_every_extra_can_be_asked_for(script: ModuleType) -> None:
    """Those of pyproject.toml but for the developers' own."""
    assert set(script.EXTRAS) == set(PROJECT["optional-dependencies"]) - {"dev"}


def test_help_has_an_example_and_the_script_can_be_run() -> None:
    """--help shows how it is called; scripts/sbom is there, executable and sound."""
    assert "Example: scripts/sbom --extra aws" in run("--help")
    shell = ROOT / "scripts" / "sbom"
    assert shell.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", shell], check=False).returncode == 0
