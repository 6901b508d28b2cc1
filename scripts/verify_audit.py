"""Check the audit trail offline: the same as `tokenvault audit verify`."""

from vault.cli.audit import verify as main

if __name__ == "__main__":
    main()
