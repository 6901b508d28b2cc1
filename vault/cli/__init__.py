"""The command line: arguments in, exit code out; no rules, no SQL, no crypto.

Exit codes: 0 done, 1 something is wrong with the vault, 2 usage or settings (nothing was changed).
"""

import click

from vault import __version__
from vault.cli.access import access
from vault.cli.audit import audit
from vault.cli.backup import backup, backup_key, restore_backup
from vault.cli.honey import honey
from vault.cli.keys import keys
from vault.cli.receipt import verify_receipt
from vault.cli.serve import demo, serve
from vault.cli.tenants import tenants
from vault.cli.upkeep import check, init, show_config


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tokenvault")
def main() -> None:
    """A vault for personal data: profiles in, tokens out, sessions beside them."""


for _command in (init, serve, demo, check, show_config, access, audit, honey, keys, tenants):
    main.add_command(_command)
for _command in (backup, backup_key, restore_backup, verify_receipt):
    main.add_command(_command)
