"""Single values and a rotation of either line: they open throughout, and what is unique stays so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.rotating import Process, boxes, desk, process, select, spoil
from vault.config import Config
from vault.deep_check import Findings, deep_check
from vault.documents import NewDocument
from vault.errors import Conflict, OutOfTime, TagsCollide
from vault.key_desk import Manner
from vault.progress import Silent
from vault.values import Kept, Lifetime, Value, Wanted

CARD = Wanted("creditcard", "5467047429390590")
CARDS = [Wanted("creditcard", f"{4_000_000_000_000_000 + number}") for number in range(12)]
TEXT = Wanted("text", "ada@example.org")


async def the(serving: Process, wanted: Wanted = CARD) -> Value:
    """Return the one token of a value."""
    return await serving.vault.values.create(wanted, Lifetime(), unique=True)


async def all_of(serving: Process) -> list[Value]:
    """Keep twelve cards, or find them."""
    found = await serving.vault.values.create_many(CARDS, Lifetime(), unique=True)
    return [one.value for one in found if isinstance(one, Kept)]


async def opens(serving: Process, *values: Value) -> None:
    """Each opens by each of its tokens."""
    for value in values:
        for token in filter(None, (value.token, value.base)):
            assert await serving.vault.values.get(token) == value


async def sound(data: Path, clock: FakeClock) -> dict[str, int]:
    """Nothing in the folder is other than it should be; return what was looked at."""
    findings = Findings()
    await deep_check(Config(), data, findings, Silent(), clock)
    assert findings.found == []
    return findings.looked_at


@asynccontextmanager
async def two(data: Path, clock: FakeClock) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes that serve: one looks at the keyring when it is told to, the other when a verb has to."""
    async with process(data, clock) as awake, process(data, clock) as asleep:
        yield awake, asleep


@pytest.mark.parametrize("line", ["data", "index"])
async def test_values_outlive_a_rotation(line: str, data: Path, clock: FakeClock) -> None:
    """Every box and every tag goes over; who sleeps through it all still finds, and makes no second token."""
    async with two(data, clock) as (awake, asleep):
        values = [*await all_of(awake), await the(awake, TEXT)]
        loose = await awake.vault.values.create(CARD, Lifetime(), unique=False)
        await awake.vault.documents.add(NewDocument("role", "clerk", {}))  # a document that has no tags
        async with desk(data, clock) as operator:
            report = await operator.rotations.rotate(line)
            status = await operator.status()
        assert report.left == []
        tags = (
            2 * len(CARDS) + 1 + 1
        )  # two of each card, one of a text, one of a card that need not be unique
        if line == "index":
            assert (report.moved, report.verified) == ({"tags": tags}, {"tags": tags})
            assert {one.version: one.rows for one in status.lines["index"]} == {
                1: {"tags": 0},
                2: {"tags": tags},
            }
            assert select(data / "vault.db", "SELECT DISTINCT version FROM value_tags") == [(2,)]
        else:
            assert report.moved["documents"] == len(values) + 2
            assert boxes(data)["vault.documents.box"] == [2] * (len(values) + 2)
        assert (await sound(data, clock))["tags"] == tags
        for serving in (asleep, awake):
            assert [*await all_of(serving), await the(serving, TEXT)] == values
            await opens(serving, *values, loose)
        assert await asleep.vault.documents.count("value") == len(values) + 1


async def test_an_old_index_key_is_destroyed_and_nothing_is_missed(data: Path, clock: FakeClock) -> None:
    """The tags of values are gone with it, and the new ones do: also for who first looks for a card by the old."""
    async with process(data, clock) as serving:
        value = await the(serving)
        async with desk(data, clock, Manner(patience=0, cool_down=0)) as operator:
            await operator.rotations.rotate("index")
            assert (await operator.retirement.retire("index", 1)).certificate
        await opens(serving, value)
        assert await the(serving) == value


async def test_unique_amid_a_rotation_of_the_index(data: Path, clock: FakeClock) -> None:
    """Stopped after its first rows, with one process that knows the new key and one that does not: whoever asks first,
    the others get the same token, before the row's turn and behind it; and the next run brings it to its end."""
    async with two(data, clock) as (awake, asleep):
        before = await all_of(asleep)
        async with desk(data, clock, Manner(patience=0, batch=3)) as operator:
            await operator.rotations.new_key("index")
        await awake.watch.refresh()
        async with desk(data, clock, Manner(patience=0, batch=3, until=clock.now())) as operator:
            with pytest.raises(OutOfTime):
                await operator.rotations.rotate("index")
        [(done,)] = select(data / "vault.db", "SELECT count(*) FROM value_tags WHERE version = 2")
        assert 0 < done < 2 * len(CARDS)

        for first, second, wanted in ((asleep, awake, CARD), (awake, asleep, TEXT)):
            during = await the(first, wanted)
            assert await the(second, wanted) == during
            assert await all_of(first) == await all_of(second) == before
            await opens(first, during, *before)

        async with desk(data, clock, Manner(patience=0, batch=3)) as operator:
            assert (await operator.rotations.rotate("index")).left == []
        for serving in (asleep, awake):
            assert await all_of(serving) == before
            assert await the(serving, TEXT) == during
        assert await awake.vault.documents.count("value") == len(CARDS) + 2
        await sound(data, clock)


async def test_unique_amid_a_rotation_of_the_data_line(data: Path, clock: FakeClock) -> None:
    """A value is kept anew while its box is re-sealed, by who knows the new key and who does not."""
    async with two(data, clock) as (awake, asleep):
        before = await all_of(awake)
        async with desk(data, clock, Manner(patience=0, batch=3, until=clock.now())) as operator:
            with pytest.raises(OutOfTime):
                await operator.rotations.rotate("data")
        await awake.watch.refresh()
        for serving in (asleep, awake):
            assert await all_of(serving) == before
            await opens(serving, *before)
        async with desk(data, clock) as operator:
            assert (await operator.rotations.rotate("data")).left == []
        assert await all_of(asleep) == before
        assert set(boxes(data)["vault.documents.box"]) == {2}


async def test_a_value_out_of_quarantine_has_its_tags(data: Path, clock: FakeClock) -> None:
    """It could not be read when the index was rotated; put back and retried, it is found as before, and if another has
    its value by now, the operator is told."""
    async with process(data, clock) as serving:
        value, other = await the(serving), await the(serving, TEXT)
        whole = {}
        for one in (value, other):
            name = f"value/{one.token}"
            [(whole[name],)] = select(data / "vault.db", "SELECT box FROM documents WHERE name = ?", name)
            spoil(data / "vault.db", "UPDATE documents SET box = zeroblob(62) WHERE name = ?", name)
        async with desk(data, clock) as operator:
            await operator.rotations.rotate("index")
            names = [note.name for note in await operator.quarantine.list()]
            assert names == sorted(f"documents/{name}" for name in whole)
            await serving.watch.refresh()
            assert await the(serving, TEXT) != other
            for name, box in whole.items():
                # The note goes when a box is replaced: it is the row that was found broken, as it lay in a backup.
                spoil(data / "vault.db", "UPDATE documents SET box = ? WHERE name = ?", box, name)
                spoil(
                    data / "vault.db",
                    "INSERT INTO quarantine VALUES ('documents', ?, 1, 'box_malformed', 0)",
                    name,
                )
            assert await operator.quarantine.retry(f"documents/value/{value.token}") is None
            with pytest.raises(TagsCollide):
                await operator.quarantine.retry(f"documents/value/{other.token}")
        assert await the(serving) == value
        await opens(serving, value)


HARM = {
    "a tag is gone": "DELETE FROM value_tags WHERE field = 'value'",
    "a tag is another": "UPDATE value_tags SET digest = zeroblob(32) WHERE field = 'tokenbase'",
}


@pytest.mark.parametrize("sql", HARM.values(), ids=HARM)
async def test_a_deep_check_finds_what_is_wrong_with_a_tag(sql: str, data: Path, clock: FakeClock) -> None:
    """By the name of the value that it is about."""
    async with process(data, clock) as serving:
        value = await the(serving)
    await sound(data, clock)
    spoil(data / "vault.db", sql)
    findings = Findings()
    await deep_check(Config(), data, findings, Silent(), clock)
    assert [(one.kind, one.where) for one in findings.found] == [("tags", f"value/{value.token}")]


async def test_a_tag_that_leads_to_nothing_is_found(data: Path, clock: FakeClock) -> None:
    """Only who writes past the vault can leave one."""
    spoil(data / "vault.db", "INSERT INTO value_tags VALUES (1, zeroblob(32), 'value', 'value/none')")
    findings = Findings()
    await deep_check(Config(), data, findings, Silent(), clock)
    assert [(one.kind, one.where) for one in findings.found] == [("orphan_tag", "value/none")]


async def test_a_tag_is_not_believed(data: Path, clock: FakeClock) -> None:
    """One that was pointed at another value shows nobody that value, deletes nothing, and makes no second token."""
    async with process(data, clock) as serving:
        value, other = await the(serving), await the(serving, CARDS[0])
        spoil(
            data / "vault.db",
            "UPDATE value_tags SET name = ? WHERE name = ? AND field = 'tokenbase'",
            f"value/{other.token}",
            f"value/{value.token}",
        )
        assert value.base is not None
        assert await serving.vault.values.get_many([value.base]) == []
        assert await serving.vault.values.erase_many([value.base]) == 0
        assert await serving.vault.values.get(other.token) == other
        spoil(
            data / "vault.db",
            "UPDATE value_tags SET name = ? WHERE name = ? AND field = 'value'",
            f"value/{other.token}",
            f"value/{value.token}",
        )
        with pytest.raises(Conflict):
            await the(serving)
