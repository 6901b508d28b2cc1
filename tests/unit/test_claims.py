"""What a session may carry, and what is refused as personal data."""

import base64
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.claims import DEFAULT_CLAIMS, ClaimRule, ClaimsPolicy, personal_in
from vault.errors import ClaimRefused
from vault.personal_data import detect, fold, is_personal_name, personal_strings

RULES = {
    **DEFAULT_CLAIMS,
    "plan": ClaimRule("plan", "slug", ("free", "pro", "1234567")),
    "groups": ClaimRule("groups", "slugs", ("red", "blue")),
    "level": ClaimRule("level", "integer"),
    "beta": ClaimRule("beta", "boolean"),
}
POLICY = ClaimsPolicy(RULES)
ANNA = {
    "login": "anna_b",
    "first_name": "Anna",
    "last_name": "van der Berg",
    "email": "a.vandenberg+shop@acme.com",
    "phone": "+49 (170) 123-4567",
    "custom": "EMP-77",
    "role": "admin",
    "tenant": "acme",
    "address": {"street": "Market Street 5", "zip": 10115, "country": "DE"},
}


def reasons(claims: Mapping[str, object], personal: frozenset[str] = frozenset()) -> Mapping[str, str]:
    """Return what the caller is told of each refused claim."""
    try:
        POLICY.check(claims, personal)
    except ClaimRefused as refused:
        return refused.fields
    return {}


def faults(claims: Mapping[str, object], personal: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the rule id of each refused claim."""
    return {field: reason.partition(":")[0] for field, reason in reasons(claims, personal).items()}


# --- rules --------------------------------------------------------------------------------------------------

UNSOUND: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "an empty name": ("", "slug", ()),
    "a name with a capital": ("Role", "slug", ()),
    "a name that begins with a digit": ("1role", "slug", ()),
    "a name of 33 characters": ("a" * 33, "slug", ()),
    "a name with a line feed": ("role\n", "slug", ()),
    "a personal name": ("home_address", "slug", ()),
    "an unknown type": ("role", "text", ()),
    "values of an integer": ("level", "integer", ("1",)),
    "values of a locale": ("locale", "locale", ("de",)),
    "a value that is no slug": ("role", "slug", ("Admin",)),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_an_unsound_rule_is_refused(case: str) -> None:
    """An operator cannot declare a claim that could hold personal data or that means nothing."""
    with pytest.raises(ValueError, match="claim"):
        ClaimRule(*UNSOUND[case])


def test_a_rule_stands_under_its_own_name() -> None:
    """A policy whose key and rule disagree is refused."""
    with pytest.raises(ValueError, match="own name"):
        ClaimsPolicy({"roles": ClaimRule("role", "slug")})


ALLOWED: dict[str, dict[str, object]] = {
    "no claim": {},
    "a slug": {"role": "admin"},
    "a slug of 32 characters": {"role": "r" * 32},
    "a list of slugs": {"roles": ["admin", "sales-eu"]},
    "an empty list": {"roles": []},
    "a list of 16": {"roles": [f"r{i}" for i in range(16)]},
    "scopes as OAuth writes them": {"scope": "orders:read orders:write"},
    "one scope": {"scope": "orders:read"},
    "a language": {"locale": "de"},
    "a language and a region": {"locale": "pt-BR"},
    "a language and a script": {"locale": "zh-Hant-TW"},
    "a UN region": {"locale": "es-419"},
    "a declared value": {"plan": "pro", "groups": ["red", "blue"]},
    "a declared value that looks like a phone number": {"plan": "1234567"},
    "the largest integers": {"level": -999_999},
    "a boolean": {"beta": False},
    "a method": {"auth_method": "mfa:totp"},
    "an opaque id in hex": {"tenant": "a550e8400e29b41d4a71644665544000"},
    "a short number": {"tenant": "42"},
}


@pytest.mark.parametrize("case", ALLOWED)
def test_a_declared_claim_is_allowed(case: str) -> None:
    """What fits its rule and says nothing personal passes, beside a profile that has nothing in common."""
    assert faults(ALLOWED[case], personal_strings(ANNA)) == {}


REFUSED: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "null": ({"role": None}, {"claims.role": "type"}),
    "a list for a slug": ({"role": ["admin"]}, {"claims.role": "type"}),
    "an object": ({"role": {"a": "b"}}, {"claims.role": "type"}),
    "a capital": ({"role": "Admin"}, {"claims.role": "type"}),
    "a line feed after a slug": ({"role": "admin\n"}, {"claims.role": "type"}),
    "a letter that is not ASCII": ({"role": "größe"}, {"claims.role": "type"}),
    "a slug of 33 characters": ({"role": "r" * 33}, {"claims.role": "type"}),
    "an empty slug": ({"role": ""}, {"claims.role": "type"}),
    "17 slugs": ({"roles": [f"r{i}" for i in range(17)]}, {"claims.roles": "type"}),
    "two spaces between scopes": ({"scope": "a  b"}, {"claims.scope": "type"}),
    "an empty list of scopes as text": ({"scope": ""}, {"claims.scope": "type"}),
    "a list in a list": ({"roles": [["a"]]}, {"claims.roles": "type"}),
    "an underscore in a locale": ({"locale": "de_DE"}, {"claims.locale": "type"}),
    "a word as a locale": ({"locale": "german"}, {"claims.locale": "type"}),
    "a boolean for an integer": ({"level": True}, {"claims.level": "type"}),
    "an integer for a boolean": ({"beta": 1}, {"claims.beta": "type"}),
    "an integer of seven digits": ({"level": 1_000_000}, {"claims.level": "type"}),
    "a float": ({"level": 1.0}, {"claims.level": "type"}),
    "a value that is not declared": ({"plan": "gold"}, {"claims.plan": "value"}),
    "one item that is not declared": ({"groups": "red green"}, {"claims.groups": "value"}),
    "a claim that is not declared": ({"colour": "red"}, {"claims.colour": "not_allowed"}),
    "a personal name": ({"email": "x"}, {"claims.email": "personal_name"}),
    "a personal name in camel case": ({"lastName": "x"}, {"claims": "personal_name"}),
    "a name that is no name": ({"Anna Berg": 1}, {"claims": "not_allowed"}),
    "a name that is a bank account": ({"de89370400440532013000": 1}, {"claims": "not_allowed"}),
    "a name that is the person's": ({"berg": 1}, {"claims": "not_allowed"}),
    "a name with a lone surrogate": ({"\ud800": 1}, {"claims": "not_allowed"}),
    "several at once": (
        {"role": "4111111111111111", "tenant": None, "colour": 1, "roles": ["ok"]},
        {"claims.role": "card", "claims.tenant": "type", "claims.colour": "not_allowed"},
    ),
    "an e-mail address": ({"role": "anna@example.com"}, {"claims.role": "email"}),
    "an item that is an IBAN": ({"roles": ["ok", "de89370400440532013000"]}, {"claims.roles": "iban"}),
    "a card in four scopes": ({"scope": "4111 1111 1111 1111"}, {"claims.scope": "card"}),
    "an address beside a declared value": ({"groups": ["red", "10.0.0.1"]}, {"claims.groups": "ip"}),
    "17 claims": ({f"c{i}": 1 for i in range(17)}, {"claims": "too_many"}),
    "more than 1024 bytes": ({"role": "x" * 1014}, {"claims": "too_large"}),
    "an integer of thousands of digits": ({"level": 10**5000}, {"claims": "too_large"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_claim_is_refused_under_its_rule(case: str) -> None:
    """Every refused claim is named with the rule it breaks, and only those."""
    claims, expected = REFUSED[case]
    assert faults(claims, personal_strings(ANNA)) == expected


def test_1024_bytes_are_allowed_and_one_more_is_not() -> None:
    """The size is that of compact JSON in UTF-8."""
    claims: dict[str, object] = {"role": "x" * 1013}
    assert len(json.dumps(claims, separators=(",", ":"))) == 1024
    assert faults(claims) == {"claims.role": "type"}
    assert faults({"role": "x" * 1011 + "é"}) == {"claims.role": "type"}
    assert faults({"role": "x" * 1012 + "é"}) == {"claims": "too_large"}


def test_a_value_that_json_cannot_hold_is_refused_for_its_type() -> None:
    """Claims from inside the program are judged by the same rules."""
    assert faults({"role": b"admin", "level": object()}) == {"claims.role": "type", "claims.level": "type"}


MARKED = st.text(max_size=20).map("Qz!".__add__)


@given(
    st.dictionaries(st.sampled_from([*RULES, "email", "x"]) | MARKED, MARKED | st.lists(MARKED, min_size=1))
)
def test_no_refusal_repeats_what_was_sent(claims: dict[str, object]) -> None:
    """No value, and no name that is not shaped like one, comes back in a refusal."""
    told = reasons(claims)
    assert bool(told) == bool(claims)
    assert "Qz!" not in str(told)


# --- detectors ----------------------------------------------------------------------------------------------

EMAIL = "anna.b@example.com"
FOUND: dict[str, tuple[str, str]] = {
    "an address": (EMAIL, "email"),
    "an address in a text": (f"x <{EMAIL}> y", "email"),
    "an address with a full-width at sign": ("anna＠example.com", "email"),
    "an address in percent": ("anna%40example.com", "email"),
    "an address in percent twice": ("anna%2540example.com", "email"),
    "an address in hex": (EMAIL.encode().hex(), "email"),
    "an address in capital hex": (EMAIL.encode().hex().upper(), "email"),
    "an address in base64": (base64.b64encode(EMAIL.encode()).decode(), "email"),
    "an address in base64url without padding": (
        base64.urlsafe_b64encode(b"<" + EMAIL.encode()).decode().strip("="),
        "email",
    ),
    "an address in base64 in hex": (base64.b64encode(EMAIL.encode()).hex(), "email"),
    "an address in a JSON Web Token": (
        "eyJhbGciOiJub25lIn0." + base64.b64encode(b'{"e":"a@b.example"}').decode() + ".x",
        "email",
    ),
    "a Visa card": ("4111111111111111", "card"),
    "a Visa card with hyphens": ("4111-1111-1111-1111", "card"),
    "a Visa card of 13 digits": ("4222222222222", "card"),
    "a Mastercard": ("5555555555554444", "card"),
    "a Mastercard of the 2 series": ("2223003122003222", "card"),
    "an American Express card": ("3782-822463-10005", "card"),
    "a Diners Club card": ("30569309025904", "card"),
    "a JCB card": ("3530111333300000", "card"),
    "a UnionPay card": ("6200000000000005", "card"),
    "a Maestro card": ("6759649826438453", "card"),
    "a card after a prefix": ("card:4111111111111111", "card"),
    "a card glued to letters": ("x4111111111111111y", "card"),
    "a card after another number": ("7-4111111111111111", "card"),
    "a card in Arabic digits": ("٤١١١١١١١١١١١١١١١", "card"),
    "a card in hex": (b"4111111111111111".hex(), "card"),
    "a German IBAN": ("de89370400440532013000", "iban"),
    "a British IBAN in groups": ("GB82 WEST 1234 5698 7654 32", "iban"),
    "a Norwegian IBAN after a prefix": ("acme-no9386011117947", "iban"),
    "a Maltese IBAN": ("MT84MALT011000012345MTLCAST001S", "iban"),
    "E.164": ("+14155552671", "phone"),
    "E.164 glued to letters": ("tel+14155552671x5", "phone"),
    "an American number": ("(415) 555-2671", "phone"),
    "digits with dots": ("415.555.2671", "phone"),
    "digits with underscores": ("u:415_555_2671", "phone"),
    "seven bare digits": ("5552671", "phone"),
    "fifteen bare digits": ("123456789012345", "phone"),
    "a date of birth": ("1990-05-17", "phone"),
    "IPv4": ("10.0.0.1", "ip"),
    "IPv4 after a prefix": ("from:192.168.100.200", "ip"),
    "IPv6": ("2001:db8::1", "ip"),
    "IPv6 in full": ("2001:0db8:0000:0000:0000:0000:0000:0001", "ip"),
    "IPv6 of this machine": ("::1", "ip"),
    "an American number of social security": ("123-45-6789", "national_id"),
    "the same after a prefix": ("ssn_123-45-6789", "national_id"),
    "a Brazilian CPF": ("123.456.789-09", "national_id"),
    "a Swedish personnummer": ("811218-9876", "national_id"),
    "a Korean number": ("900101-1234567", "national_id"),
    "a Swiss AHV number": ("756.9217.0769.85", "national_id"),
    "a Chinese number": ("11010519491231002x", "national_id"),
}

CLEAN: dict[str, str] = {
    "a word": "admin",
    "a scope": "orders:read",
    "two colons": "orders::read",
    "a version": "v1.2.3",
    "a region": "eu-central-1",
    "a year": "2024",
    "six digits": "123456",
    "a clock time": "12:30:45",
    "a number of 18 digits that is no card": "175928847299117063",
    "a card number with a wrong check digit, glued": "x4111111111111112",
    "an IBAN with a wrong check digit": "de88370400440532013000",
    "an IBAN of the wrong length": "de8937040044053201300x",
    "a UUID without hyphens": "a550e8400e29b41d4a71644665544000",
    "a ULID": "01arz3ndektsv4rrffq69g5fav",
    "four numbers, one too big for IPv4": "1.0.0.256",
    "hex of a harmless word": b"administrator".hex(),
    "base64 of a harmless word": base64.b64encode(b"administrator").decode(),
    "an at sign alone": "a @ b",
    "no text": "",
}


@pytest.mark.parametrize("case", FOUND)
def test_personal_data_is_detected(case: str) -> None:
    """Each kind of personal data is found in each disguise, under its own rule."""
    text, rule_id = FOUND[case]
    assert detect(text) == rule_id


@pytest.mark.parametrize("case", CLEAN)
def test_harmless_text_is_not_detected(case: str) -> None:
    """What a session ordinarily carries is no false alarm."""
    assert detect(CLEAN[case]) is None


@given(st.text(max_size=200) | st.text(alphabet="0123456789abcdef.:-_%@+= \ud800", max_size=200))
def test_any_text_can_be_searched(text: str) -> None:
    """The detectors answer for every text, and its folded form is its own folded form."""
    detect(text)
    assert fold(fold(text)) == fold(text)


# --- the person's own profile -------------------------------------------------------------------------------

OWN: dict[str, str] = {
    "the surname": "berg",
    "the first name": "anna",
    "the whole name with hyphens": "van-der-berg",
    "the whole name in one": "vanderberg",
    "the login": "anna_b",
    "the login with a dot": "anna.b",
    "the local part of the e-mail": "a.vandenberg",
    "the surname in the e-mail": "vandenberg",
    "the custom value": "emp-77",
    "the postcode": "10115",
    "the street": "market-street-5",
}

NOT_OWN: dict[str, str] = {
    "a role the profile also names": "admin",
    "the tenant the profile also names": "acme",
    "the top-level domain": "com",
    "the tag of the e-mail": "shop",
    "a particle of the name": "van",
    "one word of the street": "market",
    "the country": "de",
    "a longer word": "bergen",
}


@pytest.mark.parametrize("case", OWN)
def test_a_value_of_the_profile_is_refused(case: str) -> None:
    """A slug that is a piece of the person's own data is found, alone and in a list of scopes."""
    personal = personal_strings(ANNA)
    assert faults({"role": OWN[case]}, personal) == {"claims.role": "own_profile"}
    assert faults({"scope": f"read {OWN[case]}"}, personal) == {"claims.scope": "own_profile"}
    assert faults({"role": OWN[case]}) == {}


@pytest.mark.parametrize("case", NOT_OWN)
def test_a_common_word_of_the_profile_is_allowed(case: str) -> None:
    """A word that many people share does not break a login."""
    assert faults({"role": NOT_OWN[case]}, personal_strings(ANNA)) == {}


def test_a_declared_value_may_be_a_name() -> None:
    """A value from the operator's closed list is allowed to a person who is called so."""
    assert faults({"groups": ["red"]}, personal_strings({"last_name": "Red"})) == {}


STRINGS: dict[str, tuple[dict[str, object], set[str]]] = {
    "an e-mail address": (
        {"email": "Anna.Berg+x@Acme.com"},
        {"anna.berg+x@acme.com", "anna.berg", "anna", "berg"},
    ),
    "a role mailbox": ({"email": "admin@acme.com"}, {"admin@acme.com"}),
    "a phone number": ({"phone": "+49 170 12"}, {"+49 170 12", "4917012"}),
    "an integer": ({"phone": 4917012}, {"4917012"}),
    "names below a personal key": ({"name": {"first": "Anna", "nick": ["Ann"]}}, {"anna", "ann"}),
    "a hyphenated name": ({"surname": "Berg-Meyer"}, {"berg-meyer", "berg", "meyer"}),
    "a name in full width": ({"firstName": "ＡＮＮＡ"}, {"anna"}),
    "custom at the top only": ({"custom": "E 7", "ui": {"custom": "dark"}}, {"e 7"}),
    "flags and nothing": ({"phone": True, "email": None, "name": 1.5}, set()),
    "what is not personal": ({"role": "admin", "plan": "gold", "login": "admin"}, set()),
    "short strings": ({"name": "Al", "address": {"country": "DE"}}, set()),
}


@pytest.mark.parametrize("case", STRINGS)
def test_the_personal_strings_of_a_profile(case: str) -> None:
    """Exactly these strings of a profile would tell who the person is."""
    profile, expected = STRINGS[case]
    assert personal_strings(profile) == expected


def test_a_deep_profile_is_read() -> None:
    """No nesting is too deep for the walk."""
    profile: dict[str, object] = {"name": "Anna"}
    for _ in range(10_000):
        profile = {"a": profile}
    assert personal_strings(profile) == {"anna"}


PERSONAL_NAMES = """
    email e-mail E_MAIL eMail emails first_name firstName FirstName lastname surname family_name username phone
    phoneNumber mobile_1 billingAddress addresses IPAddress ip dob birth-date ssn IBAN zipCode taxId ｎame
"""
OTHER_NAMES = """
    role roles tenant scope locale auth_method hostname zipper shipping tip id
"""


@pytest.mark.parametrize("name", PERSONAL_NAMES.split())
def test_a_personal_name_is_known_in_any_spelling(name: str) -> None:
    """Case, camel case, hyphens, underscores, digits and plurals do not hide a personal name."""
    assert is_personal_name(name)


@pytest.mark.parametrize("name", OTHER_NAMES.split())
def test_other_names_are_not_personal(name: str) -> None:
    """A personal word inside a longer word means nothing."""
    assert not is_personal_name(name)


FREE: Mapping[str, tuple[dict[str, object], set[str]]] = {
    "nothing": ({"role": "editor", "n": [1, 2.5, None, True], "deep": {"er": ["x"]}}, set()),
    "a name, however deep": ({"a": [{"b": {"lastName": 1}}]}, {"personal_name"}),
    "a text as a name": ({"ada@example.org": 1}, {"email"}),
    "several": (
        {"email": "ada@example.org", "card": "4111 1111 1111 1111"},
        {"personal_name", "email", "card"},
    ),
    "a UUID that reads as a number": ({"id": "12345678-1234-4123-8123-123456789012"}, set()),
    "times as numbers": ({"at": 1_800_000_000_000}, set()),
    "a word of the person's own": ({"label": "Van-der-BERG"}, {"own_profile"}),
    "a number of the person's own": ({"n": 10115}, {"own_profile"}),
    "true is no number": ({"n": True}, set()),
}


@pytest.mark.parametrize("sentence", FREE)
def test_free_data_is_judged(sentence: str) -> None:
    """Every name and text of it, at any depth, and numbers only against the person's own profile."""
    data, rules = FREE[sentence]
    assert personal_in(data, personal_strings(ANNA)) == rules
