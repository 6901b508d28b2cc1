"""Sessions on the wire."""

from marshmallow import Schema, fields

from vault.http.native.fields import (
    CLAIMS_EXAMPLE,
    HANDLE_EXAMPLE,
    SESSION_ID_EXAMPLE,
    TOKEN_EXAMPLE,
    TOKEN_FORM,
    JsonObject,
    Seconds,
    TrueOrFalse,
    UserToken,
    time_field,
)


class KeepQuery(Schema):
    """Which session survives."""

    keep = fields.String(
        metadata={"description": "Handle of the session to keep.", "example": HANDLE_EXAMPLE}
    )


class SessionIdHeader(Schema):
    """Which session: its id travels in this header and never in a URL."""

    session_id = fields.String(data_key="Session-Id", required=True, metadata={"example": SESSION_ID_EXAMPLE})


class NewSession(Schema):
    """A session to open. Without a user token it is anonymous; after login, open another."""

    user_token = UserToken(metadata=TOKEN_FORM)
    claims = JsonObject(metadata={"example": CLAIMS_EXAMPLE})
    expires_in = Seconds(metadata={"description": "Absolute lifetime in seconds.", "example": 3600})
    idle_timeout = Seconds(
        metadata={"description": "Seconds without use after which it ends.", "example": 900}
    )


class ClaimChanges(Schema):
    """Claims to set; null removes one; the others stay."""

    claims = JsonObject(required=True, metadata={"example": {"roles": ["editor", "reviewer"]}})


class Rotation(Schema):
    """How to rotate. ``claims`` replaces all claims."""

    claims = JsonObject(metadata={"example": CLAIMS_EXAMPLE})
    reauthenticated = TrueOrFalse(
        metadata={"description": "The person has just proved who they are: restarts the absolute lifetime."},
    )


class SessionAnswer(Schema):
    """A live session."""

    user_token = fields.String(
        required=True, allow_none=True, metadata={"format": "uuid", "example": TOKEN_EXAMPLE}
    )
    claims = JsonObject(required=True, metadata={"example": CLAIMS_EXAMPLE})
    handle = fields.String(required=True, metadata={"example": HANDLE_EXAMPLE})
    created_at = time_field(required=True)
    authenticated_at = time_field(required=True)
    last_seen_at = time_field(required=True)
    expires_at = time_field(required=True)
    idle_expires_at = time_field(required=True)
    cache_for = fields.Integer(
        required=True,
        metadata={"description": "Seconds for which the caller may reuse this answer.", "example": 2},
    )


class OpenedSession(SessionAnswer):
    """A session with its id, which is shown this once."""

    session_id = fields.String(required=True, metadata={"example": SESSION_ID_EXAMPLE})


class ListedSession(SessionAnswer):
    """A live session in a list."""

    claims = JsonObject(
        required=True,
        allow_none=True,
        metadata={
            "description": "null where they cannot be opened; ask the operator. The session can be ended.",
            "example": CLAIMS_EXAMPLE,
        },
    )


class SessionList(Schema):
    """A person's live sessions, the newest first."""

    sessions = fields.List(fields.Nested(ListedSession), required=True)
