"""The command that checks an erasure receipt."""

from pathlib import Path

import click

from vault.cli.statement import judged, statement_options, tell
from vault.crypto import receipt
from vault.crypto.signed import Checked
from vault.errors import StatementRefused


@click.command("verify-receipt", epilog="Example: tokenvault verify-receipt receipt.json --data data")
@click.option("--token", help="Also check that it is the receipt of this person.")
@statement_options
def verify_receipt(
    file: Path,
    *,
    token: str | None,
    public_key: str | None,
    data: Path | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Check an erasure receipt offline: neither vault nor keys are needed."""

    def check() -> Checked:
        checked = receipt.check(file.read_bytes(), public_key)
        if token is not None and checked.statement["token_sha256"] != receipt.token_digest(token):
            raise StatementRefused("The receipt is another person's.")
        return checked

    checked = judged(check, "receipt", data, tenant, as_json=as_json)
    said = checked.statement
    whose = "of this token" if token else f"with the token digest {said['token_sha256']}"
    line = f"valid: the person {whose} was erased at {said['erased_at']}"
    tell(checked, [line], is_known=data is not None or public_key is not None, as_json=as_json)
