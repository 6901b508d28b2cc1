import tomllib
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.claims import ClaimRule
from vault.config import Config, load, render_example, settings_table
from vault.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
SETTINGS = [
    (table.name, one.name) for table in fields(Config) for one in fields(getattr(Config(), table.name))
]


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """Return a function that loads a text and variables, and tells the lines of the refusal."""
    monkeypatch.chdir(tmp_path)

    def tell(text="", **environ):
        Path("v.toml").write_text(text, encoding="utf-8", newline="")
        with pytest.raises(ConfigError) as caught:
            load(Path("v.toml"), environ)
        return caught.value.message.splitlines()

    return tell


@pytest.fixture
def read(tmp_path):
    """Return a function that loads a text and variables."""

    def load_text(text="", **environ):
        (tmp_path / "v.toml").write_text(text, encoding="utf-8", newline="")
        return load(tmp_path / "v.toml", environ)

    return load_text


# --- the declarations ---------------------------------------------------------------------------------------


def test_the_defaults_are_sound(read):
    """Without a file and variables, and with an empty file, the settings are the defaults."""
    assert load(None, {}) == read("") == Config()


def test_the_example_is_the_defaults():
    """The committed example loads and changes nothing."""
    assert load(EXAMPLE, {}) == Config()


def test_the_example_is_up_to_date():
    """The committed example is what the declarations render."""
    assert EXAMPLE.read_text(encoding="utf-8") == render_example()


def test_the_example_holds_every_setting_with_its_reason():
    """Each setting stands in the example, in order, right below a comment of one line."""
    tables = tomllib.loads(render_example())
    assert [(table, key) for table, inner in tables.items() for key in inner] == SETTINGS
    lines = render_example().splitlines()
    for table, key in SETTINGS:
        at = lines.index(f"[{table}]")
        at = next(n for n in range(at, len(lines)) if lines[n].startswith((f"{key} = ", f"[{table}.{key}]")))
        assert lines[at - 1].startswith("# ")
        assert lines[at - 1].endswith(".")


def test_the_readme_table_holds_every_setting():
    """Each setting has one row of four cells, and its variable is the one that is read."""
    head, rule, *rows = [row.strip("|").split(" | ") for row in settings_table().splitlines()]
    assert len(head) == 4
    assert set("".join(rule)) <= set("-| ")
    assert [row[0].strip(" `") for row in rows] == [".".join(key) for key in SETTINGS]
    assert {len(row) for row in rows} == {4}
    for _, default, variable, _ in rows:
        raw = default.strip("`")
        environ = {variable.strip("`"): raw.strip('"')}
        assert load(None, environ) == Config()


@pytest.mark.parametrize("text", ["", "[sessions.claims]"], ids=["the defaults", "a file"])
def test_settings_cannot_be_changed(read, text):
    """A loaded setting stays as it was, down to the claims."""
    config = read(text)
    with pytest.raises(AttributeError):
        config.server.port = 1
    with pytest.raises(TypeError):
        config.sessions.claims["plan"] = ClaimRule("plan", "slug")


# --- the file -----------------------------------------------------------------------------------------------


def test_the_file_overrides_the_defaults(read):
    """What the file says holds, and what it does not say keeps its default."""
    config = read('[server]\nport = 0\n[log]\nlevel = "debug"\nrequests = false\n')
    assert (config.server.port, config.log.level, config.log.requests) == (0, "debug", False)
    assert (config.server.host, config.log.format) == ("127.0.0.1", "json")


def test_claims_are_replaced_whole(read):
    """Declared claims take the place of the default ones, in the short and in the long form."""
    claims = read(
        """
        [sessions.claims]
        beta = "boolean"
        plan = { type = "slug", values = ["free", "paid"] }
        seats = { type = "integer" }
        """
    ).sessions.claims
    assert claims == {
        "beta": ClaimRule("beta", "boolean"),
        "plan": ClaimRule("plan", "slug", ("free", "paid")),
        "seats": ClaimRule("seats", "integer"),
    }


KNOWN_LOG = "known here: level, format, requests"
KNOWN_TABLES = (
    "known here: server, limits, storage, keyring, profiles, sessions, idempotency, access, audit, alarms, erasure,"
    " databunker, housekeeping, log"
)
A_RULE = 'must be a type, or such as { type = "slug", values = ["free", "paid"] }'

REFUSED = {
    "an unknown section": ("[sever]\nport = 1", f"v.toml:1: sever: is unknown; {KNOWN_TABLES}"),
    "a setting outside of a section": ("\nport = 1", f"v.toml:2: port: is unknown; {KNOWN_TABLES}"),
    "an unknown key": ("[log]\n\n# why\nlevels = 1", f"v.toml:4: log.levels: is unknown; {KNOWN_LOG}"),
    "a section that is a number": ("\nserver = 3", "v.toml:2: server: must be a table"),
    "a section that is a list": ("[[server]]\nport = 1", "v.toml:1: server: must be a table"),
    "text for a number": ('[server]\nport = "80"', "v.toml:2: server.port: must be a whole number"),
    "true for a number": ("[server]\nport = true", "v.toml:2: server.port: must be a whole number"),
    "a fraction for a number": ("[server]\nport = 1.0", "v.toml:2: server.port: must be a whole number"),
    "a date for a number": ("[server]\nport = 2026-01-01", "v.toml:2: server.port: must be a whole number"),
    "a number for text": ("[server]\nhost = 1", "v.toml:2: server.host: must be text"),
    "a list for text": ('[server]\nhost = [\n"::1"]', "v.toml:2: server.host: must be text"),
    "a number for true": ("[log]\nrequests = 1", "v.toml:2: log.requests: must be true or false"),
    "text for true": ('[log]\nrequests = "yes"', "v.toml:2: log.requests: must be true or false"),
    "text for a table": ('[sessions]\nclaims = "role"', "v.toml:2: sessions.claims: must be a table"),
    "a number above its bound": ("server.port = 65536", "v.toml:1: server.port: must be from 0 to 65535"),
    "a number below its bound": (
        "[limits]\njson_depth = 0",
        "v.toml:2: limits.json_depth: must be from 1 to 200",
    ),
    "a body too small to hold anything": (
        "[limits]\nprofile_body = 1023",
        "v.toml:2: limits.profile_body: must be from 1024 to 2147483647",
    ),
    "a negative number": (
        "[idempotency]\nlifetime = -1",
        "v.toml:2: idempotency.lifetime: must be from 0 to 2147483647",
    ),
    "a duration beyond any clock": (
        "[profiles]\nmax_expires_in = 2147483648",
        "v.toml:2: profiles.max_expires_in: must be from 0 to 2147483647",
    ),
    "an empty host": ('[server]\nhost = ""', "v.toml:2: server.host: must be an address or a host name"),
    "a host with a line end": (
        '[server]\nhost = "localhost\\n"',
        "v.toml:2: server.host: must be an address or a host name",
    ),
    "an unknown store": (
        '[storage]\nurl = "mysql://u:secret@h"',
        "v.toml:2: storage.url: must be 'sqlite:' or 'memory:'",
    ),
    "a file that the store would not use": (
        '[storage]\nurl = "sqlite:other.db"',
        "v.toml:2: storage.url: must be 'sqlite:' or 'memory:'",
    ),
    "a keyring without a name": ('[keyring]\nfile = ""', "v.toml:2: keyring.file: must name a file"),
    "a region in lower case": (
        '[profiles]\ndefault_region = "us"',
        "v.toml:2: profiles.default_region: must be two upper-case letters",
    ),
    "a word that is no choice": (
        '[sessions]\nat_limit = "ask"',
        "v.toml:2: sessions.at_limit: must be one of: end_oldest, refuse",
    ),
    "a claim of no type": ("[sessions.claims]\nplan = 1", f"v.toml:2: sessions.claims.plan: {A_RULE}"),
    "a claim with an unknown key": (
        '[sessions]\nclaims.plan = { type = "slug", value = ["a"] }',
        f"v.toml:2: sessions.claims.plan: {A_RULE}",
    ),
    "a claim whose values are numbers": (
        '[sessions.claims.plan]\ntype = "slug"\nvalues = [1]',
        f"v.toml:1: sessions.claims.plan: {A_RULE}",
    ),
    "a table as deep as a well": ("[" + "a." * 5000 + "a]", f"v.toml:1: a: is unknown; {KNOWN_TABLES}"),
    "a certificate without a key": (
        '[server]\ndocs = true\ntls_certificate = "a.pem"',
        "v.toml:3: server.tls_certificate: tls_certificate and tls_key: set both or none",
    ),
    "a key without a certificate": (
        '[server]\ntls_key = "a.pem"',
        "v.toml:2: server.tls_key: tls_certificate and tls_key: set both or none",
    ),
    "a lifetime above the greatest": (
        "[sessions]\nlifetime = 86401",
        "v.toml:2: sessions.lifetime: lifetime must not be above max_lifetime",
    ),
    "a greatest lifetime below the lifetime": (
        "[sessions]\n\nmax_lifetime = 60",
        "v.toml:3: sessions.max_lifetime: lifetime must not be above max_lifetime",
    ),
    "an idle timeout above the greatest": (
        "[sessions]\nidle_timeout = 3601",
        "v.toml:2: sessions.idle_timeout: idle_timeout must not be above max_idle_timeout",
    ),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_file_is_refused_at_the_line(refusal, text, told):
    """The one problem is told with file, line and key, and without the value."""
    assert refusal(text) == [told]


@pytest.mark.parametrize("name", ["email", "phone", "Role", "über"])
def test_a_claim_that_names_personal_data_is_refused(refusal, name):
    """What the claim rules refuse is told at the claim's line."""
    (told,) = refusal(f'[sessions.claims]\nrole = "slug"\n"{name}" = "slug"')
    assert told.startswith(f"v.toml:3: sessions.claims.{name}: ")


UNREADABLE = {
    "an open table": ("[server", "v.toml:1: is not TOML: "),
    "a value that is missing": ("[server]\nport = 1\nhost =\n", "v.toml:3: is not TOML: "),
    "a key given twice": ("[log]\nlevel = 'info'\nlevel = 'info'\n\n", "v.toml:3: is not TOML: "),
    "a nesting without end": ("\na = " + "[" * 100_000, "v.toml:2: is not TOML: "),
    "a number without end": ("\na = " + "9" * 5000, "v.toml:2: is not TOML: "),
}


@pytest.mark.parametrize(("text", "told"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_not_toml_is_refused_at_the_line(refusal, text, told):
    """A file that cannot be read as TOML is told with file and line."""
    (line,) = refusal(text)
    assert line.startswith(told)


def test_what_is_not_utf_8_is_refused_at_the_line(tmp_path):
    """Bytes that are not UTF-8 are told with file and line."""
    path = tmp_path / "v.toml"
    path.write_bytes(b'[server]\n\nhost = "\xff"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.message == f"{path}:3: is not UTF-8"


def test_a_missing_file_is_named(tmp_path):
    """A file that is not there is an error, and not the defaults."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.toml", {})
    assert caught.value.message == f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"


PLACES = {
    "a dotted key": ("# one\nlog . level = 1", 2),
    "a quoted table and key": ("[ \"log\" ]\n'level' = 1", 2),
    "an escaped key": ('[log]\n"le\\u0076el" = 1', 2),
    "a key of an inline table": ("\nlog = { format = 'json', level = 1 }", 2),
    "a key after a list of many lines": ("[log]\nx = [\n'[log]', # ]\n[1],\n]\nlevel = 1", 6),
    "a key after a text of many lines": ('[log]\nx = """\nlevel = 2\n"" \\"""" # """\nlevel = 1', 5),
    "a key after a literal of many lines": ("[log]\nx = '''\n[log]\nlevel = 2\n'''\nlevel = 1", 6),
    "a key after a number sign in quotes": ("[log]\nx = '#'\n\nlevel = 1 # level", 4),
    "a table after another with the same key": ("[x]\nlevel = 1\n[log]\nlevel = 1", 4),
    "a table after a list of tables": ("[[x]]\nlevel = 1\n[[x]]\n[x.log]\nlevel = 1\n[log]\nlevel = 1", 7),
    "lines that end as on Windows": ("[log]\r\n\r\nlevel = 1\r\n", 3),
}


@pytest.mark.parametrize(("text", "line"), PLACES.values(), ids=PLACES)
def test_the_line_is_right_however_a_key_is_written(refusal, text, line):
    """The problem is found at its line in every way of writing TOML."""
    assert f"v.toml:{line}: log.level: must be text" in refusal(text)


KEYS = st.sampled_from(["log", "server", "level", '"a b"', "'é'", "log.level", "sessions.claims"])
VALUES = st.sampled_from(["1", '"x"', "{ a = 1, b.c = 2 }", "[[1],\n[2]]", '"""\n[x]\n"""', "{}", "'#'"])
STATEMENTS = st.one_of(
    st.builds("{} = {} # {}".format, KEYS, VALUES, KEYS),
    st.builds("[{}]".format, KEYS),
    st.builds("[[{}]]".format, KEYS),
    st.just(""),
    st.text(max_size=9),
)


@given(st.lists(STATEMENTS))
def test_no_text_breaks_the_reading(tmp_path_factory, statements):
    """Whatever the file holds, the answer is settings or a ConfigError."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("\n".join(statements), encoding="utf-8", newline="")
    with suppress(ConfigError):
        assert isinstance(load(path, {}), Config)


ANY = 2**31 - 1
BOUNDS = {
    "server.port": (0, 65_535),
    "server.keep_alive": (1, ANY),
    "server.shutdown_grace": (1, 600),
    "limits.profile_body": (1024, ANY),
    "limits.batch_body": (1024, ANY),
    "limits.session_body": (1024, ANY),
    "limits.json_depth": (1, 200),
    "limits.batch_profiles": (1, 5000),
    "limits.url": (256, 65_536),
    "limits.header_field": (256, 65_536),
    "limits.header_fields": (16, 1000),
    "limits.header_timeout": (1, 600),
    "limits.body_timeout": (1, ANY),
    "limits.connections": (1, ANY),
    "limits.connections_per_address": (0, ANY),
    "storage.busy_timeout": (1, 60),
    "keyring.max_age": (1, ANY),
    "keyring.cool_down": (0, ANY),
    "profiles.max_expires_in": (0, ANY),
    "sessions.lifetime": (1, 86_400),
    "sessions.max_lifetime": (86_400, ANY),
    "sessions.idle_timeout": (1, 3600),
    "sessions.max_idle_timeout": (3600, ANY),
    "sessions.max_per_person": (0, ANY),
    "sessions.cache_for": (0, 60),
    "idempotency.lifetime": (0, ANY),
    "access.failure_hold": (0, 2000),
    "access.failures_per_minute": (1, ANY),
    "audit.checkpoint_every": (1, ANY),
    "databunker.versions": (0, 1000),
    "databunker.max_final_time": (1, ANY),
    "databunker.max_token_time": (60, ANY),
    "housekeeping.interval": (1, 3600),
    "housekeeping.chunk": (1, 1000),
}


def test_every_number_has_known_bounds():
    """The table of bounds names every setting that is a number."""
    numbers = [key for key in SETTINGS if type(getattr(getattr(Config(), key[0]), key[1])) is int]
    assert list(BOUNDS) == [".".join(key) for key in numbers]


@pytest.mark.parametrize(("key", "bounds"), BOUNDS.items(), ids=BOUNDS)
def test_numbers_are_taken_up_to_their_bounds(read, refusal, key, bounds):
    """The least and the most are taken, and what lies one beyond is refused."""
    table, name = key.split(".")
    for number, beyond in zip(bounds, (bounds[0] - 1, bounds[1] + 1), strict=True):
        assert getattr(getattr(read(f"{key} = {number}"), table), name) == number
        assert refusal(f"{key} = {beyond}")[0].startswith(f"v.toml:1: {key}: ")


CHOICES = {
    "storage.url": ("sqlite:", "memory:"),
    "sessions.at_limit": ("end_oldest", "refuse"),
    "databunker.session_data": ("warn", "refuse"),
    "log.level": ("debug", "info", "warning", "error"),
    "log.format": ("json", "console"),
}


@pytest.mark.parametrize(("key", "words"), CHOICES.items(), ids=CHOICES)
def test_every_choice_is_taken(read, key, words):
    """Each word that a setting offers can be set."""
    table, name = key.split(".")
    for word in words:
        assert getattr(getattr(read(f"{key} = '{word}'"), table), name) == word


def test_a_certificate_with_its_key_is_taken(read):
    """Both together make a server with TLS, with the paths as they were written."""
    server = read('server.tls_certificate = "a.pem"\nserver.tls_key = "../b.pem"').server
    assert (server.tls_certificate, server.tls_key) == ("a.pem", "../b.pem")


# --- the environment ----------------------------------------------------------------------------------------


def test_variables_override_the_file(read):
    """A variable of each type counts more than the file."""
    config = read(
        '[server]\nhost = "a"\nport = 1\n[log]\nlevel = "error"\nrequests = true\n[sessions]\nclaims = 3\n',
        VAULT_SERVER__HOST="::1",
        VAULT_SERVER__PORT="8_080",
        VAULT_LOG__LEVEL="debug",
        VAULT_LOG__REQUESTS="false",
        VAULT_SESSIONS__CLAIMS='{ plan = { type = "slug", values = ["free"] }, role = "slug" }',
    )
    assert (config.server.host, config.server.port) == ("::1", 8080)
    assert (config.log.level, config.log.requests) == ("debug", False)
    assert config.sessions.claims == {
        "plan": ClaimRule("plan", "slug", ("free",)),
        "role": ClaimRule("role", "slug"),
    }


def test_text_is_taken_as_it_is():
    """A variable for text needs no quotes, and keeps those it has."""
    assert load(None, {"VAULT_KEYRING__FILE": "7"}).keyring.file == "7"
    assert load(None, {"VAULT_KEYRING__FILE": '"k"'}).keyring.file == '"k"'


def test_variables_of_other_programs_are_ignored():
    """Only names with VAULT_ in front and two underscores inside are looked at."""
    environ = {"VAULT_ADDR": "x", "VAULT_TOKEN": "x", "MY_VAULT_SERVER__PORT": "x", "vault_server__port": "x"}
    assert load(None, environ) == Config()


REFUSED_VARIABLES = {
    "an unknown key": ("VAULT_SERVER__PROT", "1", "there is no such setting"),
    "an unknown section": ("VAULT_SEVER__PORT", "1", "there is no such setting"),
    "a name in lower case": ("VAULT_server__port", "1", "there is no such setting"),
    "a key that is too deep": ("VAULT_SESSIONS__CLAIMS__ROLE", "slug", "there is no such setting"),
    "a word for a number": ("VAULT_SERVER__PORT", "http", "server.port: must be a whole number"),
    "nothing for a number": ("VAULT_SERVER__PORT", "", "server.port: must be a whole number"),
    "a fraction for a number": ("VAULT_SERVER__PORT", "1.0", "server.port: must be a whole number"),
    "true for a number": ("VAULT_SERVER__PORT", "true", "server.port: must be a whole number"),
    "a second statement": ("VAULT_SERVER__PORT", "1\n[server]", "server.port: must be a whole number"),
    "a nesting without end": ("VAULT_SERVER__PORT", "[" * 100_000, "server.port: must be a whole number"),
    "a number without end": ("VAULT_SERVER__PORT", "9" * 5000, "server.port: must be a whole number"),
    "a number above its bound": ("VAULT_SERVER__PORT", "65536", "server.port: must be from 0 to 65535"),
    "a number for true": ("VAULT_LOG__REQUESTS", "1", "log.requests: must be true or false"),
    "yes for true": ("VAULT_LOG__REQUESTS", "yes", "log.requests: must be true or false"),
    "a word that is no choice": ("VAULT_LOG__FORMAT", "xml", "log.format: must be one of: json, console"),
    "a table that is none": ("VAULT_SESSIONS__CLAIMS", "role", "sessions.claims: must be a table"),
    "a claim of no type": ("VAULT_SESSIONS__CLAIMS", "{ a = 1 }", f"sessions.claims.a: {A_RULE}"),
    "a lifetime above the greatest": (
        "VAULT_SESSIONS__LIFETIME",
        "86401",
        "sessions.lifetime: lifetime must not be above max_lifetime",
    ),
}


@pytest.mark.parametrize(("variable", "raw", "told"), REFUSED_VARIABLES.values(), ids=REFUSED_VARIABLES)
def test_a_wrong_variable_is_named(refusal, variable, raw, told):
    """The one problem is told with the variable, even where the file has a good value at the same key."""
    file = '[server]\nport = 80\n[log]\nrequests = true\nformat = "json"\n[sessions.claims]\na = "slug"\n'
    assert refusal(file, **{variable: raw}) == [f"{variable}: {told}"]


# --- all at once --------------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once(refusal):
    """Unknown names, wrong types, impossible values and clashes, of file and environment, come in one refusal."""
    told = refusal(
        '[server]\nport = "80"\nprot = 1\n[log]\nlevel = "all"\n[sessions]\nlifetime = 9\nmax_lifetime = 8\n'
        "idle_timeout = 7\nmax_idle_timeout = 6\n[cache]\n",
        VAULT_SERVER__DOCS="on",
        VAULT_LOGS__LEVEL="info",
        VAULT_LOG__LEVEL="loud",
    )
    assert sorted(line.rsplit(": ", 1)[0] for line in told) == [
        "VAULT_LOGS__LEVEL",
        "VAULT_LOG__LEVEL: log.level: must be one of",
        "VAULT_SERVER__DOCS: server.docs",
        "v.toml:11: cache: is unknown; known here",
        "v.toml:2: server.port",
        "v.toml:3: server.prot: is unknown; known here",
        "v.toml:7: sessions.lifetime",
        "v.toml:9: sessions.idle_timeout",
    ]


def test_a_broken_section_does_not_hide_a_variable(refusal):
    """A variable for a section that is no table in the file does not crash: the file's problem is told."""
    assert refusal("server = 3", VAULT_SERVER__PORT="80") == ["v.toml:1: server: must be a table"]
