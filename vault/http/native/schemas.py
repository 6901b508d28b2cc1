"""The wire of the native API: what is read is validated by these, and the OpenAPI document is made from them."""

from typing import Any, ClassVar

from marshmallow import (
    EXCLUDE,
    INCLUDE,
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from vault.http.native.fields import (
    CLAIMS_EXAMPLE,
    HANDLE_EXAMPLE,
    PROFILE_EXAMPLE,
    SESSION_ID_EXAMPLE,
    TOKEN_EXAMPLE,
    JsonObject,
    Seconds,
    TrueOrFalse,
    UserToken,
    time_field,
    token_field,
)

# --- profiles: read -----------------------------------------------------------------------------------------


class NewProfile(Schema):
    """A profile to keep. login, email, phone and custom are indexed and unique."""

    profile = JsonObject(required=True, metadata={"example": PROFILE_EXAMPLE})
    expires_in = Seconds(
        metadata={"description": "Seconds until the person is erased by itself.", "example": 31536000}
    )


class Replacement(Schema):
    """A profile in place of all of the old. When the person is erased by itself stays as it was."""

    profile = JsonObject(required=True, metadata={"example": PROFILE_EXAMPLE})


class NewProfiles(Schema):
    """Many profiles to keep. Each is judged on its own; the answers come in the same order."""

    profiles = fields.List(
        # Loaded one by one by NewProfile: one that is wrong must not spoil the others.
        fields.Raw(allow_none=True, metadata={"type": "object", "example": {"profile": PROFILE_EXAMPLE}}),
        required=True,
    )


class MergePatch(Schema):
    """RFC 7396, applied to the profile: null removes, objects merge, all else replaces."""

    example: ClassVar = {"first_name": None, "address": {"city": "Paris"}}

    class Meta:
        """Any members are welcome: they are the profile's."""

        unknown = INCLUDE


class JsonPatch(Schema):
    """One operation of RFC 6902, applied to the profile."""

    class Meta:
        """RFC 6902, 4: members that the operation does not know are ignored."""

        unknown = EXCLUDE

    op = fields.String(
        required=True,
        validate=validate.OneOf(("add", "remove", "replace", "move", "copy", "test")),
        metadata={"example": "replace"},
    )
    path = fields.String(required=True, metadata={"example": "/address/city"})
    value = fields.Raw(allow_none=True, metadata={"example": "Paris"})
    from_ = fields.String(data_key="from")

    @post_load(pass_original=True)
    def _as_it_came(self, _: Any, original: Any, **__: Any) -> Any:
        return original


class Lookup(Schema):
    """Exactly one of the indexed values."""

    constraints: ClassVar = {"minProperties": 1, "maxProperties": 1}
    example: ClassVar = {"email": "ada@example.org"}

    email = fields.String(metadata={"example": "ada@example.org"})
    login = fields.String()
    phone = fields.String()
    custom = fields.String()

    @validates_schema
    def _exactly_one(self, data: dict[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("Name exactly one of email, login, phone, custom.", field_name="body")


class ProfileQuery(Schema):
    """Which part of a profile to return."""

    fields_ = fields.String(
        data_key="fields",
        metadata={
            "description": "Only these, separated by commas; a dot leads inside.",
            "example": "email,address.city",
        },
    )


class KeepQuery(Schema):
    """Which session survives."""

    keep = fields.String(
        metadata={"description": "Handle of the session to keep.", "example": HANDLE_EXAMPLE}
    )


class IfMatch(Schema):
    """Optimistic locking."""

    if_match = fields.String(
        data_key="If-Match",
        metadata={
            "description": "ETag of the revision that was read; 412 if it has changed.",
            "example": '"3"',
        },
    )


class SessionIdHeader(Schema):
    """Which session: its id travels in this header and never in a URL."""

    session_id = fields.String(data_key="Session-Id", required=True, metadata={"example": SESSION_ID_EXAMPLE})


# --- profiles: answered -------------------------------------------------------------------------------------


class ProfileHead(Schema):
    """What there is to say of a profile without opening it."""

    token = token_field()
    revision = fields.Integer(required=True, metadata={"example": 1})
    key_version = fields.Integer(required=True, metadata={"example": 1})
    created_at = time_field(required=True)
    updated_at = time_field(required=True)
    expires_at = time_field(required=True, allow_none=True)


class OpenedProfile(ProfileHead):
    """A profile, whole or the fields asked for."""

    profile = JsonObject(required=True, metadata={"example": PROFILE_EXAMPLE})


class FoundToken(Schema):
    """Whose value it is."""

    token = token_field()


class EntryError(Schema):
    """Why one profile of a batch was not kept."""

    code = fields.String(required=True, metadata={"example": "duplicate"})
    errors = fields.Dict(
        keys=fields.String(), values=fields.List(fields.String()), metadata={"example": {"email": ["…"]}}
    )


class BatchEntry(Schema):
    """What became of one profile of a batch: a token, or an error."""

    token = fields.String(metadata={"format": "uuid", "example": TOKEN_EXAMPLE})
    error = fields.Nested(EntryError)


class BatchAnswer(Schema):
    """What became of a batch."""

    created = fields.Integer(required=True, metadata={"example": 1})
    failed = fields.Integer(required=True, metadata={"example": 0})
    results = fields.List(fields.Nested(BatchEntry), required=True)


# --- sessions -----------------------------------------------------------------------------------------------


class NewSession(Schema):
    """A session to open. Without a user token it is anonymous; after login, open another."""

    user_token = UserToken(metadata={"format": "uuid", "example": TOKEN_EXAMPLE})
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


class Export(OpenedProfile):
    """All that is held about a person."""

    sessions = fields.List(fields.Nested(ListedSession), required=True)


class Problem(Schema):
    """RFC 9457. ``code`` is stable; ``errors`` names each field."""

    type = fields.String(
        required=True, metadata={"format": "uri", "example": "urn:tokenization-vault:problem:invalid"}
    )
    title = fields.String(required=True, metadata={"example": "Unprocessable Entity"})
    status = fields.Integer(required=True, metadata={"example": 422})
    code = fields.String(required=True, metadata={"example": "invalid"})
    detail = fields.String(
        required=True, metadata={"example": "The request was read but something is not allowed."}
    )
    request_id = fields.String(required=True, metadata={"example": "3f9c1a2b-7"})
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
