"""The program as a new user and an operator meet it: what it prints, what it makes, what it refuses."""

import http.client
import json
import shutil
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from aiohttp.test_utils import unused_port

from tests.acceptance.terminal import call, everything_in, knock, run, running
from tests.grep import leaks
from tests.program import Program
from vault import wiring
from vault.config import Config
from vault.crypto import unlock_key

#: What a vault at rest consists of.
FILES = ("erasures.ndjson", "keyring.json", "keyring.json.lock", "sessions.db", "unlock.key", "vault.db")


def refusal_to_serve(data: Path) -> str:
    """Serve, which must be refused with exit code 1 and without changing anything; return what it said."""
    before = everything_in(data)
    done = run("serve", "--data", data, "--port", "0")
    assert done.returncode == 1
    assert "listening" not in done.stdout
    assert "Traceback" not in done.stderr
    assert everything_in(data) == before
    return done.stderr


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault as ``init`` makes it, with one profile and one session in it."""
    home = tmp_path_factory.mktemp("template")
    with Program(home / "data", home) as program:
        _, created = call(
            program.url, "POST", "/api/v1/profiles", program.access_key, {"profile": {"email": "a@b.example"}}
        )
        call(program.url, "POST", "/api/v1/sessions", program.access_key, {"user_token": created["token"]})
        assert program.stop() == 0
    return home / "data"


@pytest.fixture
def made(template: Path, tmp_path: Path) -> Path:
    """A copy of the template, for a test to spoil."""
    return Path(shutil.copytree(template, tmp_path / "made"))


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program, serving a new vault."""
    with Program(tmp_path / "data", tmp_path) as running_program:
        yield running_program


# --- the first start ----------------------------------------------------------------------------------------


def test_init_makes_a_vault_that_only_its_owner_can_read(tmp_path: Path) -> None:
    """Folder 0700, every file 0600, the access key printed once and in no file."""
    data = tmp_path / "new" / "data"
    done = run("init", "--data", data)
    assert done.returncode == 0
    (key,) = (word for word in done.stdout.split() if word.startswith("tvk_"))
    assert done.stdout.count("tvk_") == 1
    assert "tvk_" not in done.stderr
    modes = {name: mode & 0o777 for name, (mode, _) in everything_in(data).items()}
    assert modes == {".": 0o700, **dict.fromkeys(FILES, 0o600)}
    assert not any(key.split("_", 2)[2].encode() in content for _, content in everything_in(data).values())
    with Program(data, tmp_path) as program:
        assert knock(program, key) == 404


def test_init_where_a_vault_is_changes_nothing(made: Path) -> None:
    """A second init exits 2 and leaves every byte as it was."""
    before = everything_in(made)
    for arguments in ((), ("--json",)):
        done = run("init", "--data", made, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "already holds a vault" in done.stderr
    assert everything_in(made) == before


def test_init_json_prints_one_object(tmp_path: Path) -> None:
    """A script reads the first access key from JSON."""
    done = run("init", "--data", tmp_path / "data", "--json")
    assert json.loads(done.stdout).keys() == {"access_key"}
    with Program(tmp_path / "data", tmp_path) as program:
        assert knock(program, json.loads(done.stdout)["access_key"]) == 404


def test_serve_prints_the_first_key_exactly_once(program: Program) -> None:
    """A first start makes the vault and shows the key; later starts do not, and the key still opens it."""
    first_key = program.access_key
    assert program.stop() == 0
    program.start()
    assert knock(program, first_key) == 404
    assert program.stop() == 0
    printed = program.output.read_text()
    assert (printed.count("tvk_"), printed.count("listening on http://127.0.0.1:")) == (1, 2)
    assert "tvk_" not in program.errors.read_text()


def test_serve_takes_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    """A folder with other files is refused, so that a slip in --data makes no mess."""
    (tmp_path / "thesis.txt").write_text("ten years")
    assert "holds other files" in refusal_to_serve(tmp_path)


def test_demo_warns_loudly_and_only_demo_takes_its_key(program: Program) -> None:
    """DEMO opens a demo, which says whom it must not serve, and no other vault."""
    with running("demo", "--port", "0") as (url, printed):
        assert "DEMO" in printed
        assert "Never put real people's data here" in printed
        assert call(url, "POST", "/api/v1/profiles", "DEMO", {"profile": {"email": "a@b.example"}})[0] == 201
    assert knock(program, "DEMO") == 401


# --- settings -----------------------------------------------------------------------------------------------

BAD_SETTINGS = {
    "a word where a number belongs": ('[server]\n\nport = "3000"\n', "3", "server.port"),
    "a number out of bounds": ("[server]\nport = 70000\n", "2", "server.port"),
    "a setting that does not exist": ('[server]\nhost = "::1"\nprot = 1\n', "3", "server.prot"),
    "a table that does not exist": ("# settings\n[serve]\nport = 1\n", "2", "serve"),
    "a claim that names personal data": ('[sessions.claims]\nemail = "slug"\n', "2", "sessions.claims.email"),
    "half of TLS": ('[server]\ntls_key = "key.pem"\n', "2", "server.tls_key"),
}  # fmt: skip


@pytest.mark.parametrize("sentence", BAD_SETTINGS)
def test_a_wrong_setting_is_named_with_its_line(sentence: str, tmp_path: Path) -> None:
    """Exit 2, file and line and key on standard error, and nothing made."""
    text, line, key = BAD_SETTINGS[sentence]
    config = tmp_path / "config.toml"
    config.write_text(text)
    done = run("serve", "--config", config, "--data", tmp_path / "data")
    assert done.returncode == 2
    assert f"{config}:{line}: {key}:" in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """The port of VAULT_SERVER__PORT wins over the file's, and a bad one is named and exits 2."""
    port, config = unused_port(), tmp_path / "config.toml"
    config.write_text("[server]\nport = 1\n")
    arguments = ("serve", "--config", config, "--data", tmp_path / "data")
    with running(*arguments, VAULT_SERVER__PORT=str(port)) as (url, _):
        assert url == f"http://127.0.0.1:{port}"
    done = run(*arguments, VAULT_SERVER__PORT="many")
    assert (done.returncode, "VAULT_SERVER__PORT: server.port:" in done.stderr) == (2, True)


def test_tls_is_served_by_configuration(tmp_path: Path) -> None:
    """With certificate and key the vault speaks HTTPS, and plain HTTP gets no answer from it."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(certificate)
    config = tmp_path / "config.toml"
    config.write_text(
        f"[server]\ntls_certificate = {json.dumps(str(certificate))}\ntls_key = {json.dumps(str(key))}\n"
    )
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with Program(tmp_path / "data", tmp_path, "--config", str(config)) as program:
        assert program.url.startswith("https://127.0.0.1:")
        assert call(program.url, "GET", "/healthz", tls=trust)[0] == 200
        with pytest.raises((http.client.HTTPException, OSError)):
            call(program.url.replace("https", "http"), "GET", "/healthz")


# --- a vault that is not whole ------------------------------------------------------------------------------


def test_check_finds_nothing_wrong_with_a_sound_vault(made: Path) -> None:
    """Exit 0, and nothing changes."""
    before = everything_in(made)
    done = run("check", "--data", made)
    assert (done.returncode, done.stderr) == (0, "")
    assert everything_in(made) == before


def test_a_lost_keyring_is_never_replaced(made: Path) -> None:
    """Neither serve nor init makes new keys where there were others; both say what to do."""
    (made / "keyring.json").unlink()
    assert "is missing" in refusal_to_serve(made)
    before = everything_in(made)
    done = run("init", "--data", made)
    assert (done.returncode, "restore the file from its backup" in done.stderr) == (1, True)
    assert run("check", "--data", made).returncode == 1
    assert everything_in(made) == before


def test_the_keyring_of_another_vault_is_refused(made: Path, tmp_path: Path) -> None:
    """The message names the key version that does not fit, and holds no key."""
    run("init", "--data", tmp_path / "other")
    for name in ("keyring.json", "unlock.key"):
        shutil.copy2(tmp_path / "other" / name, made / name)
    said = refusal_to_serve(made)
    assert "key version 1 of line 'data' is another key" in said
    keys = list(wiring.keyring_of(made, Config()).read())
    assert leaks({"said": said.encode()}, {key.fingerprint: key.secret for key in keys}) == []
    assert "key version 1 of line 'data'" in run("check", "--data", made).stdout


@pytest.mark.parametrize("stray", ["keyring.json", "unlock.key"])
def test_keyring_and_unlock_key_must_be_of_one_vault(stray: str, made: Path, tmp_path: Path) -> None:
    """One of the two from another vault opens nothing; the message names files and holds no key."""
    run("init", "--data", tmp_path / "other")
    shutil.copy2(tmp_path / "other" / stray, made / stray)
    said = refusal_to_serve(made)
    assert f"{made / 'unlock.key'}" in said
    key = unlock_key.from_text((made / "unlock.key").read_bytes())
    assert key is not None
    assert leaks({"said": said.encode()}, {"unlock key": key}) == []
    assert run("check", "--data", made).returncode == 1


def test_a_lost_unlock_key_is_never_replaced(made: Path) -> None:
    """Another key would not open the keyring: serve and check say so and make none."""
    (made / "unlock.key").unlink()
    assert "unlock.key is missing" in refusal_to_serve(made)
    done = run("check", "--data", made)
    assert (done.returncode, "unlock.key is missing" in done.stdout) == (1, True)
    assert not (made / "unlock.key").exists()


def test_a_key_version_that_the_keyring_lacks_is_named(made: Path) -> None:
    """A keyring from before a rotation is refused by name of the version."""
    with closing(sqlite3.connect(made / "vault.db")) as database, database:
        database.execute(
            "INSERT INTO key_versions (line, version, fingerprint, canary, created_at)"
            " VALUES ('data', 2, '0123456789abcdef', x'00', 0)"
        )
    said = refusal_to_serve(made)
    assert "version 2" in said
    assert "the keyring lacks it" in said


@pytest.mark.parametrize("name", ["vault.db", "sessions.db"])
def test_a_lost_database_is_not_made_anew(name: str, made: Path) -> None:
    """A keyring without its database means that data was lost: no empty file hides it."""
    (made / name).unlink()
    assert f"{name} is missing" in refusal_to_serve(made)
    assert not (made / name).exists()


@pytest.mark.parametrize("name", ["keyring.json", "unlock.key"])
def test_a_keyring_that_others_can_read_is_refused(name: str, made: Path) -> None:
    """Serve refuses mode 0644, of its unlock key too; check says how to mend it, and what it says works."""
    keyring = made / name
    keyring.chmod(0o644)
    assert f"chmod 600 {keyring}" in refusal_to_serve(made)
    done = run("check", "--data", made)
    assert (done.returncode, f"chmod 600 {keyring}" in done.stdout) == (1, True)
    keyring.chmod(0o600)
    assert run("check", "--data", made).returncode == 0
