"""From a request to a call: whose vault, who calls, what is said, may they; in this order, and then the handler."""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import msgspec
from aiohttp import web

from vault.acting import acting
from vault.errors import Denied, Invalid, Malformed, TenantNotFound, Unauthenticated
from vault.grants import Grant, digest, is_xtoken
from vault.http.address import Address, Network, address_of
from vault.http.databunker.answers import UNKNOWN_METHOD, error, ok
from vault.http.databunker.method import Call, Method
from vault.http.json_body import read_json
from vault.http.purpose import MOST_METADATA, check_purpose, purpose_of
from vault.installation import Vault
from vault.policies import Decision
from vault.tenants import DEFAULT

TOKEN = "X-Bunker-Token"  # noqa: S105 - the header's name
TENANT = "X-Bunker-Tenant"

#: Whoever calls a method that asks for no token.
ANYBODY = Grant("public", "public")


def handler(home: Vault, method: Method) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return what answers a request for this method."""
    proxies = home.config.server.trusted_networks
    limits = home.config.limits

    async def handle(request: web.Request) -> web.Response:
        if request.method != "POST":
            return error(404, UNKNOWN_METHOD)
        vault, grant = await let_in(request, home, proxies, public=method.public)
        body = await _body(request, method.limit(limits), limits.json_depth, limits.body_timeout)
        metadata = _metadata(body)
        if context := acting.get():
            context.metadata, context.purpose = metadata or None, _purpose(request, metadata)
        decision = await _decide(vault, home, grant, method, metadata)
        call = Call(vault, home, grant, decision, request, method.load(body), home.clock.now())
        return ok(await method.handler(call))

    return handle


async def let_in(
    request: web.Request, home: Vault, proxies: tuple[Network, ...], *, public: bool = False
) -> tuple[Vault, Grant]:
    """Return whose vault is meant and who calls, or raise: before anything else is looked at.

    ``Unauthenticated`` for no valid token and for a tenant that is not there alike; and as ``Grants.admit``.
    """
    presented, address = request.headers.get(TOKEN, ""), address_of(request, proxies)
    name = _tenant(request, home.config.databunker.domain)
    if public:
        vault, grant = await _vault(home, name or DEFAULT, address), ANYBODY
    elif is_xtoken(presented):
        if not name and home.tenants is not None:
            name = await home.tenants.of_token(digest(presented)) or DEFAULT
        vault = await _vault(home, name or DEFAULT, address)
        grant = await vault.grants.admit(presented, address)
    else:  # an access key is the installation's, and root of every tenant
        grant = await home.grants.admit(presented, address)
        vault = await _vault(home, name or DEFAULT, address)
    if context := acting.get():
        context.key_id, context.budget = grant.actor, grant.budget
    return vault, grant


def _metadata(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the caller says of the request, which is kept sealed. Raises ``Invalid``."""
    metadata = body.get("request_metadata") or {}
    if not isinstance(metadata, dict) or len(msgspec.json.encode(metadata)) > MOST_METADATA:
        raise Invalid(fields={"request_metadata": f"must be an object of at most {MOST_METADATA} bytes"})
    return metadata


def _purpose(request: web.Request, metadata: dict[str, Any]) -> str | None:
    """Return why the request is made: the native face's header, or the metadata's ``purpose``, if it is one."""
    said = metadata.get("purpose")
    try:
        if isinstance(said, str):
            check_purpose(said, "purpose")
    except Invalid:  # metadata is anybody's own, and is not refused for a word of ours
        said = None
    return purpose_of(request) or (said if isinstance(said, str) else None)


async def _decide(
    vault: Vault, home: Vault, grant: Grant, method: Method, metadata: dict[str, Any]
) -> Decision:
    if method.installation and not (vault is home and grant.kind == "root"):
        await deny(vault, grant)
    if grant.kind == "public" or (grant.kind == "user" and method.own):
        return Decision(allowed=True)
    mode = method.takes.get("mode")
    of_person = mode is not None and mode.required  # then nothing is done before ``people.token_of``
    decision = await vault.policies.decide(grant, method.name, metadata, of_person=of_person)
    if not decision.allowed:
        await deny(vault, grant)
    return decision


async def deny(vault: Vault, grant: Grant) -> NoReturn:
    """Refuse a call that the caller may not make, once that is recorded. Raises ``Denied``."""
    await vault.access.refuse(grant.actor, Denied())


async def _vault(home: Vault, name: str, address: Address | None) -> Vault:
    if name == DEFAULT or home.tenants is None:
        return home
    try:
        return await home.tenants.of(name)
    except TenantNotFound:
        # No key is refused as slowly as a wrong token at a tenant that is there.
        await home.access.admit("", address)
        raise Unauthenticated from None


def _tenant(request: web.Request, domain: str) -> str:
    """Return the tenant that the header names, or else the sub-domain; "" for none."""
    named = request.headers.get(TENANT, "").strip()
    if named or not domain:
        return named
    host = request.host.partition(":")[0].lower()
    label = host.removesuffix(f".{domain}")
    return "" if label == host or "." in label else label


async def _body(request: web.Request, limit: int, depth: int, seconds: float) -> dict[str, Any]:
    """Return the parameters; no body at all means none. Raises ``Malformed``, ``TooLarge``."""
    if not request.body_exists:
        return {}
    _, body = await read_json(request, limit=limit, depth=depth, seconds=seconds, media_types=None, empty={})
    if not isinstance(body, dict):
        raise Malformed
    return body
