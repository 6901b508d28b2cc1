"""Settings: each declared once, with its default, its reason and its bounds. Durations are seconds, sizes bytes.

The declarations make the schema of the file, the environment variables, config.example.toml and the README's table.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

import marshmallow as ma

from vault.claims import DEFAULT_CLAIMS, ClaimRule
from vault.errors import ConfigError

_Key = tuple[str, ...]

# --- what can be set ----------------------------------------------------------------------------------------


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

    def clashes(self) -> Iterator[tuple[_Key, str]]:
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
    shutdown_grace: int = setting(10, "Seconds to finish requests; Kubernetes waits 30.", least=1, most=601)
    docs: bool = setting(True, "Serve /docs, the description of the API; it holds no data.")

    def clashes(self) -> Iterator[tuple[_Key, str]]:
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

    def clashes(self) -> Iterator[tuple[_Key, str]]:
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


# --- the schema ---------------------------------------------------------------------------------------------


class _Exact(ma.fields.Field[Any]):
    """A value of the default's own type: true is not a number, and 1.0 not a whole one."""

    _types: Mapping[type, str] = {bool: "true or false", int: "a whole number", str: "text", dict: "a table"}

    def __init__(self, declared: Field[Any], default: object) -> None:
        self.type = dict if isinstance(default, Mapping) else type(default)
        least, most, shape = (declared.metadata[name] for name in ("least", "most", "shape"))
        check: ma.validate.Validator | None = None
        if get_origin(declared.type) is Literal:
            check = ma.validate.OneOf(get_args(declared.type), error="must be one of: {choices}")
        elif self.type is int:
            check = ma.validate.Range(least, most, error="must be from {min} to {max}")
        elif shape:
            check = ma.validate.Regexp(rf"({shape[0]})\Z", error=shape[1])
        super().__init__(validate=check)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> Any:
        if type(value) is not self.type:
            raise ma.ValidationError(f"must be {self._types[self.type]}")
        return _claim_rules(value) if isinstance(value, dict) else value


def _claim_rules(table: Mapping[str, object]) -> Mapping[str, ClaimRule]:
    """Return the rules by name; raise ValidationError that tells what is wrong with each."""
    rules, wrong = {}, {}
    for name, rule in table.items():
        match {"values": [], **(rule if isinstance(rule, dict) else {"type": rule})}:
            case {"type": str(kind), "values": [*values], **more} if not (
                more or {*map(type, values)} - {str}
            ):
                try:
                    rules[name] = ClaimRule(name, kind, tuple(values))
                except ValueError as error:
                    wrong[name] = [str(error)]
            case _:
                wrong[name] = ['must be a type, or such as { type = "slug", values = ["free", "paid"] }']
    if wrong:
        raise ma.ValidationError(wrong)
    return MappingProxyType(rules)


def _schema(defaults: Section) -> ma.Schema:
    """Return the schema that makes a section of this kind from its TOML table."""
    declared = {one: getattr(defaults, one.name) for one in fields(defaults)}

    class Loader(ma.Schema):
        @ma.post_load(pass_original=True)
        def build(self, data: dict[str, Any], original: dict[str, Any], **_: Any) -> Section:
            section = type(defaults)(**data)
            # Defaults do not clash with each other, so at least one was set: that one is named.
            clashes = {next(n for n in names if n in original): [why] for names, why in section.clashes()}
            if clashes:
                raise ma.ValidationError(clashes)
            return section

    schema = Loader.from_dict(
        {
            one.name: ma.fields.Nested(_schema(default))
            if isinstance(default, Section)
            else _Exact(one, default)
            for one, default in declared.items()
        }
    )()
    known = ", ".join(one.name for one in declared)
    schema.error_messages |= {"unknown": f"is unknown; known here: {known}", "type": "must be a table"}
    return schema


_SCHEMA = _schema(Config())
_SECTIONS: Mapping[str, Section] = {one.name: getattr(Config(), one.name) for one in fields(Config)}
_VARIABLES = {
    f"VAULT_{table}__{one.name}".upper(): (table, one, getattr(section, one.name))
    for table, section in _SECTIONS.items()
    for one in fields(section)
}

# --- reading ------------------------------------------------------------------------------------------------


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the settings: the defaults, overridden by the file if there is one, then by the environment.

    Raises ConfigError that tells all problems at once, one a line: ``file:line: key: what is wrong``, with the
    variable in place of file and line if it comes from there. Values are not repeated.
    """
    tables, places = _read(path) if path else ({}, {(): "environment"})
    problems = []
    for variable, raw in sorted(environ.items()):
        if not variable.startswith("VAULT_") or "__" not in variable:
            continue  # another program's, such as VAULT_ADDR
        if variable not in _VARIABLES:
            problems.append(f"{variable}: there is no such setting")
            continue
        table, one, default = _VARIABLES[variable]
        settings = tables.setdefault(table, {})
        if isinstance(settings, dict):  # else the schema refuses it below
            settings[one.name] = raw if isinstance(default, str) else _parsed(raw)
            places = {key: place for key, place in places.items() if key[:2] != (table, one.name)}
            places[table, one.name] = variable
    try:
        config: Config = _SCHEMA.load(tables)
    except ma.ValidationError as error:
        for key, messages in _walk(error.messages_dict):
            if isinstance(messages, list):
                key = tuple(part for part in key if part != "_schema")
                place = next(places[key[:n]] for n in range(len(key), -1, -1) if key[:n] in places)
                problems += [f"{place}: {'.'.join(key)}: {message}" for message in messages]
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def _read(path: Path) -> tuple[dict[str, Any], dict[_Key, str]]:
    """Return the tables of a TOML file, and the ``file:line`` of each key."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8") from error
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number or a nesting beyond Python's limits
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise ConfigError(f"{path}:{line}: is not TOML: {error}") from error
    return tables, {key: f"{path}:{line}" for key, line in _lines(text).items()}


def _lines(text: str) -> dict[_Key, int]:
    """Return the line on which each key begins, in a text that is TOML as a whole.

    A statement ends with the first line at which it is TOML by itself, below the header of its table.
    """
    lines: dict[_Key, int] = {}
    header = statement = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            first = number
        statement += line + "\n"
        try:
            tables = tomllib.loads(header + statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            header = statement
        for key, _ in _walk(tables):
            lines.setdefault(key, first)
        statement = ""
    return lines


def _walk(tree: object, key: _Key = ()) -> Iterator[tuple[_Key, object]]:
    """Yield the nodes of nested dictionaries with their keys: the root, and as deep as a claim lies."""
    yield key, tree
    if isinstance(tree, dict) and len(key) < len(("sessions", "claims", "role")):
        for name, inner in tree.items():
            yield from _walk(inner, (*key, name))


def _parsed(raw: str) -> object:
    """Return the TOML value of a variable; if it has none, the text itself, for the schema to refuse."""
    try:
        tables = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        return raw
    return tables["value"] if len(tables) == 1 else raw


# --- telling ------------------------------------------------------------------------------------------------

_HEADER = """\
# All settings of the vault with their defaults. `python -m vault config --example` prints this file; copy it,
# change what you need, drop the rest, and name the copy with --config. Durations are seconds, sizes bytes.
#
# An environment variable VAULT_SECTION__KEY overrides the file. Text is taken as it is: VAULT_SERVER__HOST=::1;
# all else is TOML: VAULT_SERVER__PORT=8080, VAULT_LOG__REQUESTS=false, VAULT_SESSIONS__CLAIMS='{ role = "slug" }'.
"""


def render_example() -> str:
    """Return the text of config.example.toml: every setting with its default, below its reason."""
    lines = [_HEADER]
    for table, section in _SECTIONS.items():
        lines += [f"# {section.__doc__}", f"[{table}]"]
        for one in fields(section):
            default = getattr(section, one.name)
            lines.append(f"# {one.metadata['why']}")
            if isinstance(default, Mapping):
                lines += [
                    f"[{table}.{one.name}]",
                    *(f"{name} = {_toml(rule)}" for name, rule in default.items()),
                ]
            else:
                lines.append(f"{one.name} = {_toml(default)}")
        lines.append("")
    return "\n".join(lines)


def settings_table() -> str:
    """Return the README's rows, in Markdown: setting, default, environment variable, why."""
    rows = ["| setting | default | environment variable | why |", "| --- | --- | --- | --- |"]
    for variable, (table, one, default) in _VARIABLES.items():
        rows.append(f"| `{table}.{one.name}` | `{_toml(default)}` | `{variable}` | {one.metadata['why']} |")
    return "\n".join(rows)


def _toml(value: object) -> str:
    """Return a default as TOML, which writes text, numbers, true and false as JSON does."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_toml(inner)}' for name, inner in value.items())} }}"
    return json.dumps(value.type if isinstance(value, ClaimRule) else value)
