"""What every answer has around it: a request id, headers, a log line, metrics, and a problem for each error.

It wraps each handler as its route is made, not as a middleware: the route's template is then known without
asking, and a look-up is spared three calls.
"""

import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import NamedTuple

import structlog
from aiohttp import web

from vault.acting import Acting, acting
from vault.errors import BoxError, VaultError
from vault.http import problems
from vault.http.metrics import Metrics
from vault.logs import RequestLog

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Methods that are told by name. A caller may send any word as method, a key or an e-mail too.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Words(NamedTuple):
    """How a face says no: to a refusal, and to a bare status; both are given the request's id."""

    refusal: Callable[[VaultError, str], web.Response]
    plain: Callable[[int, str, Mapping[str, str] | None], web.Response]


#: The words of the native face (RFC 9457).
PROBLEMS = Words(problems.problem, problems.plain_problem)


class Envelope:
    """The envelope of one application; without a ``log`` it writes no line a request."""

    def __init__(self, metrics: Metrics, log: RequestLog | None) -> None:
        self._metrics = metrics
        self._log = log
        # Our own ids: one taken from a header could carry a token or a value into the log.
        self._process, self._numbers = secrets.token_hex(4), itertools.count(1)

    def around(self, handler: Handler, route: str, words: Words = PROBLEMS) -> Handler:
        """Return the handler in its envelope, for a face of these words.

        ``route`` is the template: paths hold tokens and are never told.
        """
        process, numbers, log, answered = self._process, self._numbers, self._log, self._metrics.answered

        async def enveloped(request: web.Request) -> web.StreamResponse:
            started = perf_counter()
            context = Acting(f"{process}-{next(numbers):x}")
            acting.set(context)  # not reset: aiohttp runs each request in a context of its own
            try:
                response = await handler(request)
            except Exception as error:
                response = self._refusal(error, context, words)
                if request.content.exception() is not None:
                    response.force_close()  # what follows on this connection cannot be told from the broken body
            headers = response.headers
            headers["X-Request-Id"] = context.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Server"] = "tokenization-vault"  # and not the versions of what it is made of
            # Nothing the vault answers may lie in a cache (ASVS 14.3.2).
            headers["Cache-Control"] = "no-store"
            seconds = perf_counter() - started
            method = request.method if request.method in METHODS else "OTHER"
            answered(route, method, response.status, seconds)
            if log is not None:
                log.write(context, route, method, response.status, seconds)
            return response

        return enveloped

    def _refusal(self, error: Exception, context: Acting, words: Words) -> web.Response:
        if isinstance(error, VaultError):
            self._metrics.refused(error.code, context.key_id)
            if isinstance(error, BoxError):
                structlog.get_logger().error("box.unreadable", code=error.code)
            return words.refusal(error, context.request_id)
        if isinstance(error, web.HTTPException):
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            return words.plain(error.status, context.request_id, allowed)
        # The kind and the place, never the message or the locals: they may quote a profile.
        structlog.get_logger().error("request.failed", error=type(error).__name__, where=_place(error))
        return words.plain(500, context.request_id, None)


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
