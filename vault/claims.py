"""What a session may carry: few, short, declared claims that are not personal data.

Four layers, the surest first. 1: a closed list of claims, each of a shape too narrow for a name, an address
or a number that finds a person. 2: names such as ``email`` cannot be declared. 3: every string is searched for
personal data, as it stands and decoded. 4: it is compared with the person's own profile, which alone finds a
surname that is a lawful slug. No pattern finds a name, so no layer replaces the first.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vault.errors import ClaimRefused
from vault.personal_data import MIN_LENGTH, detect, fold, is_personal_name, squash

MAX_CLAIMS: Final = 16
MAX_BYTES: Final = 1024  # of all claims together, as compact UTF-8 JSON
MAX_ITEMS: Final = 16  # of one list of slugs
MAX_INTEGER: Final = 999_999  # six digits: shorter than any phone number

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_SLUG = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,31}", re.ASCII)  # so that the scope 'orders:read' is one
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_LOCALE = re.compile(
    r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?", re.ASCII | re.IGNORECASE
)  # BCP 47 (RFC 5646)

_EXPECTED: Final = {
    "slug": "1 to 32 of a-z 0-9 _ . : - that begin with a letter or a digit are expected",
    "slugs": "at most 16 slugs are expected, in a list or in one string with single spaces",
    "locale": "a locale such as 'de' or 'pt-BR' is expected",
    "boolean": "true or false is expected",
    "integer": "a whole number from -999999 to 999999 is expected",
}


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """One declared claim: its name, its type and, for slugs, the only values it may have (none: any slug).

    Raises ValueError if the rule itself is unsound: the message is for the operator who wrote it.
    """

    name: str
    type: str
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError("a claim's name is 1 to 32 of a-z 0-9 _ and begins with a letter")
        if is_personal_name(self.name):
            raise ValueError(f"the claim '{self.name}' names personal data, which a session must not hold")
        if self.type not in _EXPECTED:
            raise ValueError(f"the claim '{self.name}' needs one of these types: {', '.join(_EXPECTED)}")
        if self.values and self.type not in ("slug", "slugs"):
            raise ValueError(f"the claim '{self.name}' lists values, but only slug and slugs may")
        if not all(_SLUG.fullmatch(value) for value in self.values):
            raise ValueError(f"the claim '{self.name}' lists a value that is not a slug: {_EXPECTED['slug']}")


_REASONS: Final = {
    "too_many": f"a session holds at most {MAX_CLAIMS} claims",
    "too_large": f"all claims together are at most {MAX_BYTES} bytes of JSON",
    "not_allowed": "this claim is not declared",
    "personal_name": "this name stands for personal data, which belongs in the profile",
    "value": "this is not one of the declared values",
    "email": "this holds an e-mail address",
    "card": "this holds a payment card number",
    "iban": "this holds a bank account number",
    "phone": "this looks like a phone number (7 to 15 digits)",
    "ip": "this holds an IP address",
    "national_id": "this looks like a national identity number",
    "own_profile": "this is a value of the person's own profile",
}


@dataclass(frozen=True, slots=True)
class ClaimsPolicy:
    """The declared claims, by name, and the judgement on what a caller wants a session to carry.

    Rule ids are stable; programs may compare them:

    - of all claims together: ``too_many``, ``too_large``;
    - of a name: ``not_allowed`` (not declared), ``personal_name`` (not declared, and never can be);
    - of a shape: ``type``, ``value`` (not a declared one);
    - of a string: ``email``, ``card``, ``iban``, ``phone``, ``ip``, ``national_id``, ``own_profile``.
    """

    rules: Mapping[str, ClaimRule]

    def __post_init__(self) -> None:
        if any(name != rule.name for name, rule in self.rules.items()):
            raise ValueError("each rule must stand under its own name")

    def check(self, claims: Mapping[str, object], personal: Collection[str] = ()) -> None:
        """Return if every claim is allowed; ``personal`` is `personal_strings` of the person's profile.

        Raises ClaimRefused whose ``fields`` give ``<rule id>: <reason>`` for every refused claim, never a value.
        A set that is too big is refused unread, under ``claims``; a name too odd or too telling to repeat
        stands under ``claims`` as well.
        """
        if fault := _size_fault(claims):
            raise ClaimRefused(fields={"claims": fault})
        own = _own(personal)
        refused: dict[str, str] = {}
        for name, value in claims.items():
            if fault := self._fault(name, value, own):
                telling = _NAME.fullmatch(name) is None or _text_fault(name, own)
                refused.setdefault("claims" if telling else f"claims.{name}", fault)
        if refused:
            raise ClaimRefused(fields=refused)

    def _fault(self, name: str, value: object, own: Collection[str]) -> str | None:
        rule = self.rules.get(name)
        if rule is None:
            return _because("personal_name" if is_personal_name(name) else "not_allowed")
        # A declared value is the operator's word, not the caller's: it cannot tell who the person is.
        undeclared = [text for text in _items(value) if text not in rule.values]
        whole = (
            [value] if undeclared and isinstance(value, str) else []
        )  # '4111 1111 …' is four slugs, and a card
        for text in (*whole, *undeclared):
            if fault := _text_fault(text, own):
                return fault
        if not _SHAPES[rule.type](value):
            return f"type: {_EXPECTED[rule.type]}"
        return _because("value") if rule.values and undeclared else None


def personal_in(data: Mapping[str, object], personal: Collection[str] = ()) -> frozenset[str]:
    """Return the ids of the rules by which free data, of no declared shape, looks personal: none, a value or a name.

    The rules are ``personal_name`` of a name at any depth, and those of a string. A UUID is an id and no number of a
    person's, whatever its digits are; of numbers only the person's own are told, since most are counts and times.
    """
    own = _own(personal)
    found: set[str] = set()
    todo: list[object] = [data]
    while todo:
        match todo.pop():
            case dict() as item:
                found.update("personal_name" for name in item if is_personal_name(name))
                todo += [*item, *item.values()]
            case list() as item:
                todo += item
            case str() as text if _UUID.fullmatch(text) is None and (fault := _text_fault(text, own)):
                found.add(fault.partition(":")[0])
            case int() as number if not isinstance(number, bool) and str(number) in own:
                found.add("own_profile")
    return frozenset(found)


def _own(personal: Collection[str]) -> frozenset[str]:
    return frozenset(personal) | {squash(text) for text in personal if len(squash(text)) >= MIN_LENGTH}


def _because(rule_id: str) -> str:
    return f"{rule_id}: {_REASONS[rule_id]}"


def _size_fault(claims: Mapping[str, object]) -> str | None:
    if len(claims) > MAX_CLAIMS:
        return _because("too_many")
    try:  # What JSON cannot hold counts as null here, and is refused for its type later.
        text = json.dumps(dict(claims), ensure_ascii=False, separators=(",", ":"), default=lambda _: None)
    except (ValueError, RecursionError):  # thousands of digits, or of levels
        return _because("too_large")
    return _because("too_large") if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES else None


def _text_fault(text: str, own: Collection[str]) -> str | None:
    if rule_id := detect(text):
        return _because(rule_id)
    return _because("own_profile") if fold(text) in own or squash(text) in own else None


def _items(value: object) -> list[str]:
    """Return the strings of a claim one by one, however its slugs are written."""
    items = value.split(" ") if isinstance(value, str) else value  # scope = a b c (RFC 6749, 3.3)
    return [item for item in items if isinstance(item, str)] if isinstance(items, list | tuple) else []


def _is_slug(value: object) -> bool:
    return isinstance(value, str) and _SLUG.fullmatch(value) is not None


def _is_slugs(value: object) -> bool:
    items = _items(value) if isinstance(value, str) else value
    return isinstance(items, list | tuple) and len(items) <= MAX_ITEMS and all(map(_is_slug, items))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER


_SHAPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "slug": _is_slug,
    "slugs": _is_slugs,
    "locale": lambda value: isinstance(value, str) and _LOCALE.fullmatch(value) is not None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
}


DEFAULT_CLAIMS: Final[Mapping[str, ClaimRule]] = MappingProxyType(
    {
        name: ClaimRule(name, type_)
        for name, type_ in {
            "roles": "slugs",
            "role": "slug",
            "scope": "slugs",
            "locale": "locale",
            "auth_method": "slug",
            "tenant": "slug",
        }.items()
    }
)
