"""The nouns that stores keep. Times are milliseconds since the epoch (UTC), durations milliseconds.

Boxes are sealed bytes; a record never holds a plaintext profile, a session id or an access key's secret.
"""

from typing import NamedTuple

import msgspec
from msgspec.structs import replace


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
    """One sealed profile. ``erasing_at`` is the durable note of an erasure that has begun.

    ``expires_at`` alone is the effective end; of one that slides it moves to ``sliding`` after each use, but not beyond
    ``ends_at``.
    """

    token: str
    box: bytes
    key_version: int
    revision: int
    created_at: int
    updated_at: int
    expires_at: int | None = None
    erasing_at: int | None = None
    sliding: int | None = None
    ends_at: int | None = None

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


class Rails(Record, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an access key is held to beside its scopes; None: no bound.

    ``fields`` are the only profile paths it is shown ("address.city"), ``masked`` those it is not shown the value of,
    ``networks`` (CIDR) where it may call from. ``per_minute`` counts requests, the others profiles that it opens.
    """

    fields: tuple[str, ...] | None = None
    masked: tuple[str, ...] = ()
    networks: tuple[str, ...] | None = None
    per_minute: int | None = None
    reveals_per_hour: int | None = None
    reveals_per_day: int | None = None


class AccessKeyRow(Record, frozen=True):
    """One access key as it is kept: all that it is and may do is in the box (``AccessKey``)."""

    id: str
    box: bytes
    key_version: int


class AccessKey(Record, frozen=True, forbid_unknown_fields=True):
    """One access key, opened. ``claims`` limits which session claims its holder is shown; None shows all.

    A suspended key opens nothing until it is resumed.
    """

    id: str
    name: str
    secret_digest: bytes
    scopes: tuple[str, ...]
    claims: tuple[str, ...] | None
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    rails: Rails = Rails()
    suspended_at: int | None = None

    def is_alive(self, now: int) -> bool:
        """Whether the key opens anything."""
        ended = self.revoked_at is not None or self.suspended_at is not None
        return not ended and (self.expires_at is None or now < self.expires_at)

    def revoked(self, now: int) -> "AccessKey":
        """Return the key with that mark; an earlier one stays."""
        return self if self.revoked_at is not None else replace(self, revoked_at=now)

    def suspended(self, now: int) -> "AccessKey":
        """Return the key with that mark; an earlier one stays."""
        return self if self.suspended_at is not None else replace(self, suspended_at=now)


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


#: Actions that end a person, and with them the details of all events about that person.
ERASURES = ("profile.erased", "profile.expired")


class Event(Record, frozen=True):
    """One event of the audit trail. ``said`` is what its link is made of, in this order.

    ``revealed_version`` is the data key version that the profile was under when it was opened. The details are a box
    of their own, which goes when the person is erased; ``details_digest`` stays.
    """

    sequence: int
    at: int
    tenant: str
    actor: str
    action: str
    outcome: str
    user_token: str | None
    request_id: str | None
    purpose: str | None
    revealed_version: int | None
    details_digest: bytes | None
    link: bytes
    mac: bytes
    mac_version: int

    @property
    def said(self) -> tuple[str | int | None, ...]:
        """All but the digests."""
        return (
            self.sequence, self.at, self.tenant, self.actor, self.action, self.outcome, self.user_token,
            self.request_id, self.purpose, self.revealed_version,
        )  # fmt: skip


class End(Record, frozen=True):
    """The end of the audit trail: its last event, and a MAC that no other event has."""

    sequence: int
    link: bytes
    mac: bytes
    mac_version: int


class Linked(NamedTuple):
    """An event in its place, what is kept with it, and the end that it makes."""

    event: Event
    details: SealedRow | None
    end: End
    checkpoint: str | None


class Checkpoint(Record, frozen=True):
    """A signed statement (JSON text) about the trail up to an event."""

    sequence: int
    statement: str


class Allowance(Record, frozen=True):
    """What an access key may still open: its bounds (None: none), and how many profiles it asks for at ``now``."""

    key_id: str
    opens: int
    per_hour: int | None
    per_day: int | None
    now: int


class HoneyToken(Record, frozen=True):
    """A profile that nobody should ever open. With ``suspends`` whoever does loses the access key."""

    token: str
    suspends: bool
    planted_at: int


class UnlockRow(Record, frozen=True):
    """Leave to read in bulk, for one access key and a while."""

    digest: bytes
    key_id: str
    reason: str
    expires_at: int
