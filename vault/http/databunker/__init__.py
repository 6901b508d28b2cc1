"""The wire of Databunker's clients, under ``/v2`` and ``/v1/session``: words only, over the verbs of the native face.

docs/databunker.md says what is served, and where the vault differs on purpose.
"""

from collections.abc import Mapping

from aiohttp import web

from vault.errors import VaultError
from vault.http.databunker import (
    answers,
    appdata,
    audit,
    bulk,
    group_users,
    groups,
    older,
    policies,
    roles,
    sessions,
    shares,
    system,
    tenants,
    tokens,
    user_requests,
    users,
    xtokens,
)
from vault.http.databunker.dispatch import TOKEN, handler
from vault.http.databunker.method import Method
from vault.http.envelope import Words
from vault.installation import Vault

__all__ = ["METHODS", "TOKEN", "WORDS", "missing", "routes"]

METHODS: tuple[Method, ...] = (
    *appdata.METHODS,
    *audit.METHODS,
    *bulk.METHODS,
    *group_users.METHODS,
    *groups.METHODS,
    *policies.METHODS,
    *roles.METHODS,
    *sessions.METHODS,
    *shares.METHODS,
    *system.METHODS,
    *tenants.METHODS,
    *tokens.METHODS,
    *user_requests.METHODS,
    *users.METHODS,
    *xtokens.METHODS,
)


def routes(vault: Vault) -> list[web.RouteDef]:
    """Return the routes of this face. A base URL that ends in a slash makes two of them, and means the same."""
    return [
        *(
            web.route("*", f"{slashes}v2/{method.name}", handler(vault, method))
            for method in METHODS
            for slashes in ("/", "//")
        ),
        web.route("*", "/v2/{method}", _unknown),
        web.route("*", "//v2/{method}", _unknown),
        *older.routes(vault),
        web.get("/status", _status, allow_head=False),
        *(web.route("*", path, _missing) for path in ("/v1/{rest:.*}", "/v2/{rest:.*}")),
    ]


def missing() -> web.Response:
    """Answer for a path that this wire does not have."""
    return answers.error(404, answers.NO_ENDPOINT)


async def _unknown(_: web.Request) -> web.Response:
    return answers.error(404, answers.UNKNOWN_METHOD)


async def _missing(_: web.Request) -> web.Response:
    return missing()


async def _status(_: web.Request) -> web.Response:
    return answers.ok()


def _refusal(refused: VaultError, _: str) -> web.Response:
    return answers.refusal(refused)


def _plain(status: int, _: str, headers: Mapping[str, str] | None) -> web.Response:
    """Answer what HTTP itself refuses: 405 is no code of this wire."""
    if status in (404, 405):
        return answers.error(404, answers.UNKNOWN_METHOD)
    if status == 500:
        return answers.error(500, answers.INTERNAL)
    return answers.error(status, web.Response(status=status).reason or "error", headers)


WORDS = Words(_refusal, _plain)
