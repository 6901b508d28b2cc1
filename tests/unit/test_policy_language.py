"""The language of policies: what is read, and what it says."""

from typing import Any

import pytest

from vault.errors import Invalid
from vault.policy_language import KINDS, about, read
from vault.verdicts import Asked, Person, Verdict, judge

ALLOW: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"Role": "clerk"},
    "Action": ["UserGet"],
    "Resource": ["users.profile"],
}
DENY = {**ALLOW, "Effect": "Deny"}

NO = Verdict(allowed=False)
ALL = Verdict(allowed=True)


def asked(action: str = "UserGet", person: Person | None = None, **metadata: Any) -> Asked:
    """A clerk's question."""
    return Asked("clerk", action, metadata, person)


def part(*fields: str, masked: tuple[str, ...] = ()) -> Verdict:
    """A verdict that shows these fields."""
    return Verdict(allowed=True, fields=fields, masked=masked)


VERDICTS: dict[str, tuple[Any, Asked, Verdict]] = {
    "what a statement names is allowed": (ALLOW, asked(), ALL),
    "a list of statements is a policy": ([ALLOW], asked(), ALL),
    "statements may stand under Statement": ({"Version": "1", "Statement": [ALLOW]}, asked(), ALL),
    "single texts stand for lists of one": (
        {**ALLOW, "Action": "UserGet", "Resource": "users.profile"},
        asked(),
        ALL,
    ),
    "no principal means the role that it is linked to": (
        {name: said for name, said in ALLOW.items() if name != "Principal"},
        asked(),
        ALL,
    ),
    "one of several roles": ({**ALLOW, "Principal": {"Role": ["boss", "clerk"]}}, asked(), ALL),
    "another role gets nothing": ({**ALLOW, "Principal": {"Role": "boss"}}, asked(), NO),
    "another method gets nothing": (ALLOW, asked("UserDelete"), NO),
    "another thing gets nothing": (ALLOW, asked("SessionGet"), NO),
    "a name is no prefix": (ALLOW, asked("UserGetAll"), NO),
    "a star ends a method's name": ({**ALLOW, "Action": ["User*"]}, asked("UserDelete"), ALL),
    "a star begins a method's name": ({**ALLOW, "Action": ["*Get"]}, asked(), ALL),
    "a question mark is no star": ({**ALLOW, "Action": ["UserGe?"]}, asked(), NO),
    "brackets are no star": ({**ALLOW, "Action": ["UserGe[t]"]}, asked(), NO),
    "a star stands for everything": ({**ALLOW, "Action": ["*"], "Resource": ["*"]}, asked("RoleCreate"), ALL),
    "anybody's profile": ({**ALLOW, "Resource": ["*.profile.*"]}, asked(), ALL),
    "anything of a user": ({**ALLOW, "Resource": ["users.*"]}, asked(), ALL),
    "what only other products have allows nothing": ({**ALLOW, "Resource": ["*.agreement"]}, asked(), NO),
    "a denial wins over what is before it": ([ALLOW, DENY], asked(), NO),
    "a denial wins over what is behind it": ([DENY, ALLOW], asked(), NO),
    "a denial alone allows nothing": (DENY, asked("UserDelete"), NO),
    "parts are shown alone": (
        {**ALLOW, "Resource": ["users.profile.email", "users.profile.address.city"]},
        asked(),
        part("address.city", "email"),
    ),
    "the whole takes the parts in": ([ALLOW, {**ALLOW, "Resource": ["users.profile.email"]}], asked(), ALL),
    "what is denied in part is masked": (
        [ALLOW, {**DENY, "Resource": ["users.profile.ssn"]}],
        asked(),
        Verdict(allowed=True, masked=("ssn",)),
    ),
    "what cannot be done in part needs the whole": (
        {**ALLOW, "Action": ["*"], "Resource": ["users.profile.email"]},
        asked("UserUpdate"),
        NO,
    ),
    "what cannot be done in part is denied by a part": (
        [{**ALLOW, "Action": ["*"]}, {**DENY, "Action": ["*"], "Resource": ["users.profile.ssn"]}],
        asked("UserUpdate"),
        NO,
    ),
}

CONDITIONS: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "equal texts": ({"StringEquals": {"${request_metadata:purpose}": "audit"}}, {"purpose": "audit"}, True),
    "the other way to write it": (
        {"StringEquals": {"${request_metadata.purpose}": "audit"}},
        {"purpose": "audit"},
        True,
    ),
    "the reference on the right": (
        {"StringEquals": {"audit": "${request_metadata:p}"}},
        {"p": "audit"},
        True,
    ),
    "two references": (
        {"StringEquals": {"${request_metadata:a}": "${request_metadata:b}"}},
        {"a": "x", "b": "x"},
        True,
    ),
    "one of a list": ({"StringEquals": {"${request_metadata:p}": ["a", "b"]}}, {"p": "b"}, True),
    "numbers as their digits": ({"StringEquals": {"${request_metadata:p}": "7"}}, {"p": 7}, True),
    "truth as its word": ({"StringEquals": {"${request_metadata:p}": True}}, {"p": "true"}, True),
    "other texts": ({"StringEquals": {"${request_metadata:p}": "a"}}, {"p": "A"}, False),
    "nothing was said": ({"StringEquals": {"${request_metadata:p}": "a"}}, {}, False),
    "two that were not said": (
        {"StringEquals": {"${request_metadata:a}": "${request_metadata:b}"}},
        {},
        False,
    ),
    "a list is no single value": ({"StringEquals": {"${request_metadata:p}": "a"}}, {"p": ["a"]}, False),
    "an object is no value": ({"StringEquals": {"${request_metadata:p}": "a"}}, {"p": {"a": 1}}, False),
    "all pairs have to hold": (
        {"StringEquals": {"${request_metadata:p}": "a", "${request_metadata:q}": "b"}},
        {"p": "a"},
        False,
    ),
    "all operators have to hold": (
        {
            "StringEquals": {"${request_metadata:p}": "a"},
            "ForAnyValue:ListIntersect": {"${request_metadata:q}": ["b"]},
        },
        {"p": "a", "q": ["c"]},
        False,
    ),
    "lists that meet": (
        {"ForAnyValue:ListIntersect": {"${request_metadata:teams}": ["red", "blue"]}},
        {"teams": ["green", "blue"]},
        True,
    ),
    "lists that do not": (
        {"ForAnyValue:ListIntersect": {"${request_metadata:teams}": ["red"]}},
        {"teams": ["green", ["red"]]},
        False,
    ),
    "an empty list meets none": (
        {"ForAnyValue:ListIntersect": {"${request_metadata:teams}": ["red"]}},
        {"teams": []},
        False,
    ),
    "a reference in a list": (
        {"ForAnyValue:ListIntersect": {"red": ["blue", "${request_metadata:team}"]}},
        {"team": "red"},
        True,
    ),
}

OF_CHILDREN = {**ALLOW, "Action": ["*"], "Resource": ["${target_group_members:role/child}.profile"]}
CHILD = Person(frozenset({"7"}), frozenset({"child"}))
ADULT = Person(frozenset({"7"}), frozenset({"parent"}))
HANGS = Verdict(allowed=True, fields=(), hangs=True)

PEOPLE: dict[str, tuple[Any, Person | None, bool, Verdict]] = {
    "who has the role in a group is reached": (OF_CHILDREN, CHILD, False, ALL),
    "who has another is not": (OF_CHILDREN, ADULT, False, NO),
    "who is in no group is not": (OF_CHILDREN, Person(), False, NO),
    "nobody is reached where nobody looks": (OF_CHILDREN, None, False, NO),
    "it hangs on whoever will be looked at": (OF_CHILDREN, None, True, HANGS),
    "what does not, does not": (ALLOW, None, True, ALL),
    "any member": ({**ALLOW, "Resource": ["${target_group_members}.profile"]}, ADULT, False, ALL),
    "no member": ({**ALLOW, "Resource": ["${target_group_members}.profile"]}, Person(), False, NO),
    "the group is among those": (
        {**ALLOW, "Condition": {"StringEquals": {"${target_group_id}": ["7", "8"]}}},
        CHILD,
        False,
        ALL,
    ),
    "the group is another": (
        {**ALLOW, "Condition": {"StringEquals": {"${target_group_id}": 8}}},
        CHILD,
        False,
        NO,
    ),
    "the caller names the group": (
        {
            **ALLOW,
            "Condition": {"ForAnyValue:ListIntersect": {"${request_metadata:g}": "${target_group_id}"}},
        },
        CHILD,
        False,
        ALL,
    ),
    "a condition on groups hangs too": (
        {**ALLOW, "Condition": {"StringEquals": {"${target_group_id}": ["7"]}}},
        None,
        True,
        HANGS,
    ),
    "a denial of children spares others": ([ALLOW, {**OF_CHILDREN, "Effect": "Deny"}], ADULT, False, ALL),
    "a denial of children meets them": ([ALLOW, {**OF_CHILDREN, "Effect": "Deny"}], CHILD, False, NO),
    "a denial that may hold does, where nobody looks": (
        [ALLOW, {**OF_CHILDREN, "Effect": "Deny"}],
        None,
        False,
        NO,
    ),
    "a denial that may hold is waited for": ([ALLOW, {**OF_CHILDREN, "Effect": "Deny"}], None, True, HANGS),
    "a denial that may hold allows nothing": ({**OF_CHILDREN, "Effect": "Deny"}, None, True, NO),
}

MALFORMED: dict[str, Any] = {
    "no object": "Allow",
    "nothing": None,
    "no statement": [],
    "too many": [ALLOW] * 101,
    "an empty statement": {},
    "another effect": {**ALLOW, "Effect": "allow"},
    "no effect": {name: said for name, said in ALLOW.items() if name != "Effect"},
    "an unknown member": {**ALLOW, "NotAction": ["UserDelete"]},
    "an unknown member beside Statement": {"Statement": ALLOW, "Effect": "Deny"},
    "an unknown principal": {**ALLOW, "Principal": {"User": "ada"}},
    "a principal that is a text": {**ALLOW, "Principal": "clerk"},
    "no action": {**ALLOW, "Action": []},
    "an action that is a number": {**ALLOW, "Action": [7]},
    "no resource": {name: said for name, said in ALLOW.items() if name != "Resource"},
    "a resource of nobody": {**ALLOW, "Resource": ["profile"]},
    "a resource of somebody unknown": {**ALLOW, "Resource": ["leads.profile"]},
    "a resource that is nothing": {**ALLOW, "Resource": ["users.profil.ssn"]},
    "a resource that ends in a dot": {**ALLOW, "Resource": ["users.profile."]},
    "a hole in the path": {**ALLOW, "Resource": ["users.profile.address..city"]},
    "a star inside the path": {**ALLOW, "Resource": ["users.profile.e*"]},
    "a reference in the path": {**ALLOW, "Resource": ["users.profile.${x}"]},
    "the caller's own groups": {**ALLOW, "Resource": ["${user_group_members}.profile"]},
    "a condition that is a list": {**ALLOW, "Condition": []},
    "an unknown operator": {**ALLOW, "Condition": {"StringLike": {"a": "a"}}},
    "an operator without a pair": {**ALLOW, "Condition": {"StringEquals": {}}},
    "an unknown reference": {**ALLOW, "Condition": {"StringEquals": {"${user_group_id}": "7"}}},
    "half a reference": {**ALLOW, "Condition": {"StringEquals": {"a${request_metadata:b}": "7"}}},
    "an object to compare with": {**ALLOW, "Condition": {"StringEquals": {"a": {}}}},
    "an empty list to compare with": {**ALLOW, "Condition": {"StringEquals": {"a": []}}},
    "a list in a list": {**ALLOW, "Condition": {"StringEquals": {"a": [["a"]]}}},
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts(case: str) -> None:
    """A statement allows what it names, a denial wins, and nothing else is allowed."""
    policy, question, verdict = VERDICTS[case]
    assert judge(read(policy), question) == verdict


@pytest.mark.parametrize("case", CONDITIONS)
def test_conditions(case: str) -> None:
    """A statement counts if its condition holds: an Allow as well as a Deny."""
    condition, metadata, holds = CONDITIONS[case]
    assert judge(read({**ALLOW, "Condition": condition}), asked(**metadata)).allowed is holds
    denied = read([ALLOW, {**DENY, "Condition": condition}])
    assert judge(denied, asked(**metadata)).allowed is not holds


@pytest.mark.parametrize("case", PEOPLE)
def test_people(case: str) -> None:
    """What speaks of groups hangs on the person, and fails where nobody will look."""
    policy, person, later, verdict = PEOPLE[case]
    assert judge(read(policy), asked(person=person, g=["7"]), later=later) == verdict


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_read(case: str) -> None:
    """It is refused, in words that hold nothing of it."""
    with pytest.raises(Invalid) as refused:
        read(MALFORMED[case])
    assert set(refused.value.fields) == {"policy"}
    assert "clerk" not in refused.value.fields["policy"]


def test_every_method_is_about_something() -> None:
    """What a method is about is told by its name alone, and names one of the kinds."""
    assert about("BulkListUnlock") == "unlock"
    assert about("BulkListGroupUsers") == about("UserRequestApprove") == "profile"
    assert about("SomethingNew") == "system"
    assert about("SomethingNew") in KINDS
