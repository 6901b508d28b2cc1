"""Writes a CycloneDX 1.6 bill of what the product needs at run time: scripts/sbom runs it."""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import click
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("aws", "transit")


def _runtime_environment(folder: Path, extras: tuple[str, ...]) -> Path:
    """Make an environment with the product, what it needs, and nothing else: no pip either. Return its Python."""
    venv.create(folder, symlinks=True)
    product = str(ROOT) + (f"[{','.join(extras)}]" if extras else "")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _run(*pip, "install", "--quiet", "--no-compile", product)
    return python


def _described(python: Path) -> dict[str, Any]:
    """Have the environment of a Python described.

    The short names of packages are without the place that they were fetched from. "Reproducible" leaves out the
    random serial number, and the time but for SOURCE_DATE_EPOCH: one environment gives one file.
    """
    tool = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "environment",
        "--spec-version",
        "1.6",
        "--output-format",
        "JSON",
    ]
    how = [
        "--short-PURLs",
        "--output-reproducible",
        "--no-validate",
        "--pyproject",
        str(ROOT / "pyproject.toml"),
    ]
    bill: dict[str, Any] = json.loads(_run(*tool, *how, str(python)))
    return bill


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise click.ClickException(
            f"'python {' '.join(command[1:3])}' ended with {done.returncode}: {done.stderr}"
        )
    return done.stdout


def without_addresses(bill: dict[str, Any]) -> str:
    """Return the bill as text, without the addresses that packages give of themselves: chats, sponsors, registries.

    A package is named by its purl. Raises ``ClickException`` if there is an address left, or a path of this machine.
    """
    tools = bill["metadata"]["tools"]["components"]
    for component in [*bill["components"], bill["metadata"]["component"], *tools]:
        component.pop("externalReferences", None)
        component.pop("description", None)
        told = json.dumps(component)
        if "://" in told or str(ROOT) in told:
            raise click.ClickException(
                f"{component['name']} brings an address or a path along: nothing is written."
            )
    return json.dumps(bill, indent=2, ensure_ascii=False) + "\n"


def _require_valid(text: str) -> None:
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise click.ClickException(f"The bill does not keep to the schema of CycloneDX 1.6: {wrong}")


@click.command(epilog="Example: scripts/sbom --extra aws --to sbom.json")
@click.option("--extra", "extras", type=click.Choice(EXTRAS), multiple=True, help="With this extra too.")
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), help="A file, instead of standard output."
)
@click.option(
    "--environment",
    "python",
    type=click.Path(exists=True, path_type=Path),
    help="Describe the environment of this Python, instead of making one of what the product needs.",
)
def main(extras: tuple[str, ...], to: Path | None, python: Path | None) -> None:
    """Write a CycloneDX 1.6 bill (JSON) of what the product needs at run time.

    The product is installed into an environment of its own, in the folder for temporary files (TMPDIR), with the
    versions that pip chooses today. The same versions give the same bytes. There is a time in it only where
    SOURCE_DATE_EPOCH says which. Exit code 0: it is written, and it keeps to the schema.
    """
    if python is not None and extras:
        raise click.UsageError("--extra says what to install; with --environment nothing is.")
    with tempfile.TemporaryDirectory(prefix="tokenvault-sbom-") as folder:
        text = without_addresses(_described(python or _runtime_environment(Path(folder), extras)))
    _require_valid(text)
    if to is None:
        click.echo(text, nl=False)
    else:
        to.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
