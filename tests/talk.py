"""A long conversation with the real program, of all that can be said to it, politely and not; see test_leaks."""

import base64
import http.client
import json
import sqlite3
import time
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlsplit

from tests.acceptance.terminal import knock, run
from tests.grep import Secret, leaves
from tests.program import PATIENCE, Program
from vault.tokens import is_user_token

ADA = {
    "email": "Ada.Lovelace-Byron@Bücher-Geheim.example",
    "login": "lovelace.the.first",
    "phone": "+4930901820144",
    "custom": "Kundennummer-8841-77",
    "first_name": "Augusta-Ада",
    "last_name": "Königsberger-Ловелас",
    "address": {"street": "Allee der Kosmonauten 33b", "city": "浦东新区陆家嘴"},
    "notes": ["раскрытая тайна", "🦊🦊🦊 fox-trot"],
    "passport": 473829104771,
    "height": 172.538913,
}
BEA = {"email": "bea.trice@hidden-valley.example", "first_name": "Beatrice-Benedicta"}
CLAIMS = {"roles": ["zebra-keeper", "night-auditor"], "tenant": "volga-77-acme"}
BODY_LIMIT = 16_384

#: Not the person's, though they stand in bodies.
WORDS_OF_THE_API = frozenset({"op", "path", "from", "user_token"})


class Talk:
    """A conversation. Keeps every secret that was said in it, and every refusal that was answered."""

    def __init__(self, program: Program) -> None:
        self.address = urlsplit(program.url).netloc
        self.key = program.access_key
        self.secrets: dict[str, Secret] = {}
        self.user_tokens: dict[str, Secret] = {}
        self.refusals: dict[str, bytes] = {}
        self.codes: set[str] = set()

    def __call__(
        self, status: int, method: str, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> Any:
        """Make a call, which must be answered so; bytes are sent as they are, all else as JSON."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key or self.key}"} | headers
        raw = body if isinstance(body, bytes | None) else json.dumps(body, ensure_ascii=False).encode()
        with closing(http.client.HTTPConnection(self.address, timeout=PATIENCE)) as connection:
            connection.request(method, path, raw, headers)
            with connection.getresponse() as answer:
                content, head = answer.read(), str(answer.headers).encode()
        assert answer.status == status, (method, path, answer.status, content)
        self._remember_sent(body, headers)
        told = json.loads(content) if content else None
        if status >= 400:
            self.refusals[f"{status} to {method} number {len(self.refusals)}"] = head + content
            self.codes.add(told["code"])
        elif isinstance(told, dict):
            self._remember_told(told)
        return told

    def _remember_sent(self, body: Any, headers: dict[str, str]) -> None:
        sent = {} if isinstance(body, bytes) else leaves(body)
        for path, leaf in sent.items():
            if path.rpartition(".")[2] not in WORDS_OF_THE_API:
                self.secrets[f"{path} {leaf[:3]!r}…"] = leaf
        if "Idempotency-Key" in headers:
            self.secrets[f"idempotency key {len(self.secrets)}"] = headers["Idempotency-Key"]

    def _remember_told(self, told: dict[str, Any]) -> None:
        if "session_id" in told:
            self.secrets[f"session id {len(self.secrets)}"] = told["session_id"]
            self.secrets[f"random part of session id {len(self.secrets)}"] = told["session_id"][4:]
        for token in (told.get("token"), *(result.get("token") for result in told.get("results", ()))):
            if token is not None:
                assert is_user_token(token)
                self.user_tokens[f"user token {len(self.user_tokens)}"] = token


def converse(talk: Talk, program: Program) -> None:
    """Say everything that can be said, politely and not."""
    ada = talk_about_profiles(talk)
    talk_about_sessions(talk, ada)
    talk_nonsense(talk, ada)
    talk_as_somebody_else(talk, program, ada)
    talk_to_a_vault_in_trouble(talk, program, ada)


def talk_about_profiles(talk: Talk) -> str:
    """Create, read, find, change, and all that is refused on the way; return Ada's token."""
    retried = {"Idempotency_Key": "retry-of-the-signup-form-1"}
    ada = talk(201, "POST", "/api/v1/profiles", {"profile": ADA}, **retried)["token"]
    assert talk(201, "POST", "/api/v1/profiles", {"profile": ADA}, **retried)["token"] == ada
    talk(422, "POST", "/api/v1/profiles", {"profile": BEA}, **retried)
    talk(409, "POST", "/api/v1/profiles", {"profile": {"email": ADA["email"].upper()}})
    talk(422, "POST", "/api/v1/profiles", {"profile": {"phone": ["+4930555000111"]}})
    talk(422, "POST", "/api/v1/profiles", {"profile": "Augusta as a mere text"})
    batch = [BEA, ADA, 473829104771, {"login": {"a": "hidden-login"}}]
    told = talk(200, "POST", "/api/v1/profiles/batch", {"profiles": [{"profile": entry} for entry in batch]})
    assert (told["created"], told["failed"]) == (1, 3)
    errors = [result["error"] for result in told["results"] if "error" in result]
    talk.refusals["the errors of a batch"] = json.dumps(errors, ensure_ascii=False).encode()
    for field in ("email", "login", "phone", "custom"):
        assert talk(200, "POST", "/api/v1/profiles/lookup", {field: ADA[field]})["token"] == ada
        talk(404, "POST", "/api/v1/profiles/lookup", {field: f"{ADA[field]}77"})
    talk(422, "POST", "/api/v1/profiles/lookup", {"email": ADA["email"], "login": ADA["login"]})
    talk(200, "GET", f"/api/v1/profiles/{ada}?fields=email,address.city")
    talk(200, "GET", f"/api/v1/profiles/{ada}/export")
    merge = {"Content_Type": "application/merge-patch+json"}
    talk(200, "PATCH", f"/api/v1/profiles/{ada}", {"nickname": "Enchantress-of-Number"}, **merge)
    talk(409, "PATCH", f"/api/v1/profiles/{ada}", {"email": BEA["email"]}, **merge)
    talk(
        412, "PATCH", f"/api/v1/profiles/{ada}", {"nickname": "Too-late-a-nickname"}, If_Match='"1"', **merge
    )
    patch = {"Content_Type": "application/json-patch+json"}
    moved = [{"op": "replace", "path": "/address/city", "value": "Ockham-Park-Estate"}]
    talk(200, "PATCH", f"/api/v1/profiles/{ada}", moved, **patch)
    tested = [{"op": "test", "path": "/last_name", "value": "Königsberger-Unproven"}]
    talk(409, "PATCH", f"/api/v1/profiles/{ada}", tested, **patch)
    talk(409, "PATCH", f"/api/v1/profiles/{ada}", [{"op": "remove", "path": f"/{ADA['login']}"}], **patch)
    talk(200, "PUT", f"/api/v1/profiles/{ada}", {"profile": ADA})
    return ada


def talk_about_sessions(talk: Talk, ada: str) -> None:
    """Open, look up, change, rotate, end, and claims that are refused."""
    wanted = {"user_token": ada, "claims": CLAIMS}
    retried = {"Idempotency_Key": "retry-of-the-login-form-1"}
    first = talk(201, "POST", "/api/v1/sessions", wanted, **retried)
    assert talk(201, "POST", "/api/v1/sessions", wanted, **retried)["session_id"] == first["session_id"]
    for refused in (
        {"role": ADA["login"]},
        {"role": "bea@hidden-valley.example"},
        {"undeclared": "covert-claim"},
    ):
        talk(422, "POST", "/api/v1/sessions", {"user_token": ada, "claims": refused})
    presented = {"Session_Id": first["session_id"]}
    talk(200, "GET", "/api/v1/sessions/current", **presented)
    talk(200, "PATCH", "/api/v1/sessions/current", {"claims": {"tenant": "danube-88-acme"}}, **presented)
    talk(422, "PATCH", "/api/v1/sessions/current", {"claims": {"tenant": ADA["phone"]}}, **presented)
    second = talk(200, "POST", "/api/v1/sessions/current/rotate", {"reauthenticated": True}, **presented)
    for path in ("current", "current/rotate"):
        talk(404, "GET" if path == "current" else "POST", f"/api/v1/sessions/{path}", {}, **presented)
    talk(200, "GET", f"/api/v1/profiles/{ada}/sessions")
    anonymous = talk(201, "POST", "/api/v1/sessions", {})
    talk(204, "DELETE", f"/api/v1/sessions/{anonymous['handle']}")
    talk(
        204, "DELETE", f"/api/v1/sessions/{second['session_id']}"
    )  # misused as a handle: in the URL it must not log
    talk(204, "DELETE", "/api/v1/sessions/current", Session_Id=second["session_id"])
    talk(404, "GET", "/api/v1/sessions/current", Session_Id=second["session_id"])
    talk(404, "GET", "/api/v1/sessions/current", Session_Id=f"{ADA['login']} {ADA['phone']}")
    talk(201, "POST", "/api/v1/sessions", wanted)
    talk(204, "DELETE", f"/api/v1/profiles/{ada}/sessions")


def talk_nonsense(talk: Talk, ada: str) -> None:
    """Send what cannot be read, with the person's data in it."""
    email, login = ADA["email"].encode(), ADA["login"]
    for status, body in (
        (400, b'{"profile": {"email": "%s"' % email),
        (400, b'{"profile": {"email": "%s", "email": "x"}}' % email),
        (400, b'{"profile": {"%s": NaN}}' % email),
        (400, b'{"profile": {"email": "%s\xff"}}' % email),
        (400, b'{"profile": {"email": "%s\\ud800"}}' % email),
        (400, b'{"profile": %s"%s"%s}' % (b"[" * 99, email, b"]" * 99)),
        (413, b'{"profile": {"email": "%s%s"}}' % (email, b" " * 300_000)),
    ):
        talk(status, "POST", "/api/v1/profiles", body)
    talk(
        415, "POST", "/api/v1/profiles", b"email=%s" % email, Content_Type="application/x-www-form-urlencoded"
    )
    talk(400, "POST", "/api/v1/profiles", email, Content_Encoding="gzip")
    talk(413, "POST", "/api/v1/sessions", {"claims": {"tenant": "volga-77-acme" * BODY_LIMIT}})
    talk.secrets = {name: secret for name, secret in talk.secrets.items() if len(secret) < 1000}
    for path in (quote(ADA["email"]), login, f"{ada}/{login}"):
        talk(404, "GET", f"/api/v1/profiles/{path}")
        talk(404, "GET", f"/{path}")
    talk(200, "GET", f"/api/v1/profiles/{ada}?fields={login}")
    talk(422, "GET", f"/api/v1/profiles/{ada}?unknown={login}")
    talk(405, "PUT", f"/api/v1/profiles/{ada}/sessions", ADA)
    talk(412, "PUT", f"/api/v1/profiles/{ada}", {"profile": BEA}, If_Match=login)
    talk(400, "POST", "/api/v1/profiles", {"profile": BEA}, Idempotency_Key=login * 20)


def talk_as_somebody_else(talk: Talk, program: Program, ada: str) -> None:
    """Come with no key, a wrong one, one that may little, and one that was revoked."""
    done = run(
        "access", "create", "--data", program.data, "--name", "little", "--scopes", "sessions:read", "--json"
    )
    little = json.loads(done.stdout)
    talk.refusals["the log of access create"] = done.stderr.encode()
    for key in (talk.key, little["access_key"]):
        talk.secrets[f"access key {key[:8]}…"] = key
        talk.secrets[f"secret part of access key {key[:8]}…"] = key.split("_", 2)[2]
    talk(403, "GET", f"/api/v1/profiles/{ada}", key=little["access_key"])
    talk(401, "GET", f"/api/v1/profiles/{ada}", key=ADA["login"])
    talk(401, "GET", f"/api/v1/profiles/{ada}", key=talk.key[:-1] + ("A" if talk.key[-1] != "A" else "B"))
    basic = base64.b64encode(f"ada:{BEA['email']}".encode()).decode()
    talk(401, "GET", f"/api/v1/profiles/{ada}", Authorization=f"Basic {basic}")
    assert run("access", "revoke", little["id"], "--data", program.data).returncode == 0
    deadline = time.monotonic() + PATIENCE
    while knock(program, little["access_key"]) != 401 and time.monotonic() < deadline:
        pass  # the service has a second to heed it
    talk(401, "GET", f"/api/v1/profiles/{ada}", key=little["access_key"])


def talk_to_a_vault_in_trouble(talk: Talk, program: Program, ada: str) -> None:
    """Meet a locked database and a box that was tampered with; then erase somebody."""
    bea = talk(200, "POST", "/api/v1/profiles/lookup", {"email": BEA["email"]})["token"]
    with closing(sqlite3.connect(program.data / "vault.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        talk(503, "PUT", f"/api/v1/profiles/{ada}", {"profile": {**ADA, "motto": "never-written-motto"}})
        ((box,),) = other.execute("SELECT box FROM profiles WHERE token = ?", (bea,))
        other.execute("UPDATE profiles SET box = ? WHERE token = ?", (box[:-16] + bytes(16), bea))
        other.execute("COMMIT")
    talk(500, "GET", f"/api/v1/profiles/{bea}")
    talk(500, "POST", "/api/v1/sessions", {"user_token": bea, "claims": CLAIMS})
    talk(200, "DELETE", f"/api/v1/profiles/{bea}")
    talk(404, "DELETE", f"/api/v1/profiles/{bea}")
