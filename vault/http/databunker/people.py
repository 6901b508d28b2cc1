"""The person that a call is about."""

from typing import Any

from vault.errors import Denied, Invalid, ProfileNotFound
from vault.http.databunker.method import Call
from vault.tokens import is_user_token


async def token_of(call: Call, named: dict[str, Any] | None = None) -> str:
    """Return the user token of whom ``mode`` and ``identity`` name, in the body or in ``named``.

    A person's own token reaches that person alone, and learns nothing of others: what it names is compared with
    its own profile. Raises ``ProfileNotFound``, ``Denied``, ``Invalid`` ("Bad UUID").
    """
    said = call.body if named is None else named
    mode, identity = said["mode"], said["identity"]
    if mode == "token" and not is_user_token(identity.lower()):
        raise BadUuid
    own = call.grant.user_token
    if own is not None:
        if mode == "token" and identity.lower() == own:
            return own
        if mode != "token" and await call.vault.profiles.has(own, mode, identity):
            return own
        raise Denied
    token = str(identity.lower()) if mode == "token" else await _looked_up(call, mode, identity)
    call.decision = await call.vault.policies.about(call.decision, token)
    return token


async def _looked_up(call: Call, mode: str, identity: str) -> str:
    """Whom a policy does not reach is answered as who is not there."""
    try:
        return await call.vault.profiles.lookup(mode, identity)
    except ProfileNotFound:
        if call.decision.question is not None:
            raise Denied from None
        raise


class BadUuid(Invalid):
    """Bad UUID"""
