"""Rows with sane defaults: a test names only what it is about."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from vault.errors import KeyringError
from vault.ports import DocumentRow, NewProfile, Sealing
from vault.records import (
    AccessKeyRow,
    End,
    Event,
    KeptAnswer,
    KeyRecord,
    Linked,
    ProfileRow,
    SealedRow,
    SessionRow,
    Tag,
)
from vault.tokens import new_handle, new_user_token

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 1_800_000_000_000
PERSON = "0b0c9a5e-6f0e-4d39-8a53-0e6d2c1f7a10"


def a_profile(**changes: Any) -> ProfileRow:
    """Return a profile of a new person, made just now, that never expires."""
    row = ProfileRow(
        token=new_user_token(),
        box=secrets.token_bytes(40),
        key_version=1,
        revision=1,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(row, **changes)


@dataclass(frozen=True)
class AnEntry:
    """An event of the audit trail, with details if ``key_version`` says under which key they are."""

    action: str = "profile.revealed"
    user_token: str | None = PERSON
    actor: str = "0123456789abcdef"
    mac_version: int = 1
    key_version: int | None = None
    at: int = NOW
    outcome: str = "ok"
    revealed_version: int | None = None
    checkpoint: str | None = None

    def linked(self, end: End | None) -> Linked:
        """Take the next place. The link is no hash: a store does not look at it."""
        sequence = end.sequence + 1 if end else 1
        link, details = sequence.to_bytes(32, "big"), None
        if self.key_version is not None:
            details = SealedRow(str(sequence), sequence, secrets.token_bytes(40), self.key_version)
        event = Event(
            sequence, self.at, "default", self.actor, self.action, self.outcome, self.user_token, None, None,
            self.revealed_version, bytes(32) if details else None, link, secrets.token_bytes(32), self.mac_version,
        )  # fmt: skip
        return Linked(
            event, details, End(sequence, link, secrets.token_bytes(32), self.mac_version), self.checkpoint
        )


def a_new_profile(*tags: Tag, **changes: Any) -> NewProfile:
    """Return such a profile together with its tags."""
    return NewProfile(a_profile(**changes), tags)


def a_tag(value: str, field: str = "email", version: int = 1) -> Tag:
    """Return a tag. As in the blind index, the digest is of field and key version too."""
    return Tag(field, version, sha256(f"{field}:{version}:{value}".encode()).digest())


def a_session(
    at: int = NOW, idle_timeout: int = 30 * MINUTE, lifetime: int = 12 * HOUR, **changes: Any
) -> SessionRow:
    """Return a session that a new person opened at ``at`` and has not used since."""
    row = SessionRow(
        digest=secrets.token_bytes(32),
        handle=new_handle(),
        user_token=new_user_token(),
        box=secrets.token_bytes(40),
        key_version=1,
        epoch=0,
        lifetime=lifetime,
        idle_timeout=idle_timeout,
        created_at=at,
        authenticated_at=at,
        last_seen_at=at,
        expires_at=at + lifetime,
        idle_expires_at=at + min(idle_timeout, lifetime),
    )
    return replace(row, **changes)


def a_successor(old: SessionRow, at: int = NOW, **changes: Any) -> SessionRow:
    """Return what ``old`` becomes when its id is rotated at ``at``: another digest, another box, other times."""
    fresh = a_session(at, old.idle_timeout, old.lifetime)
    row = replace(
        old,
        digest=fresh.digest,
        box=fresh.box,
        authenticated_at=at,
        last_seen_at=at,
        expires_at=fresh.expires_at,
        idle_expires_at=fresh.idle_expires_at,
    )
    return replace(row, **changes)


def an_access_key(**changes: Any) -> AccessKeyRow:
    """Return the row of a new access key."""
    row = AccessKeyRow(id=secrets.token_hex(8), box=secrets.token_bytes(40), key_version=1)
    return replace(row, **changes)


def a_document(**changes: Any) -> DocumentRow:
    """Return a new document of nobody's, that never expires."""
    row = DocumentRow(
        name=f"role/{secrets.token_hex(8)}",
        owner=None,
        box=secrets.token_bytes(40),
        key_version=1,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(row, **changes)


def sealing(row: DocumentRow) -> Sealing:
    """Return what makes this very row, but with the id that it is given."""
    return lambda number: replace(row, id=number)


def a_key_record(**changes: Any) -> KeyRecord:
    """Return what is known of the first data key."""
    row = KeyRecord(
        line="data", version=1, fingerprint="5f2a", canary=secrets.token_bytes(41), created_at=NOW
    )
    return replace(row, **changes)


class Keeper:
    """A fake ``AnswerKeeper`` that writes down what it was called with."""

    def __init__(
        self, digest: bytes | None = None, expires_at: int = NOW + HOUR, key_version: int = 1
    ) -> None:
        self.digest = digest or secrets.token_bytes(32)
        self.answer = KeptAnswer(self.digest, secrets.token_bytes(40), key_version, expires_at)
        self.calls: list[list[str | None]] = []

    def keep(self, outcomes: Sequence[str | None]) -> KeptAnswer | None:
        """Return the same answer whatever the outcomes are."""
        self.calls.append(list(outcomes))
        return self.answer


class SilentKeeper(Keeper):
    """A fake ``AnswerKeeper`` that finds nothing worth keeping."""

    def keep(self, outcomes: Sequence[str | None]) -> None:
        """Write the call down and keep nothing."""
        self.calls.append(list(outcomes))


class BrokenKeeper(Keeper):
    """A fake ``AnswerKeeper`` whose key is gone."""

    def keep(self, outcomes: Sequence[str | None]) -> KeptAnswer | None:
        """Fail."""
        raise KeyringError
