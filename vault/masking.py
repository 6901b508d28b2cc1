"""What of a profile is shown: pure functions over its content. A path names a field: "address.city"."""

from collections.abc import Mapping, Sequence
from typing import Any

Content = dict[str, Any]

MASK = "***"

#: Stands for what is left out.
_GONE = object()


def shown(content: Content, fields: Sequence[str] | None, masked: Sequence[str]) -> Content:
    """Return only these fields (None: all), with ``MASK`` for strings at a masked path and nothing for other values.

    A masked path is followed with caution, since one that misses would show what it should hide: it goes into each
    item of a list and into names that hold the dot themselves, and a plain value in its way is masked too.
    """
    held = content if fields is None else project(content, fields)
    for path in masked:
        held = _without(held, path)
    return held


def project(content: Mapping[str, Any], paths: Sequence[str]) -> Content:
    """Return only the named fields, in their places: "address.city" gives {"address": {"city": …}}.

    A path that leads nowhere is left out.
    """
    chosen: Content = {}
    for path in paths:
        found: Any = content
        *parents, last = path.split(".")
        place = chosen
        for name in [*parents, last]:
            if not isinstance(found, dict) or name not in found:
                break
            found = found[name]
        else:
            for name in parents:
                place = place.setdefault(name, {})
            place[last] = found
    return chosen


def _without(content: Content, path: str) -> Content:
    kept = {
        name: _hidden(value, rest)
        for name, value in content.items()
        if (rest := _rest(name, path)) is not None
    }
    return {name: kept.get(name, value) for name, value in content.items() if kept.get(name) is not _GONE}


def _hidden(value: Any, path: str) -> Any:
    """Return the value without what lies at this path in it; "" is the value itself."""
    if isinstance(value, str):
        return MASK
    if path and isinstance(value, dict):
        return _without(value, path)
    if path and isinstance(value, list):
        return [each for each in (_hidden(item, path) for item in value) if each is not _GONE]
    return _GONE


def _rest(name: str, path: str) -> str | None:
    """Return what is left of a path past this name; None if it does not begin with it."""
    if path == name:
        return ""
    return path[len(name) + 1 :] if path.startswith(f"{name}.") else None
