"""The command that checks an erasure receipt."""

import json
import os
import sys
from pathlib import Path

import click

from vault.cli.keys.desk import at_desk, json_option
from vault.cli.place import Place, fail
from vault.config import load
from vault.crypto import receipt
from vault.errors import ConfigError, StatementRefused
from vault.key_desk import KeyDesk
from vault.progress import Progress


@click.command("verify-receipt", epilog="Example: tokenvault verify-receipt receipt.json --data data")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--token", help="Also check that it is the receipt of this person.")
@click.option(
    "--public-key", help="The signer's Ed25519 key as 'keys status --json' tells it, to be sure who signed."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also check that a signing key of this vault signed it.",
)
@json_option
def verify_receipt(
    file: Path, *, token: str | None, public_key: str | None, data: Path | None, as_json: bool
) -> None:
    """Check an erasure receipt offline: neither vault nor keys are needed."""
    known = _signers(data, as_json=as_json) if data else None
    try:
        checked = receipt.check(file.read_bytes(), public_key)
        if known is not None and checked.public_key not in known:
            raise StatementRefused("The receipt was not signed by a signing key of this vault.")
        if token is not None and checked.statement["token_sha256"] != receipt.token_digest(token):
            raise StatementRefused("The receipt is another person's.")
    except StatementRefused as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "reason": error.message}))
            sys.exit(1)
        fail(error)
    said, is_known = checked.statement, known is not None or public_key is not None
    if as_json:
        click.echo(json.dumps({"valid": True, "signer_known": is_known, **said}))
        return
    whose = (
        "the person of this token" if token else f"the person with the token digest {said['token_sha256']}"
    )
    click.echo(f"valid: {whose} was erased at {said['erased_at']}")
    click.echo(f"signed by {checked.public_key}" + ("" if is_known else ": compare it with one you know"))


def _signers(data: Path, *, as_json: bool) -> set[str | None]:
    """Return the public keys of a vault's signing keys, destroyed ones too."""

    async def work(desk: KeyDesk, _: Progress) -> set[str | None]:
        return {one.public_key for one in (await desk.status()).lines["signing"]}

    try:
        place = Place(load(None, os.environ), data)
    except ConfigError as error:
        fail(error)
    signers: set[str | None] = at_desk(place, work, as_json=as_json)
    return signers
