"""Splits the unlock key into five recovery shares, restores it from three, and rehearses that."""

from vault.cli.keys.unlocking import recovery

main = recovery

if __name__ == "__main__":
    main(prog_name="recovery_shares.py")
