"""The two patch formats: what the RFCs say, and what no patch may do."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.errors import Invalid, PatchFailed
from vault.patches import MAX_DEPTH, MAX_OPERATIONS, json_patch, merge_patch

# RFC 7396, appendix A: original, patch, result.
APPENDIX_A = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab-0~/"), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from("ab-0"), JSON, max_size=4)
POINTERS = st.lists(
    st.sampled_from(["a", "b", "0", "1", "-", "01", "~0", "~1", "~2", "9" * 30]), max_size=3
).map(lambda parts: "".join("/" + part for part in parts))
NAMES = st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])
WELL_FORMED = st.fixed_dictionaries({"op": NAMES, "path": POINTERS, "from": POINTERS, "value": JSON})
ODD = st.fixed_dictionaries(
    {}, optional={"op": NAMES | JSON, "path": POINTERS | JSON, "from": JSON, "value": JSON}
)


def nested(levels: int) -> Any:
    """Return an object that holds itself so many levels deep."""
    value: Any = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(("original", "patch", "result"), APPENDIX_A)
def test_merge_patch_agrees_with_appendix_a(original: str, patch: str, result: str) -> None:
    """Every example of RFC 7396 gives its result, except that a profile cannot become anything but an object."""
    document, change, expected = json.loads(original), json.loads(patch), json.loads(result)
    if isinstance(expected, dict):
        assert merge_patch(document, change) == expected
    else:
        with pytest.raises(Invalid):
            merge_patch(document, change)
        inside = {} if expected is None else {"x": expected}
        assert merge_patch({"x": document}, {"x": change}) == inside


@given(DOCUMENTS, JSON)
def test_merge_patch_leaves_its_inputs_alone(document: dict[str, object], patch: object) -> None:
    """Whatever is merged, both inputs are afterwards what they were."""
    before = copy.deepcopy((document, patch))
    try:
        merge_patch(document, patch)
    except Invalid:
        pass
    assert (document, patch) == before


FITTING: dict[str, tuple[Any, list[Any], Any]] = {
    "a member is added": ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
    "a member is removed": ({"a": 1}, [{"op": "remove", "path": "/a"}], {}),
    "a member is replaced": ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
    "a member is moved": ({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
    "a member is copied": ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
    "a dash appends to a list": ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
    "a dash is also a name": ({"-": 1}, [{"op": "remove", "path": "/-"}], {}),
    "escapes are read": ({"~": 1, "/": 2}, [{"op": "remove", "path": "/~0"}], {"/": 2}),
    "the whole may become another object": (
        {"a": 1},
        [{"op": "add", "path": "", "value": {"b": 1}}],
        {"b": 1},
    ),
    "a test compares numbers by value": ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
    "no operation changes nothing": ({"a": 1}, [], {"a": 1}),
    "members it does not know are ignored": ({}, [{"op": "add", "path": "/a", "value": 1, "x": 1}], {"a": 1}),
    "the whole may stay where it is": ({"a": 1}, [{"op": "move", "from": "", "path": ""}], {"a": 1}),
}


@pytest.mark.parametrize("case", FITTING)
def test_json_patch_applies(case: str) -> None:
    """A patch that fits gives the document that RFC 6902 says, and leaves the one it was given alone."""
    document, operations, result = FITTING[case]
    before = copy.deepcopy(document)
    assert json_patch(document, operations) == result
    assert document == before


MISFITS: dict[str, list[Any]] = {
    "a path that is missing": [{"op": "remove", "path": "/nowhere"}],
    "a parent that is missing": [{"op": "add", "path": "/nowhere/x", "value": 1}],
    "a source that is missing": [{"op": "copy", "from": "/nowhere", "path": "/x"}],
    "a test that fails": [{"op": "test", "path": "/secret", "value": "other"}],
    "a test of a bit against true": [{"op": "test", "path": "/one", "value": True}],
    "a test against a huge number": [{"op": "test", "path": "/one", "value": 10**5000}],
    "an index far outside": [{"op": "add", "path": "/list/999999999999999999999", "value": 1}],
    "an index of more digits than Python reads": [{"op": "add", "path": "/list/" + "9" * 5000, "value": 1}],
    "an index with a leading zero": [{"op": "replace", "path": "/list/00", "value": 1}],
    "a negative index": [{"op": "remove", "path": "/list/-1"}],
    "the end of a list as a source": [{"op": "copy", "from": "/list/-", "path": "/x"}],
    "a path through a text": [{"op": "add", "path": "/secret/0", "value": 1}],
    "a path through a number": [{"op": "add", "path": "/one/0", "value": 1}],
    "a move into its own child": [{"op": "move", "from": "/child", "path": "/child/x"}],
    "the whole taken away": [{"op": "remove", "path": ""}],
    "a good operation and then a bad one": [
        {"op": "remove", "path": "/one"},
        {"op": "remove", "path": "/one"},
    ],
}


@pytest.mark.parametrize("case", MISFITS)
def test_json_patch_fails_whole(case: str) -> None:
    """A patch that does not fit fails, changes nothing, and takes no value along, not even as a context."""
    document = {"secret": "anna@example.com", "one": 1, "list": [1], "child": {}}
    before = copy.deepcopy(document)
    with pytest.raises(PatchFailed) as caught:
        json_patch(document, MISFITS[case])
    assert document == before
    assert str(caught.value) == PatchFailed.__doc__
    assert caught.value.__context__ is None


MALFORMED: dict[str, object] = {
    "no list": {"op": "remove", "path": "/a"},
    "a text": '[{"op":"remove","path":"/a"}]',
    "nothing": None,
    "an operation that is no object": ["remove"],
    "an unknown operation": [{"op": "append", "path": "/a", "value": 1}],
    "an operation name that is a list": [{"op": [], "path": "/a"}],
    "no operation name": [{"path": "/a"}],
    "no path": [{"op": "remove"}],
    "a path that is a number": [{"op": "remove", "path": 1}],
    "a path without a slash": [{"op": "remove", "path": "a"}],
    "a path with a wrong escape": [{"op": "remove", "path": "/~2"}],
    "no source": [{"op": "move", "path": "/a"}],
    "a source that is null": [{"op": "copy", "from": None, "path": "/a"}],
    "no value": [{"op": "add", "path": "/a"}],
    "one operation too many": [{"op": "test", "path": "/a", "value": 1}] * (MAX_OPERATIONS + 1),
    "a result that is no object": [{"op": "replace", "path": "", "value": [1]}],
    "a result that nests too deeply": [{"op": "add", "path": "/b", "value": nested(MAX_DEPTH)}],
    "a value beyond any stack": [{"op": "add", "path": "/b", "value": nested(50_000)}],
    "copies that double the document": [{"op": "copy", "from": "", "path": f"/{i}"} for i in range(40)],
    "copies of a large text": [{"op": "add", "path": "/b", "value": "x" * 100_000}]
    + [{"op": "copy", "from": "/b", "path": f"/{i}"} for i in range(20)],
}


@pytest.mark.parametrize("case", MALFORMED)
def test_json_patch_refuses(case: str) -> None:
    """What is no patch, or would make no profile, is refused under the field 'patch'."""
    with pytest.raises(Invalid) as caught:
        json_patch({"a": 1}, MALFORMED[case])
    assert list(caught.value.fields) == ["patch"]
    assert caught.value.__context__ is None


def test_json_patch_takes_as_many_operations_as_it_says() -> None:
    """The largest allowed number of operations is allowed."""
    operations = [{"op": "test", "path": "/a", "value": 1}] * MAX_OPERATIONS
    assert json_patch({"a": 1}, operations) == {"a": 1}


def test_merge_patch_keeps_to_the_allowed_depth() -> None:
    """A merge patch of the allowed depth passes, and one far beyond the stack is refused."""
    assert merge_patch({}, nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    for levels in (MAX_DEPTH + 1, 50_000):
        with pytest.raises(Invalid):
            merge_patch({}, nested(levels))


def test_json_patch_shares_nothing_with_the_patch() -> None:
    """A later operation on an added value does not change the value in the caller's patch."""
    operations = [{"op": "add", "path": "/a", "value": []}, {"op": "add", "path": "/a/-", "value": 1}]
    assert json_patch({}, operations) == {"a": [1]}
    assert operations[0]["value"] == []


@settings(max_examples=400)
@given(DOCUMENTS, st.lists(WELL_FORMED, max_size=5) | st.lists(ODD | JSON) | JSON)
def test_json_patch_answers_with_an_object_or_a_refusal(
    document: dict[str, object], operations: object
) -> None:
    """Whatever is sent, the answer is a JSON object or one of our errors, and the inputs stay as they are."""
    before = copy.deepcopy((document, operations))
    try:
        result = json_patch(document, operations)
    except (Invalid, PatchFailed):
        result = {}
    assert isinstance(json.loads(json.dumps(result)), dict)
    assert (document, operations) == before
