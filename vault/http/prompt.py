"""An answer that is written at once, head and body in one piece: for the hottest route.

Hazardous: it goes past aiohttp's own preparation of a response and relies on two of its private marks. Whatever is
not the plain case (HTTP/1.1 on a connection that stays open) takes the usual way. The acceptance tests drive both.
See docs/decisions/0008-below-the-application.md.
"""

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time


class PromptAnswer(web.Response):
    """A 200 with a JSON body of bytes."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body=body, content_type="application/json")
        self._bytes = body

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write everything, or prepare as usual."""
        transport = request.transport
        is_plain = request.version == HttpVersion11 and request.keep_alive and self.keep_alive is None
        if not is_plain or transport is None or self.prepared:
            return await super().prepare(request)
        head = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        transport.write(
            f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(self._bytes)}\r\n"
            f"Date: {rfc822_formatted_time()}\r\n\r\n".encode()
            + self._bytes
        )
        self._keep_alive = True  # as aiohttp notes it once a head is written
        self._eof_sent = True  # so its write_eof, which comes next, does nothing
        return None
