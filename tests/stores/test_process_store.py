from typing import Any

from msgspec.structs import replace

from tests.stores.rows import NOW
from vault.ports import Stores
from vault.records import ServingProcess


def a_process(**changes: Any) -> ServingProcess:
    """Return a process that serves since now, with the first keyring."""
    row = ServingProcess("one", "host", 4711, NOW, NOW, 1, '{"data":{"1":"active"}}')
    return replace(row, **changes)


async def test_every_process_that_reported_is_listed(stores: Stores) -> None:
    """The oldest first, whether it is alive or not, and every column comes back."""
    assert await stores.processes.list() == []
    young = a_process(id="young", started_at=NOW + 1, seen_at=NOW + 9, generation=7, versions="{}")
    old = a_process(id="old", host="elsewhere", pid=1, started_at=NOW - 1)
    twin = a_process(id="twin", started_at=NOW + 1)
    for process in (young, old, twin):
        await stores.processes.report(process)

    assert await stores.processes.list() == [old, twin, young]


async def test_a_report_takes_the_place_of_the_one_before(stores: Stores) -> None:
    """What counts is the keyring that a process has by now; others' reports stay."""
    other = a_process(id="other", started_at=NOW + 1)
    await stores.processes.report(a_process())
    await stores.processes.report(other)
    newer = a_process(seen_at=NOW + 3000, generation=2, versions='{"data":{"1":"retiring","2":"active"}}')

    await stores.processes.report(newer)

    assert await stores.processes.list() == [newer, other]


async def test_a_process_that_ended_is_forgotten(stores: Stores) -> None:
    """That one alone; there being none is fine."""
    other = a_process(id="other")
    await stores.processes.report(a_process())
    await stores.processes.report(other)

    for process_id in ("one", "one", "nobody"):
        await stores.processes.forget(process_id)

    assert await stores.processes.list() == [other]
