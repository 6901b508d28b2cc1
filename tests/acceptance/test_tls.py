"""TLS: which versions are spoken, and whose certificates open the door."""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from tests.acceptance.terminal import call, run
from tests.program import PATIENCE, Program


@dataclass(frozen=True, slots=True)
class Door:
    """A program that asks for certificates of one authority, and what its clients show."""

    program: Program
    authority: trustme.CA
    shown: dict[str, trustme.LeafCert | None]

    def client(self, shows: str) -> ssl.SSLContext:
        """Return the context of a client that trusts the server."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if certificate := self.shown[shows]:
            certificate.configure_cert(context)
        return context


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The program with TLS, client certificates required."""
    home: Path = tmp_path_factory.mktemp("tls")
    servers, clients, strangers = trustme.CA(), trustme.CA(), trustme.CA()
    issued = servers.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(home / "server.pem")
    clients.cert_pem.write_to_path(home / "clients.pem")
    settings = {
        "VAULT_SERVER__TLS_CERTIFICATE": str(home / "server.pem"),
        "VAULT_SERVER__TLS_KEY": str(home / "server.pem"),
        "VAULT_SERVER__TLS_CLIENT_CA": str(home / "clients.pem"),
        "VAULT_LIMITS__HEADER_TIMEOUT": "1",
    }
    shown = {
        "the right": clients.issue_cert("web@example.org"),
        "none": None,
        "another authority's": strangers.issue_cert("web@example.org"),
    }
    with Program(home / "data", home, environment=settings) as program:
        yield Door(program, servers, shown)
        assert program.stop() == 0


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
REFUSED = (ssl.SSLError, http.client.RemoteDisconnected, ConnectionResetError)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda one: one.name)
def test_who_shows_the_right_certificate_is_served(door: Door, version: ssl.TLSVersion) -> None:
    """With TLS 1.2 and with 1.3."""
    context = door.client("the right")
    context.minimum_version = context.maximum_version = version
    assert call(door.program.url, "GET", "/healthz", tls=context)[0] == 200


@pytest.mark.parametrize("version", VERSIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("shown", ["none", "another authority's"])
def test_who_shows_no_certificate_or_anothers_is_refused(
    door: Door, shown: str, version: ssl.TLSVersion
) -> None:
    """By TLS itself: not a byte of HTTP comes back."""
    context = door.client(shown)
    context.minimum_version = context.maximum_version = version
    with pytest.raises(REFUSED):
        call(door.program.url, "GET", "/healthz", tls=context)


def test_versions_before_1_2_are_refused(door: Door) -> None:
    """A client that knows nothing newer than TLS 1.1, and would take any cipher, finds no door."""
    context = door.client("the right")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(REFUSED):
        call(door.program.url, "GET", "/healthz", tls=context)
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert call(door.program.url, "GET", "/healthz", tls=context)[0] == 200


def test_who_is_slow_at_tls_is_dropped(door: Door) -> None:
    """A connection on which no handshake comes ends with the seconds for a head."""
    url = urlsplit(door.program.url)
    with socket.create_connection((url.hostname, url.port), PATIENCE / 2) as connection:
        assert connection.recv(100) == b""


def test_a_browser_is_told_to_stay_with_tls(door: Door) -> None:
    """Strict-Transport-Security stands on the page, for a year."""
    url = urlsplit(door.program.url)
    with closing(
        http.client.HTTPSConnection(url.netloc, timeout=PATIENCE, context=door.client("the right"))
    ) as connection:
        connection.request("GET", "/docs")
        assert connection.getresponse().getheader("Strict-Transport-Security") == "max-age=31536000"


UNUSABLE = {
    "authorities without TLS": ({"TLS_CLIENT_CA": "a.pem"}, "tls_client_ca needs tls_certificate"),
    "networks that are none": ({"TRUSTED_PROXIES": "10.0.0.0/8, proxy.example"}, "must be networks"),
    "a network with bits of a host": ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "must be networks"),
}


@pytest.mark.parametrize(("settings", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    """The program ends with 2 and says which, without repeating what was set."""
    environment = {f"VAULT_SERVER__{name}": value for name, value in settings.items()}
    done = run("serve", "--data", tmp_path / "data", **environment)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not any(value in done.stderr for value in settings.values())


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A file that holds no certificate ends the start with 2."""
    empty, config = tmp_path / "empty.pem", tmp_path / "config.toml"
    empty.touch()
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    files = {"tls_certificate": "server.pem", "tls_key": "server.pem", "tls_client_ca": "empty.pem"}
    config.write_text(
        "[server]\n"
        + "".join(f"{name} = {json.dumps(str(tmp_path / file))}\n" for name, file in files.items())
    )
    done = run("serve", "--config", config, "--data", tmp_path / "data", "--port", "0")
    assert (done.returncode, "server.tls_client_ca cannot be used" in done.stderr) == (2, True), done.stderr
