"""The opaque strings the vault hands out, and their shapes. A string of another shape is refused unread.

| what | shape | random bits | stored as |
| --- | --- | --- | --- |
| user token | UUID version 4, lower case | 122 | itself: it is a pseudonym, not a credential |
| session id | ``tvs_`` + 43 base64url characters | 256 | SHA-256 of the whole text |
| a caller's own session id | UUID, or 32 base64url characters | its matter | SHA-256 of ``databunker``, NUL, the id |
| session handle | ``tsh_`` + 22 base64url characters | 128 | itself: it is public and opens nothing |
| access key | ``tvk_`` + 16 hex digits (its id) + ``_`` + 43 base64url characters | 256 | SHA-256 of the secret part |
| unlock | ``tvu_`` + 43 base64url characters | 256 | SHA-256 of the whole text |
| unlock or share of Databunker's wire | UUID version 4 | 122 | SHA-256 of the whole text in lower case |

A fast digest suffices for 122 or 256 random bits: there is no dictionary to try (unlike with passwords).
"""

import hashlib
import re
import secrets
import uuid
from typing import NamedTuple

_USER_TOKEN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_SESSION_ID = re.compile(r"tvs_[A-Za-z0-9_-]{43}", re.ASCII)
_NAMED_SESSION_ID = re.compile(r"(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})|[A-Za-z0-9_-]{32}", re.ASCII)
_HANDLE = re.compile(r"tsh_[A-Za-z0-9_-]{22}", re.ASCII)
_UNLOCK = re.compile(r"tvu_[A-Za-z0-9_-]{43}", re.ASCII)
_ACCESS_KEY = re.compile(r"tvk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


class AccessKeyParts(NamedTuple):
    """An access key taken apart: the public id, and the digest of the secret."""

    id: str
    secret_digest: bytes


def new_user_token() -> str:
    """Return a random UUID (RFC 9562, version 4): it says nothing about the person."""
    return str(uuid.uuid4())


def is_user_token(text: str) -> bool:
    """Whether the text has the shape of a user token."""
    return _USER_TOKEN.fullmatch(text) is not None


def new_session_id() -> str:
    """Return a session id with 256 random bits (OWASP asks for 64, ASVS 7.2.3 for 128)."""
    return "tvs_" + secrets.token_urlsafe(32)


def is_session_id(text: str) -> bool:
    """Whether the text has the shape of a session id."""
    return _SESSION_ID.fullmatch(text) is not None


def session_digest(session_id: str) -> bytes:
    """Return what is stored of a session id: 32 bytes that are not accepted as an id."""
    return hashlib.sha256(session_id.encode()).digest()


def named_session_id(text: str) -> str | None:
    """Return a caller's own session id as it is kept, or None if it cannot be one.

    A UUID is told in either case; what express-session makes (24 bytes, base64url) is another in another case.
    """
    if _NAMED_SESSION_ID.fullmatch(text) is None:
        return None
    return text if len(text) == 32 else text.lower()


def named_session_digest(named: str) -> bytes:
    """Return what is stored of such an id: no id of the vault's own has this digest."""
    return hashlib.sha256(b"databunker\0" + named.encode()).digest()


def new_handle() -> str:
    """Return a public handle for a session."""
    return "tsh_" + secrets.token_urlsafe(16)


def is_handle(text: str) -> bool:
    """Whether the text has the shape of a session handle."""
    return _HANDLE.fullmatch(text) is not None


def new_unlock() -> str:
    """Return leave to read in bulk."""
    return "tvu_" + secrets.token_urlsafe(32)


def is_unlock(text: str) -> bool:
    """Whether the text has the shape of leave to read in bulk."""
    return _UNLOCK.fullmatch(text) is not None


def new_bearer_uuid() -> str:
    """Return a secret in the shape that Databunker's clients take: a random UUID (RFC 9562, version 4)."""
    return str(uuid.uuid4())


def is_bearer_uuid(text: str) -> bool:
    """Whether the text has the shape of such a secret, in lower case."""
    return _USER_TOKEN.fullmatch(text) is not None


def new_access_key() -> tuple[str, AccessKeyParts]:
    """Return an access key as its holder sees it, once, and what is stored of it."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return f"tvk_{key_id}_{secret}", AccessKeyParts(key_id, hashlib.sha256(secret.encode()).digest())


def parse_access_key(text: str) -> AccessKeyParts | None:
    """Take an access key apart, or return None if it cannot be one."""
    match = _ACCESS_KEY.fullmatch(text)
    if match is None:
        return None
    return AccessKeyParts(match[1], hashlib.sha256(match[2].encode()).digest())
