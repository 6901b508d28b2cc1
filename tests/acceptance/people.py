"""Ten thousand made-up people of many languages, the same ones in every run.

Faker is slow and imaginative: it makes a pool of values for each locale, and the people are combinations of them.
"""

import itertools
import random
import unicodedata
from dataclasses import dataclass
from typing import Any

import idna
from faker import Faker

LOCALES = (
    "ar_AA", "ar_PS", "az_AZ", "bg_BG", "bn_BD", "cs_CZ", "de_DE", "el_GR", "en_US", "es_MX", "fa_IR", "fr_FR",
    "he_IL", "hi_IN", "hu_HU", "hy_AM", "ja_JP", "ka_GE", "ko_KR", "nl_NL", "pl_PL", "pt_BR", "ru_RU", "sv_SE",
    "ta_IN", "th_TH", "tr_TR", "uk_UA", "vi_VN", "zh_CN", "zh_TW",
)  # fmt: skip

#: Mail domains as people write them: plain, in mixed case, and internationalised.
DOMAINS = (
    "example.org", "Example.COM", "mail.example.net", "bücher.example", "BÜCHER-online.example", "почта.example",
    "παράδειγμα.example", "例え.example", "예시.example", "उदाहरण.example", "דוגמה.example", "sub.Straßen.example",
)  # fmt: skip

EMOJI = ("🦊", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇺🇳", "❤️", "🧑🏿‍🚀", "✨")

#: Every so many people one has as many fields as a profile ever had.
WIDE_EVERY, WIDE_FIELDS = 50, 120

POOL = 24


@dataclass(frozen=True, slots=True)
class Pool:
    """What people of one locale are made of."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    companies: tuple[str, ...]

    @classmethod
    def of(cls, locale: str) -> "Pool":
        """Ask Faker, seeded by the locale's own name."""
        fake = Faker(locale)
        fake.seed_instance(locale)

        def pool(make: Any) -> tuple[str, ...]:
            return tuple(make() for _ in range(POOL))

        return cls(
            pool(fake.first_name), pool(fake.last_name), pool(fake.street_address), pool(fake.city), pool(fake.company)
        )  # fmt: skip


def people(count: int) -> list[dict[str, Any]]:
    """Return this many profiles, the same in every run, each with an e-mail of its own."""
    pools = {locale: Pool.of(locale) for locale in LOCALES}
    choices = random.Random("people")
    return [
        _person(number, locale, pools[locale], choices)
        for number, locale in zip(range(count), itertools.cycle(LOCALES), strict=False)
    ]


def other_spelling(email: str, number: int) -> str:
    """Return an e-mail as another program might write it: still the same mailbox (docs/format.md)."""
    local, _, domain = email.rpartition("@")
    spellings = (
        email,
        f"  {email}\t",
        unicodedata.normalize("NFD", email),
        f"{local}@{idna.encode(domain, uts46=True).decode()}",
        f"{_upper(local)}@{_upper(domain)}",
    )
    return spellings[number % len(spellings)]


def _upper(text: str) -> str:
    """Return the text in capitals, unless they are also those of another text (as of dotless i and i, of ß and ss)."""
    return text.upper() if text.upper().lower() == text.lower() else text


def _person(number: int, locale: str, pool: Pool, choices: random.Random) -> dict[str, Any]:
    first_name, last_name = choices.choice(pool.first_names), choices.choice(pool.last_names)
    # One of three has a mailbox in their own script (RFC 6531), as far as a mailbox has no spaces.
    local = "".join(first_name.split()) if number % 3 == 0 else f"Person.{locale}"
    person: dict[str, Any] = {
        "email": f"{local}+{number}@{choices.choice(DOMAINS)}",
        "first_name": first_name,
        "last_name": last_name,
        "locale": locale.replace("_", "-"),
        "address": {
            "street": choices.choice(pool.streets),
            "city": choices.choice(pool.cities),
            "residents": choices.randrange(1, 9),
        },
        "employers": [choices.choice(pool.companies) for _ in range(number % 3)],
        "newsletter": number % 2 == 0,
        "score": round(choices.random() * 100, 3),
        "nothing": None,
    }
    if number % 5 == 0:
        person["nickname"] = f"{first_name} {choices.choice(EMOJI)}{choices.choice(EMOJI)}"
    if number % 7 == 0:
        person["login"] = f"{first_name}.{number}"
    if number % 11 == 0:
        person["phone"] = f"+4930{number:07}"
    if number % WIDE_EVERY == 0:
        person |= {f"answer_{n}": choices.choice(pool.streets) for n in range(WIDE_FIELDS - len(person))}
    return person
