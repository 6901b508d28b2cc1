"""Whoever can write to sessions.db, but has no key, gains no session, no person and no time by it."""

import asyncio
import io
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.clock import FakeClock
from tests.security.stage import DAY, HOUR, MINUTE, a_person, query
from tests.settings import UNHELD
from vault import wiring
from vault.errors import ProfileNotFound, SessionNotFound
from vault.idempotency import attempt
from vault.installation import Vault
from vault.session_views import OpenedSession
from vault.sessions import Wanted
from vault.tokens import session_digest

ALTERED = "session.row_altered"


@dataclass(frozen=True, slots=True)
class Alteration:
    """Statements on sessions.db, and whose ids find nothing after them (the others' find what they always did)."""

    statements: tuple[str, ...]
    lost: tuple[str, ...] = ("victim",)


def of_victim(change: str) -> Alteration:
    """Change a column of the victim's row."""
    return Alteration((f"UPDATE sessions SET {change} WHERE handle = :victim",))  # noqa: S608 - a literal of the table


TO_THE_THIEF = "UPDATE sessions SET digest = :thief_digest WHERE handle = :victim"

ALTERATIONS = {
    "the digest of the thief's own id is put into another's row": Alteration(
        ("DELETE FROM sessions WHERE handle = :thief", TO_THE_THIEF), ("victim", "thief")
    ),
    "two rows exchange their digests": Alteration(
        (
            "UPDATE sessions SET digest = x'00' WHERE handle = :thief",
            TO_THE_THIEF,
            "UPDATE sessions SET digest = :victim_digest WHERE handle = :thief",
        ),
        ("victim", "thief"),
    ),
    "the thief's row gets the victim's handle and box": Alteration(
        (
            "CREATE TEMP TABLE kept AS SELECT box FROM sessions WHERE handle = :victim",
            "DELETE FROM sessions WHERE handle = :victim",
            "UPDATE sessions SET handle = :victim, box = (SELECT box FROM kept) WHERE handle = :thief",
        ),
        ("victim", "thief"),
    ),
    "two rows exchange their people": Alteration(
        (
            "UPDATE sessions SET user_token = CASE handle WHEN :victim THEN :thief_token ELSE :victim_token END"
            " WHERE handle IN (:victim, :thief)",
        ),
        ("victim", "thief"),
    ),
    "a session without a person is given one": Alteration(
        ("UPDATE sessions SET user_token = :victim_token WHERE handle = :nobody",), ("nobody",)
    ),
    "a person's session becomes nobody's": of_victim("user_token = NULL"),
    "the absolute end is put off": of_victim("expires_at = expires_at + 86400000"),
    "both ends are put off": of_victim("expires_at = expires_at + 86400000, idle_expires_at = expires_at"),
    "the idle window is widened": of_victim("idle_timeout = idle_timeout * 10"),
    "the next life is made longer": of_victim("lifetime = lifetime * 10"),
    "a login looks fresher than it is": of_victim("authenticated_at = authenticated_at + 1"),
    "a session looks newer than it is": of_victim("created_at = created_at + 1"),
}

#: What is in the open, and what may therefore be written there: nothing comes of it, or a session ends early.
PERMITTED = {
    "the epoch, which is read at the opening alone": "epoch = epoch + 1",
    "the last use": "last_seen_at = last_seen_at + 1",
    "an idle end that comes sooner": "idle_expires_at = idle_expires_at - 1",
}


@dataclass(slots=True)
class Scene:
    """A served vault with three sessions in it: by whom, and as their holders have them."""

    vault: Vault
    opened: dict[str, OpenedSession]

    def names(self) -> dict[str, object]:
        """What the statements of the table may name."""
        return {
            **{who: each.view.handle for who, each in self.opened.items()},
            **{f"{who}_token": each.view.user_token for who, each in self.opened.items()},
            **{f"{who}_digest": session_digest(each.session_id) for who, each in self.opened.items()},
        }


def alter(data: Path, statements: tuple[str, ...], names: dict[str, object]) -> None:
    """Do to sessions.db what somebody does who may write to it."""
    with closing(sqlite3.connect(data / "sessions.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement, names)


async def _people(vault: Vault) -> dict[str, OpenedSession]:
    return {
        who: await vault.sessions.open(
            Wanted(await a_person(vault) if who != "nobody" else None, {"role": who}, DAY, HOUR)
        )
        for who in ("victim", "thief", "nobody")
    }


@pytest.fixture(params=[False, True], ids=["while nothing serves", "while it serves"])
async def scene(request: pytest.FixtureRequest, data: Path, clock: FakeClock) -> Any:
    """Return a function that alters the file and gives the scene: to a new process, or the one that was there."""
    async with AsyncExitStack() as stack:

        async def after(alteration: tuple[str, ...]) -> Scene:
            vault = await stack.enter_async_context(wiring.open_vault(UNHELD, data, clock=clock))
            found = Scene(vault, await _people(vault))
            clock.advance(2 * MINUTE)  # a row that is kept in memory is read anew at the next step
            if request.param:
                alter(data, alteration, found.names())
                return found
            await stack.aclose()
            alter(data, alteration, found.names())
            found.vault = await stack.enter_async_context(wiring.open_vault(UNHELD, data, clock=clock))
            return found

        yield after


After = Callable[[tuple[str, ...]], Awaitable[Scene]]


@pytest.mark.parametrize("alteration", ALTERATIONS.values(), ids=ALTERATIONS)
async def test_an_altered_row_is_as_unknown(alteration: Alteration, scene: After, log: io.StringIO) -> None:
    """To a look-up, a change and a rotation, which says so in one line without ids; the others are as ever."""
    found = await scene(alteration.statements)
    sessions = found.vault.sessions
    for who, each in found.opened.items():
        if who not in alteration.lost:
            assert (await sessions.current(each.session_id)).claims == each.view.claims
            continue
        log.seek(log.truncate(0))
        for verb in (
            lambda session_id=each.session_id: sessions.current(session_id),
            lambda session_id=each.session_id: sessions.change_claims(session_id, {"role": "admin"}),
            lambda session_id=each.session_id: sessions.rotate(session_id),
            lambda session_id=each.session_id: sessions.rotate(session_id, {}, reauthenticated=True),
        ):
            with pytest.raises(SessionNotFound):
                await verb()
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        told = [line for line in lines if line["event"] == ALTERED]
        # What has lost its digest is not found at all; nothing is told of it but that.
        assert len(told) in (0, 4)
        assert all(set(line) == {"event", "level", "time"} for line in told)
    assert ALTERED in log.getvalue()


@pytest.mark.parametrize("end", ["expires_at + 1", "expires_at", "idle_expires_at + 1"])
@pytest.mark.parametrize("scene", [False], indirect=True)
async def test_an_idle_end_later_than_the_last_use_allows_is_not_believed(
    end: str, scene: After, clock: FakeClock
) -> None:
    """The session is dead before its own end and after: no touch puts the row right and lets it in."""
    found = await scene(of_victim(f"idle_expires_at = {end}").statements)
    opened = found.opened["victim"]
    for now in (clock.time, opened.view.idle_expires_at, opened.view.expires_at):
        clock.time = now
        with pytest.raises(SessionNotFound):
            await found.vault.sessions.current(opened.session_id)


@pytest.mark.parametrize("change", PERMITTED.values(), ids=PERMITTED)
async def test_what_is_in_the_open_is_harmless(change: str, scene: After) -> None:
    """The session is served as before."""
    found = await scene(of_victim(change).statements)
    opened = found.opened["victim"]
    view = await found.vault.sessions.current(opened.session_id)
    assert (view.claims, view.user_token) == (opened.view.claims, opened.view.user_token)
    assert view.expires_at == opened.view.expires_at


async def test_a_made_up_use_reaches_no_further_than_the_absolute_end(
    scene: After, data: Path, clock: FakeClock
) -> None:
    """Last use and idle end move with each touch and are not sealed: written together, they stop at that end."""
    found = await scene(())
    opened = found.opened["victim"]
    end = opened.view.expires_at
    clock.time = end - 1
    names = {**found.names(), "now": clock.time, "end": end}
    alter(data, of_victim("last_seen_at = :now, idle_expires_at = :end").statements, names)
    assert (await found.vault.sessions.current(opened.session_id)).expires_at == end
    clock.time = end
    alter(data, of_victim("last_seen_at = :end, idle_expires_at = :end + 1").statements, names)
    with pytest.raises(SessionNotFound):
        await found.vault.sessions.current(opened.session_id)


async def test_a_stolen_row_is_still_in_the_persons_list_and_can_be_ended(scene: After, data: Path) -> None:
    """With null for its claims and beside the others: nobody hides a session by altering it."""
    found = await scene(ALTERATIONS["two rows exchange their digests"].statements)
    victim = found.opened["victim"].view
    assert victim.user_token is not None
    other = await found.vault.sessions.open(Wanted(victim.user_token, {"role": "other"}))
    with capture_logs() as lines:
        listed = await found.vault.sessions.of_person(victim.user_token)
    assert {view.handle: bytes(view.claims) for view in listed} == {
        victim.handle: b"null",
        other.view.handle: b'{"role":"other"}',
    }
    assert [line["event"] for line in lines].count(ALTERED) == 1
    await found.vault.sessions.end_handle(victim.handle)
    assert not query(data, "SELECT 1 FROM sessions WHERE handle = ?", victim.handle)


async def test_an_older_box_of_the_same_session_does_not_open_its_new_row(
    data: Path, clock: FakeClock
) -> None:
    """A rotation binds the new digest: the claims from before it are not served under it."""
    async with wiring.open_vault(UNHELD, data, clock=clock) as vault:
        opened = await vault.sessions.open(Wanted(claims={"role": "admin"}))
        ((before,),) = query(data, "SELECT box FROM sessions")
        rotated = await vault.sessions.rotate(opened.session_id, {"role": "reader"})
        alter(data, ("UPDATE sessions SET box = :box",), {"box": before})
        with pytest.raises(SessionNotFound):
            await vault.sessions.change_claims(rotated.session_id, {})
        clock.advance(2 * MINUTE)
        with pytest.raises(SessionNotFound):
            await vault.sessions.current(rotated.session_id)


async def test_a_box_from_before_rows_were_bound_is_as_unknown(data: Path, clock: FakeClock) -> None:
    """It holds the claims alone, and nothing vouches for its row: people log in again."""
    async with wiring.open_vault(UNHELD, data, clock=clock) as vault:
        opened = await vault.sessions.open(Wanted(claims={"role": "editor"}))
    async with wiring.open_files(UNHELD, data, wiring.DEFAULT_TENANT, clock) as files:
        old = files.sealer.seal("session", opened.view.handle, b'{"role":"editor"}')
    alter(data, ("UPDATE sessions SET box = :box",), {"box": old.box})
    async with wiring.open_vault(UNHELD, data, clock=clock) as vault:
        with pytest.raises(SessionNotFound):
            await vault.sessions.current(opened.session_id)


async def test_a_repeated_login_gets_the_session_of_the_first(vault: Vault) -> None:
    """Its answer was kept before; the row it tells of is the one that was sealed."""
    wanted, tried = (
        Wanted(await a_person(vault), {"role": "editor"}),
        attempt(bytes(32), "POST /x", "one", b""),
    )
    first, again = await vault.sessions.open(wanted, tried), await vault.sessions.open(wanted, tried)
    assert first.session_id == again.session_id
    assert (await vault.sessions.current(again.session_id)).claims == msgspec.Raw(b'{"role":"editor"}')


STEPS = st.one_of(
    st.tuples(st.just("clock"), st.integers(-2 * HOUR, 2 * HOUR)),
    st.tuples(
        st.sampled_from(
            ["open", "look up", "change", "rotate", "rotate to", "reauthenticate", "revoke all", "end"]
        ),
        st.integers(0, 3),
    ),
)


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=20), ends=st.one_of(st.none(), st.integers(1, 2 * DAY)))
def test_no_legal_sequence_of_calls_trips_the_comparison(
    steps: list[tuple[str, int]], ends: int | None
) -> None:
    """Whatever is done to sessions, and however the clock steps, every row is as it was sealed."""
    with capture_logs() as lines:
        asyncio.run(_follow(steps, ends))
    assert ALTERED not in [line["event"] for line in lines]


async def _follow(steps: list[tuple[str, int]], ends: int | None) -> None:
    config, clock = replace(UNHELD, storage=replace(UNHELD.storage, url="memory:")), FakeClock()
    async with wiring.open_vault(config, None, clock=clock) as vault:
        person = await a_person(vault, ends)
        ids: list[str] = []
        handles: list[str] = []
        for verb, number in [("open", 0), *steps]:
            if verb == "clock":
                clock.advance(number)
                continue
            chosen = number % max(len(ids), 1)
            try:
                if verb == "open":
                    opened = await vault.sessions.open(
                        Wanted(
                            person if number % 2 == 0 else None,
                            {"role": "editor"},
                            HOUR * (1 + number),
                            1 + 900 * number,
                        )
                    )
                    ids.append(opened.session_id)
                    handles.append(opened.view.handle)
                elif verb == "look up":
                    await vault.sessions.current(ids[chosen])
                elif verb == "change":
                    await vault.sessions.change_claims(ids[chosen], {"locale": "de"})
                elif verb == "revoke all":
                    await vault.sessions.end_all(person, keep=handles[chosen])
                elif verb == "end":
                    await vault.sessions.end(ids[chosen])
                else:
                    claims = {"role": "reader"} if verb == "rotate to" else None
                    ids[chosen] = (
                        await vault.sessions.rotate(
                            ids[chosen], claims, reauthenticated=verb == "reauthenticate"
                        )
                    ).session_id
            except (SessionNotFound, ProfileNotFound):
                continue  # it had ended: at this time, or for good
            assert all(view.claims != msgspec.Raw(b"null") for view in await vault.sessions.of_person(person))
