"""The language of policies, as Databunker's: from a policy's text to its statements, purely.

A policy is one statement, a list of them, or ``{"Statement": […]}``. A statement has

- ``Effect``: ``Allow`` or ``Deny``. A Deny that holds wins over every Allow; where nothing holds the verdict is no.
- ``Principal``: ``{"Role": name}``; several, ``*`` in them, or none at all (the role that it is linked to).
- ``Action``: names of methods, with ``*``.
- ``Resource``: ``*`` for everything, or whose, what and which part of it, with dots between: ``users.profile.email``.
  Whose is ``*``, ``user`` or ``users`` for anybody's, ``${target_group_members}`` for those who are in a group, and
  ``${target_group_members:role/child}`` for those who have that role in one. What is one of ``KINDS``, with ``*``.
  ``.*`` at the end means the same as nothing there.
- ``Condition``: ``{operator: {left: right}}``, all of which have to hold. ``StringEquals``: one value is the other, or
  one of a list. ``ForAnyValue:ListIntersect``: two lists have something in common. Either side may be a value, a list,
  ``${request_metadata:name}`` (or ``.name``), or ``${target_group_id}``, the groups that the person is in.

What cannot be read as that is refused, and never allows. A role's token has no user, so what refers to the caller's
own groups (``${user_group_id}``) is refused too instead of never holding.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from vault.errors import Invalid

#: What a method is about, by how its name begins: the first that fits.
_ABOUT: Final[tuple[tuple[str, str], ...]] = (
    ("BulkListUnlock", "unlock"),
    ("BulkListAllAuditEvents", "audit"),
    ("BulkListTokens", "token"),
    ("BulkDeleteTokens", "token"),
    ("Bulk", "profile"),
    ("User", "profile"),
    ("SharedRecord", "profile"),
    ("SystemGetUser", "profile"),
    ("XToken", "xtoken"),
    ("Session", "session"),
    ("Token", "token"),
    ("Appdata", "appdata"),
    ("Audit", "audit"),
    ("Group", "group"),
    ("Role", "role"),
    ("Policy", "policy"),
    ("Tenant", "tenant"),
)

#: What a resource may be; the rest of the methods are about "system".
KINDS: Final = frozenset(kind for _, kind in _ABOUT) | {"system"}

#: What only other products have: a policy that names it is no mistake, and allows nothing here.
ELSEWHERE: Final = frozenset({"agreement", "consent", "legalbasis", "processingactivity", "file"})

#: Bounds of one policy: far more than anybody writes, and little to judge at each request.
MOST_STATEMENTS, MOST_ITEMS, MOST_TEXT = 100, 200, 500

_MEMBERS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
_OPERATORS = ("StringEquals", "ForAnyValue:ListIntersect")

_WHO = re.compile(r"\$\{target_group_members(?::role/([^${}]+))?\}")
METADATA = re.compile(r"\$\{request_metadata[:.]([^${}]+)\}")
GROUPS = "${target_group_id}"


@dataclass(frozen=True, slots=True)
class Resource:
    """``in_group`` None: anybody's; "": of whoever is in a group; else of whoever has that role in one."""

    in_group: str | None
    what: str
    path: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that was read."""

    allows: bool
    roles: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[Resource, ...]
    conditions: tuple[tuple[str, Any, Any], ...] = field(repr=False)


def about(action: str) -> str:
    """Return what a method is about: one of ``KINDS``."""
    return next((kind for start, kind in _ABOUT if action.startswith(start)), "system")


def read(policy: object) -> tuple[Statement, ...]:
    """Return the statements of a policy. Raises ``Invalid`` with a sentence that holds nothing of it."""
    if isinstance(policy, dict) and "Statement" in policy:
        _require(set(policy) <= {"Statement", "Version", "Id"}, "beside 'Statement' it has unknown members")
        policy = policy["Statement"]
    found = policy if isinstance(policy, list) else [policy]
    _require(1 <= len(found) <= MOST_STATEMENTS, f"it needs 1 to {MOST_STATEMENTS} statements")
    return tuple(_statement(each) for each in found)


def _statement(said: object) -> Statement:
    if not isinstance(said, dict):
        raise _malformed("a statement must be an object")
    _require(set(said) <= _MEMBERS, f"a statement has only {', '.join(sorted(_MEMBERS))}")
    effect = said.get("Effect")
    _require(effect in ("Allow", "Deny"), "'Effect' must be Allow or Deny")
    principal = said.get("Principal")
    roles: tuple[str, ...] = ("*",)
    if principal is not None:
        if not isinstance(principal, dict) or set(principal) != {"Role"}:
            raise _malformed("'Principal' must be an object with 'Role' alone")
        roles = _texts("Role", principal["Role"])
    return Statement(
        effect == "Allow",
        roles,
        _texts("Action", said.get("Action")),
        tuple(_resource(text) for text in _texts("Resource", said.get("Resource"))),
        tuple(_conditions(said.get("Condition"))),
    )


def _texts(name: str, said: object) -> tuple[str, ...]:
    found = said if isinstance(said, list) else [said]
    _require(
        1 <= len(found) <= MOST_ITEMS
        and all(isinstance(one, str) and 0 < len(one) <= MOST_TEXT for one in found),
        f"'{name}' must be a text or a list of 1 to {MOST_ITEMS} of them",
    )
    return tuple(found)


def _resource(text: str) -> Resource:
    if text == "*":
        return Resource(None, "*", "")
    who = _WHO.match(text)
    whose, dot, rest = (who[0], *_cut(text[who.end() :])) if who else text.partition(".")
    _require(bool(who) or whose in ("*", "user", "users"), "'Resource' begins with nothing that is known")
    what, _, path = rest.partition(".")
    _require(
        dot == "." and any(fits(kind, what) for kind in KINDS | ELSEWHERE),
        "'Resource' must be * or like users.profile.email",
    )
    path = "" if path == "*" else path.removesuffix(".*")
    _require(
        "*" not in path and "$" not in path and (not path or all(path.split("."))),
        "'Resource' may have * in its path only at the end",
    )
    _require(not rest.endswith("."), "'Resource' must not end in a dot")
    return Resource((who[1] or "") if who else None, what, path)


def _cut(rest: str) -> tuple[str, str]:
    return rest[:1], rest[1:]


def _conditions(said: object) -> Iterable[tuple[str, Any, Any]]:
    if said is None:
        return
    if not isinstance(said, dict):
        raise _malformed("'Condition' must be an object")
    for operator, pairs in said.items():
        _require(operator in _OPERATORS, f"'Condition' has only {' and '.join(_OPERATORS)}")
        if not isinstance(pairs, dict) or not 1 <= len(pairs) <= MOST_ITEMS:
            raise _malformed("an operator of 'Condition' must be an object with something in it")
        for left, right in pairs.items():
            for side in (left, right):
                _require(
                    _is_side(side), "a condition compares texts, lists of them and ${request_metadata:name}"
                )
            yield operator, left, right


def _is_side(side: object) -> bool:
    if isinstance(side, list):
        return 1 <= len(side) <= MOST_ITEMS and all(
            not isinstance(one, list) and _is_side(one) for one in side
        )
    if isinstance(side, str):
        return len(side) <= MOST_TEXT and (
            "${" not in side or side == GROUPS or bool(METADATA.fullmatch(side))
        )
    return isinstance(side, int)


def fits(text: str, pattern: str) -> bool:
    """Whether a text fits a pattern, of which ``*`` alone is special."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def _require(holds: object, sentence: str) -> None:
    if not holds:
        raise _malformed(sentence)


def _malformed(sentence: str) -> Invalid:
    return Invalid(fields={"policy": sentence})
