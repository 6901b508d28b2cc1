"""Rotate a copy of the vault: the same as `tokenvault keys rehearse`."""

from vault.cli.keys import rehearse as main

if __name__ == "__main__":
    main()
