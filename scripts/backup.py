"""Back a vault up beside its service: the same as `tokenvault backup`."""

from vault.cli.backup import backup as main

if __name__ == "__main__":
    main()
