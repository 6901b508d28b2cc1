"""Right answers that Schemathesis takes for wrong ones, because JSON Schema and OpenAPI have no words for their cause.

No check is switched off. A complaint is dropped only for the cause that a row of the tables below names, and only after
that cause was found in the very request that was sent. ``api.py`` hands this file to Schemathesis.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import schemathesis

from vault.crypto.normalise import FIELDS
from vault.errors import Malformed
from vault.http.json_body import LEAST_INTEGER, MOST_INTEGER, decode
from vault.http.native.audit import NDJSON as LINES
from vault.http.purpose import METADATA, METADATA_DEPTH, PURPOSE

Json = Any

#: The settings' limits, as they come: levels of JSON, and seconds that a session may ask for.
JSON_DEPTH = 32
MOST_SECONDS = {"expires_in": 86_400, "idle_timeout": 3600}


def _walk(value: Json, depth: int = 0) -> Iterator[tuple[int, Json]]:
    """Yield every value inside with how many arrays and objects it lies in."""
    yield depth, value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _walk(inner, depth + 1)


def _has_huge_integer(request: "Request") -> bool:
    """Beyond 64 bits no two JSON programs agree; a schema cannot bound the numbers of a free-form object."""
    return any(
        isinstance(each, int) and not LEAST_INTEGER <= each <= MOST_INTEGER for _, each in _walk(request.body)
    )


def _nests_deeply(request: "Request") -> bool:
    """No keyword of JSON Schema bounds nesting."""
    return any(depth >= JSON_DEPTH for depth, each in _walk(request.body) if isinstance(each, dict | list))


def _has_if_match(request: "Request") -> bool:
    """Whether a revision is the present one is no question of form (RFC 9110, 13.1.1)."""
    return "if-match" in request.headers


def _has_idempotency_key(request: "Request") -> bool:
    """Whether a key was used before, for another request, is no question of form."""
    return "idempotency-key" in request.headers


def _has_claims(request: "Request") -> bool:
    """What a session may carry is a setting and a search for personal data, and not a form (docs/sessions.md)."""
    return isinstance(request.body, dict) and bool(request.body.get("claims"))


def _asks_too_long(request: "Request") -> bool:
    """The cap is a setting of this vault; the document is one for all."""
    body = request.body if isinstance(request.body, dict) else {}
    return any(
        isinstance(body.get(name), int | float) and body[name] > most for name, most in MOST_SECONDS.items()
    )


def _indexes_no_text(request: "Request") -> bool:
    """A patch makes of a profile what no schema of the patch can say; a batch is any objects, judged one by one."""
    found = (
        each[name]
        for _, each in _walk(request.body)
        if isinstance(each, dict)
        for name in FIELDS
        if name in each
    )
    return _is_json_patch(request) or any(
        isinstance(one, bool) or not isinstance(one, str | int) for one in found
    )


def _is_json_patch(request: "Request") -> bool:
    """The document gives the members of an operation, not which belong together or what a pointer is."""
    return request.headers.get("content-type") == "application/json-patch+json"


def _has_a_purpose(request: "Request") -> bool:
    """Whether a purpose looks like personal data is a search, and not a form (vault/personal_data.py)."""
    return PURPOSE.lower() in request.headers or (isinstance(request.body, dict) and "reason" in request.body)


def _has_odd_metadata(request: "Request") -> bool:
    """A header is text to OpenAPI; that JSON stands in it no keyword makes a condition."""
    try:
        return not isinstance(decode(request.headers[METADATA.lower()].encode(), METADATA_DEPTH), dict)
    except KeyError:
        return False
    except Malformed:
        return True


class Request:
    """What was sent, as the service read it."""

    def __init__(self, response: Any) -> None:
        sent = response.request
        self.headers = {name.lower(): value for name, value in sent.headers.items()}
        self.path = sent.path_url.partition("?")[0]
        try:
            self.body: Json = json.loads(sent.body or b"null")
        except ValueError:
            self.body = None


#: Refusals of what the document allows: the problem's code, words of its detail or fields, and what has to be so.
OUTSIDE_THE_SCHEMA: tuple[tuple[str, str, Callable[[Request], bool]], ...] = (
    ("malformed", "more than 64 bits", _has_huge_integer),
    ("malformed", "levels deep", _nests_deeply),
    ("revision_mismatch", "", _has_if_match),
    ("idempotency_key_reused", "", _has_idempotency_key),
    ("claim_refused", "", _has_claims),
    ("invalid", "must be at most", _asks_too_long),
    ("invalid", "looks like personal data", _has_a_purpose),
    ("invalid", "must be a JSON object", _has_odd_metadata),
)

#: Refusals that the document could tell of, and does not yet. A row goes when the document is made to.
NOT_YET_IN_THE_SCHEMA: tuple[tuple[str, str, Callable[[Request], bool]], ...] = (
    ("invalid", "it is indexed", _indexes_no_text),
    ("invalid", '"patch": ', _is_json_patch),
)


def is_outside_the_schema(problem: Mapping[str, Any], request: Request) -> bool:
    """Whether this refusal has a cause that no schema can say, and that is in the request."""
    told = f"{problem.get('detail')} {json.dumps(problem.get('errors', {}))}"
    return any(
        problem.get("code") == code and words in told and cause(request)
        for code, words, cause in (*OUTSIDE_THE_SCHEMA, *NOT_YET_IN_THE_SCHEMA)
    )


def is_judged_one_by_one(answer: Json, request: Request) -> bool:
    """Whether a batch was taken with its wrong entries told as such: one that is wrong must not spoil the others."""
    entries = request.body.get("profiles") if isinstance(request.body, dict) else None
    return (
        isinstance(entries, list)
        and isinstance(answer, dict)
        and len(answer.get("results", ())) == len(entries)
        and any(result.get("error", {}).get("code") == "invalid" for result in answer["results"])
    )


def has_changed_meanwhile(answer: Json, request: Request) -> bool:
    """Whether it was refused with 412, which Schemathesis does not count among the refusals of a wrong body.

    A precondition is looked at before the content is (RFC 9110, 13.2.1), so a wrong one need not be found.
    """
    return isinstance(answer, dict) and answer.get("code") == "revision_mismatch" and _has_if_match(request)


def methods_at(paths: Mapping[str, Any], path: str) -> set[str]:
    """Return the methods of every template that a path fits: /profiles/batch is a /profiles/{token} as well."""
    found: set[str] = set()
    for template, methods in paths.items():
        pattern = "[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]+\}", template))
        if re.fullmatch(pattern, path):
            found |= {method.upper() for method in methods}
    return found


class Gone:
    """Profiles that are no longer there, as the answers so far have told: erased, or expired by now."""

    def __init__(self) -> None:
        self._erased: set[str] = set()
        self._ends: dict[str, float] = {}

    def note(self, method: str, path: str, status: int, answer: Json) -> None:
        """Read one answer."""
        if method == "DELETE" and status in (200, 204):
            self._erased.add(path.rpartition("/")[2])
        if status == 201 and isinstance(answer, dict) and answer.get("expires_at") and "revision" in answer:
            self._ends[answer["token"]] = datetime.fromisoformat(answer["expires_at"]).timestamp()

    def __contains__(self, token: str) -> bool:
        return token in self._erased or self._ends.get(token, float("inf")) <= time.time()


GONE = Gone()


def says_nothing(response: Any, answer: Json) -> bool:
    """Whether an answer about somebody who is gone is that about somebody who never was: no sessions, or "done"."""
    return answer == {"sessions": []} or (response.status_code == 204 and not response.content)


def _answer(response: Any) -> Json:
    try:
        return json.loads(response.content)
    except ValueError:
        return None


@schemathesis.deserializer(LINES)
def lines(context: Any, response: Any) -> list[Json]:
    """Read an answer of lines as the list that ``api.listed`` has made of its schema, so that each is checked."""
    assert not response.content or response.content.endswith(b"\n"), "the last line has no end"
    return [json.loads(line) for line in response.content.splitlines()]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember who is gone."""
    GONE.note(response.request.method, Request(response).path, response.status_code, _answer(response))


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Tell Schemathesis whether a complaint stands."""
    request, answer = Request(response), _answer(response)
    match str(getattr(failure.code, "value", failure.code)):
        case "ST202":  # refused, and allowed by the document
            return not is_outside_the_schema(answer, request)
        case "ST201":  # accepted, and not allowed by the document
            return not (
                (response.status_code == 200 and is_judged_one_by_one(answer, request))
                or (response.status_code == 412 and has_changed_meanwhile(answer, request))
            )
        case "ST205":  # Allow is of the path, and two templates share this one
            allowed = {one.strip() for one in ", ".join(response.headers["allow"]).split(",")}
            return not allowed <= methods_at(case.operation.schema.raw_schema["paths"], request.path)
        case "ST301":  # there after it was deleted: the sessions of a person who is gone are none
            return not says_nothing(response, answer)
        case (
            "ST302"
        ):  # not there after it was created: a repeated request is answered anew, the person stays erased
            return not any(part in GONE for part in request.path.split("/"))
    return True
