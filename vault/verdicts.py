"""Verdicts: from the statements of policies and a question to what may be done and shown, purely."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vault.policy_language import GROUPS, METADATA, Resource, Statement, about, fits

#: The methods that show a part of what they are about, and hide the rest. Any other needs the whole: a copy made by a
#: patch, a share or a user's own token would show what is hidden.
SHOWING: Final = frozenset(
    {
        "UserGet",
        "UserListVersions",
        "UserSearch",
        "BulkListUsers",
        "BulkListAllUsers",
        "BulkListGroupUsers",
        "SystemGetUserReport",
        "SystemGetUserHTMLReport",
        "AppdataGet",
        "AppdataListVersions",
    }
)


@dataclass(frozen=True, slots=True)
class Person:
    """What policies know of the person that a call is about: the groups, by number, and the names of roles there."""

    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """May this role call this method? ``person`` None: nobody has looked yet whom it is about."""

    role: str
    action: str
    metadata: Mapping[str, Any] = field(repr=False)
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``fields`` are the only paths to show, None for all; ``masked`` are hidden in any case.

    ``hangs`` says that it hangs on the person; until one is known, nothing is shown.
    """

    allowed: bool
    fields: tuple[str, ...] | None = None
    masked: tuple[str, ...] = ()
    hangs: bool = False


def judge(statements: Sequence[Statement], asked: Asked, *, later: bool = False) -> Verdict:
    """Say whether the call is allowed, and what it may show.

    ``later``: should it hang on the person, it is judged again once that one is known. Otherwise what hangs on a
    person who is not known never allows, and always denies.
    """
    allowed, denied, hangs, perhaps = set(), set(), False, False
    for statement in statements:
        for path, holds in _parts(statement, asked):
            if holds is None and later:
                hangs = True
                perhaps = perhaps or statement.allows
            elif statement.allows and holds:
                allowed.add(path)
            elif not statement.allows and holds is not False:
                denied.add(path)
    if "" in denied or not (allowed or perhaps):
        return Verdict(allowed=False)
    if hangs:
        return Verdict(allowed=True, fields=(), hangs=True)
    if asked.action not in SHOWING and (denied or "" not in allowed):
        return Verdict(allowed=False)
    fields = None if "" in allowed else tuple(sorted(allowed))
    return Verdict(True, fields, tuple(sorted(denied)))


def _parts(statement: Statement, asked: Asked) -> Iterable[tuple[str, bool | None]]:
    """Yield the paths that a statement speaks of, "" for the whole, and whether it holds; None: as yet unknown."""
    if not any(fits(asked.role, role) for role in statement.roles):
        return
    if not any(fits(asked.action, action) for action in statement.actions):
        return
    conditions = [_holds(*condition, asked) for condition in statement.conditions]
    for resource in statement.resources:
        if fits(about(asked.action), resource.what):
            yield resource.path, _all([_reaches(resource, asked.person), *conditions])


def _reaches(resource: Resource, person: Person | None) -> bool | None:
    if resource.in_group is None:
        return True
    if person is None:
        return None
    return resource.in_group in person.roles if resource.in_group else bool(person.groups)


def _holds(operator: str, left: Any, right: Any, asked: Asked) -> bool | None:
    sides = []
    for side in (left, right):
        if asked.person is None and GROUPS in (side if isinstance(side, list) else [side]):
            return None
        sides.append(_values(side, asked, lists=operator != "StringEquals"))
    return not sides[0].isdisjoint(sides[1])


def _values(side: Any, asked: Asked, *, lists: bool) -> frozenset[str]:
    """Return what a side stands for. A list in the metadata is no single value: it equals none."""
    found: set[str] = set()
    for one in side if isinstance(side, list) else [side]:
        if one == GROUPS:
            found |= asked.person.groups if asked.person else frozenset()
        elif isinstance(one, str) and (reference := METADATA.fullmatch(one)):
            said = asked.metadata.get(reference[1])
            values = said if lists and isinstance(said, list) else [said]
            found |= {_text(value) for value in values if isinstance(value, str | int)}
        else:
            found.add(_text(one))
    return frozenset(found)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _all(parts: Sequence[bool | None]) -> bool | None:
    """Whether all hold; unknown where that hangs on an unknown one."""
    if False in parts:
        return False
    return None if None in parts else True
