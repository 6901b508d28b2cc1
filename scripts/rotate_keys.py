"""Rotate keys beside the running service: the same as `tokenvault keys rotate`."""

from vault.cli.keys import rotate as main

if __name__ == "__main__":
    main()
