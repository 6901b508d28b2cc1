"""Many profiles at once, on the wire."""

from marshmallow import Schema, fields, validate

from vault.http.native.fields import TOKEN_EXAMPLE, UNLOCK_EXAMPLE, WholeNumber, time_field
from vault.http.native.schemas.profiles import OpenedProfile


class NewUnlock(Schema):
    """Why many profiles are to be opened."""

    reason = fields.String(
        required=True,
        validate=validate.Length(1, 128),
        metadata={
            "pattern": "^[ -~]+$",
            "description": "Recorded with each profile that is opened.",
            "example": "monthly invoices",
        },
    )


class Unlock(Schema):
    """Leave to open many profiles, for this access key alone."""

    unlock = fields.String(required=True, metadata={"example": UNLOCK_EXAMPLE})
    expires_at = time_field(required=True)


class BulkRead(Schema):
    """Which profiles to open."""

    unlock = fields.String(required=True, metadata={"example": UNLOCK_EXAMPLE})
    tokens = fields.List(
        fields.String(metadata={"format": "uuid", "example": TOKEN_EXAMPLE}),
        required=True,
        validate=validate.Length(1, 1000),
    )


class BulkList(Schema):
    """From where on to open profiles."""

    unlock = fields.String(required=True, metadata={"example": UNLOCK_EXAMPLE})
    after = fields.String(
        metadata={"description": "What the page before named as next.", "example": TOKEN_EXAMPLE}
    )
    limit = WholeNumber(validate=validate.Range(1, 1000), metadata={"example": 100})


class OpenedProfiles(Schema):
    """Opened profiles, in the order of the tokens asked for."""

    profiles = fields.List(fields.Nested(OpenedProfile), required=True)


class OpenedPage(OpenedProfiles):
    """Opened profiles. ``next`` is what to name as ``after`` for the next page; null at the end."""

    next = fields.String(required=True, allow_none=True, metadata={"example": TOKEN_EXAMPLE})
