"""The older wire, ``/v1/session/{id}``: what the npm package @databunker/session-store speaks for Express.

Its meaning is that of the methods of ``sessions``, and so are the policies that allow it.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from vault.errors import Malformed
from vault.http.databunker.answers import ok
from vault.http.databunker.dispatch import deny, let_in
from vault.http.databunker.sessions import session_id
from vault.http.json_body import read_json
from vault.installation import Vault

_Answer = Callable[[web.Request, Vault, str], Awaitable[web.Response]]


def routes(home: Vault) -> list[web.RouteDef]:
    """Return the routes of the older wire, with one slash before them or two."""
    limits = home.config.limits

    async def get(_: web.Request, vault: Vault, named: str) -> web.Response:
        session = await vault.named_sessions.get(named)
        return ok({"session": named, "when": session.last_seen_at // 1000, "data": session.data})

    async def post(request: web.Request, vault: Vault, named: str) -> web.Response:
        _, body = await read_json(
            request,
            limit=limits.session_body,
            depth=limits.json_depth,
            seconds=limits.body_timeout,
            media_types=None,
        )
        if not isinstance(body, dict):
            raise Malformed
        rules = await vault.named_sessions.put(named, body, *_ends(body.get("cookie"), home.clock.now()))
        home.named_sessions.warnings.update(rules)
        return ok({"session": named})

    async def delete(_: web.Request, vault: Vault, named: str) -> web.Response:
        await vault.named_sessions.end(named)
        return ok()

    verbs: tuple[tuple[str, str, _Answer], ...] = (
        ("GET", "SessionGet", get),
        ("POST", "SessionUpsert", post),
        ("DELETE", "SessionDelete", delete),
    )
    return [
        web.route(verb, f"{slashes}v1/session/{{uuid}}", _guarded(home, method, answer))
        for verb, method, answer in verbs
        for slashes in ("/", "//")
    ]


def _guarded(home: Vault, method: str, answer: _Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler that answers those alone who may call ``method`` on the newer wire."""
    proxies = home.config.server.trusted_networks

    async def handle(request: web.Request) -> web.Response:
        vault, grant = await let_in(request, home, proxies)
        decision = await vault.policies.decide(grant, method, {})
        if not decision.allowed:
            await deny(vault, grant)
        return await answer(request, vault, session_id(request.match_info["uuid"]))

    return handle


def _ends(cookie: Any, now: int) -> tuple[int | None, int | None]:
    """Return lifetime and idle timeout, in seconds, that Express's cookie asks for; None for what it does not.

    ``originalMaxAge`` (milliseconds) begins anew with each request, so it is an idle timeout; ``expires`` (ISO 8601)
    without it is a fixed end. What has passed already is a second, and what is not a time asks for nothing.
    """
    if not isinstance(cookie, dict):
        return None, None
    age, expires = cookie.get("originalMaxAge"), cookie.get("expires")
    if isinstance(age, int | float) and not isinstance(age, bool):
        return None, max(1, int(age // 1000))
    if not isinstance(expires, str):
        return None, None
    try:
        end = datetime.fromisoformat(expires)
    except ValueError:
        return None, None
    seconds = (end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp() - now / 1000
    return max(1, int(seconds)), None
