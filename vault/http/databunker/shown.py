"""What a caller is shown of a profile, or of app data: everything that shows some of it shows it through this alone."""

from collections.abc import Sequence
from typing import Any

from vault.http.databunker.method import Call
from vault.masking import MASK, Content, shown


def shown_to(call: Call, content: Content) -> Content:
    """Return what the policies let whoever calls see: ``MASK`` for other texts, nothing for other values."""
    decision = call.decision
    if decision.fields is not None:
        content = _parts(content, [path.split(".") for path in decision.fields])
    return shown(content, None, decision.masked)


def _parts(content: Content, paths: Sequence[Sequence[str]]) -> Content:
    """Mask all but what these paths lead to; the objects that they lead through stay."""
    kept: dict[str, Any] = {}
    for name, value in content.items():
        rest = [path[1:] for path in paths if path[0] == name]
        if [] in rest:
            kept[name] = value
        elif isinstance(value, str):
            kept[name] = MASK
        elif rest and isinstance(value, dict):
            kept[name] = _parts(value, rest)
    return kept
