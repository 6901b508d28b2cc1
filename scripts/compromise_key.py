"""Deal with a stolen key: the same as `tokenvault keys compromise`."""

from vault.cli.keys import compromise as main

if __name__ == "__main__":
    main()
