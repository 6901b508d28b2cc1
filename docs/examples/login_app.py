"""A web app whose users' data lies in the vault: sign up, log in, look at yourself, log out.

Three places, and what each of them knows:

- the **vault** keeps the profile (e-mail, names, …) sealed under a user token, and beside it the sessions;
- this **app** keeps, for a user token, the hash of a password: no e-mail and no name, so a stolen copy of its
  store says of nobody who they are;
- the **browser** keeps a cookie with a session id: 256 random bits that mean nothing anywhere else.

The app holds two access keys, because most requests need very little:

    tokenvault access create --name web --scopes sessions:read
    tokenvault access create --name sign-in \
        --scopes profiles:write,profiles:read,profiles:lookup,sessions:write,sessions:revoke

Every request looks its session up with the first, which opens no profile. In a larger system only the sign-in
service has the second. Run it beside a vault:

    export VAULT_URL=http://127.0.0.1:3000 VAULT_SESSION_KEY=tvk_… VAULT_SIGNIN_KEY=tvk_… PORT=8080
    python docs/examples/login_app.py
"""

import asyncio
import json
import os
import re
import secrets
import socket
import sys
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp import web
from nacl.exceptions import InvalidkeyError
from nacl.pwhash import argon2id

# "__Host-" makes browsers insist on Secure, on Path=/ and on no Domain: no sister domain can plant this cookie.
COOKIE: Final = "__Host-session"
MIN_PASSWORD: Final = 15  # characters, where a password is the only factor (NIST SP 800-63B-4, 3.1.1.2)

routes = web.RouteTableDef()


@routes.post("/signup")
async def signup(request: web.Request) -> web.Response:
    """Keep a new person: the profile goes to the vault, the password's hash stays here."""
    profile = await read_json(request, "email", "password")
    password = profile.pop("password")
    if len(password) < MIN_PASSWORD:
        raise refusal(
            web.HTTPUnprocessableEntity, f"Choose a password of at least {MIN_PASSWORD} characters."
        )
    password_hash = await in_turn(argon2id.str, as_bytes(password))
    kept = await request.app[VAULT].ask("sign-in", "POST", "profiles", {"profile": profile})
    if kept.status != 201:  # 409: the e-mail is taken. To keep even that secret, answer by e-mail instead.
        raise refusal(web.HTTPConflict, "There can be no account with this e-mail and these details.")
    request.app[PASSWORD_HASHES][kept.body["token"]] = password_hash
    return web.json_response({"signed_up": True}, status=201)


@routes.post("/login")
async def login(request: web.Request) -> web.Response:
    """Prove who it is, and open a session under a fresh id: the cookie never keeps the one it had before."""
    vault = request.app[VAULT]
    given = await read_json(request, "email", "password")
    found = await vault.ask("sign-in", "POST", "profiles/lookup", {"email": given["email"]})
    token = found.body["token"] if found.status == 200 else ""
    # For an unknown e-mail a hash that nothing fits is tried, so that the time taken does not tell who has an
    # account. A real app also counts failures by account and by address, and answers 429 beyond a few.
    password_hash = request.app[PASSWORD_HASHES].get(token, NOBODYS_HASH)
    if not await in_turn(is_right, password_hash, as_bytes(given["password"])):
        raise refusal(web.HTTPUnauthorized, "E-mail or password is wrong.")
    await end_session(request)
    claims = {"roles": ["member"], "auth_method": "password"}  # no personal data: the vault would refuse it
    opened = await vault.ask("sign-in", "POST", "sessions", {"user_token": token, "claims": claims})
    if opened.status != 201:
        raise refusal(web.HTTPServiceUnavailable, "No session could be opened. Try again.")
    response = web.json_response({"logged_in": True})
    # No Max-Age: how long a session lives is the vault's decision, and it never asks the browser.
    response.set_cookie(
        COOKIE, opened.body["session_id"], path="/", secure=True, httponly=True, samesite="Lax"
    )
    return response


@routes.get("/me")
async def me(request: web.Request) -> web.Response:
    """Show who is logged in. This look-up is what every page of a real app begins with."""
    vault = request.app[VAULT]
    session = await vault.ask("session", "GET", "sessions/current", session_id=session_id_of(request))
    if session.status != 200:  # unknown, expired and revoked are one answer; a vault in trouble was a 503
        raise refusal(web.HTTPUnauthorized, "Log in first.")
    # Only what the page shows leaves the vault: one field, not the profile.
    profile = await vault.ask("sign-in", "GET", f"profiles/{session.body['user_token']}?fields=first_name")
    if profile.status != 200:  # erased between the two questions
        raise refusal(web.HTTPUnauthorized, "Log in first.")
    first_name = profile.body["profile"].get("first_name")
    return web.json_response({"first_name": first_name, "claims": session.body["claims"]})


@routes.post("/logout")
async def logout(request: web.Request) -> web.Response:
    """End the session in the vault, then forget the cookie; in this order, so that a failure is seen."""
    await end_session(request)
    response = web.json_response({"logged_in": False})
    response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
    return response


async def end_session(request: web.Request) -> None:
    """Revoke the session of the request's cookie, if it has one."""
    if session_id := session_id_of(request):
        await request.app[VAULT].ask("sign-in", "DELETE", "sessions/current", session_id=session_id)


def session_id_of(request: web.Request) -> str:
    """Return the cookie's session id, or "" for what cannot be one and so must not get into a header."""
    cookie = request.cookies.get(COOKIE, "")
    return cookie if re.fullmatch(r"tvs_[A-Za-z0-9_-]{43}", cookie) else ""


# --- passwords ----------------------------------------------------------------------------------------------

#: By user token. A dictionary will do here; yours is a table of two columns.
PASSWORD_HASHES: Final = web.AppKey("PASSWORD_HASHES", dict[str, bytes])
NOBODYS_HASH: Final = argon2id.str(secrets.token_bytes(32))
HASHING: Final = asyncio.Semaphore(2)  # a hash takes 64 MiB and a core


async def in_turn(function: Callable[..., Any], *arguments: bytes) -> Any:
    """Call a slow function in a thread, few at a time."""
    async with HASHING:
        return await asyncio.to_thread(function, *arguments)


def is_right(password_hash: bytes, password: bytes) -> bool:
    """Whether the hash is that of the password."""
    try:
        return argon2id.verify(password_hash, password)
    except InvalidkeyError:
        return False


def as_bytes(password: str) -> bytes:
    """Return the same bytes from every keyboard (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode()


# --- the vault ----------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What the vault said."""

    status: int
    body: Any


class Vault:
    """The vault, by the name of the access key that a question needs."""

    def __init__(self, client: aiohttp.ClientSession, access_keys: dict[str, str]) -> None:
        self._client = client
        self._access_keys = access_keys

    async def ask(
        self, key: str, method: str, path: str, body: object = None, *, session_id: str = ""
    ) -> Answer:
        """Return the vault's answer, or raise 503: a vault that cannot be asked says nothing about a session.

        So a failure is never "logged in" and never "logged out". The same goes for an access key of ours that
        the vault refuses: that is our operator's trouble, not our visitor's.
        """
        headers = {"Authorization": f"Bearer {self._access_keys[key]}"}
        if session_id:
            headers["Session-Id"] = session_id
        try:
            async with self._client.request(method, path, json=body, headers=headers) as response:
                if response.status not in (401, 403) and response.status < 500:
                    return Answer(response.status, await response.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            pass  # the reason is for a log; the visitor gets one answer for all of them
        raise refusal(web.HTTPServiceUnavailable, "Sign-in is out of order. Try again in a moment.")


VAULT: Final = web.AppKey("VAULT", Vault)


async def vault_connection(app: web.Application) -> AsyncIterator[None]:
    """Share one pool of connections among all requests."""
    base = setting("VAULT_URL").rstrip("/") + "/api/v1/"
    access_keys = {"session": setting("VAULT_SESSION_KEY"), "sign-in": setting("VAULT_SIGNIN_KEY")}
    async with aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=5)) as client:
        app[VAULT] = Vault(client, access_keys)
        yield


# --- requests and answers -----------------------------------------------------------------------------------


@web.middleware
async def guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Keep other sites from acting in a visitor's name (CSRF), without tokens in forms.

    SameSite=Lax keeps the cookie at home when another site posts to us. A form cannot send JSON, and a script
    elsewhere may do so only after a preflight, which we never answer. Neither alone would be enough: Lax does
    not see sister domains as strangers, and the content type does not protect a GET, so no GET changes anything.
    """
    if request.method == "POST" and request.content_type != "application/json":
        raise refusal(web.HTTPUnsupportedMediaType, "Send JSON.")
    response = await handler(request)
    response.headers["Cache-Control"] = "no-store"
    return response


async def read_json(request: web.Request, *required: str) -> dict[str, Any]:
    """Return the body, a JSON object in which these are texts."""
    try:
        body = await request.json()
        json.dumps(body, ensure_ascii=False).encode()  # fails on half a surrogate pair, which is no text
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in required):
        raise refusal(web.HTTPBadRequest, f"Send a JSON object with {' and '.join(required)}.")
    return body


def refusal(kind: type[web.HTTPError], sentence: str) -> web.HTTPError:
    """Return an error to raise. It never repeats what was sent."""
    headers = {"Cache-Control": "no-store"}
    return kind(text=json.dumps({"error": sentence}), content_type="application/json", headers=headers)


def setting(name: str) -> str:
    """Return a setting from the environment, or end with what to do."""
    value = os.environ.get(name)
    if not value:
        sys.exit(f"Set {name}. The first lines of {__file__} say how to make it.")
    return value


def make_app() -> web.Application:
    """Return the app."""
    app = web.Application(middlewares=[guard], client_max_size=16 * 1024)
    app[PASSWORD_HASHES] = {}
    app.add_routes(routes)
    app.cleanup_ctx.append(vault_connection)
    return app


if __name__ == "__main__":
    vault_url, _, _ = (setting(name) for name in ("VAULT_URL", "VAULT_SESSION_KEY", "VAULT_SIGNIN_KEY"))
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8080"))))
    print(f"The login app listens on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    print(f"and keeps its people in the vault at {vault_url}. Ctrl+C ends it.", flush=True)
    web.run_app(make_app(), sock=listener, print=None)
