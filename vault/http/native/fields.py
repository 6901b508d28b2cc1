"""Fields of the wire that marshmallow reads more loosely than we do, and the examples that describe them."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from vault.tokens import is_user_token

TOKEN_EXAMPLE = "7c9e6679-7425-4de4-944b-e07fc1f90ae7"  # noqa: S105 - an example
SESSION_ID_EXAMPLE = "tvs_Zm9yIGRvY3VtZW50YXRpb24gb25seSwgbm90IGFuIGl"
UNLOCK_EXAMPLE = "tvu_Zm9yIGRvY3VtZW50YXRpb24gb25seSwgbm90IGEgdW4"
#: As vault.tokens has it.
TOKEN_FORM = {
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "example": TOKEN_EXAMPLE,
}
HANDLE_EXAMPLE = "tsh_ZXhhbXBsZS1oYW5kbGUtMQ"
PROFILE_EXAMPLE = {
    "email": "ada@example.org",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "address": {"city": "London"},
}
CLAIMS_EXAMPLE = {"roles": ["editor"], "locale": "en-GB"}
TIME_EXAMPLE = "2026-01-31T12:00:00.000Z"


class WholeNumber(fields.Integer):
    """A whole number. 142.0 is whole (as JSON Schema has it); "142" and true are not."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise self.make_error("invalid", input=value)
        return int(value)


class Seconds(WholeNumber):
    """A whole number of seconds, at least 1."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(min=1, max=10**10), **kwargs)


class TrueOrFalse(fields.Boolean):
    """true or false; 1 and "yes" are neither."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class JsonObject(fields.Dict):
    """Any JSON object, kept exactly as it came."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keys=fields.String(), **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        return value


class UserToken(fields.String):
    """A user token. One that cannot be is refused before any query."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        token: str = super()._deserialize(value, *args, **kwargs)
        if not is_user_token(token):
            raise ValidationError("Not a user token.")
        return token


def token_field() -> fields.String:
    """Return the field of a user token that is always there."""
    return UserToken(required=True, metadata=TOKEN_FORM)


def time_field(**kwargs: Any) -> fields.String:
    """Return the field of a time, RFC 3339."""
    return fields.String(metadata={"format": "date-time", "example": TIME_EXAMPLE}, **kwargs)
