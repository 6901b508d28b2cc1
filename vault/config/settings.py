"""What can be set: each setting once, with its default, its reason and its bounds.

Durations are seconds, sizes bytes. These declarations make the schema of the file, the environment variables,
config.example.toml and the README's table.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
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
    tls_client_ca: str = setting("", "PEM file with authorities; set: only their clients are let in.")
    trusted_proxies: str = setting(
        "", "Networks, by commas, whose X-Forwarded-For is believed: 10.0.0.0/8. Anybody else's is not."
    )
    keep_alive: int = setting(
        75, "Seconds an idle connection stays open: more than the 60 of most proxies.", least=1
    )
    lock_memory: bool = setting(True, "Keep keys off the swap (mlockall), where the system permits it.")
    shutdown_grace: int = setting(10, "Seconds to finish requests; Kubernetes waits 30.", least=1, most=600)
    docs: bool = setting(True, "Serve /docs, the description of the API; it holds no data.")

    def clashes(self) -> Iterator[tuple[Key, str]]:
        """A certificate without its key, a key without its certificate, authorities without TLS, no networks."""
        if bool(self.tls_certificate) != bool(self.tls_key):
            yield ("tls_certificate", "tls_key"), "tls_certificate and tls_key: set both or none"
        if self.tls_client_ca and not self.tls_certificate:
            yield ("tls_client_ca",), "tls_client_ca needs tls_certificate and tls_key"
        try:
            _ = self.trusted_networks
        except ValueError:
            yield ("trusted_proxies",), "must be networks, as 10.0.0.0/8 or 2001:db8::/32, by commas"

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """``trusted_proxies``, read. Raises ``ValueError``, though not once the settings are loaded."""
        return tuple(ip_network(text.strip()) for text in self.trusted_proxies.split(",") if text.strip())


@dataclass(frozen=True, slots=True)
class Limits(Section):
    """What is refused as too large, too slow, or too much."""

    profile_body: int = setting(262_144, "Bytes of one profile (256 KiB); 1 KB is ordinary.", least=1024)
    batch_body: int = setting(67_108_864, "Bytes of a batch (64 MiB): 5,000 profiles of 13 KB.", least=1024)
    session_body: int = setting(16_384, "Bytes about a session (16 KiB); claims are short.", least=1024)
    json_depth: int = setting(32, "Levels of nesting in JSON; deeper is an attack.", least=1, most=200)
    batch_profiles: int = setting(5000, "Profiles in a batch, which is one transaction.", least=1, most=5000)
    url: int = setting(8190, "Bytes of a URL (RFC 9110, 4.1 asks for 8,000).", least=256, most=65_536)
    header_field: int = setting(8190, "Bytes of one header field, name and value.", least=256, most=65_536)
    header_fields: int = setting(64, "Header fields of a request; proxies add a dozen.", least=16, most=1000)
    header_timeout: int = setting(
        10, "Seconds for a request's head to arrive, and for a TLS handshake.", least=1, most=600
    )
    body_timeout: int = setting(
        30, "Seconds for a body to arrive, and for an answer to be taken: 64 MiB in 30 is 18 Mbit/s.", least=1
    )
    connections: int = setting(1000, "Connections at a time; each is a file: see 'ulimit -n'.", least=1)
    connections_per_address: int = setting(
        0, "Connections of one address, trusted proxies aside. 0: no bound, as NAT is one address."
    )


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
class Access(Section):
    """How refused access keys are slowed down, by address; valid ones never are."""

    failure_hold: int = setting(
        100,
        "Milliseconds until any refused key is answered; doubles with every 10 of a minute, to 2000.",
        most=2000,
    )
    failures_per_minute: int = setting(
        60, "Refused keys from one address (IPv6: /64) until they are answered 429 at once.", least=1
    )


@dataclass(frozen=True, slots=True)
class Audit(Section):
    """What is recorded of each act, and how it is made provable."""

    require_purpose: bool = setting(
        False, "Open a profile only for a request that says why, in the header Vault-Purpose."
    )
    checkpoint_every: int = setting(
        1000, "Events between signed checkpoints; what comes after the last is guarded by the keyed end alone.",
        least=1,
    )  # fmt: skip
    checkpoints: str = setting(
        "checkpoints.ndjson",
        "Path from the data folder: checkpoints go there too, since who writes to the database may take them out.",
        shape=(".+", "must name a file"),
    )


@dataclass(frozen=True, slots=True)
class Erasure(Section):
    """What remains of people who were erased: that they were."""

    ledger: str = setting(
        "erasures.ndjson",
        "Path from the data folder: signed receipts, which a restore obeys; not to be lost with the databases.",
        shape=(".+", "must name a file"),
    )


@dataclass(frozen=True, slots=True)
class Alarms(Section):
    """Who hears that a honey token was opened."""

    webhook: str = setting(
        "",
        "Address that each alarm is posted to, as a statement signed by the vault; empty for none.",
        shape=(r"(https?://\S+)?", "must be an http or https address"),
    )


@dataclass(frozen=True, slots=True)
class Databunker(Section):
    """The wire of Databunker's clients (docs/databunker.md)."""

    enabled: bool = setting(True, "Serve /v2 and /v1/session, the wire of Databunker's clients.")
    domain: str = setting(
        "",
        "Its sub-domains name tenants: with 'vault.example.org', acme.vault.example.org is acme's. Empty: none do.",
        shape=(r"[a-z0-9.-]*", "must be a domain in lower case"),
    )
    list_users: bool = setting(True, "Allow BulkListUsers, BulkListAllUsers and UserSearch, after an unlock.")
    versions: int = setting(10, "Former versions kept of a profile or of app data. 0: none.", most=1000)
    session_data: Literal["warn", "refuse"] = setting(
        "warn",
        "What is done about personal data in sessiondata: 'warn' counts and logs the rule, 'refuse' fails.",
    )
    max_final_time: int = setting(
        31_536_000, "Seconds that a record may ask to live; what asks for more gets this.", least=1
    )
    max_token_time: int = setting(86_400, "Seconds that a user's or role's token may live.", least=60)


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
    access: Access = field(default_factory=Access)
    audit: Audit = field(default_factory=Audit)
    alarms: Alarms = field(default_factory=Alarms)
    erasure: Erasure = field(default_factory=Erasure)
    databunker: Databunker = field(default_factory=Databunker)
    housekeeping: Housekeeping = field(default_factory=Housekeeping)
    log: Log = field(default_factory=Log)


#: The tables of the file, and the settings by their environment variables: (table, declaration, default).
SECTIONS: Mapping[str, Section] = {one.name: getattr(Config(), one.name) for one in fields(Config)}
VARIABLES = {
    f"VAULT_{table}__{one.name}".upper(): (table, one, getattr(section, one.name))
    for table, section in SECTIONS.items()
    for one in fields(section)
}
