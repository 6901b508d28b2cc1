"""One method of Databunker's wire: declared once, for the dispatcher and the guard at its door."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import marshmallow
from aiohttp import web
from marshmallow import fields

from vault.config import Limits
from vault.errors import Invalid
from vault.grants import Grant
from vault.http.databunker.times import Minutes, seconds
from vault.installation import Vault
from vault.policies import Decision

Said = Mapping[str, Any] | None


@dataclass(slots=True)
class Call:
    """A request whose caller was let in and whose body was read. ``body`` holds what was sent and is not null.

    ``vault`` is the tenant's, ``home`` the installation's own; they are one for the tenant ``default``.
    """

    vault: Vault
    home: Vault
    grant: Grant
    decision: Decision
    request: web.Request
    body: dict[str, Any] = field(repr=False)
    now: int

    def seconds(self, name: str, m: Minutes = "months") -> int | None:
        """Return for how many seconds from now a time of the body is meant. Raises ``Invalid``."""
        return seconds(name, self.body.get(name), self.now, m)


@dataclass(frozen=True, slots=True)
class Method:
    """A method under ``/v2/``. ``takes`` are its parameters beside ``request_metadata``; others are passed over.

    A ``public`` one asks for no token; ``own`` ones may be called with a person's own token, about themselves alone;
    those of the ``installation`` only with the root token of the tenant ``default``.
    """

    name: str
    handler: Callable[[Call], Awaitable[Said]]
    takes: Mapping[str, fields.Field[Any]] = field(default_factory=dict)
    public: bool = False
    own: bool = False
    installation: bool = False
    limit: Callable[[Limits], int] = lambda limits: limits.profile_body

    def load(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters, or raise ``Invalid``: all that are missing, or the first that is wrong."""
        schema = marshmallow.Schema.from_dict({**_METADATA, **self.takes}, name=self.name)
        try:
            loaded: dict[str, Any] = schema(unknown=marshmallow.EXCLUDE).load(
                {name: value for name, value in sent.items() if value is not None}
            )
        except marshmallow.ValidationError as wrong:
            names = [name for name in self.takes if name in wrong.messages_dict] or ["request_metadata"]
            missing = [name for name in names if sent.get(name) is None]
            if missing:
                raise MissingParameters(missing) from None
            raise Invalid(fields={names[0]: "incorrect format"}) from None
        return loaded


class MissingParameters(Invalid):
    """Parameters are missing."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"Missing API request parameters: {', '.join(names)}")


MODES = ("login", "token", "email", "phone", "custom")

_METADATA: Mapping[str, fields.Field[Any]] = {"request_metadata": fields.Dict()}


class Scalar(fields.Field[Any]):
    """Text or a whole number: ids and identities come as either."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise marshmallow.ValidationError("Neither text nor a whole number.")
        return str(value)


class Number(fields.Field[Any]):
    """A whole number, or its digits as text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
        if isinstance(value, bool) or not (isinstance(value, int) or is_digits):
            raise marshmallow.ValidationError("No whole number.")
        return int(value)


def identity(*, required: bool = True) -> dict[str, fields.Field[Any]]:
    """Return the two parameters that name a person."""
    return {
        "mode": fields.String(required=required, validate=marshmallow.validate.OneOf(MODES)),
        "identity": Scalar(required=required),
    }


def page() -> dict[str, fields.Field[Any]]:
    """Return the two parameters of a page."""
    return {"offset": Number(), "limit": Number()}


def page_of(body: Mapping[str, Any]) -> tuple[int, int]:
    """Return offset and limit: 0 and 10 unless said; below 1 or above 100 means 100."""
    limit = body.get("limit", 10)
    # Beyond 63 bits no store counts; nobody has so many rows.
    return min(max(0, body.get("offset", 0)), 2**63 - 1), limit if 1 <= limit <= 100 else 100


def times() -> dict[str, fields.Field[Any]]:
    """Return the two parameters that say how long something lives; they are read by ``Call.seconds``."""
    return {"slidingtime": fields.Raw(), "finaltime": fields.Raw()}
