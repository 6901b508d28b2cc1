"""One application: the faces, the service's own state, and the envelope around all answers."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from vault.http import databunker, health, native
from vault.http.envelope import Envelope, Handler
from vault.http.metrics import Metrics
from vault.http.problems import plain_problem
from vault.installation import Vault
from vault.logs import RequestLog

#: The route of whatever no face knows.
UNMATCHED = "/{unmatched:.*}"

#: The handlers of the hottest routes, by method and path: the server may call them past the router.
STRAIGHT = web.AppKey("STRAIGHT", dict[tuple[str, str], Handler])


def make_app(vault: Vault) -> web.Application:
    """Return the application that serves one vault; the vault stays its owner's to close."""
    metrics = Metrics(vault)
    settings = vault.config.log
    log = RequestLog(settings.format) if settings.requests and settings.level in ("debug", "info") else None
    envelope = Envelope(metrics, log)
    bunker = databunker.routes(vault) if vault.config.databunker.enabled else []
    routes = [
        *native.routes(vault),
        *health.routes(vault, metrics),
        *bunker,
        web.route("*", UNMATCHED, _refuse_unmatched),  # the last: what no other has taken
    ]
    app = web.Application()
    if log is not None:
        app.on_cleanup.append(_flushing(log))
    enveloped = [
        web.RouteDef(
            each.method,
            each.path,
            envelope.around(each.handler, each.path, databunker.WORDS)
            if each in bunker
            else envelope.around(each.handler, each.path),
            {**each.kwargs, "expect_handler": _expect},
        )
        for each in routes
    ]
    app.add_routes(enveloped)
    app[STRAIGHT] = {
        (each.method, each.path): each.handler
        for each in enveloped
        if (each.method, each.path) in native.STRAIGHT
    }
    return app


def _flushing(log: RequestLog) -> Callable[[web.Application], Awaitable[None]]:
    async def flush(_: web.Application) -> None:
        log.flush()

    return flush


async def _expect(request: web.Request) -> web.StreamResponse | None:
    """Say that a body may come; refuse any other expectation, which aiohttp would quote (RFC 9110, 10.1.1)."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        return plain_problem(417, "-", {"Cache-Control": "no-store"})
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer is still to come: aiohttp counts so too
    return None


async def _refuse_unmatched(request: web.Request) -> web.Response:
    """Tell a path that does not exist from a method that its path does not have (RFC 9110, 15.5.6)."""
    if databunker.TOKEN in request.headers:
        return databunker.missing()
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource.canonical != "/{unmatched}":
            allowed |= (await resource.resolve(request))[1]
    if allowed:
        raise web.HTTPMethodNotAllowed(request.method, allowed)
    raise web.HTTPNotFound
