"""Check a retirement certificate offline: the same as `tokenvault keys verify-certificate`."""

from vault.cli.keys import verify_certificate as main

if __name__ == "__main__":
    main()
