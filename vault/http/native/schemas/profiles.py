"""Profiles on the wire."""

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
    PROFILE_EXAMPLE,
    TOKEN_EXAMPLE,
    JsonObject,
    Seconds,
    time_field,
    token_field,
)

#: Any object; what finds it has to be text or a whole number.
PROFILE_FORM = {
    "example": PROFILE_EXAMPLE,
    "properties": {
        name: {"type": ["string", "integer", "null"]} for name in ("login", "email", "phone", "custom")
    },
}


class NewProfile(Schema):
    """A profile to keep. login, email, phone and custom are indexed and unique."""

    profile = JsonObject(required=True, metadata=PROFILE_FORM)
    expires_in = Seconds(
        metadata={"description": "Seconds until the person is erased by itself.", "example": 31536000}
    )


class Replacement(Schema):
    """A profile in place of all of the old. When the person is erased by itself stays as it was."""

    profile = JsonObject(required=True, metadata=PROFILE_FORM)


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


class IfMatch(Schema):
    """Optimistic locking."""

    if_match = fields.String(
        data_key="If-Match",
        metadata={
            "description": "ETag of the revision that was read; 412 if it has changed.",
            "example": '"3"',
        },
    )


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


class Signer(Schema):
    """Which of the vault's signing keys has signed."""

    version = fields.Integer(required=True, metadata={"example": 1})
    fingerprint = fields.String(required=True, metadata={"example": "0123456789abcdef"})
    public_key = fields.String(
        required=True, metadata={"example": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}
    )


class ErasureReceipt(Schema):
    """That a person was erased, signed (Ed25519): for whoever asked for it. Check it with verify-receipt."""

    format_ = fields.String(required=True, data_key="format", metadata={"example": "tokenvault-erasure/1"})
    token_sha256 = fields.String(
        required=True, metadata={"description": "SHA-256 of the user token, hex.", "example": "9f86d081" * 8}
    )
    erased_at = time_field(required=True)
    tenant = fields.String(required=True, metadata={"example": "default"})
    signer = fields.Nested(Signer, required=True)
    signature = fields.String(
        required=True, metadata={"description": "Base64 of 64 bytes.", "example": "wLrm6lOsaOk5…"}
    )


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
