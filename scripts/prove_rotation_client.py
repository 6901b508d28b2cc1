"""Asks the service of the proof, and tells a request that its kill cut off from one that failed."""

import random
import secrets
import time
from typing import Any, NamedTuple

import aiohttp
import msgspec
from prove_rotation_book import Book
from rotation_process import PATIENCE, Service

API = "/api/v1"
MERGE_PATCH = "application/merge-patch+json"

#: Seconds after which a request counts as failed: a rotation must not make anybody wait that long.
REQUEST_PATIENCE = 20.0

#: Kills that one request may meet before it is settled.
TRIES = 20


class Answer(NamedTuple):
    """What came back; ``body`` is None where there is none."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The code of a refusal."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


#: Stands for an answer where a request failed that nothing excuses; that is in the book already.
FAILED = Answer(0, None)


class Client:
    """Asks, counts, and writes down every answer that only a broken vault gives."""

    def __init__(self, service: Service, book: Book, http: aiohttp.ClientSession) -> None:
        self.service = service
        self.book = book
        self._http = http

    async def ask(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **headers: str
    ) -> Answer | None:
        """Return the answer, or None if the service was killed meanwhile. ``headers`` have _ for -."""
        await self.service.up.wait()
        life, began_at = self.service.life, time.monotonic()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = f"Bearer {self.service.access_key}"
        data = None
        if body is not None:
            data, sent["Content-Type"] = msgspec.json.encode(body), kind
        self.book.counts["requests"] += 1
        try:
            async with self._http.request(
                method, f"{self.service.url}{API}{path}", data=data, headers=sent,
                timeout=aiohttp.ClientTimeout(total=REQUEST_PATIENCE),
            ) as response:  # fmt: skip
                text = await response.read()
                answer = Answer(response.status, msgspec.json.decode(text) if text else None)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if self.service.life != life:
                self.book.counts["requests cut off by killing the service"] += 1
                return None
            self.book.expect(False, f"{method} {_template(path)} failed: {type(error).__name__}")
            return FAILED
        self.book.slowest = max(self.book.slowest, time.monotonic() - began_at)
        if answer.status >= 500 or answer.code in ("conflict", "unauthenticated"):
            self.book.expect(False, f"{method} {_template(path)} was answered {answer.status} {answer.code}")
            return FAILED
        return answer

    async def surely(self, method: str, path: str, body: Any = None, **options: str) -> Answer:
        """Ask what may be asked twice until it is answered."""
        for _ in range(TRIES):
            answer = await self.ask(method, path, body, **options)
            if answer is not None:
                return answer
        self.book.expect(False, f"{method} {_template(path)} was cut off {TRIES} times")
        return FAILED

    def acknowledged(self, answer: Answer, status: int, what: str) -> bool:
        """Count a write that was answered so; write any other answer down. Return which it was."""
        self.book.counts["writes acknowledged"] += answer.status == status
        return self.book.expect(
            answer.status == status, f"{what} was answered {answer.status} {answer.code} and not {status}"
        )


def maybe_key(chance: random.Random) -> dict[str, str]:
    """Return the header Idempotency-Key with a new key, for every other request."""
    return {"Idempotency_Key": secrets.token_hex(12)} if chance.random() < 0.5 else {}


def client_session() -> aiohttp.ClientSession:
    """Return a session for ``PATIENCE`` seconds of connecting at most, without a bound on connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(connect=PATIENCE)
    )


def _template(path: str) -> str:
    return "/".join("{token}" if len(part) > 30 else part for part in path.split("/"))
