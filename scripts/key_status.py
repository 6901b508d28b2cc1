"""Show the state of every key: the same as `tokenvault keys status`."""

from vault.cli.keys import status as main

if __name__ == "__main__":
    main()
