"""All that is held about a person, as an object and as a page to print. Every word on the page is escaped."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from string import Template
from typing import Any

import msgspec

from vault import app_data, approvals, groups, shares, versions
from vault.documents import Document
from vault.http.databunker.method import Call
from vault.http.databunker.shown import shown_to
from vault.installation import Export

#: Kinds of documents whose key is the person's token and a name, which is told.
NAMED = frozenset({app_data.KIND, app_data.FORMER, versions.KIND, groups.MEMBER})

#: Kinds of documents whose content is the person's own data. Of others (access tokens) it is told that they are.
TOLD = NAMED | {approvals.KIND, shares.KIND}

Report = dict[str, Any]


def report_of(held: Export, call: Call) -> Report:
    """Return what this caller is shown. Times in seconds; whoever is shown a part of profiles sees no other content."""
    head, whole = held.profile.head, call.decision.fields is None and not call.decision.masked
    return {
        "token": head.token,
        "profile": shown_to(call, held.profile.content),
        "version": head.revision,
        "createdtime": head.created_at // 1000,
        "updatedtime": head.updated_at // 1000,
        "finaltime": _seconds(head.expires_at),
        "sessions": [
            {
                "createdtime": view.created_at // 1000,
                "lasttime": view.last_seen_at // 1000,
                "finaltime": view.expires_at // 1000,
                **({"sessiondata": msgspec.json.decode(view.claims)} if whole else {}),
            }
            for view in held.sessions
        ],
        "records": [_record(document, whole) for document in held.documents],
        "openings": [
            {
                "timestamp": opening.at // 1000,
                "by": opening.by,
                "eventtype": opening.action,
                "purpose": opening.purpose,
                "fields": opening.fields,
            }
            for opening in held.openings
        ],
    }


def _record(document: Document, whole: bool) -> Report:
    return {
        "type": document.kind,
        **(
            {"name": document.key.replace(document.owner or "", "").strip("/")}
            if document.kind in NAMED
            else {}
        ),
        "createdtime": document.created_at // 1000,
        "updatedtime": document.updated_at // 1000,
        "finaltime": _seconds(document.expires_at),
        **({"data": document.content} if whole and document.kind in TOLD else {}),
    }


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // 1000


# --- the page ------------------------------------------------------------------------------------------------

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Personal data report</title>
<style>
body { font: 11pt/1.4 sans-serif; color: #111; max-width: 50em; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.1em; margin-top: 2em; break-after: avoid }
table { border-collapse: collapse; width: 100%; margin-bottom: 1em; break-inside: avoid }
th, td { border: 1px solid #ccc; padding: .3em .6em; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { width: 35%; font-weight: 600 }
</style>
</head>
<body>
<h1>Personal data report</h1>
<p>All that is held about the person with the token <code>$token</code>, as of $now.</p>
$sections
</body>
</html>
""")

#: Members of a report that hold lists, and what the page calls them.
_LISTS = {"sessions": "Sessions", "records": "Other records", "openings": "Who opened the profile"}

_TIMES = frozenset({"createdtime", "updatedtime", "finaltime", "lasttime", "timestamp"})


def page_of(report: Mapping[str, Any], now: int) -> str:
    """Return the report as an HTML page that stands alone. ``now`` in milliseconds."""
    record = {name: value for name, value in report.items() if name not in ("profile", *_LISTS)}
    sections = [
        _section("Profile", [report["profile"]]),
        _section("Record", [record]),
        *(_section(title, report[name]) for name, title in _LISTS.items()),
    ]
    return _PAGE.substitute(
        token=escape(report["token"]), now=_time(now // 1000), sections="\n".join(sections)
    )


def _section(title: str, objects: Iterable[Mapping[str, Any]]) -> str:
    tables = [_table(one) for one in objects]
    return f"<h2>{escape(title)}</h2>\n" + ("\n".join(tables) or "<p>None.</p>")


def _table(said: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><th>{escape(path)}</th><td>{escape(_told(path, value))}</td></tr>"
        for path, value in _leaves(said)
    ]
    return f"<table>{''.join(rows)}</table>"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that is no object and no list, and its path: "address.city", "phones.0"."""
    inner = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    if not inner:
        yield path, value
    for name, each in inner:
        yield from _leaves(each, f"{path}.{name}" if path else str(name))


def _told(path: str, value: Any) -> str:
    if value is None or value in ({}, []):
        return "—"
    if path in _TIMES:
        return _time(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
