"""Refusals on the wire."""

from marshmallow import Schema, fields


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
