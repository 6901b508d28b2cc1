"""Roles with policies, for tests of whoever holds a token of theirs."""

from typing import Any

from tests.databunker.conftest import Bunker

Policy = dict[str, Any]


def allow(*actions: str, to: str | list[str] = "*", **more: Any) -> Policy:
    """An Allow."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": to, **more}


def deny(*actions: str, to: str | list[str] = "*", **more: Any) -> Policy:
    """A Deny."""
    return {**allow(*actions, to=to, **more), "Effect": "Deny"}


async def as_role(bunker: Bunker, *policy: Policy, role: str = "clerk") -> Bunker:
    """Make a role with one policy; return the wire with a token of it."""
    await bunker.ok("RoleCreate", rolename=role)
    await bunker.ok("PolicyCreate", policyname=f"of {role}", policy=list(policy))
    await bunker.ok("RoleLinkPolicy", rolename=role, policyname=f"of {role}")
    return bunker.by((await bunker.ok("XTokenCreateForRole", rolename=role))["xtoken"])
