"""Destroy a disabled key version: the same as `tokenvault keys retire`."""

from vault.cli.keys import retire as main

if __name__ == "__main__":
    main()
