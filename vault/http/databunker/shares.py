"""Shared records in Databunker's words: a part of a person's data, for whoever is given its id."""

from marshmallow import fields, validate

from vault.app_data import NAME
from vault.errors import Denied, Invalid
from vault.http.databunker.method import Call, Method, Said, Scalar, identity
from vault.http.databunker.people import token_of

#: What a partner's name may be long: it is a reference, and not looked at.
MOST_PARTNER = 256


async def create(call: Call) -> Said:
    """Share. Whoever is shown a part of profiles only may not: policies give this method the whole or nothing."""
    body = call.body
    paths, lifetime = _paths(body.get("fields", "")), call.seconds("finaltime", "minutes")
    token, app = await token_of(call), body.get("appname")
    if app is not None:
        await _require_app_data(call, token)
    shares = call.vault.shares
    record = await shares.create(token, paths, partner=body.get("partner"), app=app, expires_in=lifetime)
    return {"recorduuid": record}


async def get(call: Call) -> Said:
    """Open what is shared: its id is all that it takes."""
    return {"data": await call.vault.shares.open(call.body["recorduuid"])}


async def _require_app_data(call: Call, token: str) -> None:
    """Raise ``Denied`` for whoever may share profiles, and may not open all of app data."""
    policies, metadata = call.vault.policies, call.body.get("request_metadata", {})
    decision = await policies.decide(call.grant, "AppdataGet", metadata, of_person=True)
    decision = await policies.about(decision, token)
    if not decision.allowed or decision.fields is not None or decision.masked:
        raise Denied("API access denied")


def _paths(text: str) -> list[str] | None:
    """Return the fields of "a,b"; None where none is named. Raises ``Invalid`` for a list that names nothing."""
    if not text.strip():
        return None
    paths = [path.strip() for path in text.split(",")]
    if not all(paths):
        raise Invalid(fields={"fields": "incorrect format"})
    return paths


METHODS = (
    Method(
        "SharedRecordCreate",
        create,
        {
            **identity(),
            "fields": fields.String(),
            "partner": fields.String(validate=validate.Length(max=MOST_PARTNER)),
            "appname": fields.String(validate=validate.Regexp(f"{NAME.pattern}\\Z")),
            "finaltime": fields.Raw(),
        },
    ),
    Method(
        "SharedRecordGet",
        get,
        {"recorduuid": Scalar(required=True)},
        public=True,
        limit=lambda limits: limits.session_body,
    ),
)
