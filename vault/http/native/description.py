"""The API described: ``/openapi.json``, made from the operations, and ``/docs``, which shows it."""

import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import marshmallow
import msgspec
from aiohttp import web
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

import vault
from vault.http.native.operation import PREFIX, Operation
from vault.http.native.schemas import AuditHeaders, Lookup, Problem
from vault.http.problems import MEDIA_TYPE, STATUS

#: What any call may answer, and what any call with a body may.
ALWAYS = (
    "unauthenticated", "scope_missing", "network_refused", "rate_limited", "too_many_failures", "store_unavailable",
)  # fmt: skip
WITH_BODY = ("malformed", "request_timeout", "unsupported_media_type", "too_large", "invalid")

#: Beside the vault's own refusals that which HTTP itself has a name for.
STATUSES = {**STATUS, "request_timeout": HTTPStatus.REQUEST_TIMEOUT.value}

_PARAMETER = re.compile(r"\{(\w+)\}")

#: Everything the page needs comes from this service. Swagger UI sets style attributes, hence the one exception.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: What a browser may do with the page (OWASP HTTP Headers Cheat Sheet).
_PAGE_HEADERS = {
    "Content-Security-Policy": _PAGE_POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}

#: Over plain HTTP it would be ignored (RFC 6797, 8.1); a proxy that does TLS says it itself. A year.
_TLS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>tokenization-vault API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""

_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#api", validatorUrl: null, persistAuthorization: false});\n'


def description_routes(operations: Sequence[Operation], *, page: bool) -> list[web.RouteDef]:
    """Return the routes of the document and, with ``page``, of the page that shows it."""

    @cache
    def document() -> bytes:  # made for the first who asks: it takes 10 ms
        return msgspec.json.encode(describe(operations))

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=document(), content_type="application/json")

    routes = [web.get("/openapi.json", openapi, allow_head=False)]
    return [*routes, *_page_routes()] if page else routes


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    spec = APISpec(
        title="tokenization-vault",
        version=vault.__version__,
        openapi_version="3.1.0",
        plugins=[MarshmallowPlugin()],
        info={
            "description": "Personal data in, opaque user tokens out, sessions beside them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        security=[{"access_key": []}],
    )
    spec.components.security_scheme(
        "access_key", {"type": "http", "scheme": "bearer", "bearerFormat": "tvk_…"}
    )
    spec.components.schema("Problem", schema=Problem)
    for operation in operations:
        spec.path(PREFIX + operation.path, operations={operation.method.lower(): _describe(operation)})
    document: dict[str, Any] = spec.to_dict()
    # marshmallow has no word for a bound on the number of members.
    document["components"]["schemas"]["Lookup"] |= Lookup.constraints
    return document


def _describe(operation: Operation) -> dict[str, Any]:
    noun = operation.handler.__module__.rsplit(".", 1)[-1]
    described: dict[str, Any] = {
        "tags": [noun],
        "operationId": f"{noun}_{operation.handler.__name__}",
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.body:
        content = {
            media: {"schema": schema, **({"example": schema.example} if hasattr(schema, "example") else {})}
            for media, schema in operation.body.schemas.items()
        }
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameters(operation: Operation) -> list[Any]:
    parameters: list[Any] = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
    ]
    parameters += [{"in": "query", "schema": operation.query}] if operation.query else []
    parameters += [{"in": "header", "schema": operation.headers}] if operation.headers else []
    parameters += [{"in": "header", "schema": AuditHeaders}] if operation.audited else []
    if operation.idempotent:
        parameters.append(
            {
                "in": "header",
                "name": "Idempotency-Key",
                "description": "Send the same key with a repeated request: it is done once and answered twice.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
            }
        )
    return parameters


def _responses(operation: Operation) -> dict[str, Any]:
    codes = [*ALWAYS, *operation.refusals]
    codes += WITH_BODY if operation.body else ()
    codes += ["malformed"] if operation.headers else []
    codes += ["invalid"] if operation.query else []
    codes += ["audit_unavailable", "invalid"] if operation.audited else []
    codes += ["idempotency_key_reused"] if operation.idempotent else []
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(STATUSES[code], []).append(code)
    return {
        str(operation.status): _answer(operation.answer, operation.media_type),
        **{str(status): _problem(status, names) for status, names in sorted(by_status.items())},
    }


def _answer(schema: marshmallow.Schema | None, media_type: str) -> dict[str, Any]:
    if schema is None:
        return {"description": "Done."}
    return {"description": "Done.", "content": {media_type: {"schema": schema}}}


def _problem(status: int, codes: Sequence[str]) -> dict[str, Any]:
    example = {
        "type": f"urn:tokenization-vault:problem:{codes[0]}",
        "title": "…",
        "status": status,
        "code": codes[0],
        "detail": "…",
        "request_id": "3f9c1a2b-7",
    }
    return {
        "description": " or ".join(f"`{code}`" for code in codes),
        "content": {MEDIA_TYPE: {"schema": Problem, "example": example}},
    }


def _page_routes() -> list[web.RouteDef]:
    # The package's folder is found without importing it: only its two files are wanted.
    spec = importlib.util.find_spec("swagger_ui")
    assets = (
        Path(spec.submodule_search_locations[0]) / "static"
        if spec and spec.submodule_search_locations
        else None
    )
    files = {
        "/docs": (_PAGE.encode(), "text/html"),
        "/docs/start.js": (_START.encode(), "text/javascript"),
    }
    for name, media_type in (("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript")):
        if assets:
            files[f"/docs/{name}"] = ((assets / name).read_bytes(), media_type)
    return [web.get(path, _file(*file), allow_head=False) for path, file in files.items()]


def _file(body: bytes, media_type: str) -> Any:
    async def serve(request: web.Request) -> web.Response:
        headers = _PAGE_HEADERS | (_TLS_HEADERS if request.secure else {})
        return web.Response(body=body, content_type=media_type, charset="utf-8", headers=headers)

    return serve
