"""Commands about keys: their state, their rotation, their end. They work beside a running service."""

import click

from vault.cli.keys.ending import compromise, retire, verify_certificate
from vault.cli.keys.quarantine import quarantine
from vault.cli.keys.rotation import activate, disable, enable, new, rehearse, rotate, shred
from vault.cli.keys.status import status
from vault.cli.keys.unlocking import recovery, rewrap

COMMANDS = (
    status, new, rotate, rehearse, activate, disable, enable, retire, verify_certificate, compromise, quarantine,
    rewrap, recovery, shred,
)  # fmt: skip

__all__ = [
    "activate", "compromise", "disable", "enable", "keys", "new", "quarantine", "recovery", "rehearse", "retire",
    "rewrap", "rotate", "shred", "status", "verify_certificate",
]  # fmt: skip


@click.group()
def keys() -> None:
    """Show, rotate, retire and protect keys."""


for _command in COMMANDS:
    keys.add_command(_command)
