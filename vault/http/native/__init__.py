"""Our own REST face, under ``/api/v1``, and its description."""

from aiohttp import web

from vault.http.native import audit, bulk, profiles, sessions
from vault.http.native.description import description_routes
from vault.http.native.operation import PREFIX, Operation, route
from vault.installation import Vault

OPERATIONS: tuple[Operation, ...] = (
    *profiles.OPERATIONS,
    *bulk.OPERATIONS,
    *sessions.OPERATIONS,
    *audit.OPERATIONS,
)

#: What every backend calls on every request.
STRAIGHT = {("GET", f"{PREFIX}/sessions/current")}


def routes(vault: Vault) -> list[web.RouteDef]:
    """Return the routes of this face for one vault."""
    described = description_routes(OPERATIONS, page=vault.config.server.docs)
    return [*(route(operation, vault) for operation in OPERATIONS), *described]
