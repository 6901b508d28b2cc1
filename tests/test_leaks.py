"""After a long conversation with the real program, nothing of what was said in it lies around."""

import base64
import inspect
import json
import os
import pickle
import signal
import socket
import sqlite3
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.grep import Secret, digests, forms, leaks, leaves
from tests.program import PATIENCE, Program
from tests.talk import ADA, BEA, CLAIMS, Talk, converse
from vault import wiring
from vault.config import Config
from vault.crypto import unlock_key
from vault.crypto.box import parse
from vault.crypto.derive import record_key
from vault.crypto.keyring_file import KeyringFile
from vault.crypto.keyring_text import PLAIN_FORMAT
from vault.crypto.sealer import Sealer
from vault.errors import VaultError
from vault.http.json_body import decode
from vault.http.native.operation import load
from vault.http.native.schemas import NewProfile
from vault.idempotency import attempt
from vault.installation import Vault
from vault.patches import json_patch
from vault.profile_views import NewContent
from vault.sessions import Wanted
from vault.stores import open_stores
from vault.tokens import parse_access_key, session_digest
from vault.unlock import open_unlock

UNFIT = [{"op": "test", "path": "/last_name", "value": "Königsberger-Unproven"}]

#: A sweep every second, and no more than a second of waiting for a lock.
SETTINGS = {"VAULT_STORAGE__BUSY_TIMEOUT": "1", "VAULT_LOG__LEVEL": "debug"}
FILES = {f"{name}.db{part}" for name in ("vault", "sessions") for part in ("", "-wal", "-shm")}
STATUSES = {"400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "500", "503"}


@dataclass(frozen=True, slots=True)
class Remains:
    """What was said in the conversation, and what is left of it."""

    said: Talk
    secrets: dict[str, Secret]
    files: dict[str, bytes]
    logs: dict[str, bytes]


@pytest.fixture(scope="module", params=["json", "console"])
def remains(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Remains:
    """A conversation with a program that logs all it can, its end by SIGKILL, a second life, and its end."""
    home = tmp_path_factory.mktemp("leaks")
    settings = {**SETTINGS, "VAULT_LOG__FORMAT": request.param}
    with Program(home / "data", home, environment=settings) as program:
        talk = Talk(program)
        converse(talk, program)
        metrics = raw_get(program, "/metrics")
        files = files_of(program.data, "while it ran")
        program.stop(signal.SIGKILL)
        files |= files_of(program.data, "after SIGKILL")
        program.start()
        assert program.stop() == 0
        files |= files_of(program.data, "at rest")
    secrets = talk.secrets | keys_of(program.data)
    for name, email in {"Ada's e-mail": ADA["email"], "Bea's e-mail": BEA["email"]}.items():
        secrets |= digests(name, email)
    logs = {"standard error": program.errors.read_bytes(), "standard output": program.output.read_bytes()}
    return Remains(talk, secrets, files, {**logs, "metrics": metrics})


def files_of(data: Path, moment: str) -> dict[str, bytes]:
    """Return the bytes of every file of the data folder, the sealed keyring too, but the unlock key's."""
    return {
        f"{path.name} {moment}": path.read_bytes() for path in data.iterdir() if path.name != "unlock.key"
    }


def keys_of(data: Path) -> dict[str, Secret]:
    """Return the unlock key, the keyring key that it unwraps, and the master keys that this one seals."""
    file, unlocked = (
        wiring.keyring_of(data, Config()),
        unlock_key.from_text((data / "unlock.key").read_bytes()),
    )
    keyring = file.read()
    assert unlocked is not None
    return {
        "unlock key": unlocked,
        "keyring key": open_unlock(Config().keyring.unlock, data).unwrap(file.slots),
        **{f"key of line {key.line}": key.secret for key in keyring},
    }


def raw_get(program: Program, path: str) -> bytes:
    """Return an answer, head and all."""
    return raw_call(program, f"GET {path} HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n".encode())


def raw_call(program: Program, request: bytes) -> bytes:
    """Send bytes and return what comes back until the connection ends."""
    address = urlsplit(program.url)
    answer = b""
    with socket.create_connection((address.hostname, address.port), PATIENCE) as connection:
        connection.sendall(request)
        while part := connection.recv(65536):
            answer += part
    return answer


def test_the_conversation_was_wide_enough_to_prove_something(remains: Remains) -> None:
    """Every kind of refusal was met, every file was read, and the files read are those that hold the data."""
    assert {name.split()[0] for name in remains.said.refusals} >= STATUSES
    assert len(remains.said.codes) >= 17, remains.said.codes
    assert len(remains.secrets) > 80
    assert {name for name, content in remains.files.items() if content} >= {
        f"{file} {moment}" for file in FILES for moment in ("while it ran", "after SIGKILL")
    }
    ada = {"Ada's token": remains.said.user_tokens["user token 0"]}
    found = {leak.split(" in ")[1] for leak in leaks(remains.files, ada)}
    assert {"vault.db at rest", "sessions.db at rest", "vault.db-wal while it ran"} <= found
    assert b"profiles/{token}" in remains.logs["standard error"]
    assert b"vault_requests_total" in remains.logs["metrics"]


def test_no_file_holds_a_secret(remains: Remains) -> None:
    """Not the databases, not their -wal, not their -shm: running, killed or at rest (T3)."""
    assert leaks(remains.files, remains.secrets) == []


def test_no_log_holds_a_secret_or_a_user_token(remains: Remains) -> None:
    """Logs and metrics name keys and routes; the first access key stands in its one line and nowhere else (T28)."""
    key = remains.said.key
    printed = remains.logs["standard output"].decode()
    (line,) = (line for line in printed.splitlines(keepends=True) if "tvk_" in line)
    assert line.count(key) == 1
    logs = remains.logs | {"standard output": printed.replace(key, "", 1).encode()}
    assert leaks(logs, remains.secrets | remains.said.user_tokens) == []


def test_no_refusal_repeats_a_secret_or_a_user_token(remains: Remains) -> None:
    """An error says what is wrong with a field, and never what the field held."""
    assert leaks(remains.said.refusals, remains.secrets | remains.said.user_tokens) == []


BROKEN = {
    "a control character behind an access key": b"GET / HTTP/1.1\r\nHost: v\r\nAuthorization: Bearer %s\x01\r\n\r\n",
    "a control character behind a session id": b"GET / HTTP/1.1\r\nHost: v\r\nSession-Id: %s\x01\r\n\r\n",
    "a control character in the path": b"GET /api/v1/profiles/%s\x01 HTTP/1.1\r\nHost: v\r\n\r\n",
    "no HTTP at all": b"%s\r\n\r\n",
    "an unknown version": b"GET /%s HTTP/9.9\r\nHost: v\r\n\r\n",
    "a length that is no number": b"GET / HTTP/1.1\r\nHost: v\r\nContent-Length: %s\r\n\r\n",
    "a chunk that is none": b"POST / HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n\r\n",
    "an expectation nobody meets": b"GET / HTTP/1.1\r\nHost: v\r\nConnection: close\r\nExpect: %s\r\n\r\n",
}


def test_the_answer_to_broken_http_repeats_nothing(tmp_path: Path) -> None:
    """What is no HTTP may still carry an access key or an e-mail: it is refused without being quoted."""
    secret = "tvk_0123456789abcdef_of-lovelace.the.first"
    with Program(tmp_path / "data", tmp_path, environment=SETTINGS) as program:
        answers = {name: raw_call(program, request % secret.encode()) for name, request in BROKEN.items()}
        assert program.stop() == 0
    assert all(answer.startswith(b"HTTP/1.") and b" 4" in answer[:14] for answer in answers.values())
    logs = {"standard error": program.errors.read_bytes()}
    assert leaks(logs, {"the secret": secret}) == []
    assert leaks(answers, {"the secret": secret}) == []


async def test_no_repr_shows_a_secret(vault: Vault, data: Path, config: Config) -> None:
    """Neither objects nor exceptions with their traces show values, claims, ids or keys, however they are printed."""
    file = wiring.keyring_of(data, config)
    keyring, unlock = file.read(), open_unlock(config.keyring.unlock, data)
    sealer = Sealer(keyring, "default")
    token = (await vault.profiles.create(ADA)).token
    wanted = Wanted(token, CLAIMS)
    opened = await vault.sessions.open(wanted)
    access_key, row = await vault.access.create("test", {"admin"})
    caller = await vault.access.authenticate(access_key)
    sealed = sealer.seal("profile", token, json.dumps(ADA).encode())
    active = keyring.active("data")
    derived = record_key(active.secret, "profile", "default", token, active.version)
    async with open_stores("sqlite:", data, 1) as stores:
        profile_row, known = await stores.profiles.find(token), await stores.keys.known()
        session_row = await stores.sessions.find(session_digest(opened.session_id))
    assert profile_row is not None
    assert session_row is not None
    things = [
        file, *file.slots, unlock, keyring, *keyring,
        vault, config, sealer, vault.profiles, vault.sessions, vault.access, caller, row, *known,
        wanted, opened, opened.view, profile_row, session_row, sealed, parse(sealed.box), derived,
        attempt(caller.pepper, "POST /profiles", "an-idempotency-key", json.dumps(ADA).encode()),
        await vault.profiles.get(token), await vault.profiles.person(token), await vault.export(token),
        NewContent(ADA), parse_access_key(access_key),
    ]  # fmt: skip
    printed = {
        f"{type(thing).__name__} {n}": f"{thing!r} {thing!s}".encode() for n, thing in enumerate(things)
    }
    printed |= await exceptions(vault, token, sealer, data, config)
    secrets = leaves({"profile": ADA, "claims": CLAIMS}) | {
        "session id": opened.session_id,
        "access key": access_key,
        "secret of the access key": access_key[21:],
        "pepper": caller.pepper,
        "derived key": derived.key,
        **keys_of(data),
    }
    assert leaks(printed, secrets) == []


async def exceptions(
    vault: Vault, token: str, sealer: Sealer, data: Path, config: Config
) -> dict[str, bytes]:
    """Provoke refusals of every noun with secrets in hand; return each as a crash would print it."""
    sealed, plain = (data / config.keyring.file).read_bytes(), plain_keyring(data)
    ring = data.parent / "another" / "keyring.json"
    ring.parent.mkdir()

    def keyring_in(content: bytes, key: bytes | None = None) -> KeyringFile:
        ring.unlink(missing_ok=True)
        ring.touch(0o600)
        ring.write_bytes(content)
        other = ring.with_name("unlock.key")
        other.touch(0o600)
        other.write_bytes(base64.b64encode(key) if key else (data / "unlock.key").read_bytes())
        return wiring.keyring_of(ring.parent, config)

    # Undamaged, both are read: what is refused below is refused for its damage.
    assert len(list(keyring_in(plain).read())) == len(list(keyring_in(sealed).read()))
    refusals: list[Callable[[], Any]] = [
        lambda: vault.profiles.create(ADA),
        lambda: vault.profiles.create({"phone": [ADA["phone"]]}),
        lambda: vault.profiles.lookup("email", BEA["email"]),
        lambda: vault.profiles.change(token, lambda held: json_patch(held, UNFIT), None),
        lambda: vault.sessions.open(Wanted(token, {"role": ADA["login"]})),
        lambda: vault.sessions.open(Wanted(token, {"undeclared": ADA["phone"]})),
        lambda: vault.sessions.current(ADA["login"]),
        lambda: vault.access.authenticate(f"tvk_{'0' * 16}_{ADA['login'] * 3}"),
        lambda: decode(b'{"email": "%s"' % ADA["email"].encode(), 9),
        lambda: decode(b'{"email": "%s\\ud800"}' % ADA["email"].encode(), 9),
        lambda: load(NewProfile(), {"profile": ADA["email"]}),
        lambda: sealer.open("profile", token, json.dumps(ADA).encode()),
        lambda: sealer.open("session", token, sealer.seal("profile", token, json.dumps(ADA).encode()).box),
        lambda: keyring_in(plain[:-9]).read(),
        lambda: keyring_in(plain.replace(b'":"', b'":"!')).read(),
        lambda: keyring_in(plain.replace(b'"state":"active"', b'"state":"retiring"')).read(),
        lambda: keyring_in(sealed[:-9]).read(),
        lambda: keyring_in(sealed.replace(b'"generation": 1', b'"generation": 2')).read(),
        lambda: keyring_in(sealed, os.urandom(32)).read(),
        lambda: keyring_in(sealed, base64.b64decode((data / "unlock.key").read_bytes())[:-1]).read(),
        lambda: pickle.dumps(sealer),
        lambda: pickle.dumps(wiring.keyring_of(data, config)),
    ]
    printed = {}
    for number, refusal in enumerate(refusals):
        with pytest.raises((VaultError, TypeError)) as caught:
            await provoked(refusal)
        error = caught.value
        told = [
            repr(error),
            str(error),
            repr(getattr(error, "fields", None)),
            *traceback.format_exception(error),
        ]
        printed[f"{type(error).__name__} {number}"] = "\n".join(told).encode()
    assert len({name.split()[0] for name in printed}) >= 9, sorted(printed)
    return printed


def plain_keyring(data: Path) -> bytes:
    """Return the keys as a file of format 1 held them, not sealed."""
    keys = [
        {
            "line": key.line, "version": key.version, "state": key.state, "created_at": key.created_at,
            "secret": base64.b64encode(key.secret).decode(),
        }
        for key in wiring.keyring_of(data, Config()).read()
    ]  # fmt: skip
    return json.dumps({"format": PLAIN_FORMAT, "keys": keys}, separators=(",", ":")).encode()


async def provoked(refusal: Callable[[], Any]) -> None:
    """Call it, and wait for it if that is what it asks."""
    outcome = refusal()
    if inspect.isawaitable(outcome):
        await outcome


def test_an_erased_person_is_in_no_file(tmp_path: Path) -> None:
    """The bytes of old boxes, of tags and of sessions are gone from the disk after the next sweep (T35)."""
    email = ADA["email"]
    settings = {**SETTINGS, "VAULT_HOUSEKEEPING__INTERVAL": "1"}
    with Program(tmp_path / "data", tmp_path, environment=settings) as program:
        talk = Talk(program)
        bystander = talk(201, "POST", "/api/v1/profiles", {"profile": BEA})["token"]
        ada = talk(201, "POST", "/api/v1/profiles", {"profile": {**ADA, "essay": "x" * 50_000}})["token"]
        talk(201, "POST", "/api/v1/sessions", {"user_token": ada, "claims": CLAIMS})
        old = sealed_bytes_of(program.data, ada)
        talk(200, "PUT", f"/api/v1/profiles/{ada}", {"profile": {"email": email, "essay": "y" * 20_000}})
        old |= sealed_bytes_of(program.data, ada)
        stays = sealed_bytes_of(program.data, bystander)
        assert leaks(files_of(program.data, "now"), old)
        talk(200, "DELETE", f"/api/v1/profiles/{ada}")
        deadline = time.monotonic() + PATIENCE
        while (left := leaks(files_of(program.data, "now"), old)) and time.monotonic() < deadline:
            time.sleep(0.1)  # a sweep comes every second
        assert left == []
        assert program.stop() == 0
        assert leaks(files_of(program.data, "at rest"), old) == []
        assert len(
            {leak.split(" as ")[0] for leak in leaks(files_of(program.data, "at rest"), stays)}
        ) == len(stays)


def sealed_bytes_of(data: Path, token: str) -> dict[str, Secret]:
    """Return a person's boxes, cut into pieces that lie in one page, and tags."""
    with (
        closing(sqlite3.connect(data / "vault.db")) as vault,
        closing(sqlite3.connect(data / "sessions.db")) as sessions,
    ):
        boxes = vault.execute("SELECT box FROM profiles WHERE token = ?", (token,)).fetchall()
        boxes += sessions.execute("SELECT box FROM sessions WHERE user_token = ?", (token,)).fetchall()
        tags = vault.execute("SELECT digest FROM tags WHERE token = ?", (token,)).fetchall()
    pieces = [box[at : at + 64] for (box,) in boxes for at in range(0, len(box) - 64, 256)]
    return {f"piece {piece[:4].hex()}": piece for piece in [*pieces, *(tag for (tag,) in tags)]}


@pytest.mark.parametrize("form", sorted(dict(forms("Ловелас-Königsberger"))))
def test_the_grep_finds_what_was_planted(form: str) -> None:
    """A value in any of its forms, amid other bytes, is found; and nothing is found where nothing is."""
    secret = "Ловелас-Königsberger"
    noise = os.urandom(50_000)
    planted = noise + dict(forms(secret))[form] + noise
    assert f"it as {form} in the file" in leaks({"the file": planted}, {"it": secret})
    assert leaks({"the file": noise}, {"it": secret}) == []


@pytest.mark.parametrize("before", [0, 1, 2, 3, 100])
def test_the_grep_finds_base64_wherever_it_begins(before: int) -> None:
    """A key or a value inside a longer text that was encoded whole is found as well."""
    whole = base64.b64encode(b"." * before + b"a secret \xff\x00 key" + b"." * before)
    assert leaks({"the file": whole}, {"it": b"a secret \xff\x00 key"})
    assert leaks(
        {"the file": whole.replace(b"+", b"-").replace(b"/", b"_")}, {"it": b"a secret \xff\x00 key"}
    )
