"""The form of an OpenAPI 3.1 document, as far as ours goes, and what it says of one answer.

Written after https://spec.openapis.org/oas/v3.1.0: a name that is not listed here is either misspelled or from 3.0.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

Json = dict[str, Any]

FORMATS = FormatChecker()


@FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or (
        value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None
    )


def _object(needed: str, optional: str = "", /, **properties: Json) -> Json:
    """Return the schema of an object that has exactly these members."""
    names: Json = {name: {} for name in [*needed.split(), *optional.split()]}
    return {
        "type": "object",
        "required": needed.split(),
        "properties": names | properties,
        "additionalProperties": False,
    }


def _map(key: str, value: Json) -> Json:
    """Return the schema of an object whose keys match."""
    return {"type": "object", "patternProperties": {key: value}, "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
SCHEMA = {"type": ["object", "boolean"]}
MEDIA = _map(r"^[a-z]+/[a-z0-9.+-]+$", _object("schema", "example examples", schema=SCHEMA))
RESPONSE = _object("description", "content headers", description=TEXT, content=MEDIA)
PARAMETER = {
    **_object(
        "in name schema", "required description",
        name=TEXT, schema=SCHEMA, required={"type": "boolean"}, **{"in": {"enum": ["path", "query", "header"]}},
    ),
    "if": {"properties": {"in": {"const": "path"}}},
    "then": {"required": ["required"], "properties": {"required": {"const": True}}},
}  # fmt: skip
OPERATION = _object(
    "operationId summary responses", "description parameters requestBody tags security",
    operationId={"type": "string", "pattern": "^[A-Za-z]\\w*$"},
    summary=TEXT,
    parameters={"type": "array", "items": PARAMETER, "uniqueItems": True},
    requestBody=_object("content", "required description", content=MEDIA),
    responses={**_map(r"^([1-5]\d\d|default)$", RESPONSE), "minProperties": 1},
)  # fmt: skip
DOCUMENT = _object(
    "openapi info paths", "security components servers tags",
    openapi={"type": "string", "pattern": r"^3\.1\.\d+$"},
    info=_object("title version", "description license summary", title=TEXT, version=TEXT),
    paths=_map("^/", _map("^(get|put|post|delete|patch|head|options)$", OPERATION)),
    components=_object("", "schemas securitySchemes", schemas={"type": "object", "additionalProperties": SCHEMA}),
)  # fmt: skip


class Description:
    """A document that was served."""

    def __init__(self, document: Json) -> None:
        self.document = document

    def operations(self) -> Iterator[tuple[str, Json]]:
        """Yield each operation under its name, such as "GET /api/v1/profiles/{token}"."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield f"{method.upper()} {path}", operation

    def media(self) -> Iterator[tuple[str, Json]]:
        """Yield every body that is described, under a name that says where."""
        for name, operation in self.operations():
            bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for which, body in bodies.items():
                for media_type, media in body.get("content", {}).items():
                    yield f"{name} {which} {media_type}", media

    def schemas(self) -> Iterator[Json]:
        """Yield every schema, also those inside others."""
        yield from _schemas(self.document["components"]["schemas"])
        for _, operation in self.operations():
            yield from _schemas([parameter["schema"] for parameter in operation.get("parameters", [])])
        for _, media in self.media():
            yield from _schemas(media["schema"])

    def faults(self, schema: Json, value: Any) -> list[str]:
        """Return what the schema has against the value."""
        rooted = {**schema, "components": self.document["components"]}
        return [
            error.message for error in Draft202012Validator(rooted, format_checker=FORMATS).iter_errors(value)
        ]

    def example(self, schema: Json) -> Any:
        """Return an example of a schema, put together from its parts; ``...`` where there is none."""
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "example" in schema:
            return schema["example"]
        if schema.get("type") == "array":
            inner = self.example(schema["items"])
            return ... if inner is ... else [inner]
        parts = {name: self.example(part) for name, part in schema.get("properties", {}).items()}
        found = {name: part for name, part in parts.items() if part is not ...}
        return found if found and found.keys() >= set(schema.get("required", ())) else ...

    def answers(self, name: str) -> Json:
        """Return what the operation may answer, by status."""
        answers: Json = dict(self.operations())[name]["responses"]
        return answers


def _schemas(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        if value.keys() & {"type", "$ref", "properties", "enum"} and isinstance(
            value.get("type"), str | list | None
        ):
            yield value
        for name, inner in value.items():
            if name not in ("example", "examples"):
                yield from _schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _schemas(inner)


def references(value: Any) -> Iterator[str]:
    """Yield every $ref of a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def parameters_of(path: str) -> list[str]:
    """Return the names in the braces of a path."""
    return re.findall(r"\{([^}]+)\}", path)
