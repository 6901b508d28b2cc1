"""Add a pending key version: the same as `tokenvault keys new`."""

from vault.cli.keys import new as main

if __name__ == "__main__":
    main()
