"""Sealed boxes, the keyring, the blind index and the one spelling of what it finds."""
