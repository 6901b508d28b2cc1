"""What a session may carry: few, short, declared claims that are not personal data.

Four layers, the surest first. 1: a closed list of claims, each of a shape too narrow for a name, an address
or a number that finds a person. 2: names such as ``email`` cannot be declared. 3: every string is searched for
personal data, as it stands and decoded. 4: it is compared with the person's own profile, which alone finds a
surname that is a lawful slug. No pattern finds a name, so no layer replaces the first.
"""

import base64
import ipaddress
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from vault.errors import ClaimRefused

MAX_CLAIMS: Final = 16
MAX_BYTES: Final = 1024  # of all claims together, as compact UTF-8 JSON
MAX_ITEMS: Final = 16  # of one list of slugs
MAX_INTEGER: Final = 999_999  # six digits: shorter than any phone number

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_SLUG = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,31}", re.ASCII)  # so that the scope 'orders:read' is one
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
        own = frozenset(personal) | {_squash(text) for text in personal if len(_squash(text)) >= _MIN_LENGTH}
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
    return _because("own_profile") if fold(text) in own or _squash(text) in own else None


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


# --- what is personal in a text -----------------------------------------------------------------------------

# Nothing beside these is a letter or a digit: '_' separates here, unlike in \w.
_START, _END = r"(?<![^\W_])", r"(?![^\W_])"
_EMAIL = re.compile(r"[\w.+%'-]@[\w-]+(\.[\w-]+)+")
_DIGITS = re.compile(r"\d+(?:[ ().\-/_]{1,3}\d+)*", re.ASCII)
_WHOLE_DIGITS = re.compile(_START + _DIGITS.pattern + _END, re.ASCII)
_E164 = re.compile(r"\+\d([ ().\-/_]{0,3}\d){6,14}(?!\d)", re.ASCII)  # glued to letters or not
_OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = re.compile(rf"(?<!\d)(?<!\d\.){_OCTET}(\.{_OCTET}){{3}}(?!\.?\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}(?![\w:])", re.ASCII)
_IBAN = re.compile(r"(?<![^\W_])(?=([a-z]{2}\d\d([ ._:-]?[a-z0-9]){11,30}))", re.ASCII)

# Countries and lengths of the IBAN registry (ISO 13616, kept by SWIFT).
_IBAN_LENGTHS: Final = {
    entry[:2]: int(entry[2:])
    for entry in re.findall(
        r"\w+",
        """ad24 ae23 al28 at20 az28 ba20 be16 bg22 bh22 bi27 br29 by28 ch21 cr22 cy28 cz24 de22 dj27 dk18 do28 ee20
        eg29 es24 fi18 fk18 fo18 fr27 gb22 ge22 gi23 gl18 gr27 gt28 hn28 hr21 hu28 ie22 il23 iq23 is26 it27 jo30
        kw30 kz20 lb28 lc32 li21 lt20 lu20 lv21 ly25 mc27 md24 me22 mk19 mn20 mr27 mt31 mu30 ni28 nl18 no15 om23
        pk24 pl28 ps29 pt25 qa29 ro24 rs22 ru33 sa24 sc31 sd18 se24 si19 sk24 sm27 so23 st25 sv28 tl23 tn24 tr26
        ua29 va22 vg24 xk20 ye30""",
    )
}

# Issuer prefixes (ISO/IEC 7812) with the lengths each network issues.
_CARD = re.compile(
    r"""4(\d{12}|\d{15}|\d{18})                                      # Visa
    | (5[1-5]\d\d | 222[1-9] | 22[3-9]\d | 2[3-6]\d\d | 27[01]\d | 2720)\d{12}  # Mastercard
    | 3[47]\d{13}                                                    # American Express
    | 3(0[0-5] | 095? | [689]\d)\d{11,16}                            # Diners Club
    | 35(2[89] | [3-8]\d)\d{12,15}                                   # JCB
    | 220[0-4]\d{12,15}                                              # Mir
    | (5[06-8] | 6\d)\d{10,17}                                       # Maestro, Discover, UnionPay, RuPay""",
    re.ASCII | re.VERBOSE,
)

# As people write them; unseparated, all but the last are refused as phone numbers.
_NATIONAL_ID = re.compile(
    _START
    + r"""(\d{3}[-._ ]\d\d[-._ ]\d{4}                    # United States (SSN)
    | \d{3}[-._ ]\d{3}[-._ ]\d{3}[-._ ]\d\d             # Brazil (CPF)
    | \d{6}(\d\d)?[-_ ](\d{4}|\d{7})                   # Denmark, Sweden, South Korea
    | 756[._ ]\d{4}[._ ]\d{4}[._ ]\d\d                 # Switzerland (AHV)
    | \d{6}(18|19|20)\d\d(0\d|1[0-2])[0-3]\d{4}[\dx]  # China
    )"""
    + _END,
    re.ASCII | re.VERBOSE,
)

_HEX = re.compile(r"(?<![0-9a-fA-F])([0-9a-fA-F]{2}){6,}(?![0-9a-fA-F])")
_TO_URLSAFE = str.maketrans("+/", "-_")
_BASE64 = (re.compile(r"[A-Za-z0-9+/]{8,}"), re.compile(r"[A-Za-z0-9_-]{8,}"))


def detect(text: str) -> str | None:
    """Return the rule id of the first kind of personal data that the text holds, or None.

    The text is read after NFKC with ASCII digits, and so is whatever its percent, hex or base64 parts decode
    to, twice over. Only digits that no letter touches count as a phone number, so that hex and ULID
    identifiers pass.
    """
    for reading in _readings(text, depth=2):
        for rule_id, found in _DETECTORS.items():
            if found(reading.casefold()):
                return rule_id
    return None


def _readings(text: str, depth: int) -> Iterator[str]:
    text = re.sub(r"\d", lambda digit: str(int(digit[0])), unicodedata.normalize("NFKC", text))
    yield text
    for decoded in _decoded(text) if depth else ():
        yield from _readings(decoded, depth - 1)


def _decoded(text: str) -> Iterator[str]:
    """Yield what parts of the text decode to, where that is printable UTF-8."""
    if "%" in text:
        yield unquote(text)
    raw = [bytes.fromhex(match[0]) for match in _HEX.finditer(text)]
    for token in {token for pattern in _BASE64 for token in pattern.findall(text)}:
        if len(token) % 4 != 1:
            raw.append(base64.urlsafe_b64decode(token.translate(_TO_URLSAFE) + "=" * (-len(token) % 4)))
    for part in raw:
        try:
            decoded = part.decode()
        except UnicodeDecodeError:
            continue
        if " ".join(decoded.split()).isprintable():
            yield decoded


def _has_iban(text: str) -> bool:
    for candidate in _IBAN.findall(text):
        compact = re.sub("[^a-z0-9]", "", candidate[0])
        iban = compact[: _IBAN_LENGTHS.get(compact[:2], 0)]
        # Mod 97-10 (ISO 7064): the country and check digits go last, a is 10 and z is 35.
        if len(iban) >= 15 and int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1:
            return True
    return False


def _has_card(text: str) -> bool:
    return any(_CARD.fullmatch(n) and _luhn(n) for run in _DIGITS.findall(text) for n in _numbers(run))


def _luhn(digits: str) -> bool:
    doubled = ("0246813579"[int(digit)] for digit in digits[-2::-2])
    return sum(map(int, (*digits[::-2], *doubled))) % 10 == 0


def _has_phone(text: str) -> bool:
    runs = _WHOLE_DIGITS.findall(text)
    return bool(_E164.search(text)) or any(7 <= len(n) <= 15 for run in runs for n in _numbers(run))


def _numbers(run: str) -> Iterator[str]:
    """Yield every number of at most 19 digits that neighbouring groups of digits make up."""
    groups = re.findall(r"\d+", run)
    for start in range(len(groups)):
        number = ""
        for group in groups[start:]:
            number += group
            if len(number) > 19:
                break
            yield number


def _has_ip(text: str) -> bool:
    return bool(_IPV4.search(text)) or any(_is_ipv6(match[0]) for match in _IPV6.finditer(text))


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


# The most exact first: an IBAN or a card number would also pass for a phone number.
_DETECTORS: Final[Mapping[str, Callable[[str], object]]] = {
    "email": _EMAIL.search,
    "iban": _has_iban,
    "card": _has_card,
    "ip": _has_ip,
    "national_id": _NATIONAL_ID.search,
    "phone": _has_phone,
}


# --- what is personal in a profile --------------------------------------------------------------------------

_INDEXED: Final = frozenset({"login", "email", "phone", "custom"})
_MIN_LENGTH: Final = 3  # characters; shorter strings are country codes and initials


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NAMING: Final = _words(
    """login name firstname lastname fullname givenname familyname middlename maidenname nickname displayname
    realname username forename surname alias"""
)
_PERSONAL: Final = _NAMING | _words(
    """email mail emailaddress mailbox phone phonenumber telephone tel cell cellphone mobile msisdn fax contact
    dob birth birthday birthdate birthplace dateofbirth age gender sex nationality religion ethnicity
    address ipaddress ip street streetaddress zip zipcode postcode postal postalcode latitude longitude
    ssn nin nino cpf iban bic pan card passport tax taxid vat driver password photo picture avatar"""
)
# What a mailbox (RFC 2142), a login or a surname may say that is no one's name; and name particles.
_COMMON: Final = _words(
    """abuse account accounts admin administrator agent all anonymous billing client contact customer demo editor
    guest hello help hostmaster info mail manager marketing member news noreply office operator orders owner
    postmaster reader root sales security service staff support system team test tester user viewer webmaster
    and das del den der des dos ibn the van von"""
)


def is_personal_name(name: str) -> bool:
    """Whether a key, however spelled (``e-mail``, ``lastName``, ``billing_addresses``), stands for personal data."""
    return not _PERSONAL.isdisjoint(_words_of_key(name))


def _words_of_key(name: str) -> set[str]:
    """Return the words of a key, each as it is and in its singular."""
    spaced = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", unicodedata.normalize("NFKC", name)
    )
    words = re.split(r"[\W\d_]+", spaced.casefold())
    return {word.removesuffix(plural) for word in words for plural in ("", "s", "es")}


def fold(text: str) -> str:
    """Return the text as it is compared with a person's values: NFKC, without case or outer white space."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def _squash(text: str) -> str:
    """Return only the letters and digits, without accents: 'Zoë van-Dam' and 'zoe.van_dam' are one name."""
    return "".join(char for char in unicodedata.normalize("NFKD", fold(text)) if char.isalnum())


def personal_strings(profile: Mapping[str, object]) -> frozenset[str]:
    """Return the strings of a profile, folded, that would tell who the person is if a claim held them.

    Taken are texts and whole numbers under a personal name (of the key or of one above it) or, at the top,
    under ``login``, ``email``, ``phone`` or ``custom``. Names, logins and e-mail addresses also give their
    single words; an e-mail address its local part up to any '+', and the words of that: its domain is shared. A
    number with separators also gives its bare digits. Left out are strings of fewer than 3 characters, words
    of digits, and words of roles and particles ('admin', 'support', 'van') that are no one's name.
    """
    found: set[str] = set()
    for text, naming in _personal_leaves(profile):
        found.add(fold(text))
        if re.fullmatch(r"[+\d\s().\-/]+", text):
            found.add(re.sub(r"\D", "", fold(text)))
        if "@" in text:
            found.update(re.findall(r"([^\s@<+]+)[^\s@<]*@", fold(text)))
        if naming or "@" in text:
            without_domains = re.sub(r"(\+[^\s@]*)?@\S*", " ", fold(text))
            found.update(word for word in re.split(r"[\W_]+", without_domains) if not word.isdecimal())
    return frozenset(text for text in found - _COMMON if len(text) >= _MIN_LENGTH)


def _personal_leaves(profile: Mapping[str, object]) -> Iterator[tuple[str, bool]]:
    """Yield each personal text of a profile, and whether it stands under a naming key."""
    todo: list[tuple[object, bool, bool]] = [(profile, False, False)]
    while todo:
        value, personal, naming = todo.pop()
        match value:
            case Mapping():
                for key, child in value.items():
                    words = _words_of_key(key)
                    indexed = value is profile and key in _INDEXED
                    named = personal or indexed or not _PERSONAL.isdisjoint(words)
                    todo.append((child, named, naming or not _NAMING.isdisjoint(words)))
            case list() | tuple():
                todo.extend((child, personal, naming) for child in value)
            case str() if personal:
                yield value, naming
            case int() if personal and not isinstance(value, bool):
                yield str(value), naming


# --- what a vault allows whose settings say nothing ---------------------------------------------------------

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
