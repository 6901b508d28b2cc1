"""The nouns that stores keep. Times are milliseconds since the epoch (UTC), durations milliseconds.

Boxes are sealed bytes; a record never holds a plaintext profile, a session id or an access key's secret.
"""

from typing import NamedTuple

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False):
    """A noun that cannot change: a Struct, made in a twentieth of a frozen dataclass's time.

    It holds scalars only, so there is nothing for the garbage collector to visit.
    """

    def __repr__(self) -> str:
        """Show all but bytes: boxes and digests are for nobody's eyes."""
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__)
        told = ", ".join(f"{name}={value!r}" for name, value in shown if not isinstance(value, bytes))
        return f"{type(self).__name__}({told})"


class Tag(NamedTuple):
    """A blind-index tag: the keyed hash of one normalised field value (docs/format.md, "Blind index")."""

    field: str
    version: int
    digest: bytes


class ProfileRow(Record, frozen=True):
    """One sealed profile. ``erasing_at`` is the durable note of an erasure that has begun."""

    token: str
    box: bytes
    key_version: int
    revision: int
    created_at: int
    updated_at: int
    expires_at: int | None = None
    erasing_at: int | None = None

    def is_alive(self, now: int) -> bool:
        """Whether the profile may still be seen: not expired (dead at the very millisecond), not being erased."""
        return self.erasing_at is None and (self.expires_at is None or now < self.expires_at)


class SessionRow(Record, frozen=True):
    """One session. ``idle_expires_at`` never passes ``expires_at``, so it alone is the effective end.

    ``epoch`` is the person's epoch, which is always that of the store: bumping it deletes the sessions before it.
    """

    digest: bytes
    handle: str
    user_token: str | None
    box: bytes
    key_version: int
    epoch: int
    lifetime: int
    idle_timeout: int
    created_at: int
    authenticated_at: int
    last_seen_at: int
    expires_at: int
    idle_expires_at: int

    def is_alive(self, now: int) -> bool:
        """Whether the session may be used: dead at the very millisecond of its end."""
        return now < self.idle_expires_at


class AccessKeyRow(Record, frozen=True):
    """One access key. ``claims`` limits which session claims its holder is shown; None shows all."""

    id: str
    name: str
    secret_digest: bytes
    scopes: tuple[str, ...]
    claims: tuple[str, ...] | None
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def is_alive(self, now: int) -> bool:
        """Whether the key opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyRecord(Record, frozen=True):
    """What the database remembers of one key version: public, so that a lost keyring is noticed."""

    line: str
    version: int
    fingerprint: str
    canary: bytes
    created_at: int
    activated_at: int | None = None
    compromised_at: int | None = None
    #: Since when no row has been under it, by census.
    empty_since: int | None = None
    destroyed_at: int | None = None
    #: The retirement certificate, JSON text.
    certificate: str | None = None
    #: What checks the signatures of a version of the line "signing", base64; kept when the key is destroyed.
    public_key: str | None = None


class SealedRow(Record, frozen=True):
    """A box where it is kept. ``name`` is bound into its key, and public: a token, a handle, a digest in hex.

    ``cursor`` orders the rows of its store.
    """

    name: str
    cursor: int | bytes
    box: bytes
    key_version: int


class Quarantined(Record, frozen=True):
    """The note about a box that does not open. ``cause`` is the code of a ``BoxError``."""

    name: str
    key_version: int
    cause: str
    noted_at: int


class ServingProcess(Record, frozen=True):
    """A process that serves. ``generation`` is of the keyring it has loaded, ``versions`` what that holds (JSON)."""

    id: str
    host: str
    pid: int
    started_at: int
    seen_at: int
    generation: int
    versions: str


class Claim(Record, frozen=True):
    """Who is changing keys. Lapses when its holder has not been seen for a while."""

    holder: str
    host: str
    pid: int
    what: str
    taken_at: int
    seen_at: int


class Rotation(Record, frozen=True):
    """One entry of the journal. ``counts`` is JSON text, ``digest`` the hex digest of the verify pass."""

    id: int
    line: str
    by: str
    began_at: int
    from_versions: str
    to_version: int | None = None
    finished_at: int | None = None
    outcome: str | None = None
    counts: str = "{}"
    digest: str | None = None


class KeptAnswer(Record, frozen=True):
    """The sealed answer to a request that carried an Idempotency-Key."""

    digest: bytes
    box: bytes
    key_version: int
    expires_at: int


class Person(Record, frozen=True):
    """What a session must know of its person: until when the profile lives, and strings no claim may equal."""

    expires_at: int | None
    strings: frozenset[str]

    def __repr__(self) -> str:
        """Show nothing: the strings are the person's own."""
        return "<Person>"
