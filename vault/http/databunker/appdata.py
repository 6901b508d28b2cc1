"""App data in Databunker's words. A person's own token may read it, and ask for a change, but make none."""

import hashlib

import msgspec
from marshmallow import fields, validate

from vault.app_data import NAME
from vault.errors import RecordNotFound
from vault.http.databunker.method import Call, Method, Number, Said, identity
from vault.http.databunker.people import token_of
from vault.http.databunker.shown import shown_to


async def create(call: Call) -> Said:
    """Keep app data."""
    await call.vault.app_data.create(await token_of(call), call.body["appname"], call.body["appdata"])
    return None


async def get(call: Call) -> Said:
    """Open app data, or a former version of it."""
    body = call.body
    record = await call.vault.app_data.get(await token_of(call), body["appname"], body.get("version"))
    return {"appdata": shown_to(call, record.data), "version": record.version}


async def update(call: Call) -> Said:
    """Merge into app data that is there."""
    await call.vault.app_data.change(await token_of(call), call.body["appname"], call.body["appdata"])
    return None


async def delete(call: Call) -> Said:
    """Delete app data, its former versions too."""
    await call.vault.app_data.delete(await token_of(call), call.body["appname"])
    return None


async def list_of_user(call: Call) -> Said:
    """Return the names of a person's app data."""
    return {"apps": await call.vault.app_data.names_of(await token_of(call))}


async def list_all(call: Call) -> Said:
    """Return every name that app data was ever kept under."""
    return {"apps": await call.vault.app_data.names()}


async def list_versions(call: Call) -> Said:
    """Return what there is to say of each version, the newest last; the digest tells of its content."""
    versions = await call.vault.app_data.versions(await token_of(call), call.body["appname"])
    return {
        "versions": [
            {
                "version": one.version,
                "optime": one.updated_at // 1000,
                "md5": hashlib.md5(
                    msgspec.json.encode(shown_to(call, one.data)), usedforsecurity=False
                ).hexdigest(),
            }
            for one in versions
        ]
    }


async def request_update(call: Call) -> Said:
    """Ask for a change, which waits for somebody to approve it."""
    token, app = await token_of(call), call.body["appname"]
    if not await call.vault.app_data.has(token, app):
        raise RecordNotFound
    said = {"appname": app, "appdata": call.body["appdata"]}
    return {"requestuuid": await call.vault.approvals.hold("AppdataUpdate", token, said)}


_APP = {**identity(), "appname": fields.String(required=True, validate=validate.Regexp(f"{NAME.pattern}\\Z"))}
_DATA = {**_APP, "appdata": fields.Dict(required=True)}

METHODS = (
    Method("AppdataCreate", create, _DATA),
    Method("AppdataGet", get, {**_APP, "version": Number()}, own=True),
    Method("AppdataUpdate", update, _DATA),
    Method("AppdataUpdateRequest", request_update, _DATA, own=True),
    Method("AppdataDelete", delete, _APP),
    Method("AppdataListUserAppNames", list_of_user, identity(), own=True),
    Method("AppdataListAppNames", list_all),
    Method("AppdataListVersions", list_versions, _APP, own=True),
)
