"""What rotations and restores elsewhere have done to the people in a vault, by the public report."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.rotating import client_of, desk, process, select, spoil, take_in
from vault import wiring
from vault.config import Config
from vault.errors import Duplicate, ProfileNotFound
from vault.http.native.operation import PREFIX
from vault.key_desk import KeyDesk


async def test_one_bad_row_does_not_break_a_list(data: Path, clock: FakeClock) -> None:
    """airflow#8971, #16313: of a person's sessions, the one whose claims do not open is listed without them, beside
    the others, and can be ended."""
    async with process(data, clock) as serving, client_of(serving) as client:
        (token,) = await take_in(serving, 1)
        handles = [(await serving.vault.sessions.of_person(token))[0].handle]
        for role in ("editor", "owner"):
            body = {"user_token": token, "claims": {"role": role}}
            async with client.post(f"{PREFIX}/sessions", json=body) as response:
                handles.append((await response.json())["handle"])
        spoil(data / "sessions.db", "UPDATE sessions SET box = zeroblob(99) WHERE handle = ?", handles[1])

        async def listed() -> dict[str, object]:
            async with client.get(f"{PREFIX}/profiles/{token}/sessions") as response:
                assert response.status == 200, await response.text()
                return {one["handle"]: one["claims"] for one in (await response.json())["sessions"]}

        others = {handles[0]: {"role": "reader"}, handles[2]: {"role": "owner"}}
        assert await listed() == {**others, handles[1]: None}
        async with client.get(f"{PREFIX}/profiles/{token}/export") as response:
            assert (response.status, len((await response.json())["sessions"])) == (200, 3)
        async with client.delete(f"{PREFIX}/sessions/{handles[1]}") as response:
            assert response.status == 204
        assert await listed() == others


#: The stages of a rotation of the index line, each as what takes a vault there from the stage before.
INDEX_STAGES: dict[str, Callable[[KeyDesk], Awaitable[object]]] = {
    "a new version waits": lambda operator: operator.rotations.new_key("index"),
    "the new version is active": lambda operator: operator.rotations.activate("index", 2),
    "the old version is disabled and its tags are gone": lambda operator: operator.rotations.rotate("index"),
}


@pytest.mark.parametrize("stage", INDEX_STAGES)
async def test_no_duplicate_slips_in_at_any_stage(stage: str, data: Path, clock: FakeClock) -> None:
    """rails#51553: whoever writes at whatever stage, awake or asleep since before it began, meets every e-mail that
    anybody else took in, and theirs is met by all."""
    async with process(data, clock) as first:
        someone, _ = await take_in(first, 2)
    async with process(data, clock) as asleep, process(data, clock) as other:
        for name, step in INDEX_STAGES.items():
            async with desk(data, clock) as operator:
                await step(operator)
            if name == stage:
                break
        async with process(data, clock) as awake:
            with pytest.raises(Duplicate):  # taken in before the rotation, and asked for by a sleeper
                await asleep.vault.profiles.create({"email": "PERSON0@example.org"})
            fresh = {"email": "new@example.org"}
            token = (await other.vault.profiles.create(fresh)).token  # another sleeper, as its first deed
            for one in (asleep, awake, other):
                with pytest.raises(Duplicate):
                    await one.vault.profiles.create(fresh)
                with pytest.raises(Duplicate):
                    await one.vault.profiles.change(someone, lambda _: fresh, None)
                assert await one.vault.profiles.lookup("email", "new@example.org") == token
    if stage != [*INDEX_STAGES][-1]:
        async with desk(data, clock) as operator:
            assert (await operator.rotations.rotate("index")).left == []
    tags = select(
        data / "vault.db", "SELECT version, count(*), count(DISTINCT digest) FROM tags GROUP BY version"
    )
    assert tags == [(2, 3, 3)]


async def test_the_erased_stay_erased_when_a_backup_comes_back(
    data: Path, clock: FakeClock, tmp_path: Path
) -> None:
    """chatto#219, OpenTranscribe#442: the sessions' file remembers who was erased, so a profile that a restored
    ``vault.db`` brings back is erased again when the service starts, and the others are left alone."""
    async with process(data, clock) as serving:
        gone, stays = await take_in(serving, 2)
    backup = shutil.copy(data / "vault.db", tmp_path / "backup.db")
    async with process(data, clock) as serving:
        await serving.vault.profiles.erase(gone)
    shutil.copy(backup, data / "vault.db")
    assert len(select(data / "vault.db", "SELECT 1 FROM profiles")) == 2
    async with wiring.open_vault(Config(), data, clock=clock, housekeeping=True) as vault:
        with pytest.raises(ProfileNotFound):
            await vault.profiles.get(gone)
        with pytest.raises(ProfileNotFound):
            await vault.profiles.lookup("email", "person0@example.org")
        assert (await vault.profiles.get(stays)).content["email"] == "person1@example.org"
    assert select(data / "vault.db", "SELECT token FROM profiles") == [(stays,)]
