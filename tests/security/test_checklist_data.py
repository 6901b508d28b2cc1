"""What a session holds, who sees it, and when it is gone: T33 to T36 of docs/security-checklist.md."""

import io
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.security.stage import (
    API,
    CURRENT,
    DAY,
    HOUR,
    ROTATE,
    SESSIONS,
    Answer,
    Client,
    a_person,
    a_session,
    all_bytes,
    ask,
    bearer,
    query,
    shredded,
    worker,
)
from vault.config import Config
from vault.errors import SessionNotFound
from vault.http.app import make_app
from vault.installation import Vault
from vault.tokens import new_session_id, new_user_token

# --- T33 ------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a claim that is not declared": ({"favourite": "teal-marker"}, "claims.favourite", "not_allowed"),
    "a name that stands for personal data": (
        {"billingAddress": "teal-marker"},
        "claims",
        "personal_name",
    ),
    "an e-mail address": ({"role": "teal-marker@example.com"}, "claims.role", "email"),
    "an encoded e-mail address": ({"role": "dGVhbC1tYXJrZXJAZXhhbXBsZS5jb20"}, "claims.role", "email"),
    "a card number": ({"tenant": "4111-1111-1111-1111"}, "claims.tenant", "card"),
    "an IBAN": ({"tenant": "DE89 3704 0044 0532 0130 00"}, "claims.tenant", "iban"),
    "a phone number": ({"tenant": "+49-30-901820"}, "claims.tenant", "phone"),
    "an IP address": ({"tenant": "203.0.113.77"}, "claims.tenant", "ip"),
    "a social security number": ({"tenant": "078-05-1120"}, "claims.tenant", "national_id"),
    "a nested object": ({"role": {"teal": "marker"}}, "claims.role", "type"),
    "the person's own surname": ({"tenant": "featherstonehaugh"}, "claims.tenant", "own_profile"),
    "too many": ({f"c{n}": "x" for n in range(17)}, "claims", "too_many"),
    "too much": ({"role": "x" * 1100}, "claims", "too_large"),
}
refused = pytest.mark.parametrize(("claims", "field", "rule"), REFUSED.values(), ids=REFUSED)


@refused
async def test_t33_every_write_refuses_what_a_session_must_not_hold(
    client: Client, vault: Vault, data: Path, claims: dict[str, Any], field: str, rule: str
) -> None:
    """Open, change and rotate answer 422 with claim and rule, never the value, and nothing is changed."""
    person = await a_person(vault, last_name="Featherstonehaugh")
    opened = await a_session(vault, person, claims={"role": "reader"})
    before = query(data, "SELECT * FROM sessions")

    answers = [
        await ask(client, "POST", SESSIONS, {"user_token": person, "claims": claims}),
        await ask(client, "PATCH", CURRENT, {"claims": claims}, session_id=opened.session_id),
        await ask(client, "POST", ROTATE, {"claims": claims}, session_id=opened.session_id),
        await ask(
            client, "POST", ROTATE, {"claims": claims, "reauthenticated": True}, session_id=opened.session_id
        ),
    ]

    for answer in answers:
        assert (answer.status, answer.body["code"]) == (422, "claim_refused")
        assert [(name, text.split(":")[0]) for name, (text,) in answer.body["errors"].items()] == [
            (field, rule)
        ]
        for value in _texts(claims):
            assert value not in answer.text
    assert query(data, "SELECT * FROM sessions") == before


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    return [value] if isinstance(value, str) and len(value) > 1 else []


def test_t33_the_columns_of_a_session_row_are_a_closed_list(data: Path) -> None:
    """Beside the sealed claims a row holds a digest, pseudonyms, times and counters: no IP, no user agent."""
    columns = {name for (name,) in query(data, "SELECT name FROM pragma_table_info('sessions')")}

    assert columns == {
        "digest", "handle", "user_token", "box", "key_version", "epoch", "lifetime", "idle_timeout",
        "created_at", "authenticated_at", "last_seen_at", "expires_at", "idle_expires_at",
    }  # fmt: skip


async def test_t33_claims_are_sealed_in_the_file(vault: Vault, data: Path) -> None:
    """Even what is allowed is not readable in the database or its WAL."""
    await a_session(vault, claims={"role": "stargazer", "tenant": "outer-planets"})

    assert not any(word in all_bytes(data) for word in (b"stargazer", b"outer-planets"))


# --- T34 ------------------------------------------------------------------------------------------------------


async def test_t34_an_access_key_with_a_list_of_claims_is_shown_only_those(
    client: Client, anonymous: Client, vault: Vault, key_for: Callable[..., Awaitable[str]]
) -> None:
    """In every answer that holds a session: opened, found, changed, rotated, listed, exported."""
    key = await key_for("admin", claims={"locale", "scope"})
    claims = {"roles": ["admin"], "tenant": "acme", "locale": "de"}
    person = await a_person(vault)

    async def limited(method: str, path: str, body: object = None, session_id: str | None = None) -> Answer:
        return await ask(anonymous, method, path, body, session_id, **bearer(key))

    opened = await limited("POST", SESSIONS, {"user_token": person, "claims": claims})
    session_id = opened.body["session_id"]
    seen = [
        opened.body,
        (await limited("GET", CURRENT, session_id=session_id)).body,
        (await limited("PATCH", CURRENT, {"claims": {"roles": ["owner"]}}, session_id)).body,
        *(await limited("GET", f"{API}/profiles/{person}/sessions")).body["sessions"],
        *(await limited("GET", f"{API}/profiles/{person}/export")).body["sessions"],
        (rotated := await limited("POST", ROTATE, {}, session_id)).body,
    ]
    assert [view["claims"] for view in seen] == [{"locale": "de"}] * 6

    whole = await ask(client, "GET", CURRENT, session_id=rotated.body["session_id"])
    assert whole.body["claims"] == {**claims, "roles": ["owner"]}


async def test_t34_an_empty_list_shows_none(
    anonymous: Client, vault: Vault, key_for: Callable[..., Awaitable[str]]
) -> None:
    """A key that may see no claim learns that the session lives, and nothing else of it."""
    key = await key_for("sessions:read", claims=[])
    opened = await a_session(vault, claims={"role": "reader"})

    seen = await ask(anonymous, "GET", CURRENT, session_id=opened.session_id, **bearer(key))

    assert (seen.status, seen.body["claims"]) == (200, {})


async def test_t34_a_key_that_reads_sessions_reads_no_profile(
    anonymous: Client, vault: Vault, key_for: Callable[..., Awaitable[str]]
) -> None:
    """The key of an ordinary backend opens, exports and finds nobody's profile."""
    key = await key_for("sessions:read", "sessions:write", "sessions:revoke")
    person = await a_person(vault, email="ada@example.org")

    for method, path, body in (
        ("GET", f"{API}/profiles/{person}", None),
        ("GET", f"{API}/profiles/{person}/export", None),
        ("POST", f"{API}/profiles/lookup", {"email": "ada@example.org"}),
    ):
        assert (await ask(anonymous, method, path, body, **bearer(key))).status == 403


# --- T35 ------------------------------------------------------------------------------------------------------


async def test_t35_what_has_ended_is_physically_gone_after_a_round(
    vault: Vault, data: Path, clock: FakeClock
) -> None:
    """No sealed byte of an expired, revoked, rotated, changed or erased session is in the database or its WAL."""
    kept_person, ended_person, erased = [await a_person(vault) for _ in range(3)]
    for idle in (60, 120, 180):
        await a_session(vault, idle_timeout=idle, claims={"role": "reader"})
    revoked = await a_session(vault)
    await a_session(vault, ended_person)
    await a_session(vault, erased)
    others = [(await a_session(vault, kept_person)).session_id for _ in range(61)]
    changed, rotated, *_ = others
    boxes = {box for (box,) in query(data, "SELECT box FROM sessions")}
    profile_box = query(data, "SELECT box FROM profiles WHERE token = ?", erased, database="vault")[0][0]
    assert all(box in all_bytes(data) for box in (*boxes, profile_box))  # the search finds what is there

    await vault.sessions.change_claims(changed, {"role": "editor"})
    await vault.sessions.rotate(rotated)
    await vault.sessions.end(revoked.session_id)
    await vault.sessions.end_all(ended_person)
    await vault.profiles.erase(erased)
    clock.advance(180)
    swept = await vault.housekeeping.round()
    await shredded(data)

    left = {box for (box,) in query(data, "SELECT box FROM sessions")}
    gone = boxes - left
    assert (swept, len(left), len(gone)) == (3, 61, 8)
    held = all_bytes(data)
    assert all(box in held for box in left)
    for box in (*gone, profile_box):
        for part in (box[-32:], box[len(box) // 2 :][:32]):  # the head of a box is not secret
            assert part not in held


async def test_t35_ten_times_a_chunk_is_swept_in_one_round(data: Path, clock: FakeClock) -> None:
    """A round goes on until nothing dead is left, idle ends and absolute ends alike; revoked rows went at once."""
    config = replace(Config(), housekeeping=replace(Config().housekeeping, chunk=5))
    async with worker(data, clock, config) as vault:
        person = await a_person(vault)
        for number in range(20):
            await a_session(vault, expires_in=60)
            await a_session(vault, idle_timeout=60)
            await a_session(vault, person if number < 10 else None, idle_timeout=HOUR)
        await vault.sessions.end_all(person)
        assert query(data, "SELECT count(*) FROM sessions") == [(50,)]
        clock.advance(60)

        assert await vault.housekeeping.round() == 40
        assert query(data, "SELECT count(*) FROM sessions") == [(10,)]
        assert vault.housekeeping.census.live_sessions == 10


async def test_t35_a_kept_answer_is_gone_after_its_day(
    client: Client, vault: Vault, data: Path, clock: FakeClock
) -> None:
    """The sealed answer that serves repeats holds an id too, and it leaves the disk like a session."""
    await ask(client, "POST", SESSIONS, {}, **{"Idempotency-Key": "once"})
    ((box,),) = query(data, "SELECT box FROM answers")
    assert box in all_bytes(data)

    clock.advance(DAY)
    await vault.housekeeping.round()
    await shredded(data)

    assert query(data, "SELECT * FROM answers") == []
    assert box[-32:] not in all_bytes(data)


# --- T36 ------------------------------------------------------------------------------------------------------


def _events(log: io.StringIO) -> list[tuple[str, str | None]]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [
        (line["event"], line.get("reason"))
        for line in lines
        if line["event"] not in ("request", "access.created")
    ]


async def test_t36_each_turn_of_a_session_is_an_event_with_its_reason(
    vault: Vault, clock: FakeClock, log: io.StringIO
) -> None:
    """Opened, changed, rotated, revoked in each way, refused for each cause, swept, erased: one line each, in order."""
    person = await a_person(vault)
    first, second, third = [await a_session(vault, person) for _ in range(3)]
    await vault.sessions.change_claims(first.session_id, {"role": "reader"})
    first = await vault.sessions.rotate(first.session_id)
    first = await vault.sessions.rotate(first.session_id, reauthenticated=True)
    await vault.sessions.end(first.session_id)
    await vault.sessions.end_handle(second.view.handle)
    await vault.sessions.end_all(person)
    for dead in (third.session_id, new_session_id()):
        with pytest.raises(SessionNotFound):
            await vault.sessions.current(dead)
    expired = await a_session(vault, idle_timeout=60)
    clock.advance(60)
    with pytest.raises(SessionNotFound):
        await vault.sessions.current(expired.session_id)
    await vault.profiles.erase(person)
    await a_session(vault, idle_timeout=60)
    clock.advance(60)
    await vault.housekeeping.round()

    assert _events(log) == [
        *[("session.opened", None)] * 3,
        ("session.changed", None),
        ("session.rotated", "asked"),
        ("session.rotated", "reauthenticated"),
        ("session.revoked", "by_id"),
        ("session.revoked", "by_handle"),
        ("session.revoked", "all_of_person"),
        *[("session.refused", "unknown")] * 2,
        ("session.opened", None),
        ("session.refused", "expired"),
        ("profile.erased", None),
        ("session.opened", None),
        ("housekeeping.swept", None),
    ]


async def test_t36_a_refused_claim_is_an_event_with_its_rules(client: Client, log: io.StringIO) -> None:
    """The line names the rules, the key and the request, and not the claim's value."""
    await ask(client, "POST", SESSIONS, {"claims": {"role": "teal@example.org", "shoe_size": 44}})

    (line,) = [json.loads(each) for each in log.getvalue().splitlines() if "claims_refused" in each]
    assert line["rules"] == ["email", "not_allowed"]
    assert set(line) == {"time", "level", "event", "rules", "request_id", "key_id"}


async def test_t36_events_name_the_access_key_and_the_request(
    client: Client, vault: Vault, log: io.StringIO
) -> None:
    """Who did it is in the line: the public id of the access key, and the request's id as the caller saw it."""
    opened = await ask(client, "POST", SESSIONS, {"user_token": await a_person(vault)})

    (line,) = [json.loads(each) for each in log.getvalue().splitlines() if "session.opened" in each]
    assert line["key_id"] == client.session.headers["Authorization"].split("_")[1]
    assert line["request_id"] == opened.headers["X-Request-Id"]


async def test_t36_a_session_that_made_room_is_an_event(
    data: Path, clock: FakeClock, log: io.StringIO
) -> None:
    """A login beyond the limit ends the oldest session, and the log says that one was ended, and why."""
    config = replace(Config(), sessions=replace(Config().sessions, max_per_person=1))
    async with worker(data, clock, config) as vault:
        person = await a_person(vault)
        for _ in range(2):
            await a_session(vault, person)

    assert ("session.revoked", "limit") in _events(log)


async def test_t36_refusals_are_counted_by_their_code(data: Path, clock: FakeClock) -> None:
    """A login beyond the limit, for nobody, or with a bad claim: each is in the metrics under its code."""
    config = replace(Config(), sessions=replace(Config().sessions, max_per_person=1, at_limit="refuse"))
    async with worker(data, clock, config) as vault:
        person = await a_person(vault)
        await a_session(vault, person)
        key, _ = await vault.access.create("test", {"admin"})
        async with TestClient(TestServer(make_app(vault)), headers=bearer(key)) as client:
            for body in (
                {"user_token": person},
                {"user_token": new_user_token()},
                {"claims": {"email": "x"}},
            ):
                await ask(client, "POST", SESSIONS, body)
            metrics = (await ask(client, "GET", "/metrics")).text

    counted = re.findall(r'^vault_refusals_total\{code="(\w+)",key_id="\w+"\} 1.0$', metrics, re.MULTILINE)
    assert sorted(counted) == ["claim_refused", "profile_not_found", "session_limit"]
