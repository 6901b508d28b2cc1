"""The rails of an access key: what is kept of them, and what is refused."""

import pytest

from vault.rails import checked, networks_of
from vault.records import Rails

READER = ("profiles:read",)

KEPT = {
    "none": (Rails(), Rails()),
    "paths, each once, in order": (
        Rails(fields=("b", "a.c", "b"), masked=("z", "a")),
        Rails(fields=("a.c", "b"), masked=("a", "z")),
    ),
    "no field at all": (Rails(fields=()), Rails(fields=())),
    "an address is a network": (Rails(networks=("10.0.0.5",)), Rails(networks=("10.0.0.5/32",))),
    "networks in one form": (
        Rails(networks=("2001:DB8::/32", "10.0.0.0/255.0.0.0", "10.0.0.0/8")),
        Rails(networks=("10.0.0.0/8", "2001:db8::/32")),
    ),
    "the smallest numbers": (
        Rails(per_minute=1, reveals_per_hour=1, reveals_per_day=1),
        Rails(per_minute=1, reveals_per_hour=1, reveals_per_day=1),
    ),
}

REFUSED = {
    "an empty path": (Rails(fields=("",)), READER, "fields"),
    "an empty name in a path": (Rails(fields=("a..b",)), READER, "fields"),
    "a path that ends in a dot": (Rails(masked=("a.",)), READER, "masked"),
    "a path with a line break": (Rails(masked=("a\nb",)), READER, "masked"),
    "a path that is too long": (Rails(masked=("a" * 201,)), READER, "masked"),
    "too many paths": (Rails(fields=tuple(f"f{n}" for n in range(101))), READER, "fields"),
    "no network": (Rails(networks=()), READER, "networks"),
    "a word for a network": (Rails(networks=("office",)), READER, "networks"),
    "bits past the prefix": (Rails(networks=("10.0.0.1/8",)), READER, "networks"),
    "a prefix that is too long": (Rails(networks=("10.0.0.0/33",)), READER, "networks"),
    "IPv4 written as IPv6": (Rails(networks=("::ffff:10.0.0.0/104",)), READER, "networks"),
    "an interface": (Rails(networks=("fe80::1%eth0",)), READER, "networks"),
    "too many networks": (Rails(networks=tuple(f"10.0.0.{n}" for n in range(101))), READER, "networks"),
    "no request a minute": (Rails(per_minute=0), READER, "per_minute"),
    "fewer than none": (Rails(reveals_per_hour=-1), READER, "reveals_per_hour"),
    "more than 31 bits": (Rails(reveals_per_day=2**31), READER, "reveals_per_day"),
    "fields for a writer": (Rails(fields=("a",)), (*READER, "profiles:write"), "fields"),
    "no field for a writer": (Rails(fields=()), ("profiles:write",), "fields"),
    "a mask for a writer": (Rails(masked=("a",)), ("profiles:write",), "masked"),
    "fields for an administrator": (Rails(fields=("a",)), ("admin",), "fields"),
    "a mask for an administrator": (Rails(masked=("a",)), ("admin",), "masked"),
}


@pytest.mark.parametrize(("given", "kept"), KEPT.values(), ids=KEPT)
def test_rails_are_kept_in_one_form(given: Rails, kept: Rails) -> None:
    """Whatever the way they were written in."""
    assert checked(given, READER) == (kept, {})


@pytest.mark.parametrize(("given", "scopes", "field"), REFUSED.values(), ids=REFUSED)
def test_rails_that_cannot_hold_are_refused(given: Rails, scopes: tuple[str, ...], field: str) -> None:
    """By the name of the field, and no other field is blamed."""
    assert list(checked(given, scopes)[1]) == [field]


def test_a_writer_may_have_the_other_rails() -> None:
    """Networks and numbers hide nothing that a patch could uncover."""
    rails = Rails(networks=("10.0.0.0/8",), per_minute=5, reveals_per_hour=5, reveals_per_day=5)
    assert checked(rails, ("admin",)) == (rails, {})


def test_no_networks_are_everywhere() -> None:
    """None is not the same as an empty list of networks."""
    assert networks_of(Rails()) is None
    assert [str(one) for one in networks_of(Rails(networks=("10.0.0.0/8",))) or ()] == ["10.0.0.0/8"]
