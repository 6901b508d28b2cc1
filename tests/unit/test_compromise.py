"""A stolen key: what it exposed, what goes first, and what a second call does."""

from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.rotating import boxes, desk, keyring_of, process, select, states, take_in
from vault.config import Config
from vault.crypto.keyring import KeyState
from vault.errors import KeyMoveRefused, NoSuchKey, StaleKeys
from vault.key_desk import Manner, open_desk
from vault.ports import Wanted
from vault.profile_views import NewContent
from vault.progress import Silent
from vault.wiring import open_vault

PEOPLE = 3


class Interruption(Exception):
    """Somebody pulls the plug."""


class Impatient(Silent):
    """Pulls the plug after some rows of a sweep."""

    def __init__(self, rows: int) -> None:
        self._left = rows

    def advance(self, rows: int) -> None:
        """Count down."""
        self._left -= rows
        if self._left < 0:
            raise Interruption


async def test_the_rows_of_the_stolen_key_go_first(data: Path, clock: FakeClock) -> None:
    """Rows under an older key, which nobody stole, wait until those are safe."""
    async with process(data, clock) as serving:
        await serving.vault.profiles.create_many([NewContent({"n": n}) for n in range(PEOPLE)])
    async with desk(data, clock) as operator, operator.custody.claim("half a rotation"):
        await operator.custody.add("data")
        await operator.custody.activate("data", 2)
    async with process(data, clock) as serving:
        await serving.vault.profiles.create_many([NewContent({"n": n}) for n in range(PEOPLE)])
    assert boxes(data)["vault.profiles.box"] == [1] * PEOPLE + [2] * PEOPLE

    manner = Manner(batch=1, patience=0)
    async with open_desk(Config(), data, manner, progress=Impatient(PEOPLE - 1), clock=clock) as operator:
        with pytest.raises(Interruption):
            await operator.compromise.compromise("data", 2, end_sessions=False)
    assert boxes(data)["vault.profiles.box"] == [1] * PEOPLE + [3] * PEOPLE

    async with desk(data, clock) as operator:  # said once more, it is finished
        exposure = await operator.compromise.compromise("data", 2, end_sessions=False)
    assert exposure.rotation is not None
    assert boxes(data)["vault.profiles.box"] == [3] * 2 * PEOPLE
    assert set(states(keyring_of(data), "data").values()) == {KeyState.DISABLED, KeyState.ACTIVE}


async def test_what_was_exposed_is_told_as_it_was_before(data: Path, clock: FakeClock) -> None:
    """Rows by store, whose profiles, since when; and the first time that it was said stays."""
    async with process(data, clock) as serving:
        tokens = await take_in(serving, PEOPLE)
    made_at = keyring_of(data).active("data").created_at
    async with desk(data, clock) as operator:
        assert sorted(await operator.compromise.tokens(1)) == sorted(tokens)
        ((events,),) = select(data / "vault.db", "SELECT count(*) FROM audit_details")
        exposure = await operator.compromise.compromise("data", 1, end_sessions=False)
        assert exposure.rows == {
            "profiles": PEOPLE, "profile_answers": PEOPLE, "sessions": PEOPLE, "session_answers": PEOPLE,
            "audit_details": events, "access_keys": 1, "documents": 0,
        }  # fmt: skip
        assert events >= PEOPLE
        assert (exposure.since, exposure.sessions_ended) == (made_at, 0)
        said_at = clock.now()
        clock.advance(3600)
        again = await operator.compromise.compromise("data", 1, end_sessions=False)
        assert not any(again.rows.values())
        assert (await operator.custody.record("data", 1)).compromised_at == said_at


async def test_a_process_with_the_stolen_key_alone_writes_nothing_under_it(
    data: Path, clock: FakeClock
) -> None:
    """It is refused, reads the keyring anew, and the request goes well under the next key."""
    async with process(data, clock) as serving, desk(data, clock) as operator:
        await operator.compromise.compromise("data", 1, end_sessions=False)
        made = await serving.vault.profiles.create({"email": "late@example.org"})
        assert made.key_version == 2
        (profiles,) = (store for store in serving.stores.sealed if store.name == "profiles")
        row = await profiles.get(made.token)
        assert row is not None
        with pytest.raises(StaleKeys):  # the fence itself, without the second try
            await profiles.swap([(row, row.box, 1)])


async def test_sessions_end_if_asked(data: Path, clock: FakeClock) -> None:
    """All of them, however many transactions that takes; the people stay."""
    async with process(data, clock) as serving:
        await take_in(serving, PEOPLE)
    async with desk(data, clock) as operator:
        exposure = await operator.compromise.compromise("data", 1, end_sessions=True)
    assert exposure.sessions_ended == PEOPLE
    assert select(data / "sessions.db", "SELECT count(*) FROM sessions") == [(0,)]
    assert select(data / "vault.db", "SELECT count(*) FROM profiles") == [(PEOPLE,)]
    async with process(data, clock) as serving:
        [event] = await serving.vault.audit.events(Wanted(action="session.revoked"), 0, 10)
        assert await serving.vault.audit.details(event) == {"reason": "compromise", "count": PEOPLE}


async def test_a_stolen_index_key_makes_tags_until_all_have_others(data: Path, clock: FakeClock) -> None:
    """At no moment could an e-mail be registered twice; at the end nobody has a tag under it."""
    async with process(data, clock) as serving:
        await take_in(serving, PEOPLE)
    async with desk(data, clock) as operator:
        await operator.compromise.compromise("index", 1, end_sessions=False)
    assert select(data / "vault.db", "SELECT version, count(*) FROM tags GROUP BY version") == [(2, PEOPLE)]
    async with open_vault(Config(), data) as vault:
        assert await vault.profiles.lookup("email", "PERSON1@example.org")


@pytest.mark.parametrize("line", ["data", "index", "signing"])
async def test_what_is_not_there_or_is_destroyed_cannot_be_stolen(
    line: str, data: Path, clock: FakeClock
) -> None:
    """It says so, and changes nothing."""
    async with desk(data, clock, Manner(patience=0, cool_down=0)) as operator:
        await operator.rotations.rotate(line)
        await operator.retirement.retire(line, 1)
        before = states(keyring_of(data), line)
        with pytest.raises(NoSuchKey):
            await operator.compromise.compromise(line, 7, end_sessions=True)
        with pytest.raises(KeyMoveRefused, match="is destroyed"):
            await operator.compromise.compromise(line, 1, end_sessions=True)
        assert states(keyring_of(data), line) == before
