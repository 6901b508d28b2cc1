"""``python -m vault`` and ``tokenvault``."""

from vault.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
