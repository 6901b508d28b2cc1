"""The clock steps by an hour, back or forward, in the middle of everything.

Nobody outlives a limit by more than the step, nobody becomes immortal, nothing fails.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

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
    a_person,
    a_session,
    ask,
    worker,
)
from vault.access import VERDICT_LIFETIME
from vault.config import Config
from vault.errors import Duplicate, ProfileNotFound, SessionNotFound, Unauthenticated
from vault.idempotency import attempt
from vault.installation import Vault

#: Seconds that everything in the table lives, and at which the clock steps.
LIFE, STEPPED_AT = 4 * HOUR, 10 * MINUTE

Alive = Callable[[], Awaitable[bool]]


@pytest.fixture
def config() -> Config:
    """Settings by which everything can live as long as everything else."""
    config = Config()
    return replace(
        config,
        sessions=replace(config.sessions, max_idle_timeout=LIFE),
        idempotency=replace(config.idempotency, lifetime=LIFE),
    )


def answers(ask: Callable[[], Awaitable[object]]) -> Alive:
    """Whether a verb does not refuse."""

    async def alive() -> bool:
        try:
            await ask()
        except (ProfileNotFound, SessionNotFound, Unauthenticated, Duplicate):
            return False
        return True

    return alive


async def a_profile(vault: Vault) -> Alive:
    """A person with an end."""
    token = await a_person(vault, LIFE)
    return answers(lambda: vault.profiles.get(token))


async def a_profile_by_value(vault: Vault) -> Alive:
    """The same, found by e-mail."""
    await a_person(vault, LIFE, email="ends@example.org")
    return answers(lambda: vault.profiles.lookup("email", "ends@example.org"))


async def a_used_session(vault: Vault) -> Alive:
    """A session in use, which its absolute lifetime ends."""
    opened = await a_session(vault, expires_in=LIFE, idle_timeout=2 * HOUR)
    return answers(lambda: vault.sessions.current(opened.session_id))


async def an_unused_session(vault: Vault) -> Alive:
    """A session that nobody looks up: its list tells whether it is there."""
    opened = await a_session(vault, idle_timeout=LIFE)

    async def alive() -> bool:
        return bool(await vault.sessions.of_person(opened.view.user_token or ""))

    return alive


async def an_access_key(vault: Vault) -> Alive:
    """An access key with an end."""
    text, _ = await vault.access.create("ends", {"admin"}, LIFE)
    return answers(lambda: vault.access.authenticate(text))


async def a_kept_answer(vault: Vault) -> Alive:
    """A create that is repeated with its Idempotency-Key: a duplicate, when its answer is kept no more."""

    async def create() -> object:
        tried = attempt(bytes(32), "POST /profiles", "once", b"")
        return await vault.profiles.create({"email": "once@example.org"}, attempt=tried)

    await create()
    return answers(create)


MORTALS: dict[str, Callable[[Vault], Awaitable[Alive]]] = {
    "a profile with an end": a_profile,
    "a profile with an end, found by e-mail": a_profile_by_value,
    "a session in use": a_used_session,
    "a session that is not used": an_unused_session,
    "an access key with an end": an_access_key,
    "a kept answer": a_kept_answer,
}

STEPS = {"an hour forward": HOUR, "an hour back": -HOUR, "not at all": 0}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("make", MORTALS.values(), ids=MORTALS)
async def test_a_step_moves_an_end_by_itself_and_no_more(
    vault: Vault, clock: FakeClock, make: Callable[[Vault], Awaitable[Alive]], step: int
) -> None:
    """In true seconds: whatever lives four hours ends an hour early, an hour late, or in time; and stays ended."""
    alive, start, true = await make(vault), clock.time, STEPPED_AT
    while true < DAY:
        clock.time = start + (true + step) * 1000
        if not await alive():
            break
        true += 5 * MINUTE
    assert true == LIFE - step
    await vault.housekeeping.round()
    assert not await alive()


class There(NamedTuple):
    """A step there and back, and whether somebody whom it ended is there again when the clock is right."""

    sweeps: bool
    is_back: bool


THERE_AND_BACK = {
    "read, and not swept: expiry is judged at each read": There(sweeps=False, is_back=True),
    "swept: what the clock said had ended is erased for good": There(sweeps=True, is_back=False),
}


@pytest.mark.parametrize(("sweeps", "is_back"), THERE_AND_BACK.values(), ids=THERE_AND_BACK)
async def test_a_clock_that_is_set_right_again(
    vault: Vault, clock: FakeClock, sweeps: bool, is_back: bool
) -> None:
    """A day ahead for a moment: nobody who had ended is shown; who is back afterwards is what the table says."""
    token = await a_person(vault, LIFE)
    session = await a_session(vault, await a_person(vault))
    clock.advance(DAY)
    assert not await answers(lambda: vault.profiles.get(token))()
    assert not await answers(lambda: vault.sessions.current(session.session_id))()
    if sweeps:
        await vault.housekeeping.round()
    clock.advance(-DAY)
    assert await answers(lambda: vault.profiles.get(token))() is is_back
    assert await answers(lambda: vault.sessions.current(session.session_id))() is is_back


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_nothing_fails_after_a_step(client: Client, vault: Vault, clock: FakeClock, step: int) -> None:
    """Each call, on what was made before the step, is answered as on any other day."""
    keyed = {"Idempotency-Key": "once"}
    profile = {"profile": {"email": "steps@example.org"}}
    made = await ask(client, "POST", f"{API}/profiles", profile, **keyed)
    token, opened = made.body["token"], []
    for _ in range(3):
        opened.append((await ask(client, "POST", SESSIONS, {"user_token": token})).body)
    one, other, last = (each["session_id"] for each in opened)
    clock.advance(10)
    clock.advance(step)
    alive = 404 if step > 0 else 200  # an hour unused is the end
    merge = {"Content-Type": "application/merge-patch+json"}
    table = [
        (201, await ask(client, "POST", f"{API}/profiles", profile, **keyed)),
        (409, await ask(client, "POST", f"{API}/profiles", profile)),
        (200, await ask(client, "GET", f"{API}/profiles/{token}")),
        (200, await ask(client, "GET", f"{API}/profiles/{token}/export")),
        (200, await ask(client, "POST", f"{API}/profiles/lookup", {"email": "steps@example.org"})),
        (200, await ask(client, "PATCH", f"{API}/profiles/{token}", {"first_name": "S"}, **merge)),
        (200, await ask(client, "PUT", f"{API}/profiles/{token}", profile)),
        (alive, await ask(client, "GET", CURRENT, session_id=one)),
        (alive, await ask(client, "PATCH", CURRENT, {"claims": {"role": "reader"}}, session_id=one)),
        (alive, await ask(client, "POST", ROTATE, {"reauthenticated": True}, session_id=other)),
        (204, await ask(client, "DELETE", CURRENT, session_id=last)),
        (200, await ask(client, "GET", f"{API}/profiles/{token}/sessions")),
        (201, await ask(client, "POST", SESSIONS, {"user_token": token})),
        (204, await ask(client, "DELETE", f"{API}/profiles/{token}/sessions")),
        (200, await ask(client, "GET", "/readyz")),
    ]
    assert [answer.status for _, answer in table] == [status for status, _ in table]
    await vault.housekeeping.round()
    assert (await ask(client, "DELETE", f"{API}/profiles/{token}")).status in (200, 204)
    clock.advance(-step)
    assert (await ask(client, "POST", f"{API}/profiles", profile)).status == 201


async def revoked_elsewhere(vault: Vault, data: Path, clock: FakeClock, config: Config) -> str:
    """Make a key that this process has just seen to be good, and revoke it in another process."""
    text, row = await vault.access.create("stolen", {"admin"})
    await vault.access.authenticate(text)
    async with worker(data, clock, config) as elsewhere:
        await elsewhere.access.revoke(row.id)
    return text


async def test_a_revoked_key_outlives_a_step_back_by_no_more_than_the_step(
    vault: Vault, data: Path, clock: FakeClock, config: Config
) -> None:
    """The verdict on a key is kept for half a second of the clock; an hour later at most it is judged anew."""
    text = await revoked_elsewhere(vault, data, clock, config)
    clock.advance(-HOUR)
    clock.time += HOUR * 1000 + VERDICT_LIFETIME
    with pytest.raises(Unauthenticated):
        await vault.access.authenticate(text)


async def test_a_revoked_key_is_refused_at_once_after_a_step_back(
    vault: Vault, data: Path, clock: FakeClock, config: Config
) -> None:
    """A verdict that seems to come from the future is judged anew."""
    text = await revoked_elsewhere(vault, data, clock, config)
    clock.advance(-HOUR)
    with pytest.raises(Unauthenticated):
        await vault.access.authenticate(text)
