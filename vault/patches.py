"""Two ways to write a change of a profile: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902).

Both are pure: the inputs stay as they are, and what comes out is a JSON object or a refusal. The library's own
messages quote the document, so none is passed on, not even as the cause of ours.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

import jsonpatch
from jsonpointer import JsonPointer, JsonPointerException

from vault.errors import Invalid, PatchFailed, VaultError

MAX_OPERATIONS: Final = 1000
MAX_COPIED: Final = (
    1024 * 1024
)  # what all copies of one patch add, in the units of _measure: about bytes of JSON
MAX_DEPTH: Final = 100  # levels of the result; encoders and deepcopy give up at some hundreds

_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "add": frozenset({"value"}),
    "remove": frozenset(),
    "replace": frozenset({"value"}),
    "move": frozenset({"from"}),
    "copy": frozenset({"from"}),
    "test": frozenset({"value"}),
}

# Misfits show as many types, by the library's version and by what the path runs into.
_MISFITS: Final = (
    jsonpatch.JsonPatchException,
    JsonPointerException,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


def merge_patch(document: object, patch: object) -> dict[str, object]:
    """Return the document with the members of the patch put in, and those that are null there taken out.

    The result shares what did not change with the inputs. Raises Invalid if it is not a JSON object or if it,
    or the patch, has more than ``MAX_DEPTH`` levels.
    """
    if _measure(patch)[1] > MAX_DEPTH:
        raise _invalid("it nests too deeply")
    return _profile(_merged(document, patch))


def _merged(target: object, patch: object) -> object:
    """MergePatch of RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def json_patch(document: Mapping[str, object], operations: object) -> dict[str, object]:
    """Return the document after all operations, in their order; if one fails, none has happened.

    Raises Invalid for operations that RFC 6902 does not know or that are too many, for copies that add more
    than ``MAX_COPIED``, and for a result that is not a JSON object or has more than ``MAX_DEPTH`` levels.
    Raises PatchFailed if a path is missing or a test fails.
    """
    if not isinstance(operations, list):
        raise _invalid("a list of operations is expected")
    if len(operations) > MAX_OPERATIONS:
        raise _invalid(f"at most {MAX_OPERATIONS} operations are allowed")
    for number, operation in enumerate(operations, 1):
        if fault := _fault(operation):
            raise _invalid(f"operation {number}: {fault}")
    try:
        result: object = _applied(copy.deepcopy(dict(document)), copy.deepcopy(operations))
    except RecursionError:
        refusal: VaultError = _invalid("it nests too deeply")
    except _MISFITS:
        refusal = PatchFailed()
    else:
        return _profile(result)
    raise refusal  # out here, where it has no context: that would hold the library's message


def _applied(result: object, operations: list[dict[str, Any]]) -> object:
    copied = 0
    for operation in operations:
        if operation["op"] == "copy":  # repeated, it doubles the document each time
            copied += _measure(JsonPointer(operation["from"]).resolve(result))[0]
            if copied > MAX_COPIED:
                raise _invalid("its copies add too much")
        result = jsonpatch.apply_patch(result, [operation], in_place=True)
    return result


def _fault(operation: object) -> str | None:
    """Say what is wrong with the form of an operation, in words that hold nothing of it."""
    if not isinstance(operation, dict):
        return "an object is expected"
    op = operation.get("op")
    if not isinstance(op, str) or op not in _MEMBERS:
        return f"'op' must be one of {', '.join(_MEMBERS)}"
    for member in ("path", *_MEMBERS[op]):
        if member not in operation:
            return f"'{member}' is missing"
        if member != "value" and not _is_pointer(operation[member]):
            return f"'{member}' is not a JSON Pointer (RFC 6901)"
    return None


def _is_pointer(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        JsonPointer(value)
    except JsonPointerException:
        return False
    return True


def _profile(result: object) -> dict[str, object]:
    if not isinstance(result, dict):
        raise _invalid("the result must be a JSON object")
    if _measure(result)[1] > MAX_DEPTH:
        raise _invalid("the result nests too deeply")
    return result


def _measure(value: object) -> tuple[int, int]:
    """Return how big a JSON value is (a unit for each value and each character) and how many levels it has."""
    size = depth = 0
    level = [value]
    while level:
        depth += 1
        below: list[object] = []
        for item in level:
            size += 1
            if isinstance(item, dict):
                size += sum(map(len, item))
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, str):
                size += len(item)
        level = below
    return size, depth


def _invalid(what: str) -> Invalid:
    return Invalid(fields={"patch": what})
