import pytest

from tests.stores.rows import NOW, PERSON, AnEntry
from vault.errors import StaleKeys
from vault.ports import Stores, Wanted
from vault.records import HoneyToken

OTHER = "5e1f7d0a-33aa-4b6a-9c51-0f6c1d2e3f40"


async def actions(stores: Stores) -> list[str]:
    """Return what the trail tells."""
    return [event.action for event in await stores.audit.events(Wanted(), 0, 99)]


async def test_a_honey_token_is_known_until_it_is_removed(stores: Stores) -> None:
    """By its user token alone; removing it again does nothing, and says so."""
    honey = HoneyToken(PERSON, True, NOW)
    await stores.alarms.plant(honey, [AnEntry("honey.planted")])

    assert await stores.alarms.planted(PERSON) == honey
    assert await stores.alarms.planted(OTHER) is None
    assert await stores.alarms.remove(PERSON, [AnEntry("honey.removed")])
    assert await stores.alarms.planted(PERSON) is None
    assert not await stores.alarms.remove(PERSON, [AnEntry("honey.removed")])
    assert await actions(stores) == ["honey.planted", "honey.removed"]


async def test_planting_again_changes_what_is_said_of_it(stores: Stores) -> None:
    """The later word counts, and both are told."""
    for suspends in (True, False):
        await stores.alarms.plant(HoneyToken(PERSON, suspends, NOW), [AnEntry()])

    assert await stores.alarms.list() == [HoneyToken(PERSON, False, NOW)]
    assert len(await actions(stores)) == 2


async def test_honey_tokens_are_listed_by_age(stores: Stores) -> None:
    """The oldest first."""
    later, earlier = HoneyToken(PERSON, False, NOW + 1), HoneyToken(OTHER, True, NOW)
    assert await stores.alarms.list() == []
    for honey in (later, earlier):
        await stores.alarms.plant(honey, [])

    assert await stores.alarms.list() == [earlier, later]


async def test_an_alarm_is_undelivered_until_it_was_heard(stores: Stores) -> None:
    """By the sequence of its event; the oldest first, as many as asked."""
    for action in ("before", "alarm", "between", "alarm", "alarm"):
        await (
            stores.alarms.ring(AnEntry(action))
            if action == "alarm"
            else stores.audit.append([AnEntry(action)])
        )

    alarms = [n for n, action in enumerate(await actions(stores), 1) if action == "alarm"]
    assert alarms == [2, 4, 5]
    assert await stores.alarms.undelivered(9) == alarms
    assert await stores.alarms.undelivered(2) == alarms[:2]
    await stores.alarms.delivered(4, NOW)
    assert await stores.alarms.undelivered(9) == [2, 5]
    await stores.alarms.delivered(99, NOW)  # there is none
    assert await stores.alarms.undelivered(9) == [2, 5]


async def test_an_alarm_under_a_closed_key_leaves_nothing(stores: Stores) -> None:
    """Neither event nor delivery: whoever rang tries again with newer keys."""
    await stores.keys.close("audit", 1)

    with pytest.raises(StaleKeys):
        await stores.alarms.ring(AnEntry())

    assert await stores.alarms.undelivered(9) == []
    assert await actions(stores) == []
