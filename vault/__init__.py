"""A vault for personal data: sealed profiles in, opaque user tokens out, sessions beside them."""

__version__ = "0.1.0"
