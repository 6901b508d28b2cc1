"""How a signed statement is checked at a terminal: what may be asked, who signed, and the verdict."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vault import audit_desk
from vault.cli.place import fail, located, run, tenant_option
from vault.config import load
from vault.crypto.signed import Checked
from vault.errors import ConfigError, StatementRefused

Command = Callable[..., Any]


def statement_options(command: Command) -> Command:
    """Give a command ``file``, ``public_key``, ``data``, ``tenant`` and ``as_json``."""
    wrapped = tenant_option(command)
    wrapped = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(wrapped)
    wrapped = click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        help="Also check that a signing key of this vault signed it.",
    )(wrapped)
    wrapped = click.option(
        "--public-key",
        help="The signer's Ed25519 key as 'keys status --json' tells it, to be sure who signed.",
    )(wrapped)
    return click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))(wrapped)


def judged(
    check: Callable[[], Checked], noun: str, data: Path | None, tenant: str | None, *, as_json: bool
) -> Checked:
    """Return the statement that ``check`` gives, signed by a key of the vault in ``data`` if there is one.

    With ``tenant``, of that tenant's there.

    If it does not hold, the program ends here with exit code 1, and says why.
    """
    signers = None
    if data is not None:
        try:
            place = located(load(None, os.environ), data, tenant)
            signers = run(audit_desk.signers(place.config, place.data, place.tenant))
        except ConfigError as error:
            fail(error)
    try:
        checked = check()
        if signers is not None and checked.public_key not in signers:
            raise StatementRefused(f"The {noun} was not signed by a signing key of this vault.")
    except StatementRefused as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "reason": error.message}))
            sys.exit(1)
        fail(error)
    return checked


def tell(checked: Checked, lines: list[str], *, is_known: bool, as_json: bool) -> None:
    """Print a statement that holds: its members, or sentences and who signed."""
    if as_json:
        click.echo(json.dumps({"valid": True, "signer_known": is_known, **checked.statement}))
        return
    for line in lines:
        click.echo(line)
    click.echo(f"signed by {checked.public_key}" + ("" if is_known else ": compare it with one you know"))
