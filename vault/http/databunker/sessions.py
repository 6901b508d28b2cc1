"""Sessions in Databunker's words: under ids of the caller's own. Here "m" is a minute."""

from marshmallow import fields

from vault.config import Limits
from vault.http.databunker.method import Call, Method, Said, identity, times
from vault.http.databunker.people import BadUuid, token_of
from vault.tokens import named_session_id


async def upsert(call: Call) -> Said:
    """Keep data as a session."""
    rules = await call.vault.named_sessions.put(
        session_id(call.body["sessionuuid"]),
        call.body["sessiondata"],
        call.seconds("finaltime", "minutes"),
        call.seconds("slidingtime", "minutes"),
    )
    call.home.named_sessions.warnings.update(rules)
    return None


async def get(call: Call) -> Said:
    """Return a session's data."""
    session = await call.vault.named_sessions.get(session_id(call.body["sessionuuid"]))
    return {"sessiondata": session.data}


async def delete(call: Call) -> Said:
    """End a session."""
    await call.vault.named_sessions.end(session_id(call.body["sessionuuid"]))
    return None


async def list_of_user(call: Call) -> Said:
    """Return a person's sessions. Not for the person's own token: each id opens what another browser holds."""
    sessions = await call.vault.named_sessions.of_person(await token_of(call))
    return {"rows": [{"sessionuuid": one.id, "sessiondata": one.data} for one in sessions]}


def session_id(text: str) -> str:
    """Return a session id as it is kept. Raises ``Invalid`` ("Bad UUID")."""
    named = named_session_id(text)
    if named is None:
        raise BadUuid
    return named


def _session_body(limits: Limits) -> int:
    return limits.session_body


_BY_ID = {"sessionuuid": fields.String(required=True)}

METHODS = (
    Method(
        "SessionUpsert",
        upsert,
        {**_BY_ID, "sessiondata": fields.Dict(required=True), **times()},
        limit=_session_body,
    ),
    Method("SessionGet", get, _BY_ID, limit=_session_body),
    Method("SessionDelete", delete, _BY_ID, limit=_session_body),
    Method("SessionListUserSessions", list_of_user, identity(), limit=_session_body),
)
