"""One call of the API: declared once, for the router, the guard at its door, and the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import marshmallow
import msgspec
from aiohttp import web

from vault.access import Caller
from vault.acting import Budget, acting
from vault.config import Limits
from vault.errors import Invalid, Malformed, ScopeMissing
from vault.http.address import Network, address_of
from vault.http.json_body import read_json
from vault.http.purpose import metadata_of, purpose_of
from vault.idempotency import Attempt, attempt
from vault.installation import Vault

PREFIX = "/api/v1"

_BEARER = "bearer "


@dataclass(slots=True)  # not frozen, which would make a look-up dearer
class Call:
    """A request whose caller was let in and whose body was read. ``body`` is what its schema loaded."""

    vault: Vault
    caller: Caller
    request: web.Request
    body: Any = field(default=None, repr=False)
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """What a call reads: a schema by media type, and which limit of the settings it falls under."""

    schemas: Mapping[str, marshmallow.Schema]
    limit: Callable[[Limits], int]


@dataclass(frozen=True, slots=True)
class Operation:
    """A call of the API. ``refusals`` are the codes it may answer with, beside those that every call may.

    Whatever is ``audited`` may say why it is made.
    """

    method: str
    path: str
    handler: Callable[[Call], Awaitable[web.Response]]
    summary: str
    scope: str
    body: Body | None = None
    status: int = 200
    answer: marshmallow.Schema | None = None
    query: marshmallow.Schema | None = None
    headers: marshmallow.Schema | None = None
    media_type: str = "application/json"
    idempotent: bool = False
    audited: bool = True
    refusals: Sequence[str] = ()


def json_body(schema: marshmallow.Schema, limit: Callable[[Limits], int]) -> Body:
    """Describe a body of ``application/json``."""
    return Body({"application/json": schema}, limit)


def route(operation: Operation, vault: Vault) -> web.RouteDef:
    """Return the operation's route: caller first, then the body, then the handler."""
    proxies = vault.config.server.trusted_networks

    async def handle(request: web.Request) -> web.Response:
        caller = await let_in(request, vault, operation.scope, proxies)
        if operation.audited and (context := acting.get()):
            context.purpose, context.metadata = purpose_of(request), metadata_of(request)
        if operation.body is None:
            return await operation.handler(Call(vault, caller, request))
        raw, body = await _read(request, operation.body, vault.config.limits)
        tried = _attempt(request, operation, caller, raw) if operation.idempotent else None
        response = await operation.handler(Call(vault, caller, request, body, tried))
        if tried is not None and tried.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    return web.RouteDef(
        operation.method,
        PREFIX + operation.path,
        handle,
        {"allow_head": False} if operation.method == "GET" else {},
    )


async def let_in(request: web.Request, vault: Vault, scope: str, proxies: Sequence[Network]) -> Caller:
    """Return the caller, or raise: before anything else is looked at.

    ``Unauthenticated`` and ``TooManyFailures`` for no valid key, ``NetworkRefused``, ``RateLimited``, ``ScopeMissing``.
    ``proxies`` are believed where they say whom they speak for.
    """
    header = request.headers.get("Authorization", "")
    presented = header[len(_BEARER) :].strip() if header[: len(_BEARER)].lower() == _BEARER else ""
    # Where a request comes from is only asked for a key that is new here, or bound to a network.
    caller = vault.access.remembered(presented)
    if caller is None:
        caller = await vault.access.admit(presented, address_of(request, proxies))
    context = acting.get()
    if context is not None:
        context.key_id = caller.key_id
        if caller.reveals_per_hour is not None or caller.reveals_per_day is not None:
            context.budget = Budget(caller.reveals_per_hour, caller.reveals_per_day)
    if caller.is_guarded:
        await vault.access.guard(caller, address_of(request, proxies))
    if not caller.may(scope):
        await vault.access.refuse(caller.key_id, ScopeMissing(f"This access key lacks the scope '{scope}'."))
    return caller


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON answer."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json"
    )


def load(schema: marshmallow.Schema, data: Any) -> Any:
    """Load input by its schema, or raise ``Invalid`` naming each field by its path."""
    try:
        return schema.load(data)
    except marshmallow.ValidationError as error:
        raise Invalid(fields=dict(_flat(error.messages_dict))) from None


def load_query(schema: marshmallow.Schema, request: web.Request) -> Any:
    """Load the query string, in which a name may stand once. Raises ``Invalid``."""
    if not request.query_string:
        return {}
    twice = [name for name in set(request.query) if len(request.query.getall(name)) > 1]
    if twice:
        raise Invalid(fields=dict.fromkeys(twice, "Given more than once."))
    return load(schema, dict(request.query))


async def _read(request: web.Request, body: Body, limits: Limits) -> tuple[bytes, Any]:
    raw, value = await read_json(
        request,
        limit=body.limit(limits),
        depth=limits.json_depth,
        seconds=limits.body_timeout,
        media_types=body.schemas,
    )
    return raw, load(body.schemas[request.content_type], value)


def _attempt(request: web.Request, operation: Operation, caller: Caller, raw: bytes) -> Attempt | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise Malformed("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    return attempt(caller.pepper, f"{operation.method} {operation.path}", key, raw)


def _flat(messages: Any, path: str = "") -> list[tuple[str, str]]:
    """Turn marshmallow's nested messages into (path, sentence) pairs.

    Its "_schema" stands for the whole, unless the caller sent a field of that name.
    """
    if isinstance(messages, dict):
        return [
            pair
            for name, inner in messages.items()
            for pair in _flat(
                inner,
                path
                if (name, inner) == ("_schema", ["Invalid input type."])
                else f"{path}.{name}".lstrip("."),
            )
        ]
    sentences = messages if isinstance(messages, list) else [messages]
    return [(path or "body", " ".join(str(sentence) for sentence in sentences))]
