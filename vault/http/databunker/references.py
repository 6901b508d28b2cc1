"""What is named by its number or by its name: roles, policies and groups."""

from typing import Any, Literal

from marshmallow import fields

from vault.http.databunker.method import MissingParameters, Number, Scalar
from vault.named_records import Reference

Kind = Literal["role", "policy", "group"]


def reference(kind: Kind) -> dict[str, fields.Field[Any]]:
    """Return the two parameters that name one: ``roleid`` or ``rolename``."""
    return {f"{kind}id": Number(), f"{kind}name": Scalar()}


def named(kind: Kind, body: dict[str, Any]) -> Reference | None:
    """Return the number that the body says, else the name; None for neither."""
    found: Reference | None = body.get(f"{kind}id", body.get(f"{kind}name"))
    return found


def reference_of(kind: Kind, body: dict[str, Any]) -> Reference:
    """Return the same. Raises ``MissingParameters``."""
    if (found := named(kind, body)) is None:
        raise MissingParameters([f"{kind}id"])
    return found


def new_name(kind: Kind, body: dict[str, Any]) -> str | None:
    """Return the name that an update gives: beside a number, the name is a new one."""
    return body.get(f"{kind}name") if f"{kind}id" in body else None
