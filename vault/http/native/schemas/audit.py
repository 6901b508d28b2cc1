"""The audit trail on the wire, and what a person is told of it."""

from marshmallow import Schema, fields, validate

from vault.http.native.fields import TOKEN_EXAMPLE, JsonObject, time_field
from vault.http.native.schemas.profiles import OpenedProfile
from vault.http.native.schemas.sessions import ListedSession


class AuditHeaders(Schema):
    """Why a request is made."""

    purpose = fields.String(
        data_key="Vault-Purpose",
        validate=validate.Length(1, 128),
        metadata={
            "pattern": "^[ -~]+$",
            "description": "Why, in a few words without personal data; recorded, and shown to the person.",
            "example": "ticket 4711",
        },
    )
    metadata_ = fields.String(
        data_key="Vault-Request-Metadata",
        validate=validate.Length(2, 4096),
        metadata={
            "description": "A JSON object to keep, sealed, with the event.",
            "example": '{"agent": 12}',
        },
    )


class AuditExportQuery(Schema):
    """Which events."""

    token = fields.String(metadata={"description": "Of this person.", "example": TOKEN_EXAMPLE})
    actor = fields.String(
        metadata={
            "description": "By this access key (its id), 'operator' or 'vault'.",
            "example": "0123456789abcdef",
        }
    )
    action = fields.String(metadata={"example": "profile.revealed"})
    after = fields.Integer(
        validate=validate.Range(0, 2**63 - 1), metadata={"description": "Behind this sequence.", "example": 0}
    )


class AuditQuery(AuditExportQuery):
    """Which events, and how many."""

    limit = fields.Integer(validate=validate.Range(1, 1000), metadata={"example": 100})


class AuditEvent(Schema):
    """One event of the audit trail."""

    sequence = fields.Integer(required=True, metadata={"example": 17})
    at = time_field(required=True)
    tenant = fields.String(required=True, metadata={"example": "default"})
    actor = fields.String(required=True, metadata={"example": "0123456789abcdef"})
    action = fields.String(required=True, metadata={"example": "profile.revealed"})
    outcome = fields.String(required=True, metadata={"example": "ok"})
    user_token = fields.String(required=True, allow_none=True, metadata={"example": TOKEN_EXAMPLE})
    request_id = fields.String(required=True, allow_none=True, metadata={"example": "3f9c1a2b-7"})
    purpose = fields.String(required=True, allow_none=True, metadata={"example": "ticket 4711"})
    revealed_version = fields.Integer(required=True, allow_none=True, metadata={"example": 1})
    details = JsonObject(
        required=True,
        allow_none=True,
        metadata={
            "description": "Opened for you; null where there are none, or none any more.",
            "example": {},
        },
    )
    link = fields.String(
        required=True,
        metadata={"description": "Its place in the chain, 64 hex digits.", "example": "5c1d647c" * 8},
    )


class AuditPage(Schema):
    """Events, the oldest first. ``next`` is what to name as ``after`` for the next page; null at the end."""

    events = fields.List(fields.Nested(AuditEvent), required=True)
    next = fields.Integer(required=True, allow_none=True, metadata={"example": 100})


class Opening(Schema):
    """One time that the profile, or app data, was opened. ``fields`` null: all of it."""

    at = time_field(required=True)
    by = fields.String(
        required=True, metadata={"description": "The name of the access key.", "example": "support"}
    )
    action = fields.String(required=True, metadata={"example": "profile.revealed"})
    purpose = fields.String(required=True, allow_none=True, metadata={"example": "ticket 4711"})
    fields_ = fields.List(
        fields.String(), data_key="fields", required=True, allow_none=True, metadata={"example": ["email"]}
    )


class FormerProfile(Schema):
    """A former version of the profile that is still kept."""

    revision = fields.Integer(required=True, metadata={"example": 1})
    updated_at = time_field(required=True)


class FormerAppData(Schema):
    """A former version of app data that is still kept."""

    version = fields.Integer(required=True, metadata={"example": 1})
    updated_at = time_field(required=True)


class AppData(Schema):
    """What an application keeps beside the profile. ``data`` null: this access key is shown a part of profiles only."""

    app = fields.String(required=True, metadata={"example": "shipping"})
    version = fields.Integer(required=True, metadata={"example": 2})
    updated_at = time_field(required=True)
    data = JsonObject(required=True, allow_none=True, metadata={"example": {"street": "Main Street 1"}})
    former = fields.List(fields.Nested(FormerAppData), required=True)


class Share(Schema):
    """That something is shared, with whoever holds the share's id. ``fields`` null: all; ``app`` null: the profile."""

    created_at = time_field(required=True)
    expires_at = time_field(required=True, allow_none=True)
    fields_ = fields.List(
        fields.String(), data_key="fields", required=True, allow_none=True, metadata={"example": ["email"]}
    )
    app = fields.String(required=True, allow_none=True, metadata={"example": None})
    partner = fields.String(required=True, allow_none=True, metadata={"example": "courier"})


class Export(OpenedProfile):
    """All that is held about a person, and who opened it."""

    sessions = fields.List(fields.Nested(ListedSession), required=True)
    openings = fields.List(fields.Nested(Opening), required=True)
    former = fields.List(fields.Nested(FormerProfile), required=True)
    app_data = fields.List(fields.Nested(AppData), required=True)
    shares = fields.List(fields.Nested(Share), required=True)
