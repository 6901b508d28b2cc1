"""How a session begins, lives and ends: T8 to T20 of docs/security-checklist.md."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from tests.clock import FakeClock
from tests.program import Program
from tests.security.stage import (
    API,
    CURRENT,
    DAY,
    HOUR,
    MINUTE,
    ROTATE,
    SESSIONS,
    Client,
    CountingStore,
    HeldStore,
    a_person,
    a_session,
    ask,
    bearer,
    query,
    worker,
)
from vault import wiring
from vault.access import VERDICT_LIFETIME
from vault.clock import SystemClock
from vault.config import Config
from vault.errors import ProfileNotFound, SessionNotFound, StoreUnavailable
from vault.http.app import make_app
from vault.installation import Vault
from vault.session_life import MOST_LISTED, TOUCH_STEP
from vault.session_views import OpenedSession, SessionView
from vault.tokens import new_handle, session_digest

PAGE = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text("utf-8")


async def is_live(vault: Vault, session_id: str) -> bool:
    """Whether a look-up finds the session."""
    try:
        await vault.sessions.current(session_id)
    except SessionNotFound:
        return False
    return True


def at(text: str) -> int:
    """Return an answer's time in milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# --- T8: renewal --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"reauthenticated": True}, {"claims": {"role": "admin"}}], ids=str)
async def test_t08_a_new_id_and_the_old_one_is_dead_at_once(
    client: Client, vault: Vault, body: dict[str, Any]
) -> None:
    """Step-up, re-authentication and plain rotation: no call takes the old id in the same millisecond."""
    old = await a_session(vault)

    new = await ask(client, "POST", ROTATE, body, session_id=old.session_id)

    assert new.status == 200
    assert new.body["session_id"] != old.session_id
    for method, path, sent in (
        ("GET", CURRENT, None),
        ("PATCH", CURRENT, {"claims": {}}),
        ("POST", ROTATE, {}),
    ):
        assert (await ask(client, method, path, sent, session_id=old.session_id)).status == 404
    assert (await ask(client, "DELETE", CURRENT, session_id=old.session_id)).status == 204
    found = await ask(client, "GET", CURRENT, session_id=new.body["session_id"])
    assert (found.status, found.body["handle"]) == (200, old.view.handle)


async def test_t08_there_is_no_grace_and_no_chain_of_predecessors(vault: Vault) -> None:
    """After several rotations only the last id lives; parents and grandparents are unknown."""
    ids = [(await a_session(vault)).session_id]
    for _ in range(5):
        ids.append((await vault.sessions.rotate(ids[-1])).session_id)

    assert [await is_live(vault, session_id) for session_id in ids] == [False] * 5 + [True]


async def test_t08_every_login_gives_a_new_id(vault: Vault) -> None:
    """Two logins of one person never share an id or a handle."""
    person = await a_person(vault)
    opened = [await a_session(vault, person) for _ in range(20)]

    assert len({one.session_id for one in opened}) == len({one.view.handle for one in opened}) == 20


# --- T9 to T12: the two limits --------------------------------------------------------------------------------


async def test_t09_idle_expiry_is_exact_and_use_before_it_slides(client: Client, clock: FakeClock) -> None:
    """Alive one millisecond before the end, and dead at the very millisecond; the use in between slid it."""
    opened = (await ask(client, "POST", SESSIONS, {"idle_timeout": 600})).body
    end = clock.time + 600_000

    clock.time = end - 1
    slid = await ask(client, "GET", CURRENT, session_id=opened["session_id"])
    assert at(slid.body["idle_expires_at"]) == end - 1 + 600_000
    clock.time = at(slid.body["idle_expires_at"])
    assert (await ask(client, "GET", CURRENT, session_id=opened["session_id"])).status == 404
    clock.time -= 1
    assert (await ask(client, "GET", CURRENT, session_id=opened["session_id"])).status == 200


async def test_t09_idle_expiry_is_exact_without_any_use(vault: Vault, clock: FakeClock) -> None:
    """A session that nobody uses is dead at its idle timeout, to the millisecond."""
    opened, start = await a_session(vault, idle_timeout=600), clock.time

    clock.time = start + 600_000
    assert not await is_live(vault, opened.session_id)
    clock.time -= 1
    assert await is_live(vault, opened.session_id)


@pytest.mark.parametrize(("idle", "step"), [(3600, 60), (600, 60), (100, 10), (5, 0.5)])
async def test_t09_the_window_slides_in_steps_early_and_never_late(
    vault: Vault, clock: FakeClock, idle: int, step: float
) -> None:
    """Within a step of the last slide nothing is written; at the step it slides to a full idle window."""
    opened, start = await a_session(vault, idle_timeout=idle), clock.time

    clock.time = start + int(step * 1000) - 1
    assert (await vault.sessions.current(opened.session_id)).idle_expires_at == start + idle * 1000
    clock.time = start + int(step * 1000)
    assert (await vault.sessions.current(opened.session_id)).idle_expires_at == clock.time + idle * 1000


async def test_t10_no_call_moves_the_absolute_end(client: Client, vault: Vault, clock: FakeClock) -> None:
    """Look-ups, changes of claims and rotations go on for a day, and at its last millisecond the session is over."""
    opened = await a_session(vault, await a_person(vault))
    session_id, end = opened.session_id, clock.time + DAY * 1000
    assert opened.view.expires_at == end

    for number in range(47):
        clock.advance(HOUR / 2)
        seen = [await ask(client, "GET", CURRENT, session_id=session_id)]
        seen.append(
            await ask(client, "PATCH", CURRENT, {"claims": {"role": f"r{number}"}}, session_id=session_id)
        )
        seen.append(await ask(client, "POST", ROTATE, {}, session_id=session_id))
        session_id = seen[-1].body["session_id"]
        assert [at(answer.body["expires_at"]) for answer in seen] == [end] * 3
    clock.time = end - 1
    assert await is_live(vault, session_id)
    clock.time = end
    assert not await is_live(vault, session_id)
    with pytest.raises(SessionNotFound):
        await vault.sessions.rotate(session_id, reauthenticated=True)  # too late, even for that


async def test_t10_only_a_new_authentication_restarts_it(
    client: Client, vault: Vault, clock: FakeClock
) -> None:
    """A rotation that says so restarts both limits, with the session's own durations, and nothing longer."""
    opened = await a_session(vault, expires_in=2 * HOUR, idle_timeout=HOUR)
    clock.advance(50 * MINUTE)

    new = await ask(client, "POST", ROTATE, {"reauthenticated": True}, session_id=opened.session_id)

    assert at(new.body["expires_at"]) == clock.time + 2 * HOUR * 1000
    assert at(new.body["idle_expires_at"]) == clock.time + HOUR * 1000


@pytest.mark.parametrize(
    "field", ["expires_in", "idle_timeout", "expires_at", "lifetime", "authenticated_at"]
)
async def test_t10_no_body_can_name_an_end_or_a_time(client: Client, vault: Vault, field: str) -> None:
    """Neither changing nor rotating takes a duration or a time, and opening takes no time."""
    session_id = (await a_session(vault)).session_id

    assert (await ask(client, "POST", ROTATE, {field: 10**9}, session_id=session_id)).status == 422
    patched = await ask(client, "PATCH", CURRENT, {"claims": {}, field: 10**9}, session_id=session_id)
    assert patched.status == 422
    assert (await ask(client, "POST", SESSIONS, {field: 10**9})).status == 422


async def test_t10_the_caps_bind_every_caller(client: Client) -> None:
    """More than the configured caps is refused, naming the field; the caps themselves are allowed."""
    for field, cap in (("expires_in", DAY), ("idle_timeout", HOUR)):
        refused = await ask(client, "POST", SESSIONS, {field: cap + 1})
        assert (refused.status, list(refused.body["errors"])) == (422, [field])
        assert (await ask(client, "POST", SESSIONS, {field: cap})).status == 201


STEPS = st.one_of(
    st.tuples(st.just("wait"), st.integers(0, 400_000)),
    st.tuples(st.sampled_from(["look up", "change", "rotate", "reauthenticate"]), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(
    lifetime=st.integers(1, 2000), idle=st.integers(1, 2000), steps=st.lists(STEPS, min_size=1, max_size=25)
)
def test_t11_the_end_shown_is_the_earlier_one_after_any_sequence_of_calls(
    lifetime: int, idle: int, steps: list[tuple[str, int]]
) -> None:
    """Against a model of two limits and a step: alive exactly until the end shown, which never passes either limit."""
    asyncio.run(_follow(lifetime * 1000, idle * 1000, steps))


async def _follow(lifetime: int, idle: int, steps: list[tuple[str, int]]) -> None:
    config, clock = Config(), FakeClock()
    config = replace(config, storage=replace(config.storage, url="memory:"))
    async with wiring.open_vault(config, None, clock=clock) as vault:
        opened = await a_session(vault, expires_in=lifetime // 1000, idle_timeout=idle // 1000)
        session_id, view = opened.session_id, opened.view
        absolute, last = clock.time + lifetime, clock.time
        step = min(TOUCH_STEP, idle // 10)
        for verb, milliseconds in steps:
            clock.time += milliseconds
            if verb == "wait":
                continue
            now, end = clock.time, min(last + idle, absolute)
            done = await _do(vault, verb, session_id)
            if now >= end:
                assert done is None
                return
            assert done is not None
            if isinstance(done, OpenedSession):
                session_id, view, last = done.session_id, done.view, now
                absolute = now + lifetime if verb == "reauthenticate" else absolute
            else:
                view = done
                last = now if verb == "look up" and now - last >= step else last
            assert view.expires_at == absolute
            assert view.idle_expires_at == min(last + idle, absolute)
            # Never late, and for a look-up early by less than a step.
            assert view.idle_expires_at <= min(now + idle, absolute)
            if verb != "change":
                assert view.idle_expires_at > min(now + idle, absolute) - max(step, 1)
            assert 0 <= view.cache_for <= (view.idle_expires_at - now) / 1000


async def _do(vault: Vault, verb: str, session_id: str) -> OpenedSession | SessionView | None:
    sessions = vault.sessions
    try:
        if verb == "look up":
            return await sessions.current(session_id)
        if verb == "change":
            return await sessions.change_claims(session_id, {"role": "reader"})
        return await sessions.rotate(session_id, reauthenticated=verb == "reauthenticate")
    except SessionNotFound:
        return None


async def test_t12_expiry_is_judged_on_reading_and_needs_no_sweeper(
    vault: Vault, data: Path, clock: FakeClock
) -> None:
    """The row still lies in the file, and neither look-up, change, rotation nor list will have it."""
    person = await a_person(vault)
    opened = await a_session(vault, person)
    clock.advance(HOUR)

    assert query(data, "SELECT count(*) FROM sessions") == [(1,)]
    for call in (
        vault.sessions.current(opened.session_id),
        vault.sessions.change_claims(opened.session_id, {"role": "reader"}),
        vault.sessions.rotate(opened.session_id),
    ):
        with pytest.raises(SessionNotFound):
            await call
    assert await vault.sessions.of_person(person) == []
    assert query(data, "SELECT count(*) FROM sessions") == [(1,)]


async def test_t12_no_answer_leaves_a_lifetime_to_a_client(client: Client, vault: Vault) -> None:
    """There is no cookie and no HTTP expiry in the answers: the vault alone knows when it is over."""
    opened = await a_session(vault)
    answers = [
        await ask(client, "POST", SESSIONS, {}),
        await ask(client, "GET", CURRENT, session_id=opened.session_id),
        await ask(client, "POST", ROTATE, {}, session_id=opened.session_id),
    ]

    for answer in answers:
        assert not {"Set-Cookie", "Expires", "Age"} & set(answer.headers)
        assert "max-age" not in answer.headers["Cache-Control"]


# --- T13: every worker ----------------------------------------------------------------------------------------

Ending = Callable[[Vault, str, OpenedSession], Coroutine[Any, Any, object]]
ENDINGS: dict[str, Ending] = {
    "logout": lambda vault, _, opened: vault.sessions.end(opened.session_id),
    "ended by handle": lambda vault, _, opened: vault.sessions.end_handle(opened.view.handle),
    "all of the person ended": lambda vault, person, _: vault.sessions.end_all(person),
    "rotated": lambda vault, _, opened: vault.sessions.rotate(opened.session_id),
    "person erased": lambda vault, person, _: vault.profiles.erase(person),
}
endings = pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)


@endings
async def test_t13_what_one_worker_ended_no_worker_finds(data: Path, clock: FakeClock, end: Ending) -> None:
    """Three workers on the same files, all warm: the very next look-up fails in each, and so do all later ones."""
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(data, clock)) for _ in range(3)]
        person = await a_person(workers[0])
        opened = await a_session(workers[0], person)
        for _ in range(3):
            assert all([await is_live(one, opened.session_id) for one in workers])

        await end(workers[1], person, opened)

        for _ in range(3):
            assert not any([await is_live(one, opened.session_id) for one in workers])
            clock.advance(2 * MINUTE)


async def test_t13_a_role_taken_away_in_one_worker_is_gone_in_all(data: Path, clock: FakeClock) -> None:
    """Two workers that have the session in memory: the next look-up in either shows the claims as they are now."""
    async with worker(data, clock) as one, worker(data, clock) as other:
        opened = await a_session(one, claims={"roles": ["admin"], "role": "admin"})
        for vault in (one, other):
            await vault.sessions.current(opened.session_id)

        await one.sessions.change_claims(opened.session_id, {"roles": ["reader"], "role": None})

        for vault in (one, other):
            assert json.loads(bytes((await vault.sessions.current(opened.session_id)).claims)) == {
                "roles": ["reader"]
            }


async def test_t13_another_process_finds_at_once_that_it_is_over(data: Path, tmp_path: Path) -> None:
    """A real server process answers 404 to the first look-up after this process has revoked."""
    async with worker(data, SystemClock()) as vault:
        key, _ = await vault.access.create("test", {"sessions:read"})
        with Program(data, tmp_path) as program:
            async with TestClient(_Remote(program.url), headers=bearer(key)) as client:
                for end in ENDINGS.values():
                    person = await a_person(vault)
                    opened = await a_session(vault, person)
                    assert (await ask(client, "GET", CURRENT, session_id=opened.session_id)).status == 200
                    await end(vault, person, opened)
                    assert (await ask(client, "GET", CURRENT, session_id=opened.session_id)).status == 404
            assert program.stop() == 0


class _Remote(TestServer):
    """A server that somebody else has started."""

    def __init__(self, url: str) -> None:
        super().__init__(web.Application())
        self._url = url

    async def start_server(self, **_: Any) -> None:
        """Nothing to do."""

    def make_url(self, path: Any) -> Any:
        """Point at the other process."""
        return URL(self._url).join(URL(str(path)))


async def test_t13_an_answer_may_be_reused_for_the_budget_and_never_past_the_end(
    client: Client, vault: Vault, clock: FakeClock
) -> None:
    """``cache_for`` is the configured number of seconds, and shrinks to nothing before the session's end."""
    opened = await a_session(vault, expires_in=600, idle_timeout=600)
    budget = vault.config.sessions.cache_for
    left = {600.0: budget, 2.0: 2, 1.999: 1, 1.0: 1, 0.999: 0, 0.001: 0}

    for seconds, expected in left.items():
        clock.time = opened.view.created_at + 600_000 - int(seconds * 1000)
        found = await ask(client, "GET", CURRENT, session_id=opened.session_id)
        assert found.body["cache_for"] == expected


async def test_t13_a_revoked_access_key_is_refused_within_its_budget(data: Path, clock: FakeClock) -> None:
    """In the process that revoked it at once, in any other after the lifetime of a verdict."""
    async with worker(data, clock) as one, worker(data, clock) as other:
        key, row = await one.access.create("test", {"sessions:read"})
        await one.access.authenticate(key)
        await other.access.authenticate(key)

        await one.access.revoke(row.id)

        with pytest.raises(Exception, match="access key"):
            await one.access.authenticate(key)
        clock.time += VERDICT_LIFETIME
        with pytest.raises(Exception, match="access key"):
            await other.access.authenticate(key)


# --- T14: the person ------------------------------------------------------------------------------------------


async def test_t14_erasing_a_person_ends_every_session_and_forbids_new_ones(
    client: Client, vault: Vault, data: Path
) -> None:
    """When the erasure is answered no row of the person's sessions is left, and none can be opened again."""
    person, other = await a_person(vault), await a_person(vault)
    theirs = [await a_session(vault, person) for _ in range(5)]
    kept = await a_session(vault, other)

    assert (await ask(client, "DELETE", f"{API}/profiles/{person}")).status == 200

    for opened in theirs:
        assert (await ask(client, "GET", CURRENT, session_id=opened.session_id)).status == 404
    assert (await ask(client, "POST", SESSIONS, {"user_token": person})).status == 404
    assert query(data, "SELECT handle FROM sessions") == [(kept.view.handle,)]
    assert await is_live(vault, kept.session_id)


async def test_t14_between_note_and_close_nothing_is_opened_and_after_it_nothing_lives(
    data: Path, clock: FakeClock
) -> None:
    """An erasure is stopped right after its durable note, as the two files share no transaction."""
    held: list[HeldStore] = []

    def hold(store: Any) -> HeldStore:
        held.append(HeldStore(store, "note_erasure"))
        return held[-1]

    async with worker(data, clock, profiles=hold) as eraser, worker(data, clock) as other:
        person = await a_person(other)
        opened = await a_session(other, person)
        erasure = asyncio.create_task(eraser.profiles.erase(person))
        await held[0].arrivals()

        for vault in (eraser, other):
            with pytest.raises(ProfileNotFound):
                await a_session(vault, person)
            for call in (
                vault.sessions.rotate(opened.session_id),
                vault.sessions.change_claims(opened.session_id, {}),
            ):
                with pytest.raises(SessionNotFound):
                    await call
        held[0].release()
        await erasure

        assert not await is_live(other, opened.session_id)
    assert query(data, "SELECT count(*) FROM sessions") == [(0,)]


async def test_t14_a_login_that_overlaps_an_erasure_leaves_no_session(data: Path, clock: FakeClock) -> None:
    """A login is stopped before its insert; the person is erased; then the insert is refused."""
    held: list[HeldStore] = []

    def hold(store: Any) -> HeldStore:
        held.append(HeldStore(store, "find"))
        return held[-1]

    async with worker(data, clock, profiles=hold) as late, worker(data, clock) as eraser:
        person = await a_person(eraser)
        login = asyncio.create_task(a_session(late, person))
        await held[0].arrivals()  # epoch and profile have been read, and both were fine
        await eraser.profiles.erase(person)
        held[0].release()

        with pytest.raises(ProfileNotFound):
            await login
    assert query(data, "SELECT count(*) FROM sessions") == [(0,)]


async def test_t14_an_erasure_that_failed_half_way_is_finished_at_the_next_start(
    data: Path, clock: FakeClock
) -> None:
    """The session store fails at the worst moment: the caller hears of it, and the next start ends the sessions."""

    def broken(store: Any) -> CountingStore:
        return CountingStore(store, ("close",))

    async with worker(data, clock, sessions=broken) as vault:
        person = await a_person(vault)
        opened = await a_session(vault, person)
        with pytest.raises(StoreUnavailable):
            await vault.profiles.erase(person)
    async with wiring.open_vault(Config(), data, clock=clock) as vault:
        assert not await is_live(vault, opened.session_id)
        assert query(data, "SELECT count(*) FROM sessions") == [(0,)]


async def test_t14_no_session_outlives_its_person(vault: Vault, clock: FakeClock) -> None:
    """A profile with an end of its own ends its sessions at that moment, sweeper or not, rotated or not."""
    person = await a_person(vault, expires_in=HOUR // 2)
    plain, renewed = await a_session(vault, person), await a_session(vault, person)
    clock.advance(10 * MINUTE)
    renewed = await vault.sessions.rotate(renewed.session_id, reauthenticated=True)

    clock.advance(20 * MINUTE)

    assert not await is_live(vault, plain.session_id)
    assert not await is_live(vault, renewed.session_id)


async def test_t14_the_end_of_a_person_cannot_come_nearer_than_that_of_the_sessions(
    client: Client, vault: Vault
) -> None:
    """A profile's end is set once, so a session that was cut at it stays right: no change takes another end."""
    person = await a_person(vault, expires_in=HOUR)
    path, content = f"{API}/profiles/{person}", {"email": "ada@example.org"}
    before = (await ask(client, "GET", path)).body["expires_at"]

    refused = await ask(client, "PUT", path, {"profile": content, "expires_in": 60})
    assert (refused.status, list(refused.body["errors"])) == (422, ["expires_in"])
    assert (await ask(client, "PUT", path, {"profile": {**content, "expires_in": 60}})).status == 200
    patch = {"Content-Type": "application/merge-patch+json"}
    assert (await ask(client, "PATCH", path, {"expires_in": 60, "expires_at": 1}, **patch)).status == 200
    assert (await ask(client, "GET", path)).body["expires_at"] == before


# --- T15, T16: ending and listing -----------------------------------------------------------------------------


async def test_t15_all_but_the_current_session_can_be_ended(client: Client, vault: Vault) -> None:
    """After a change of password: one call ends all of one person's sessions and keeps the one in use."""
    person, other = await a_person(vault), await a_person(vault)
    kept, *ended = [await a_session(vault, person) for _ in range(5)]
    elsewhere = await a_session(vault, other)

    path = f"{API}/profiles/{person}/sessions?keep={kept.view.handle}"
    assert (await ask(client, "DELETE", path)).status == 204

    assert [await is_live(vault, one.session_id) for one in (kept, elsewhere, *ended)] == [True] * 2 + [
        False
    ] * 4
    again = await a_session(vault, person)  # the new epoch takes logins
    assert await is_live(vault, again.session_id)


@pytest.mark.parametrize("which", ["unknown", "of another person", "of an ended session"])
async def test_t15_only_a_live_session_of_the_person_can_be_kept(
    client: Client, vault: Vault, which: str
) -> None:
    """A handle that is not one of theirs saves nothing."""
    person = await a_person(vault)
    opened, ended, elsewhere = [await a_session(vault, who) for who in (person, person, None)]
    await vault.sessions.end_handle(ended.view.handle)
    handles = {
        "unknown": new_handle(),
        "of another person": elsewhere.view.handle,
        "of an ended session": ended.view.handle,
    }

    path = f"{API}/profiles/{person}/sessions?keep={handles[which]}"
    assert (await ask(client, "DELETE", path)).status == 204

    assert await vault.sessions.of_person(person) == []
    assert not await is_live(vault, opened.session_id)
    assert await is_live(vault, elsewhere.session_id)


async def test_t15_an_operator_can_log_everybody_out(data: Path, clock: FakeClock) -> None:
    """An empty sessions.db, as the message about a missing one advises, is a vault where nobody is logged in."""
    async with worker(data, clock) as vault:
        opened = [await a_session(vault) for _ in range(5)]
        wal = (data / "sessions.db-wal").read_bytes()
    (data / "sessions.db").write_bytes(b"")
    assert wal
    (data / "sessions.db-wal").write_bytes(wal)  # what a killed process left must not bring them back

    async with worker(data, clock) as vault:
        assert not any([await is_live(vault, one.session_id) for one in opened])
        assert await is_live(vault, (await a_session(vault)).session_id)


async def test_t16_a_person_sees_live_sessions_by_handle_and_ends_any(
    client: Client, vault: Vault, clock: FakeClock
) -> None:
    """The list holds exactly what is alive, the newest first; a handle from it ends that one session."""
    person = await a_person(vault)
    idle = await a_session(vault, person, idle_timeout=MINUTE)
    revoked, first, second = [await a_session(vault, person) for _ in range(3)]
    await a_session(vault)
    await vault.sessions.end(revoked.session_id)
    clock.advance(MINUTE)
    newest = await a_session(vault, person)

    path = f"{API}/profiles/{person}/sessions"
    listed = (await ask(client, "GET", path)).body["sessions"]
    handles = [one["handle"] for one in listed]
    assert handles[0] == newest.view.handle
    assert sorted(handles[1:]) == sorted([first.view.handle, second.view.handle])
    assert idle.view.handle not in handles

    assert (await ask(client, "DELETE", f"{SESSIONS}/{first.view.handle}")).status == 204
    assert [await is_live(vault, one.session_id) for one in (first, second, newest)] == [False, True, True]


async def test_t16_lists_and_exports_show_neither_ids_nor_digests(client: Client, vault: Vault) -> None:
    """What a list shows opens nothing: no id, no digest in any writing, and handles are no ids."""
    person = await a_person(vault)
    opened = [await a_session(vault, person) for _ in range(3)]

    for path in (f"{API}/profiles/{person}/sessions", f"{API}/profiles/{person}/export"):
        answer = await ask(client, "GET", path)
        assert len(answer.body["sessions"]) == 3
        assert "tvs_" not in answer.text
        assert "session_id" not in answer.text
        for one in opened:
            assert session_digest(one.session_id).hex() not in answer.text
        for shown in answer.body["sessions"]:
            assert (await ask(client, "GET", CURRENT, session_id=shown["handle"])).status == 404


# --- T17: how many --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_limit", ["end_oldest", "refuse"])
async def test_t17_fifty_logins_at_once_leave_five(
    data: Path, clock: FakeClock, at_limit: Literal["end_oldest", "refuse"]
) -> None:
    """With a limit of 5, fifty parallel logins over HTTP at two workers leave exactly five live sessions."""
    config = Config()
    config = replace(config, sessions=replace(config.sessions, max_per_person=5, at_limit=at_limit))
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(data, clock, config)) for _ in range(2)]
        key, _ = await workers[0].access.create("test", {"admin"})
        clients = [
            await stack.enter_async_context(TestClient(TestServer(make_app(one)), headers=bearer(key)))
            for one in workers
        ]
        person = await a_person(workers[0])

        answers = await asyncio.gather(
            *(ask(clients[n % 2], "POST", SESSIONS, {"user_token": person}) for n in range(50))
        )

        opened = [answer.body["session_id"] for answer in answers if answer.status == 201]
        refused = [answer.body["code"] for answer in answers if answer.status == 409]
        assert (len(opened), refused) == (
            (50, []) if at_limit == "end_oldest" else (5, ["session_limit"] * 45)
        )
        for one in workers:
            assert sum([await is_live(one, session_id) for session_id in opened]) == 5
            assert len(await one.sessions.of_person(person)) == 5


# --- T18: what is written down --------------------------------------------------------------------------------


def test_t18_the_numbers_in_the_page_are_those_of_the_code() -> None:
    """Lifetimes, caps, steps and budgets of docs/sessions.md equal the defaults."""
    config = Config()
    expected = {
        **{f"sessions.{name}": getattr(config.sessions, name) for name in (
            "lifetime", "max_lifetime", "idle_timeout", "max_idle_timeout", "max_per_person", "at_limit", "cache_for",
        )},
        "housekeeping.interval": config.housekeeping.interval,
        "touch step": TOUCH_STEP / 1000,
        "access verdict": VERDICT_LIFETIME / 1000,
        "sessions listed": MOST_LISTED,
    }  # fmt: skip

    rows = re.findall(r"^\| `?([a-z_. ]+?)`? \| `?([\d,.]+|[a-z_]+)`?[^|]*\|", _part("Numbers"), re.MULTILINE)
    written = {name: _number(value) for name, value in rows if name != "what"}

    assert written == expected


def test_t18_the_deviation_from_nist_is_written_and_true() -> None:
    """The page's AAL table says that the defaults are within AAL2 and not within AAL3, which is so."""
    rows = re.findall(r"^\| (AAL\d|ours)[^|]*\| ([^|]*)\| ([^|]*)\|", _part("Assurance levels"), re.MULTILINE)
    hours = {name: (_hours(overall), _hours(idle)) for name, overall, idle in rows}
    defaults = Config().sessions

    assert hours["ours"] == (defaults.lifetime / HOUR, defaults.idle_timeout / HOUR)
    assert (defaults.max_lifetime, defaults.max_idle_timeout) == (defaults.lifetime, defaults.idle_timeout)
    assert (hours["AAL1"][0], hours["AAL2"], hours["AAL3"]) == (30 * 24, (24, 1), (12, 0.25))
    assert all(mine <= theirs for mine, theirs in zip(hours["ours"], hours["AAL2"], strict=True))


def _part(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def _number(text: str) -> float | str:
    return float(text.replace(",", "")) if text[0].isdigit() else text


def _hours(text: str) -> float | None:
    found = re.search(r"(\d+) (min|h|d)\b", text)
    return int(found[1]) * {"min": 1 / 60, "h": 1, "d": 24}[found[2]] if found else None


# --- T19, T20 -------------------------------------------------------------------------------------------------


async def test_t19_the_time_of_authentication_is_not_that_of_the_last_use(
    client: Client, vault: Vault, clock: FakeClock
) -> None:
    """Use, new claims and plain rotation leave it alone; only a new authentication moves it."""
    opened, start = await a_session(vault), clock.time
    clock.advance(10 * MINUTE)

    seen = await ask(client, "GET", CURRENT, session_id=opened.session_id)
    assert (at(seen.body["authenticated_at"]), at(seen.body["last_seen_at"])) == (start, clock.time)
    seen = await ask(client, "PATCH", CURRENT, {"claims": {"role": "reader"}}, session_id=opened.session_id)
    assert at(seen.body["authenticated_at"]) == start
    seen = await ask(client, "POST", ROTATE, {}, session_id=opened.session_id)
    assert at(seen.body["authenticated_at"]) == start
    seen = await ask(client, "POST", ROTATE, {"reauthenticated": True}, session_id=seen.body["session_id"])
    assert at(seen.body["authenticated_at"]) == clock.time
    assert at(seen.body["created_at"]) == start


async def test_t20_an_anonymous_session_never_becomes_a_persons(client: Client, vault: Vault) -> None:
    """No call puts a person into a session that has none: a login opens another, under an id of its own."""
    person = await a_person(vault)
    anonymous = (await ask(client, "POST", SESSIONS, {})).body
    assert anonymous["user_token"] is None

    for method, path, body in (
        ("PATCH", CURRENT, {"claims": {}, "user_token": person}),
        ("POST", ROTATE, {"user_token": person}),
        ("PATCH", CURRENT, {"claims": {"user_token": person}}),
    ):
        assert (await ask(client, method, path, body, session_id=anonymous["session_id"])).status == 422
    login = await ask(client, "POST", SESSIONS, {"user_token": person}, session_id=anonymous["session_id"])

    assert login.body["session_id"] != anonymous["session_id"]
    assert login.body["handle"] != anonymous["handle"]
    rotated = await ask(client, "POST", ROTATE, {"reauthenticated": True}, session_id=anonymous["session_id"])
    assert rotated.body["user_token"] is None
