"""Races, clocks and broken stores: T21 to T25 of docs/security-checklist.md."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
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
    row_counts,
    worker,
)
from tests.stores.rows import NOW
from tests.stores.rows import a_session as a_row
from vault.config import Config
from vault.errors import ProfileNotFound, SessionNotFound
from vault.http.app import make_app
from vault.installation import Vault
from vault.session_life import TOUCH_STEP
from vault.session_views import OpenedSession
from vault.stores.sqlite.database import open_database
from vault.stores.sqlite.generations import Generations
from vault.stores.sqlite.sessions import SqliteSessions
from vault.stores.sqlite.writer import Writer


@asynccontextmanager
async def two_workers(
    data: Path, clock: FakeClock, store: str, method: str
) -> AsyncIterator[tuple[Vault, HeldStore, Vault]]:
    """A worker whose callers are held when ``method`` returns, and another one that runs freely."""
    held: list[HeldStore] = []

    def hold(inner: Any) -> HeldStore:
        held.append(HeldStore(inner, method))
        return held[0]

    async with worker(data, clock, **{store: hold}) as slow, worker(data, clock) as quick:
        yield slow, held[0], quick


async def is_live(vault: Vault, session_id: str) -> bool:
    """Whether a look-up finds the session."""
    try:
        await vault.sessions.current(session_id)
    except SessionNotFound:
        return False
    return True


# --- T21: what has ended stays ended --------------------------------------------------------------------------

Call = Callable[[Vault, str], Coroutine[Any, Any, object]]
IN_FLIGHT: dict[str, Call] = {
    "a look-up that slides the window": lambda vault, session_id: vault.sessions.current(session_id),
    "a change of claims": lambda vault, session_id: vault.sessions.change_claims(
        session_id, {"role": "admin"}
    ),
    "a rotation": lambda vault, session_id: vault.sessions.rotate(session_id),
    "a new authentication": lambda vault, session_id: vault.sessions.rotate(session_id, reauthenticated=True),
}
Ending = Callable[[Vault, str, OpenedSession], Coroutine[Any, Any, object]]
ENDINGS: dict[str, Ending] = {
    "logout": lambda vault, _, opened: vault.sessions.end(opened.session_id),
    "ended by handle": lambda vault, _, opened: vault.sessions.end_handle(opened.view.handle),
    "all of the person ended": lambda vault, person, _: vault.sessions.end_all(person),
    "person erased": lambda vault, person, _: vault.profiles.erase(person),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("call", IN_FLIGHT.values(), ids=IN_FLIGHT)
async def test_t21_what_ends_while_a_request_is_in_flight_stays_ended(
    data: Path, clock: FakeClock, call: Call, end: Ending
) -> None:
    """The request has read a live row; the session ends elsewhere; the request's own write then fails."""
    async with two_workers(data, clock, "sessions", "find") as (slow, held, quick):
        person = await a_person(quick)
        opened = await a_session(quick, person)
        clock.advance(2 * MINUTE)  # so that a look-up does write
        request = asyncio.create_task(call(slow, opened.session_id))
        await held.arrivals()

        await end(quick, person, opened)
        held.release()

        with pytest.raises(SessionNotFound):
            await request
        for vault in (slow, quick):
            assert not await is_live(vault, opened.session_id)
            assert await vault.sessions.of_person(person) == []
    assert query(data, "SELECT count(*) FROM sessions") == [(0,)]


@pytest.mark.parametrize("call", IN_FLIGHT.values(), ids=IN_FLIGHT)
async def test_t21_an_id_that_was_rotated_while_in_flight_stays_dead(
    data: Path, clock: FakeClock, call: Call
) -> None:
    """The successor is untouched by the late write, and it is the only session there is."""
    async with two_workers(data, clock, "sessions", "find") as (slow, held, quick):
        opened = await a_session(quick)
        clock.advance(2 * MINUTE)
        request = asyncio.create_task(call(slow, opened.session_id))
        await held.arrivals()

        successor = await quick.sessions.rotate(opened.session_id)
        held.release()

        with pytest.raises(SessionNotFound):
            await request
        assert not await is_live(quick, opened.session_id)
        assert await quick.sessions.current(successor.session_id) == successor.view
    assert query(data, "SELECT count(*) FROM sessions") == [(1,)]


async def test_t21_no_storm_of_requests_survives_a_logout(
    client: Client, vault: Vault, clock: FakeClock
) -> None:
    """Fifty look-ups and changes around one logout, over HTTP: afterwards the session is gone, row and all."""
    opened = await a_session(vault)
    clock.advance(2 * MINUTE)
    calls = [
        ask(client, "GET", CURRENT, session_id=opened.session_id)
        if n % 2
        else ask(client, "PATCH", CURRENT, {"claims": {"role": f"r{n}"}}, session_id=opened.session_id)
        for n in range(50)
    ]

    answers = await asyncio.gather(
        *calls[:25], ask(client, "DELETE", CURRENT, session_id=opened.session_id), *calls[25:]
    )

    assert {answer.status for answer in answers} <= {200, 204, 404, 409}
    assert (await ask(client, "GET", CURRENT, session_id=opened.session_id)).status == 404
    assert await vault.sessions.of_person(opened.view.user_token or "") == []


# --- T22: revoke-all against a login --------------------------------------------------------------------------


@pytest.mark.parametrize("earlier", [0, 2], ids=["for the first time", "as twice before"])
@pytest.mark.parametrize(("store", "method"), [("sessions", "epoch"), ("profiles", "find")])
@pytest.mark.parametrize("end", ["end_all", "erase"])
async def test_t22_a_login_that_began_before_the_revocation_opens_nothing(
    data: Path, clock: FakeClock, store: str, method: str, end: str, earlier: int
) -> None:
    """It is stopped after it has read the epoch or the profile; everything is revoked; its insert is refused."""
    async with two_workers(data, clock, store, method) as (slow, held, quick):
        person = await a_person(quick)
        for _ in range(earlier):
            await quick.sessions.end_all(person)
        before = await a_session(quick, person)
        login = asyncio.create_task(a_session(slow, person))
        await held.arrivals()

        await (quick.sessions.end_all(person) if end == "end_all" else quick.profiles.erase(person))
        held.release()

        with pytest.raises(ProfileNotFound):
            await login
        assert not await is_live(quick, before.session_id)
        assert await quick.sessions.of_person(person) == []
        if end == "end_all":  # whoever begins afterwards is welcome, in the same millisecond
            assert await is_live(slow, (await a_session(slow, person)).session_id)


async def test_t22_the_session_that_is_kept_does_not_let_a_late_login_in(
    data: Path, clock: FakeClock
) -> None:
    """Ending all but one moves the epoch for everybody else, also for what is not there yet."""
    async with two_workers(data, clock, "sessions", "epoch") as (slow, held, quick):
        person = await a_person(quick)
        kept = await a_session(quick, person)
        login = asyncio.create_task(a_session(slow, person))
        await held.arrivals()

        await quick.sessions.end_all(person, kept.view.handle)
        held.release()

        with pytest.raises(ProfileNotFound):
            await login
        assert [view.handle for view in await quick.sessions.of_person(person)] == [kept.view.handle]


# --- T23: two rotations ---------------------------------------------------------------------------------------


async def test_t23_two_rotations_of_one_id_give_one_successor(data: Path, clock: FakeClock) -> None:
    """Both have read the same live row, in one worker and in another; one wins, and the other has no session."""
    async with two_workers(data, clock, "sessions", "find") as (slow, held, quick):
        opened = await a_session(quick)
        rotations = [asyncio.create_task(slow.sessions.rotate(opened.session_id)) for _ in range(2)]
        await held.arrivals(2)
        held.release()

        results = await asyncio.gather(
            *rotations, quick.sessions.rotate(opened.session_id), return_exceptions=True
        )

        (winner,) = [result for result in results if isinstance(result, OpenedSession)]
        assert sum(isinstance(result, SessionNotFound) for result in results) == 2
        assert await is_live(slow, winner.session_id)
        assert not await is_live(slow, opened.session_id)
    assert query(data, "SELECT count(*) FROM sessions") == [(1,)]


async def test_t23_thirty_rotations_over_http_give_one_successor(client: Client, vault: Vault) -> None:
    """Exactly one caller is handed an id; the others get the answer of an unknown one."""
    opened = await a_session(vault)

    answers = await asyncio.gather(
        *(ask(client, "POST", ROTATE, {}, session_id=opened.session_id) for _ in range(30))
    )

    assert sorted(answer.status for answer in answers) == [200] + [404] * 29
    assert sum("tvs_" in answer.text for answer in answers) == 1
    assert len(await vault.sessions.of_person(opened.view.user_token or "")) == 1


# --- T24: the clock steps -------------------------------------------------------------------------------------


@pytest.mark.parametrize("used", [True, False], ids=["in use", "unused"])
@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["an hour forward", "an hour back"])
async def test_t24_a_step_of_the_clock_prolongs_no_session_by_more_than_itself(
    vault: Vault, clock: FakeClock, step: int, used: bool
) -> None:
    """Measured in true seconds: a session in use ends by its lifetime, an unused one by its idle timeout."""
    lifetime, idle = 4 * HOUR, 2 * HOUR
    opened = await a_session(vault, expires_in=lifetime, idle_timeout=idle)
    start, true_seconds = clock.time, 0
    clock.advance(10 * MINUTE + step)
    stepped_at = 10 * MINUTE

    for true_seconds in range(stepped_at, DAY, 5 * MINUTE):
        clock.time = start + (true_seconds + step) * 1000
        if used:
            if not await is_live(vault, opened.session_id):
                break
        elif not await vault.sessions.of_person(opened.view.user_token or ""):
            break

    assert true_seconds == (lifetime if used else idle) - step


@pytest.mark.parametrize("ahead", [HOUR, DAY // 2])
async def test_t24_a_last_use_in_the_future_makes_nobody_immortal(
    vault: Vault, clock: FakeClock, ahead: int
) -> None:
    """Used while the clock was ahead, then set right: the first use corrects it, and the windows are whole again."""
    opened, start = await a_session(vault), clock.time
    for _ in range(ahead // (HOUR // 2)):
        clock.advance(HOUR / 2)
        await vault.sessions.current(opened.session_id)
    clock.time = start + MINUTE * 1000

    seen = await vault.sessions.current(opened.session_id)

    assert seen.last_seen_at == clock.time
    assert seen.idle_expires_at == clock.time + HOUR * 1000
    assert seen.expires_at == start + DAY * 1000
    clock.advance(HOUR)
    assert not await is_live(vault, opened.session_id)


async def test_t24_callers_cannot_bring_a_time_of_their_own(
    client: Client, vault: Vault, clock: FakeClock
) -> None:
    """No header and no body of a request moves what the vault takes for now."""
    opened = await a_session(vault)
    clock.advance(10 * MINUTE)

    future = {"Date": "Fri, 01 Jan 2100 00:00:00 GMT", "X-Request-Start": "4102444800"}
    seen = await ask(client, "GET", CURRENT, session_id=opened.session_id, **future)

    assert seen.body["last_seen_at"] == "2027-01-15T08:10:00.000Z"


# --- T25: an error is no verdict ------------------------------------------------------------------------------


CALLS: dict[str, tuple[str, str, object]] = {
    "look up": ("GET", CURRENT, None),
    "change": ("PATCH", CURRENT, {"claims": {"role": "reader"}}),
    "rotate": ("POST", ROTATE, {}),
    "log out": ("DELETE", CURRENT, None),
    "open": ("POST", SESSIONS, {"claims": {"role": "reader"}}),
}


@pytest.mark.parametrize(("method", "path", "body"), CALLS.values(), ids=CALLS)
async def test_t25_a_store_that_fails_is_503_and_no_verdict(
    data: Path, clock: FakeClock, method: str, path: str, body: object
) -> None:
    """Live and unknown ids get one and the same 503; neither "alive" nor "dead" nor "logged out" is claimed."""
    stores: list[CountingStore] = []

    def breakable(store: Any) -> CountingStore:
        stores.append(CountingStore(store))
        return stores[0]

    async with worker(data, clock, sessions=breakable) as vault:
        key, _ = await vault.access.create("test", {"admin"})
        async with TestClient(TestServer(make_app(vault)), headers=bearer(key)) as client:
            opened = await a_session(vault)
            before = row_counts(data)
            stores[0].broken = (
                "find",
                "touch",
                "insert",
                "epoch",
                "change_box",
                "rotate",
                "revoke",
                "revoke_handle",
                "live_of",
            )
            answers = [
                await ask(client, method, path, body, session_id=session_id)
                for session_id in (opened.session_id, "tvs_" + "A" * 43)
            ]
            stores[0].broken = ()

            for answer in answers:
                assert (answer.status, answer.body["code"]) == (503, "store_unavailable")
                assert answer.headers["Retry-After"] == "1"
                assert not {"session_id", "handle", "claims"} & set(answer.body)
            assert row_counts(data) == before
            assert await is_live(vault, opened.session_id)


@pytest.fixture
def config() -> Config:
    """Settings with the least patience for a lock that there is, a second, and room for a long idle timeout."""
    config = Config()
    return replace(
        config,
        storage=replace(config.storage, busy_timeout=1),
        sessions=replace(config.sessions, max_idle_timeout=4 * HOUR),
    )


async def test_t25_while_another_process_holds_the_lock_writes_are_503_and_look_ups_go_on(
    client: Client, vault: Vault, data: Path, clock: FakeClock
) -> None:
    """A really locked file: nothing is opened or called ended, a live session is found, an unknown one is not."""
    opened, late, erased = [await a_session(vault) for _ in range(3)]
    path = f"{SESSIONS}/{opened.view.handle}"
    with closing(sqlite3.connect(data / "sessions.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        found = await ask(client, "GET", CURRENT, session_id=opened.session_id)
        unknown = await ask(client, "GET", CURRENT, session_id="tvs_" + "A" * 43)
        clock.advance(10 * MINUTE)
        writes = await asyncio.gather(
            ask(client, "POST", SESSIONS, {}),
            ask(client, "POST", ROTATE, {}, session_id=opened.session_id),
            ask(client, "PATCH", CURRENT, {"claims": {"role": "reader"}}, session_id=opened.session_id),
            ask(client, "DELETE", CURRENT, session_id=opened.session_id),
            ask(client, "DELETE", path),
            ask(client, "DELETE", f"{API}/profiles/{opened.view.user_token}/sessions"),
            ask(client, "DELETE", f"{API}/profiles/{erased.view.user_token}"),
        )
        unslid = await ask(client, "GET", CURRENT, session_id=late.session_id)
        other.execute("ROLLBACK")

    assert (found.status, unknown.status) == (200, 404)
    assert [answer.status for answer in writes] == [503] * 7
    # Alive a moment ago, though the use could not be noted: that can only shorten its life.
    assert (unslid.status, unslid.body["idle_expires_at"]) == (200, found.body["idle_expires_at"])
    assert (await ask(client, "GET", CURRENT, session_id=opened.session_id)).status == 200
    assert (await ask(client, "DELETE", CURRENT, session_id=opened.session_id)).status == 204


async def test_t25_a_damaged_file_is_503_and_not_an_unknown_session(data: Path, clock: FakeClock) -> None:
    """The page that holds the sessions is overwritten: a look-up gives 503, and the vault does not fall over."""
    async with worker(data, clock) as vault:
        opened = await a_session(vault)
        key, _ = await vault.access.create("test", {"admin"})
    with closing(sqlite3.connect(data / "sessions.db")) as connection:
        ((page,),) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sessions'"
        ).fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    with (data / "sessions.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)

    async with (
        worker(data, clock) as vault,
        TestClient(TestServer(make_app(vault)), headers=bearer(key)) as client,
    ):
        for session_id in (opened.session_id, "tvs_" + "A" * 43):
            answer = await ask(client, "GET", CURRENT, session_id=session_id)
            assert (answer.status, answer.body["code"]) == (503, "store_unavailable")
        assert (await ask(client, "DELETE", CURRENT, session_id=opened.session_id)).status == 503
        assert (await ask(client, "GET", "/healthz")).status == 200


async def test_t25_a_use_that_cannot_be_noted_never_prolongs_a_session(data: Path, clock: FakeClock) -> None:
    """While sliding fails look-ups answer, and the session still ends at the end it had."""

    def broken(store: Any) -> CountingStore:
        return CountingStore(store, ("touch",))

    async with worker(data, clock, sessions=broken) as vault:
        opened = await a_session(vault)
        for _ in range(5):
            clock.advance(10 * MINUTE)
            assert (
                await vault.sessions.current(opened.session_id)
            ).idle_expires_at == opened.view.idle_expires_at
        clock.advance(10 * MINUTE)
        assert not await is_live(vault, opened.session_id)


async def test_t25_a_sweep_costs_no_caller_a_503(vault: Vault) -> None:
    """Logins that come in right after a round of housekeeping, while it cuts the WAL, are served."""
    for _ in range(20):
        await vault.housekeeping.round()
        await a_session(vault)


async def test_t25_a_checkpoint_that_fails_does_not_silence_the_writer(tmp_path: Path) -> None:
    """The disk has a bad moment while the WAL is cut: the next write is served, or refused, but it is answered."""
    connection = sqlite3.connect(
        tmp_path / "x.db", isolation_level=None, check_same_thread=False, factory=_NoCheckpoint
    )
    connection.execute("CREATE TABLE t (a)")
    writer = Writer(connection, 1)
    try:
        await writer.checkpoint()
        async with asyncio.timeout(2):
            for _ in range(3):
                await writer.run(lambda each: each.execute("INSERT INTO t VALUES (1)").rowcount)
                await asyncio.sleep(0.01)  # the checkpoint begins when the writer is idle
    finally:
        await writer.close()


class _NoCheckpoint(sqlite3.Connection):
    """A connection whose disk fails while it checkpoints."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if "wal_checkpoint" in sql:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)


# --- T13: rows that are kept in memory --------------------------------------------------------------------------


class _Hooked:
    """Delegates everything, and calls ``after`` when ``method`` has returned."""

    def __init__(self, inner: Any, method: str, after: Callable[[], None]) -> None:
        self._inner, self._method, self._after = inner, method, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name != self._method:
            return found

        def hooked(*args: Any) -> Any:
            result = found(*args)
            self._after()
            return result

        return hooked


#: How many steps of another process's logout come before the reader notes the generation, between that and its
#: reading the row, between that and its keeping the row, and afterwards: every way to interleave them.
INTERLEAVINGS = [
    (first, second, third)
    for first in range(4)
    for second in range(4 - first)
    for third in range(4 - first - second)
]


@pytest.mark.parametrize("killed", [False, True], ids=["", "the other is killed before it settles"])
@pytest.mark.parametrize("steps", INTERLEAVINGS, ids=str)
async def test_t13_no_interleaving_with_a_logout_leaves_a_dead_row_in_memory(
    tmp_path: Path, steps: tuple[int, int, int], killed: bool
) -> None:
    """Another process begins, commits and settles a logout around one look-up: the next look-up finds nothing."""
    path, row = tmp_path / "sessions.db-generations", a_row()
    with closing(Generations(path)) as mine, closing(Generations(path)) as theirs:
        async with open_database(tmp_path, "sessions", 5, mine.settle) as database:
            await SqliteSessions(database, mine).insert(row, 0, "refuse", NOW)
            with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as other:
                logout = _log_out(other, theirs, row.digest, killed=killed)

                def run(count: int) -> None:
                    for _ in islice(logout, count):
                        pass

                store = SqliteSessions(
                    cast("Any", _Hooked(database, "one", lambda: run(steps[2]))),
                    cast("Any", _Hooked(mine, "note", lambda: run(steps[1]))),
                )
                run(steps[0])
                await store.find(row.digest)
                run(3)

                assert await store.find(row.digest) is None


def _log_out(
    connection: sqlite3.Connection, generations: Generations, digest: bytes, *, killed: bool
) -> Iterator[None]:
    """What a worker does to end a session, a step at a time."""
    connection.execute("BEGIN IMMEDIATE")
    generations.change(digest)
    yield
    connection.execute("DELETE FROM sessions WHERE digest = ?", (digest,))
    connection.execute("COMMIT")
    yield
    if not killed:
        generations.settle()
    yield


async def test_t13_a_row_removed_behind_the_vaults_back_is_missed_within_a_step(
    vault: Vault, data: Path, clock: FakeClock
) -> None:
    """Who deletes rows with a tool of SQLite's own is noticed when the window next slides, and from then on."""
    opened = await a_session(vault)
    assert await is_live(vault, opened.session_id)
    with closing(sqlite3.connect(data / "sessions.db", isolation_level=None)) as tool:
        tool.execute("DELETE FROM sessions")

    clock.time += TOUCH_STEP

    assert not await is_live(vault, opened.session_id)
    assert not await is_live(vault, opened.session_id)
