"""What can be set: each setting once, with its default, its reason and its bounds.

Durations are seconds, sizes bytes. These declarations make the schema of the file, the environment variables,
config.example.toml and the README's table.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from vault.claims import DEFAULT_CLAIMS, ClaimRule

Key = tuple[str, ...]


def setting(
    default: Any, why: str, *, least: int = 0, most: int = 2**31 - 1, shape: tuple[str, str] | None = None
) -> Any:
    """Declare a setting.

    ``least`` and ``most`` bound a number, which always fits 31 bits (68 years, 2 GiB). ``shape`` is a regular
    expression for the whole of a text, and what to say when it does not match.
    """
    metadata = {"why": why, "least": least, "most": most, "shape": shape}
    return field(default_factory=lambda: default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Section:
    """A table of settings."""

    def clashes(self) -> Iterator[tuple[Key, str]]:
        """Yield the settings that do not go together, and why."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Server(Section):
    """Where the vault listens."""

    host: str = setting(
        "127.0.0.1",
        "Address to listen on: this machine only, until TLS or a proxy stands in front.",
        shape=(r"\S+", "must be an address or a host name"),
    )
    port: int = setting(3000, "Port, that of Databunker for its clients; 0 picks a free one.", most=65535)
    tls_certificate: str = setting("", "PEM file with the certificate chain; empty if a proxy does TLS.")
    tls_key: str = setting("", "PEM file with the private key of that certificate.")
    shutdown_grace: int = setting(10, "Seconds to finish requests; Kubernetes waits 30.", least=1, most=600)
    docs: bool = setting(True, "Serve /docs, the description of the API; it holds no data.")

    def clashes(self) -> Iterator[tuple[Key, str]]:
        """A certificate without its key, or a key without its certificate."""
        if bool(self.tls_certificate) != bool(self.tls_key):
            yield ("tls_certificate", "tls_key"), "tls_certificate and tls_key: set both or none"


@dataclass(frozen=True, slots=True)
class Limits(Section):
    """What is refused as too large."""

    profile_body: int = setting(262_144, "Bytes of one profile (256 KiB); 1 KB is ordinary.", least=1024)
    batch_body: int = setting(67_108_864, "Bytes of a batch (64 MiB): 5,000 profiles of 13 KB.", least=1024)
    session_body: int = setting(16_384, "Bytes about a session (16 KiB); claims are short.", least=1024)
    json_depth: int = setting(32, "Levels of nesting in JSON; deeper is an attack.", least=1, most=200)
    batch_profiles: int = setting(5000, "Profiles in a batch, which is one transaction.", least=1, most=5000)


@dataclass(frozen=True, slots=True)
class Storage(Section):
    """Where sealed records are kept."""

    url: str = setting(
        "sqlite:",
        "'sqlite:' is a file in the data folder; 'memory:' forgets everything at the end.",
        shape=("sqlite:|memory:", "must be 'sqlite:' or 'memory:'"),
    )
    busy_timeout: int = setting(5, "Seconds to wait for a lock; the default of sqlite3.", least=1, most=60)


@dataclass(frozen=True, slots=True)
class Keyring(Section):
    """Where the keys are kept."""

    file: str = setting(
        "keyring.json",
        "Path from the data folder; keys and data belong on different disks and in different backups.",
        shape=(".+", "must name a file"),
    )
    unlock: str = setting(
        "file:unlock.key",
        "Where the key is that unlocks the keyring: file:PATH, env:NAME, credential:NAME (systemd), command:…,"
        " passphrase:env:NAME, passphrase:file:PATH, passphrase:ask, aws-kms:KEY, transit:MOUNT/KEY.",
        shape=(
            "(file|env|credential|command|passphrase|aws-kms|transit):.+",
            "must name a source of the key",
        ),
    )
    max_age: int = setting(
        31_536_000, "Seconds until an active key is called old: a year (NIST SP 800-57, 5.3.6).", least=1
    )
    cool_down: int = setting(
        86_400, "Seconds a disabled key rests, with no row under it, before it may be destroyed."
    )


@dataclass(frozen=True, slots=True)
class Profiles(Section):
    """How profiles are read, and how long they live."""

    default_region: str = setting(
        "US",
        "Country of phone numbers without a country code (two letters, ISO 3166-1).",
        shape=("[A-Z]{2}", "must be two upper-case letters"),
    )
    max_expires_in: int = setting(0, "Seconds that a profile may ask to live. 0: no cap.")


@dataclass(frozen=True, slots=True)
class Sessions(Section):
    """How long sessions live, and what they may carry."""

    lifetime: int = setting(86_400, "Seconds from login to the end: 24 h (NIST SP 800-63B-4, AAL2).", least=1)
    max_lifetime: int = setting(86_400, "Seconds that a call may ask for as lifetime.", least=1)
    idle_timeout: int = setting(3600, "Seconds unused until the end: 1 h (NIST SP 800-63B-4, AAL2).", least=1)
    max_idle_timeout: int = setting(3600, "Seconds that a call may ask for as idle timeout.", least=1)
    max_per_person: int = setting(100, "Live sessions of one person (OWASP ASVS 7.1.2). 0: no bound.")
    at_limit: Literal["end_oldest", "refuse"] = setting(
        "end_oldest", "What a login beyond that number does: 'end_oldest' makes room, 'refuse' fails."
    )
    cache_for: int = setting(2, "Seconds a look-up may be reused and a revocation stay unseen.", most=60)
    claims: Mapping[str, ClaimRule] = setting(
        DEFAULT_CLAIMS,
        "All that a session may carry: slug, slugs, locale, boolean, integer,"
        ' or { type = "slug", values = ["free", "paid"] }.',
    )

    def clashes(self) -> Iterator[tuple[Key, str]]:
        """A default above what a call may ask for."""
        if self.lifetime > self.max_lifetime:
            yield ("lifetime", "max_lifetime"), "lifetime must not be above max_lifetime"
        if self.idle_timeout > self.max_idle_timeout:
            yield ("idle_timeout", "max_idle_timeout"), "idle_timeout must not be above max_idle_timeout"


@dataclass(frozen=True, slots=True)
class Idempotency(Section):
    """How long a repeated request is recognised."""

    lifetime: int = setting(86_400, "Seconds an answer is kept for its Idempotency-Key: a day of retries.")


@dataclass(frozen=True, slots=True)
class Housekeeping(Section):
    """When that which has ended leaves the disk; nobody is shown it any more."""

    interval: int = setting(30, "Seconds between sweeps of what has ended.", least=1, most=3600)
    chunk: int = setting(500, "Rows a transaction: 1,000 hold writers up for 40 ms.", least=1, most=1000)


@dataclass(frozen=True, slots=True)
class Log(Section):
    """What the vault tells of its work: never a profile's value, a token or a key."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "The least serious lines to write.")
    format: Literal["json", "console"] = setting("json", "'json' is for programs, 'console' for people.")
    requests: bool = setting(True, "Write a line a request; it holds the route's template, not the path.")


@dataclass(frozen=True, slots=True)
class Config(Section):
    """All settings."""

    server: Server = field(default_factory=Server)
    limits: Limits = field(default_factory=Limits)
    storage: Storage = field(default_factory=Storage)
    keyring: Keyring = field(default_factory=Keyring)
    profiles: Profiles = field(default_factory=Profiles)
    sessions: Sessions = field(default_factory=Sessions)
    idempotency: Idempotency = field(default_factory=Idempotency)
    housekeeping: Housekeeping = field(default_factory=Housekeeping)
    log: Log = field(default_factory=Log)


#: The tables of the file, and the settings by their environment variables: (table, declaration, default).
SECTIONS: Mapping[str, Section] = {one.name: getattr(Config(), one.name) for one in fields(Config)}
VARIABLES = {
    f"VAULT_{table}__{one.name}".upper(): (table, one, getattr(section, one.name))
    for table, section in SECTIONS.items()
    for one in fields(section)
}
