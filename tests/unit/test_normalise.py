"""One spelling of each value that finds a profile."""

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.crypto.normalise import FIELDS, normalise

REGIONS = ["DE", "US", "IT", "GB", "BR", "AR", "MX", "CN", "RU", "ZZ", ""]
TEXTS = st.text(max_size=30) | st.text(
    alphabet="aIİıßẞσς@.＠ éxn-\u0301\u0307\u0327\u0345\u200d", max_size=12
)
PHONES = st.text(alphabet="0123456789+-(). ;ext=,#x/Aａ１٣", max_size=24) | st.from_regex(
    r"\A(\+|00|0)?([1-9][0-9]{2,15}|(49|82|387)0{1,3}[0-9]{5,9})( ?(x|ext\.?) ?[0-9]{1,5})?\Z"
)

EQUAL: dict[str, tuple[str, str, str]] = {
    "a login has no case": ("login", "Anna.Berg", "aNNA.bERG"),
    "outer white space does not count": ("login", "  anna\u00a0\n", "anna"),
    "sharp s is ss, small or capital": ("login", "Straße", "STRASSE"),
    "the capital sharp s is ss too": ("login", "STRAẞE", "strasse"),
    "a final sigma is a sigma": ("login", "ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
    "a dotted capital I is i with its dot": ("login", "İ", "i\u0307"),
    "a composed letter is its parts": ("login", "\u00e9", "e\u0301"),
    "marks count in any order": ("login", "a\u0345\u0301", "a\u0301\u0345"),
    "a domain has no case": ("email", "anna@Example.COM", "anna@example.com"),
    "a local part has no case here": ("email", "Anna@example.com", "anna@example.com"),
    "a domain in Unicode is its ASCII form": ("email", "a@bücher.example", "a@xn--bcher-kva.example"),
    "the ASCII form has no case": ("email", "a@XN--BCHER-KVA.example", "a@BÜCHER.example"),
    "a full-width domain is the plain one": ("email", "a@ｅｘａｍｐｌｅ．ｃｏｍ", "a@example.com"),
    "an ideographic full stop is a dot": ("email", "a@example。com", "a@example.com"),
    "a domain DNS does not know has no case": ("email", "a@Under_Score.example", "a@under_score.example"),
    "the last at sign divides": ("email", '"a@b"@BÜCHER.example', '"A@B"@xn--bcher-kva.example'),
    "a phone number has no separators": ("phone", "0170 / 123-45 67", "+491701234567"),
    "two zeros dial abroad from Germany": ("phone", "0049 170 1234567", "+49 (0)170 1234567"),
    "full-width digits are digits": ("phone", "＋４９１７０１２３４５６７", "+491701234567"),
    "an extension may be written in many ways": ("phone", "030 123456 ext. 12", "+4930123456;ext=12"),
    "NFC and NFD of a custom value are one": ("custom", "Zoe\u0308", "Zo\u00eb"),
}

APART: dict[str, tuple[str, str, str]] = {
    "a dotless i is a letter of its own": ("login", "ı", "I"),
    "a dotted capital I is not a plain i": ("login", "İ", "i"),
    "a full-width letter is not the plain one in a login": ("login", "ａnna", "anna"),
    "a tag makes another address": ("email", "anna+shop@example.com", "anna@example.com"),
    "dots in a local part count": ("email", "anna.berg@example.com", "annaberg@example.com"),
    "sharp s in a domain is its own letter": ("email", "a@straße.example", "a@strasse.example"),
    "a full-width at sign divides nothing": ("email", "anna＠example.com", "anna@example.com"),
    "extensions are kept apart": ("phone", "030 123456 ext. 12", "030 123456 ext. 13"),
    "a custom value keeps its case": ("custom", "A", "a"),
}

EXACT: dict[str, tuple[str, str | int, str, str | None]] = {
    "a phone number of the region": ("phone", "0170 1234567", "DE", "+491701234567"),
    "the same digits elsewhere": ("phone", "06 1234 5678", "IT", "+390612345678"),
    "a phone number as an integer": ("phone", 1701234567, "DE", "+491701234567"),
    "a text that is no phone number": ("phone", "  unlisted ", "DE", "unlisted"),
    "a number without a known region": ("phone", "0170 1234567", "ZZ", "0170 1234567"),
    "a number too short": ("phone", "11", "US", "11"),
    "an international number in any region": ("phone", "+44 20 7946 0018", "US", "+442079460018"),
    "a number that reads differently each time": ("phone", "+820074649", "KR", "+820074649"),
    "an extension": ("phone", "+49 30 123456 x12", "DE", "+4930123456;ext=12"),
    "an integer that is custom": ("custom", 7, "DE", "7"),
    "marks keep their letter when one of them folds": ("login", "ᾳ\u0323", "DE", "α\u0323ι"),
    "a login of digits": ("login", 42, "DE", "42"),
    "a domain": ("email", "Anna+Shop@BÜCHER.example", "DE", "anna+shop@xn--bcher-kva.example"),
    "no at sign": ("email", "Anna", "DE", "anna"),
    "nothing but an at sign": ("email", "@", "DE", "@"),
    "nothing": ("custom", "", "DE", None),
    "nothing but white space": ("email", " \t\u3000", "DE", None),
}

LONG = {
    "letters": "ü" * 10_000,
    "digits": "1" * 10_000,
    "a long domain": "a@" + "ü" * 10_000,
    "many labels": "a@" + "a." * 5_000,
    "at signs": "@" * 10_000,
    "plus signs": "+" * 10_000,
    "marks": "a" + "\u0345\u0301" * 5_000,
    "NUL": "\0" * 10_000,
    "both directions": "x@" + "\u05d0a" * 5_000,
}

ASSIGNED = [
    char
    for char in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(char) not in ("Cn", "Cs", "Co")
]


def nfd(text: str) -> str:
    """Return the text taken apart."""
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("case", EQUAL)
def test_spellings_of_one_value_meet(case: str) -> None:
    """Two spellings of the same value are normalised to the same text."""
    field, one, other = EQUAL[case]
    assert normalise(field, one, "DE") == normalise(field, other, "DE")


@pytest.mark.parametrize("case", APART)
def test_different_values_stay_apart(case: str) -> None:
    """Values that may belong to two people are not made one."""
    field, one, other = APART[case]
    assert normalise(field, one, "DE") != normalise(field, other, "DE")


@pytest.mark.parametrize("case", EXACT)
def test_the_spelling_is_this(case: str) -> None:
    """The exact text is fixed, for stored index tags are computed over it."""
    field, value, region, result = EXACT[case]
    assert normalise(field, value, region) == result


@pytest.mark.parametrize("field", ["login", "phone", "custom"])
def test_every_assigned_code_point_settles_at_once(field: str) -> None:
    """Normalising twice changes nothing and NFD input gives the same, for every assigned code point."""
    for char in ASSIGNED:
        once = normalise(field, "a" + char, "DE")
        assert once is not None
        assert normalise(field, once, "DE") == once == normalise(field, nfd("a" + char), "DE"), hex(ord(char))


def test_every_code_point_that_changes_settles_at_once_in_a_domain() -> None:
    """The same holds for a domain with any mark or any character that has another case or form."""
    for char in ASSIGNED:
        if char != unicodedata.normalize("NFKD", char).casefold() or unicodedata.combining(char):
            text = f"a@a{char}.example"
            once = normalise("email", text, "DE")
            assert once is not None
            assert normalise("email", once, "DE") == once == normalise("email", nfd(text), "DE"), hex(
                ord(char)
            )


@settings(max_examples=300)
@given(st.sampled_from(["login", "email", "custom"]), TEXTS)
def test_normalising_twice_changes_nothing(field: str, text: str) -> None:
    """The result is its own normal form, and does not depend on how the letters were composed."""
    once = normalise(field, text, "DE")
    assert normalise(field, nfd(text), "DE") == once
    assert once is None or normalise(field, once, "DE") == once


@settings(max_examples=500)
@given(PHONES | TEXTS, st.sampled_from(REGIONS))
def test_a_phone_number_settles_at_once(text: str, region: str) -> None:
    """A normalised phone number is its own normal form; one in E.164 is so in every region."""
    once = normalise("phone", text, region)
    assert normalise("phone", nfd(text), region) == once
    if once is not None:
        assert normalise("phone", once, region) == once


@given(st.from_regex(r"\A\+[1-9][0-9]{6,13}\Z"), st.sampled_from(REGIONS), st.sampled_from(REGIONS))
def test_an_international_number_needs_no_region(text: str, here: str, there: str) -> None:
    """A number with its country code is the same wherever it is read."""
    assert normalise("phone", text, here) == normalise("phone", text, there)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("case", LONG)
def test_no_text_is_too_long(field: str, case: str) -> None:
    """Ten thousand characters of anything are normalised, to their own normal form."""
    once = normalise(field, LONG[case], "DE")
    assert once is not None
    assert normalise(field, once, "DE") == once


def test_an_unknown_field_is_a_mistake_of_the_program() -> None:
    """There is no rule for a field that is not indexed."""
    with pytest.raises(KeyError):
        normalise("nickname", "x", "DE")
