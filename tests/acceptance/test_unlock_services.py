"""Real key services on this machine: moto's server as AWS KMS, and OpenBao as a transit engine."""

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import hvac
import pytest

from vault.crypto.keyring import new_keyring
from vault.crypto.keyring_file import KeyringFile
from vault.errors import KeyringError
from vault.unlock import changing, open_unlock, prepare, recovery

PATIENCE = 60
TOKEN = "root-of-this-test"
#: Answered by nobody: port 9 is discard, which no machine of today serves.
NOBODY = "http://127.0.0.1:9"


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def service(command: Callable[[int], list[str]], path: str, log: Path) -> Iterator[str]:
    """Run a service on a free port until the end of the block; give its address once it answers.

    Between choosing a port and listening on it another process may take it: then another port is tried.
    """
    for _ in range(3):
        port = free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                command(port), stdout=output, stderr=output, env={**os.environ, "HOME": str(log.parent)}
            )
        try:
            if answers(process, port, path):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.kill()
            process.wait(PATIENCE)
    raise AssertionError(f"the service did not start: {log.read_text()}")


def answers(process: "subprocess.Popen[bytes]", port: int, path: str) -> bool:
    """Wait until the service answers; false if it ended instead."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            try:
                connection.request("GET", path)
                return connection.getresponse().status == http.HTTPStatus.OK
            except OSError:
                time.sleep(0.05)  # another process's start cannot be awaited in another way
    return False


@pytest.fixture(scope="module")
def kms_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """AWS KMS, as moto answers for it."""
    program = "from moto.server import main; import sys; main(sys.argv[1:])"

    def command(port: int) -> list[str]:
        return [sys.executable, "-c", program, "-H", "127.0.0.1", "-p", str(port)]

    with service(command, "/moto-api/data.json", tmp_path_factory.mktemp("moto") / "log") as address:
        yield address


@pytest.fixture(scope="module")
def bao_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """OpenBao's development server, which keeps everything in memory."""
    program = Path(sys.executable).with_name("bao")

    def command(port: int) -> list[str]:
        return [
            str(program), "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={TOKEN}",
            f"-dev-listen-address=127.0.0.1:{port}",
        ]  # fmt: skip

    with service(command, "/v1/sys/health", tmp_path_factory.mktemp("bao") / "log") as address:
        yield address


@pytest.fixture
def kms(kms_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of KMS, in an environment in which boto3 finds it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", kms_address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-access-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-access-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with closing(boto3.client("kms")) as client:
        yield client


@pytest.fixture
def bao(bao_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of OpenBao with a transit engine, in an environment in which hvac finds it."""
    monkeypatch.setenv("VAULT_ADDR", bao_address)
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    client = hvac.Client()
    with closing(client.adapter):
        if "keys/transit/" not in client.sys.list_mounted_secrets_engines()["data"]:
            client.sys.enable_secrets_engine("transit", path="keys/transit")
        yield client


def kms_key(client: Any) -> str:
    """Make a key and return its ARN."""
    return str(client.create_key()["KeyMetadata"]["Arn"])


def bao_key(client: Any, name: str) -> str:
    """Make a key and return the source that names it."""
    client.secrets.transit.create_key(name, mount_point="keys/transit")
    return f"transit:keys/transit/{name}"


def made(folder: Path, source: str) -> KeyringFile:
    """Make a keyring as init does."""
    prepare(source, folder)
    file = KeyringFile(folder / "keyring.json", open_unlock(source, folder))
    file.create(new_keyring(1))
    return file


def again(folder: Path, source: str) -> KeyringFile:
    """Read the keyring as a new process does."""
    file = KeyringFile(folder / "keyring.json", open_unlock(source, folder))
    file.read()
    return file


def test_kms_unlocks_a_keyring(tmp_path: Path, kms: Any) -> None:
    """Encrypted and decrypted by the service; the file holds its ciphertext, and a change in place wraps anew."""
    source = f"aws-kms:{kms_key(kms)}"
    keyring = made(tmp_path, source).read()
    first = again(tmp_path, source)
    assert sorted(key.fingerprint for key in first.read()) == sorted(key.fingerprint for key in keyring)
    changing.renew(tmp_path / "keyring.json", source, tmp_path)
    second = again(tmp_path, source)
    assert len(second.slots) == 1
    assert second.slots[0].wrapped != first.slots[0].wrapped


def test_kms_is_found_by_an_alias_and_in_the_region_of_an_arn(
    tmp_path: Path, kms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same key under another name opens the same slot; an ARN says its own region."""
    arn = kms_key(kms)
    kms.create_alias(AliasName="alias/tokenvault", TargetKeyId=arn)
    made(tmp_path, "aws-kms:alias/tokenvault")
    assert again(tmp_path, f"aws-kms:{arn}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert again(tmp_path, f"aws-kms:{arn}")


def test_kms_ciphertext_is_bound_to_its_purpose(tmp_path: Path, kms: Any) -> None:
    """Without the encryption context the service itself refuses, so another use of the key does not open a keyring."""
    (slot,) = made(tmp_path, f"aws-kms:{kms_key(kms)}").slots
    blob = base64.b64decode(slot.wrapped)
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=blob)
    assert (
        len(
            kms.decrypt(CiphertextBlob=blob, EncryptionContext={"purpose": "tokenvault-keyring"})["Plaintext"]
        )
        == 32
    )


def test_transit_unlocks_a_keyring(tmp_path: Path, bao: Any) -> None:
    """Through a rotation of the service's key: a change in place wraps under the newest version."""
    source = bao_key(bao, "unlocks")
    made(tmp_path, source)
    bao.secrets.transit.rotate_key("unlocks", mount_point="keys/transit")
    assert again(tmp_path, source).slots[0].wrapped.startswith("vault:v1:")
    changing.renew(tmp_path / "keyring.json", source, tmp_path)
    file = again(tmp_path, source)
    assert [slot.wrapped[:9] for slot in file.slots] == ["vault:v2:"]
    bao.secrets.transit.update_key_configuration(
        "unlocks", mount_point="keys/transit", min_decryption_version=2
    )
    assert again(tmp_path, source)


def test_a_keyring_moves_from_a_file_to_services_and_back(tmp_path: Path, kms: Any, bao: Any) -> None:
    """Each step leaves a source that opens; a process that runs reads through all of them."""
    path = tmp_path / "keyring.json"
    running = made(tmp_path, "file:unlock.key")
    keys = list(running.read())
    route = ["file:unlock.key", f"aws-kms:{kms_key(kms)}", bao_key(bao, "moves"), "file:again.key"]
    for old, new in pairwise(route):
        changing.add(path, old, new, tmp_path)
        assert again(tmp_path, old)
        assert again(tmp_path, new)
        changing.keep_only(path, new, new, tmp_path)
        with pytest.raises(KeyringError, match="no slot for"):
            again(tmp_path, old)
        assert list(running.read()) == keys


def test_a_recovery_key_stands_beside_a_service(tmp_path: Path, bao: Any) -> None:
    """A key slot that is on paper unlocks a keyring whose service is gone for ever."""
    source = bao_key(bao, "perishes")
    path = tmp_path / "keyring.json"
    made(tmp_path, source)
    changing.add(path, source, "file:recovery.key", tmp_path)
    shares = recovery.make(path, "file:recovery.key", tmp_path)
    (tmp_path / "recovery.key").unlink()
    bao.secrets.transit.update_key_configuration(
        "perishes", mount_point="keys/transit", deletion_allowed=True
    )
    bao.secrets.transit.delete_key("perishes", mount_point="keys/transit")
    with pytest.raises(KeyringError, match="The transit engine does not unlock"):
        again(tmp_path, source)
    recovery.restore(path, shares.texts[1:4], tmp_path / "recovery.key")
    assert again(tmp_path, "file:recovery.key")


TROUBLE: dict[str, tuple[str, dict[str, str], str]] = {
    "KMS that nobody serves": (
        "kms",
        {"AWS_ENDPOINT_URL": NOBODY},
        r"could not be asked \(EndpointConnectionError\)",
    ),
    "KMS without credentials": (
        "kms",
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"},
        "could not be asked",
    ),
    "transit that nobody serves": ("bao", {"VAULT_ADDR": NOBODY}, "ConnectionError"),
    "transit with a token of nobody": ("bao", {"VAULT_TOKEN": "hunter2"}, "Forbidden"),
}


@pytest.mark.parametrize(("which", "environment", "sentence"), TROUBLE.values(), ids=TROUBLE)
def test_a_service_that_does_not_help_is_told_with_its_cause(
    tmp_path: Path, kms: Any, bao: Any, monkeypatch: pytest.MonkeyPatch,
    which: str, environment: dict[str, str], sentence: str,
) -> None:  # fmt: skip
    """The message says which service, why and what to look at, and quotes neither a token nor what was sent."""
    source = f"aws-kms:{kms_key(kms)}" if which == "kms" else bao_key(bao, "trouble")
    file = made(tmp_path, source)
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no credentials of whoever runs the test
    with pytest.raises(KeyringError, match=sentence) as refused:
        again(tmp_path, source)
    printed = "".join(traceback.format_exception(refused.value))
    for secret in ("hunter2", "a-secret-access-key", file.slots[0].wrapped[:30]):
        assert secret not in printed
    assert "Mind " in refused.value.message
    assert file.read()  # what runs does not ask the service again


def test_another_key_of_the_service_does_not_open(tmp_path: Path, kms: Any, bao: Any) -> None:
    """The service refuses, or no slot is this key's; a key that does not exist wraps nothing."""
    made(tmp_path, f"aws-kms:{kms_key(kms)}")
    with pytest.raises(KeyringError, match=r"IncorrectKeyException|AccessDenied|InvalidCiphertext"):
        again(tmp_path, f"aws-kms:{kms_key(kms)}")
    with pytest.raises(KeyringError, match="NotFoundException"):
        prepare("aws-kms:alias/none", tmp_path)
    with pytest.raises(KeyringError, match="The transit engine does not unlock"):
        prepare("transit:no/mount/key", tmp_path)
    with pytest.raises(KeyringError, match="a slot of aws-kms"):
        again(tmp_path, bao_key(bao, "other"))


def test_the_slots_hold_no_more_than_they_should(tmp_path: Path, kms: Any, bao: Any) -> None:
    """Method, name and ciphertext; neither token nor credentials."""
    source = f"aws-kms:{kms_key(kms)}"
    made(tmp_path, source)
    changing.add(tmp_path / "keyring.json", source, bao_key(bao, "shown"), tmp_path)
    text = (tmp_path / "keyring.json").read_text()
    slots = json.loads(text)["slots"]
    assert [set(slot) for slot in slots] == [{"method", "wrapped", "parameters"}] * 2
    assert slots[1]["parameters"] == {"mount": "keys/transit", "key": "shown"}
    assert "a-secret-access-key" not in text
    assert TOKEN not in text
