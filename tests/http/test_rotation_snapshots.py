"""Four snapshots of a rotation, each against each: what one process writes and another, with other keys, reads.

The first table takes the keyrings alone, as if nobody moved a row: it says what a key is good for in each state.
The second is the rotation as it is done, by the operator's own desk: there, nothing may ever go amiss.
"""

import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clock import FakeClock
from tests.http.conversation import ADA, Client, Scene, answer, current, sign_in
from tests.rotating import LINES_OF_ROWS, client_of, desk, keyring_file, keyring_of, process, states
from vault.config import Config
from vault.crypto.keyring import Keyring, KeyState
from vault.http.native.operation import PREFIX

OLD_ONLY, OLD_ACTIVE, NEW_ACTIVE, OLD_DISABLED = range(4)

#: What the versions of the lines "data" and "index" are in each snapshot.
STATES = {
    OLD_ONLY: {1: KeyState.ACTIVE},
    OLD_ACTIVE: {1: KeyState.ACTIVE, 2: KeyState.PENDING},
    NEW_ACTIVE: {1: KeyState.RETIRING, 2: KeyState.ACTIVE},
    OLD_DISABLED: {1: KeyState.DISABLED, 2: KeyState.ACTIVE},
}


class Seen(NamedTuple):
    """What a process makes of a person whom another one took in."""

    profile: str = "opens"
    session: str = "opens"
    lookup: str = "found"
    again: str = "duplicate"


ALL_IS_WELL = Seen()
#: The boxes name a key that this process lacks or may not use; that there is somebody can be told.
CLOSED_BOXES = Seen(profile="does not open", session="does not open", lookup="does not open")
#: Nothing at all is known: the two have no key in common.
STRANGERS = Seen("does not open", "does not open", "not found", "taken in")


class Case(NamedTuple):
    """Who writes, who reads, and what comes of it."""

    writer: int
    reader: int
    seen: Seen


KEYS_ALONE = {
    "before a rotation a vault reads what it wrote": Case(OLD_ONLY, OLD_ONLY, ALL_IS_WELL),
    "what the old key sealed opens where a new one waits": Case(OLD_ONLY, OLD_ACTIVE, ALL_IS_WELL),
    "what the old key sealed opens while both are there": Case(OLD_ONLY, NEW_ACTIVE, ALL_IS_WELL),
    "a disabled key opens nothing, finds nobody and knows no duplicate": Case(OLD_ONLY, OLD_DISABLED, STRANGERS),
    "a key that waits seals nothing: who lacks it misses nothing": Case(OLD_ACTIVE, OLD_ONLY, ALL_IS_WELL),
    "with a key that waits, a vault reads what it wrote": Case(OLD_ACTIVE, OLD_ACTIVE, ALL_IS_WELL),
    "what was sealed before the activation opens after it": Case(OLD_ACTIVE, NEW_ACTIVE, ALL_IS_WELL),
    "a disabled key opens no box, while the tag that the new one claimed early still tells a duplicate": Case(
        OLD_ACTIVE, OLD_DISABLED, CLOSED_BOXES
    ),
    "what the new key sealed is unknown to who has only the old one, who still sees the duplicate": Case(
        NEW_ACTIVE, OLD_ONLY, CLOSED_BOXES
    ),
    "what the new key sealed opens where it was only waiting": Case(NEW_ACTIVE, OLD_ACTIVE, ALL_IS_WELL),
    "after the activation a vault reads what it wrote": Case(NEW_ACTIVE, NEW_ACTIVE, ALL_IS_WELL),
    "what the new key sealed does not need the old one": Case(NEW_ACTIVE, OLD_DISABLED, ALL_IS_WELL),
    "once the old key is disabled, who has only that one knows nobody": Case(OLD_DISABLED, OLD_ONLY, STRANGERS),
    "a waiting key opens what is sealed when the old one is gone": Case(OLD_DISABLED, OLD_ACTIVE, ALL_IS_WELL),
    "a process that has not heard of the end reads on": Case(OLD_DISABLED, NEW_ACTIVE, ALL_IS_WELL),
    "after the rotation a vault reads what it wrote": Case(OLD_DISABLED, OLD_DISABLED, ALL_IS_WELL),
}  # fmt: skip

#: The same pairs in a real rotation, where rows move and a process that is behind learns it from the rows.
AS_IT_IS_DONE = {
    "nothing has begun": (OLD_ONLY, OLD_ONLY),
    "the reader loads a key that waits": (OLD_ONLY, OLD_ACTIVE),
    "the reader loads an activation": (OLD_ONLY, NEW_ACTIVE),
    "every row was moved before the old key is disabled": (OLD_ONLY, OLD_DISABLED),
    "the reader has slept since before there was a new key": (OLD_ACTIVE, OLD_ONLY),
    "a new key waits for both": (OLD_ACTIVE, OLD_ACTIVE),
    "the reader loads the activation of a key that it knew": (OLD_ACTIVE, NEW_ACTIVE),
    "every row from while a key waited was moved": (OLD_ACTIVE, OLD_DISABLED),
    "the reader has slept through new key and activation": (NEW_ACTIVE, OLD_ONLY),
    "the reader has slept through the activation": (NEW_ACTIVE, OLD_ACTIVE),
    "the new key is active for both": (NEW_ACTIVE, NEW_ACTIVE),
    "the reader loads the end of the rotation": (NEW_ACTIVE, OLD_DISABLED),
    "the reader has slept through the whole rotation": (OLD_DISABLED, OLD_ONLY),
    "the reader knew of the new key and has slept since": (OLD_DISABLED, OLD_ACTIVE),
    "the reader has not heard of the end": (OLD_DISABLED, NEW_ACTIVE),
    "the old key is disabled for both": (OLD_DISABLED, OLD_DISABLED),
}


@pytest.mark.parametrize(("writer", "reader", "seen"), KEYS_ALONE.values(), ids=KEYS_ALONE)
async def test_a_key_is_good_for_what_its_state_says(
    writer: int, reader: int, seen: Seen, data: Path, clock: FakeClock
) -> None:
    """Each process has a keyring file of its own, that stays as it is, beside the one database."""
    rings = _snapshots(keyring_of(data))
    configs = {n: replace(Config(), keyring=replace(Config().keyring, file=f"{n}.json")) for n in STATES}
    for number, ring in enumerate(rings):
        keyring_file(data, ring, f"{number}.json")
    _forget_the_first_start(data)
    earlier, later = sorted((writer, reader))  # a database that knows the new key refuses to start without it
    async with process(data, clock, configs[earlier]) as one, process(data, clock, configs[later]) as two:
        writes, reads = (one, two) if writer == earlier else (two, one)
        async with client_of(writes) as client:
            scene = await sign_in(client)
        async with client_of(reads) as client:
            assert Seen(*[await ask(client, scene) for ask in QUESTIONS]) == seen


@pytest.mark.parametrize(("writer", "reader"), AS_IT_IS_DONE.values(), ids=AS_IT_IS_DONE)
async def test_no_request_fails_because_of_a_rotation(
    writer: int, reader: int, data: Path, clock: FakeClock
) -> None:
    """One process writes at one stage; others, on the keyring of another stage, read, find and refuse as ever.

    Each is asked one question: what made it look at the keyring would otherwise have answered the next one too.
    """
    began = min(writer, reader)
    await _go(data, clock, OLD_ONLY, began)
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(process(data, clock)) for _ in QUESTIONS]
        await _go(data, clock, began, writer)
        async with process(data, clock) as awake, client_of(awake) as client:
            scene = await sign_in(client)
        await _go(data, clock, writer, max(writer, reader))
        seen = []
        for one, ask in zip(readers, QUESTIONS, strict=True):
            if reader > writer:
                assert await one.watch.refresh()
            for line in LINES_OF_ROWS:
                assert states(one.keyring, line) == STATES[reader]
            async with client_of(one) as client:
                seen.append(await ask(client, scene))
        assert Seen(*seen) == ALL_IS_WELL


def test_no_pair_of_snapshots_is_forgotten() -> None:
    """Both tables have every pair of writer and reader, once."""
    pairs = [(writer, reader) for writer in STATES for reader in STATES]
    assert sorted((case.writer, case.reader) for case in KEYS_ALONE.values()) == pairs
    assert sorted(AS_IT_IS_DONE.values()) == pairs


def _snapshots(first: Keyring) -> list[Keyring]:
    """Return the four keyrings, from the one that is there."""
    rings = [first]
    step: Callable[[Keyring, str], Keyring]
    for step in (
        lambda ring, line: ring.added(line, 0),
        lambda ring, line: ring.moved(line, 2, KeyState.ACTIVE),
        lambda ring, line: ring.moved(line, 1, KeyState.DISABLED),
    ):
        ring = rings[-1]
        for line in LINES_OF_ROWS:
            ring = step(ring, line)
        rings.append(ring)
    for number, ring in enumerate(rings):
        assert [states(ring, line) for line in LINES_OF_ROWS] == [STATES[number]] * 2
    return rings


def _forget_the_first_start(data: Path) -> None:
    """Take away what it sealed: under the old key, that would refuse every start without it."""
    with closing(sqlite3.connect(data / "vault.db")) as connection, connection:
        for table in ("audit_details", "access_keys"):
            assert connection.execute(f"DELETE FROM {table}").rowcount > 0  # noqa: S608 - our own names


async def _go(data: Path, clock: FakeClock, stage: int, to: int) -> None:
    """Take a vault from one stage of a rotation to a later one."""
    for reached in range(stage + 1, to + 1):
        async with desk(data, clock) as operator:
            for line in LINES_OF_ROWS:
                if reached == OLD_ACTIVE:
                    await operator.rotations.new_key(line)
                elif reached == NEW_ACTIVE:
                    await operator.rotations.activate(line, 2)
                else:
                    assert (await operator.rotations.rotate(line)).left == []
        for line in LINES_OF_ROWS:
            assert states(keyring_of(data), line) == STATES[reached]


async def profile_of(client: Client, scene: Scene) -> str:
    """Open the profile."""
    response = await client.get(f"{PREFIX}/profiles/{scene.token}")
    if response.status == 200:
        assert (await answer(response))["profile"] == ADA
    return {200: "opens", 500: "does not open"}[response.status]


async def session_of(client: Client, scene: Scene) -> str:
    """Open the session."""
    response = await current(client, scene.session_id)
    if response.status == 200:
        body = await answer(response)
        assert (body["user_token"], body["claims"]) == (scene.token, {"role": "reader"})
    return {200: "opens", 500: "does not open"}[response.status]


async def lookup_of(client: Client, scene: Scene) -> str:
    """Find the person by e-mail."""
    response = await client.post(f"{PREFIX}/profiles/lookup", json={"email": ADA["email"]})
    if response.status == 200:
        assert (await answer(response))["token"] == scene.token
    return {200: "found", 404: "not found", 500: "does not open"}[response.status]


async def second_of(client: Client, _: Scene) -> str:
    """Try to take the person in a second time."""
    response = await client.post(f"{PREFIX}/profiles", json={"profile": {"email": ADA["email"].upper()}})
    return {201: "taken in", 409: "duplicate"}[response.status]


#: The four questions, in the order of ``Seen``. The last one may write.
QUESTIONS = (profile_of, session_of, lookup_of, second_of)
