"""Restore a backup into a new folder: the same as `tokenvault restore`."""

from vault.cli.backup import restore_backup as main

if __name__ == "__main__":
    main()
