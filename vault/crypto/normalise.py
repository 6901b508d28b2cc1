"""One spelling of each value that finds a profile, so that equal logins, e-mails and phones get equal index tags.

The result is what a blind-index tag is computed over: another rule here orphans every stored tag, so it
needs another ``NORMALISER_VERSION``. NFC and case folding are stable for every assigned code point (Unicode's
stability policy); the UTS #46 table and the numbering plans follow the libraries ``idna`` and ``phonenumbers``.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

import idna
import phonenumbers

NORMALISER_VERSION: Final = 1
FIELDS: Final = ("login", "email", "phone", "custom")


def normalise(field: str, value: str | int, region: str) -> str | None:
    """Return the one spelling of a value, or None if it is empty but for outer white space.

    An integer counts as its decimal digits. ``region`` is the ISO 3166-1 code in whose numbering plan a phone
    number without a country code is read; the other fields do not look at it. Normalising twice changes
    nothing. No text is refused: what has no canonical form keeps its own.

    Raises KeyError for a field that is not one of ``FIELDS``.
    """
    text = unicodedata.normalize("NFC", str(value).strip())
    return _NORMALISERS[field](text, region) if text else None


def _login(text: str, _region: str) -> str:
    return _caseless(text)


def _email(text: str, _region: str) -> str:
    """Fold the local part, tag and dots included, and write the domain as DNS does.

    Only U+0040 divides an address, at the last place: a full-width at sign is not in the grammar of RFC 5321.
    """
    local, at, domain = text.rpartition("@")
    return _caseless(local) + at + (_domain(domain) if at else _caseless(domain))


def _domain(text: str) -> str:
    """Return the lower-case ASCII form of a domain (UTS #46, not transitional), or else its caseless form."""
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError:  # idna.IDNAError is one
        return _caseless(text)


def _phone(text: str, region: str) -> str:
    """Return E.164 (ITU-T), with ``;ext=`` as in RFC 3966, or the text itself if it is no possible number."""
    canonical = _e164(text, region)
    # A number that reads differently the second time has no one spelling: +82 00 74649 loses a zero each time.
    return canonical if canonical is not None and _e164(canonical, region) == canonical else text


def _e164(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    extension = f";ext={number.extension}" if number.extension else ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) + extension


def _custom(text: str, _region: str) -> str:
    return text


def _caseless(text: str) -> str:
    """Return the canonical caseless form (Unicode, D145), composed.

    Decomposing first is what makes it final: U+0345 folds to a letter, which would change the order of marks.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


_NORMALISERS: Final[dict[str, Callable[[str, str], str]]] = {
    "login": _login,
    "email": _email,
    "phone": _phone,
    "custom": _custom,
}
