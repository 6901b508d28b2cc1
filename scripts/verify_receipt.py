"""Check an erasure receipt offline: the same as `tokenvault verify-receipt`."""

from vault.cli.receipt import verify_receipt as main

if __name__ == "__main__":
    main()
