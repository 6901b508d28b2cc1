import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from tests.stores.boxes import sealed
from tests.stores.rows import HOUR, NOW, BrokenKeeper, Keeper, SilentKeeper, a_new_profile, a_session
from vault.errors import KeyringError
from vault.ports import AlreadyAnswered, AnswerKeeper, ProfileStore, SealedStore, SessionStore, Stores


class Writes(NamedTuple):
    """A store that keeps answers, and the write that it answers."""

    store: ProfileStore | SessionStore
    insert: Callable[[AnswerKeeper, int], Awaitable[object]]
    boxes: SealedStore

    async def rows(self) -> int:
        """Count what was inserted."""
        return sum((await self.boxes.census()).values())


@pytest.fixture(params=["profiles", "sessions"])
def writes(request: pytest.FixtureRequest, stores: Stores) -> Writes:
    """Return each of the two stores in turn."""
    if request.param == "profiles":
        return Writes(
            stores.profiles,
            lambda keeper, now: stores.profiles.insert([a_new_profile()], now, keeper),
            sealed(stores, "profiles"),
        )
    return Writes(
        stores.sessions,
        lambda keeper, now: stores.sessions.insert(a_session(), 0, "refuse", now, keeper),
        sealed(stores, "sessions"),
    )


async def test_an_answer_is_kept_with_its_write(writes: Writes) -> None:
    """One write, one call of the keeper, one answer that comes back as it was."""
    keeper = Keeper(key_version=3)

    await writes.insert(keeper, NOW)

    assert keeper.calls == [[None]]
    assert await writes.rows() == 1
    assert await writes.store.kept_answer(keeper.digest, NOW) == keeper.answer


async def test_a_repeated_request_writes_nothing(writes: Writes) -> None:
    """The second request is given the first one's answer and does not make another."""
    first = Keeper()
    again = Keeper(first.digest)
    await writes.insert(first, NOW)

    with pytest.raises(AlreadyAnswered) as answered:
        await writes.insert(again, first.answer.expires_at - 1)

    assert answered.value.kept == first.answer
    assert again.calls == []
    assert await writes.rows() == 1
    assert await writes.store.kept_answer(first.digest, NOW) == first.answer


async def test_one_of_many_concurrent_repeats_is_written(writes: Writes) -> None:
    """A client that sends a request several times at once has it done once."""
    keepers = [Keeper(b"same request".ljust(32)) for _ in range(10)]

    results = await asyncio.gather(*(writes.insert(each, NOW) for each in keepers), return_exceptions=True)

    assert sum(isinstance(result, AlreadyAnswered) for result in results) == 9
    assert [call for each in keepers for call in each.calls] == [[None]]
    assert await writes.rows() == 1


async def test_an_expired_answer_is_replaced(writes: Writes) -> None:
    """From the very millisecond of its end on, an answer is as good as absent."""
    old = Keeper(expires_at=NOW + 1)
    new = Keeper(old.digest)
    await writes.insert(old, NOW)

    assert await writes.store.kept_answer(old.digest, NOW) == old.answer
    assert await writes.store.kept_answer(old.digest, NOW + 1) is None
    await writes.insert(new, NOW + 1)
    assert await writes.rows() == 2
    assert await writes.store.kept_answer(new.digest, NOW + 1) == new.answer


async def test_an_unknown_digest_has_no_answer(writes: Writes) -> None:
    """An answer is found under its own digest only."""
    await writes.insert(Keeper(), NOW)

    assert await writes.store.kept_answer(Keeper().digest, NOW) is None


async def test_a_write_without_its_answer_does_not_happen(writes: Writes) -> None:
    """When the answer cannot be sealed, nothing is stored at all and the store stays usable."""
    broken = BrokenKeeper()

    with pytest.raises(KeyringError):
        await writes.insert(broken, NOW)

    assert await writes.rows() == 0
    assert await writes.store.kept_answer(broken.digest, NOW) is None
    await writes.insert(Keeper(broken.digest), NOW)
    assert await writes.rows() == 1


async def test_a_keeper_may_keep_nothing(writes: Writes) -> None:
    """The write happens without an answer, so a repetition happens too."""
    keeper = SilentKeeper()

    await writes.insert(keeper, NOW)
    await writes.insert(keeper, NOW)

    assert keeper.calls == [[None], [None]]
    assert await writes.rows() == 2
    assert await writes.store.kept_answer(keeper.digest, NOW) is None


async def test_expired_answers_are_purged_in_chunks(writes: Writes) -> None:
    """Only expired answers go, no more at a time than asked for."""
    for end in (NOW + 1, NOW + 2, NOW + 3):
        await writes.insert(Keeper(expires_at=end), NOW)
    lasting = Keeper(expires_at=NOW + HOUR)
    await writes.insert(lasting, NOW)

    assert await writes.store.purge_answers(NOW, 10) == 0
    assert [await writes.store.purge_answers(NOW + 3, 2) for _ in range(3)] == [2, 1, 0]
    assert await writes.store.kept_answer(lasting.digest, NOW + 3) == lasting.answer


async def test_a_purged_answer_is_gone(writes: Writes) -> None:
    """The purge takes an answer at the very millisecond of its end."""
    keeper = Keeper(expires_at=NOW + 1)
    await writes.insert(keeper, NOW)

    assert await writes.store.purge_answers(NOW + 1, 1) == 1
    assert await writes.store.kept_answer(keeper.digest, NOW) is None
