"""What every answer has around it: a request id, headers, a log line, metrics, and a problem for each error."""

import itertools
import secrets
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from vault.errors import BoxError, VaultError
from vault.http.metrics import Metrics
from vault.http.problems import plain_problem, problem
from vault.logs import RequestContext, RequestLog, current_request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

UNMATCHED = "unmatched"


def envelope(metrics: Metrics, log: RequestLog | None) -> Middleware:
    """Return the one middleware of the service; without a ``log`` it writes no line a request."""
    # Our own ids: one taken from a header could carry a token or a value into the log.
    process, numbers = secrets.token_hex(4), itertools.count(1)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        context = RequestContext(f"{process}-{next(numbers):x}")
        reset = current_request.set(context)
        try:
            response = await _answer(request, handler, context, metrics)
            headers = response.headers
            headers["X-Request-Id"] = context.request_id
            # Nothing the vault answers may lie in a cache, except the pages that hold no data and say so.
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
            seconds = time.perf_counter() - started
            route = _template(request)
            metrics.answered(route, request.method, response.status, seconds)
            if log:
                log.write(context, route, request.method, response.status, seconds)
            return response
        finally:
            current_request.reset(reset)

    return middleware


async def _answer(
    request: web.Request, handler: Handler, context: RequestContext, metrics: Metrics
) -> web.StreamResponse:
    try:
        return await handler(request)
    except VaultError as error:
        metrics.refused(error.code, context.key_id)
        if isinstance(error, BoxError):
            structlog.get_logger().error("box.unreadable", code=error.code)
        return problem(error, context.request_id)
    except web.HTTPException as error:
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return plain_problem(error.status, context.request_id, allowed)
    except Exception as error:
        # The kind and the place, never the message or the locals: they may quote a profile.
        structlog.get_logger().error("request.failed", error=type(error).__name__, where=_place(error))
        return plain_problem(500, context.request_id)


def _template(request: web.Request) -> str:
    """Return the route's template, never the path: paths hold tokens."""
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
