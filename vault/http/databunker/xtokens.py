"""Tokens for a person or for a role, in Databunker's words."""

from vault.http.databunker.method import Call, Method, Said, identity, times
from vault.http.databunker.people import token_of
from vault.http.databunker.references import reference, reference_of


async def create_for_user(call: Call) -> Said:
    """Make a token with which a person reaches their own record."""
    token = await token_of(call)
    expires_in, slides = _lifetime(call)
    text = await call.vault.grants.issue("user", user_token=token, expires_in=expires_in, slides=slides)
    return {"xtoken": text, "token": token}


async def create_for_role(call: Call) -> Said:
    """Make a token that may do what the policies of a role allow."""
    role = await call.vault.roles.find(reference_of("role", call.body))
    expires_in, slides = _lifetime(call)
    text = await call.vault.grants.issue("role", role=str(role.id), expires_in=expires_in, slides=slides)
    return {"xtoken": text}


def _lifetime(call: Call) -> tuple[int | None, int | None]:
    """Return end and window. "10m" are minutes, as of a session: ten months would be the most that is allowed."""
    return call.seconds("finaltime", "minutes"), call.seconds("slidingtime", "minutes")


METHODS = (
    Method("XTokenCreateForUser", create_for_user, {**identity(), **times()}),
    Method("XTokenCreateForRole", create_for_role, {**reference("role"), **times()}),
)
