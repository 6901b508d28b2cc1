"""What is personal: in a text, by its pattern; in the name of a field; and in a person's own profile.

Patterns find e-mail addresses and numbers with check digits, never a name: so they guard behind a closed list of
claims and do not replace it.
"""

import base64
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

# --- in a text ----------------------------------------------------------------------------------------------

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


# --- in a profile -------------------------------------------------------------------------------------------

_INDEXED: Final = frozenset({"login", "email", "phone", "custom"})
MIN_LENGTH: Final = 3  # characters; shorter strings are country codes and initials


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


def squash(text: str) -> str:
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
    return frozenset(text for text in found - _COMMON if len(text) >= MIN_LENGTH)


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
