"""The routine where it does not go straight on: resumed runs, values that collide, rows that come back."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.rotating import boxes, desk, keyring_file, keyring_of, process, select, spoil, states, take_in
from vault.config import Config
from vault.crypto.keyring import KeyState
from vault.errors import ProfileNotFound, TagsCollide
from vault.key_desk import Manner, open_desk
from vault.progress import Silent
from vault.records import Claim


class Unplugged(Exception):
    """Somebody pulls the plug."""


class Unplugging(Silent):
    """Pulls the plug when a pass begins."""

    def __init__(self, what: str) -> None:
        self._what = what

    def begin(self, what: str, total: int) -> None:
        """Look whether it is the one."""
        if what == self._what:
            raise Unplugged


async def test_a_resumed_run_rotates_no_line_twice(data: Path, clock: FakeClock) -> None:
    """Interrupted in the second of four lines, it goes on there; the first has had its turn."""
    async with process(data, clock) as serving:
        await take_in(serving, 2)
    plug = Unplugging("claiming index tags")
    async with open_desk(Config(), data, Manner(patience=0), progress=plug, clock=clock) as operator:
        with pytest.raises(Unplugged):
            await operator.rotations.rotate_all()
    async with desk(data, clock) as operator:
        reports = await operator.rotations.rotate_all()
        assert [report.line for report in reports] == ["index", "signing", "audit"]
        assert {line: max(states(keyring_of(data), line)) for line in ("data", "index", "signing", "audit")} == {
            "data": 2, "index": 2, "signing": 2, "audit": 2,
        }  # fmt: skip
        assert [report.line for report in await operator.rotations.rotate_all()] == [
            "data",
            "index",
            "signing",
            "audit",
        ]
    assert set(boxes(data)["vault.profiles.box"]) == {3}


def _of_region(region: str) -> Config:
    config = Config()
    return replace(config, profiles=replace(config.profiles, default_region=region))


async def test_values_that_have_become_equal_stop_the_index_and_nothing_else(
    data: Path, clock: FakeClock
) -> None:
    """Two phone numbers are one since the region changed: both people are named, nothing is activated, both stay."""
    async with process(data, clock) as serving:
        abroad = (await serving.vault.profiles.create({"phone": "+4930901820"})).token
        at_home = (await serving.vault.profiles.create({"phone": "030 901820"})).token
    async with open_desk(_of_region("DE"), data, Manner(patience=0), clock=clock) as operator:
        with pytest.raises(TagsCollide, match="phone") as refused:
            await operator.rotations.rotate("index")
        assert set(refused.value.names) <= {abroad, at_home}
        assert refused.value.names
        assert abroad not in refused.value.message
        assert states(keyring_of(data), "index") == {1: KeyState.ACTIVE, 2: KeyState.PENDING}
        async with process(data, clock) as serving:
            assert await serving.vault.profiles.lookup("phone", "030 901820") == at_home
            await serving.vault.profiles.erase(at_home)
        assert (await operator.rotations.rotate("index")).left == []
    async with process(data, clock, _of_region("DE")) as serving:
        assert await serving.vault.profiles.lookup("phone", "030 901820") == abroad


async def _in_quarantine(data: Path, clock: FakeClock) -> str:
    """Make a person whose key was disabled too early, while the index was rotated; return the token."""
    async with process(data, clock) as serving:
        token = (await serving.vault.profiles.create({"email": "ada@example.org"})).token
    async with desk(data, clock) as operator, operator.custody.claim("a mistake"):
        await operator.custody.add("data")
        await operator.custody.activate("data", 2)
        keyring = operator.custody.keyring
    keyring_file(data, keyring.moved("data", 1, KeyState.DISABLED))
    async with desk(data, clock) as operator:
        await operator.sweep.verify(2)
        events = select(data / "vault.db", "SELECT sequence FROM audit_details WHERE key_version = 1")
        assert {note.name for note in await operator.quarantine.list()} == {
            f"profiles/{token}", *(f"audit_details/{sequence}" for (sequence,) in events),
            *(f"access_keys/{key_id}" for (key_id,) in select(data / "vault.db", "SELECT id FROM access_keys")),
        }  # fmt: skip
        await operator.rotations.rotate("index")
        await operator.rotations.enable("data", 1)
    return token


async def test_who_comes_back_from_quarantine_is_found_again(data: Path, clock: FakeClock) -> None:
    """The index went on to another key meanwhile: the tags under it are claimed at the return."""
    token = await _in_quarantine(data, clock)
    async with process(data, clock) as serving:
        with pytest.raises(ProfileNotFound):
            await serving.vault.profiles.lookup("email", "ada@example.org")
        async with desk(data, clock) as operator:
            assert await operator.quarantine.retry(f"profiles/{token}") is None
            for note in await operator.quarantine.list():
                assert note.name.startswith(("audit_details/", "access_keys/"))
                assert await operator.quarantine.retry(note.name) is None
            assert await operator.quarantine.list() == []
        assert await serving.vault.profiles.lookup("email", "ada@example.org") == token
        assert (await serving.vault.profiles.get(token)).head.key_version == 2


async def test_who_comes_back_to_find_the_value_taken_is_told(data: Path, clock: FakeClock) -> None:
    """The other one keeps it; both open, and the operator hears of it."""
    token = await _in_quarantine(data, clock)
    async with process(data, clock) as serving:
        other = (await serving.vault.profiles.create({"email": "ada@example.org"})).token
        async with desk(data, clock) as operator:
            with pytest.raises(TagsCollide, match="email") as told:
                await operator.quarantine.retry(f"profiles/{token}")
        assert told.value.names == [token]
        assert await serving.vault.profiles.lookup("email", "ada@example.org") == other
        assert (await serving.vault.profiles.get(token)).content == {"email": "ada@example.org"}


async def test_the_status_does_not_take_the_dead_for_busy(data: Path, clock: FakeClock) -> None:
    """A claim whose holder has fallen silent is none; the rotation that it left is unfinished."""
    plug = Unplugging("re-sealing")
    async with open_desk(Config(), data, Manner(patience=0), progress=plug, clock=clock) as operator:
        with pytest.raises(Unplugged):
            await operator.rotations.rotate("data")
        silent = Claim("ann@elsewhere:1:x", "elsewhere", 1, "a rotation", clock.now(), clock.now())
        await operator._stores.rotations.claim(silent, 0)
        assert any("is at work" in warning for warning in (await operator.status()).warnings)
        clock.advance(60)
        warnings = (await operator.status()).warnings
    assert not any("is at work" in warning for warning in warnings)
    assert any("A rotation of line data is unfinished" in warning for warning in warnings)


async def test_rows_under_a_version_that_is_nowhere_are_shown(data: Path, clock: FakeClock) -> None:
    """The census hides nothing, whatever number a row names."""
    async with process(data, clock) as serving:
        await take_in(serving, 1)
    spoil(data / "vault.db", "UPDATE profiles SET key_version = 9")
    async with desk(data, clock) as operator:
        (known, strange) = (await operator.status()).lines["data"]
    assert (known.version, known.state, known.rows["profiles"]) == (1, "active", 0)
    assert (strange.version, strange.state, strange.rows["profiles"]) == (9, "missing", 1)
    assert select(data / "vault.db", "SELECT key_version FROM profiles") == [(9,)]
