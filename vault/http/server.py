"""Serves an application over aiohttp's lower level, for two things that its upper level has no word for.

Hazardous: it overrides methods that aiohttp keeps to itself. tests/acceptance drives the real program over it, so a
new aiohttp that has moved them is noticed. docs/decisions/0008-below-the-application.md says why.
"""

from typing import Any

from aiohttp import web

from vault.http.app import STRAIGHT
from vault.http.envelope import Handler
from vault.http.problems import plain_problem


class Runner(web.AppRunner):
    """Runs an application: its ``STRAIGHT`` routes past the router, and broken HTTP answered without quoting it."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        handler = _straight(self.app[STRAIGHT], made.request_handler)
        return _Server(handler, request_factory=made.request_factory, **self._kwargs)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *_: Any, **__: Any
    ) -> web.StreamResponse:
        """Answer what cannot be read as HTTP. aiohttp would repeat the line, and with it a key or an id."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        response = plain_problem(status, "-", {"Cache-Control": "no-store"})
        response.force_close()
        return response


def _straight(routes: dict[tuple[str, str], Handler], otherwise: Any) -> Any:
    """Return a handler that looks the hottest routes up by their whole path: about 3 of a look-up's 40 µs saved."""

    async def handle(request: web.Request) -> web.StreamResponse:
        handler = routes.get((request.method, request.raw_path))
        response: web.StreamResponse = await (otherwise if handler is None else handler)(request)
        return response

    return handle
