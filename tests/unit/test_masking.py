"""What is shown of a profile under which limits, as a table."""

import copy
from typing import Any

import pytest

from vault.masking import shown

ADA: dict[str, Any] = {
    "email": "ada@example.org",
    "age": 36,
    "note": None,
    "address": {"city": "London", "street": "Dorset St", "geo": {"lat": 51.5}},
    "phones": [{"kind": "home", "number": "1"}, {"kind": "work", "number": "2"}, "3"],
    "tags": ["a", "b"],
    "address.city": "dotted",
}

#: fields, masked, and what is shown instead (None: left out) of what ADA holds.
CASES: dict[str, tuple[tuple[str, ...] | None, tuple[str, ...], dict[str, Any]]] = {
    "no limits": (None, (), ADA),
    "no field": ((), (), {}),
    "two fields": (("email", "age"), (), {"email": "ada@example.org", "age": 36}),
    "a part in its place": (("address.city",), (), {"address": {"city": "London"}}),
    "a part beside the whole": (("address.city", "address"), (), {"address": ADA["address"]}),
    "a field that is not there": (("nope", "email.x", "tags.0"), (), {}),
    "a masked string": (("email",), ("email",), {"email": "***"}),
    "a masked number": (("age",), ("age",), {}),
    "a masked null": (("note",), ("note",), {}),
    "a masked object": (("address",), ("address",), {}),
    "a masked list": (("tags",), ("tags",), {}),
    "a masked part": (
        ("address",),
        ("address.street",),
        {"address": {"city": "London", "street": "***", "geo": {"lat": 51.5}}},
    ),
    "a masked part deep down": (
        ("address.city", "address.geo"),
        ("address.geo.lat",),
        {"address": {"city": "London", "geo": {}}},
    ),
    "a masked part of each item": (
        ("phones",),
        ("phones.number",),
        {"phones": [{"kind": "home", "number": "***"}, {"kind": "work", "number": "***"}, "***"]},
    ),
    "a value in the way": (("email", "age"), ("email.domain", "age.years"), {"email": "***"}),
    "a name with a dot": (
        None,
        ("address.city",),
        {**ADA, "address": {**ADA["address"], "city": "***"}, "address.city": "***"},
    ),
    "a name that only begins alike": (("email",), ("emai", "email_work"), {"email": "ada@example.org"}),
    "masked and not shown": (("age",), ("email",), {"age": 36}),
    "masked and not there": (None, ("nope.nope",), ADA),
}


@pytest.mark.parametrize(("fields", "masked", "expected"), CASES.values(), ids=CASES)
def test_what_is_shown(
    fields: tuple[str, ...] | None, masked: tuple[str, ...], expected: dict[str, Any]
) -> None:
    """Only the fields, with what is masked hidden; the content itself stays as it was."""
    content = copy.deepcopy(ADA)
    assert shown(content, fields, masked) == expected
    assert content == ADA
