import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest

from tests.stores.boxes import everything, sealed
from tests.stores.rows import (
    DAY,
    HOUR,
    NOW,
    PERSON,
    AnEntry,
    BrokenKeeper,
    Keeper,
    a_key_record,
    a_new_profile,
    a_profile,
    a_tag,
    an_access_key,
)
from vault.errors import BudgetSpent, Duplicate, KeyringError, StaleKeys, VaultError
from vault.ports import Entry, Stores, Wanted
from vault.records import Allowance, Checkpoint, End, Event, HoneyToken, Linked, UnlockRow

OTHER = "5e1f7d0a-33aa-4b6a-9c51-0f6c1d2e3f40"
KEY = "0123456789abcdef"
CLOSED = 7


class Unlinkable:
    """An event that cannot be made: its key is gone."""

    def linked(self, end: End | None) -> Linked:
        """Fail."""
        raise KeyringError


async def recorded(stores: Stores, wanted: Wanted = Wanted(), after: int = 0, limit: int = 9999) -> list[int]:
    """Return the sequences of events."""
    return [event.sequence for event in await stores.audit.events(wanted, after, limit)]


async def snapshot(stores: Stores) -> tuple[Any, ...]:
    """Return all that an act or its event could leave behind."""
    boxes = await everything(stores)
    tokens = [row.name for row in boxes["profiles"]]
    return (
        boxes,
        [await stores.profiles.find(token) for token in tokens],
        await stores.profiles.tags_of(tokens),
        await stores.keys.known(),
        await stores.access.list(),
        await stores.alarms.list(),
        await stores.alarms.undelivered(99),
        await stores.unlocks.find(UNLOCK.digest),
        await stores.audit.events(Wanted(), 0, 9999),
        await stores.audit.end(),
        await stores.audit.checkpoints(0, 99),
    )


# --- order ---------------------------------------------------------------------------------------------------


async def test_events_are_numbered_without_a_gap(stores: Stores) -> None:
    """From one on, each linked behind the one before it; and the end is the last."""
    assert await stores.audit.end() is None
    seen: list[End | None] = []

    class Watching(AnEntry):
        def linked(self, end: End | None) -> Linked:
            seen.append(end)
            return super().linked(end)

    await stores.audit.append([Watching(), Watching()])
    await stores.audit.append([])
    await stores.audit.append([Watching()])

    assert await recorded(stores) == [1, 2, 3]
    end = await stores.audit.end()
    assert end is not None
    assert end.sequence == 3
    assert [one and one.sequence for one in seen] == [None, 1, 2]
    assert [await stores.audit.link_of(n) for n in range(5)] == [
        None, *(n.to_bytes(32, "big") for n in (1, 2, 3)), None,
    ]  # fmt: skip
    assert end.link == await stores.audit.link_of(3)


async def test_nothing_to_record_leaves_no_end(stores: Stores) -> None:
    """A trail without an event has none."""
    await stores.audit.append([])

    assert await stores.audit.end() is None
    assert await recorded(stores) == []


async def test_an_event_is_kept_as_it_was_made(stores: Stores) -> None:
    """Every column, also those that are empty."""
    entry = AnEntry(key_version=4, outcome="duplicate", revealed_version=3)
    await stores.audit.append([entry, AnEntry(user_token=None)])

    full, bare = await stores.audit.events(Wanted(), 0, 9)
    assert full == Event(
        1, NOW, "default", KEY, "profile.revealed", "duplicate", PERSON, None, None, 3, bytes(32),
        (1).to_bytes(32, "big"), full.mac, 1,
    )  # fmt: skip
    assert (bare.user_token, bare.revealed_version, bare.details_digest) == (None, None, None)
    details = await sealed(stores, "audit_details").get("1")
    assert details is not None
    assert details.key_version == 4
    assert await sealed(stores, "audit_details").get("2") is None


async def test_many_at_once_share_no_place(stores: Stores) -> None:
    """Writers who come together each get places of their own, in a row."""
    await asyncio.gather(*(stores.audit.append([AnEntry(action=f"{n}")] * 3) for n in range(40)))

    events = await stores.audit.events(Wanted(), 0, 9999)
    assert [event.sequence for event in events] == list(range(1, 121))
    actions = [event.action for event in events]
    assert [actions[n : n + 3] for n in range(0, 120, 3)] == [[action] * 3 for action in actions[::3]]


async def test_of_events_that_come_together_all_or_none_are_kept(stores: Stores) -> None:
    """One that cannot be made takes those before it along, their details and their checkpoint."""
    await stores.audit.append([AnEntry()])
    before = await snapshot(stores)

    with pytest.raises(KeyringError):
        await stores.audit.append([AnEntry(key_version=1, checkpoint="{}"), Unlinkable()])

    assert await snapshot(stores) == before


# --- with the act --------------------------------------------------------------------------------------------

UNLOCK = UnlockRow(bytes(32), KEY, "monthly invoices", NOW + 60_000)
HONEY = HoneyToken(PERSON, True, NOW)
AKEY = an_access_key(id=KEY)

Work = Callable[[Stores, Sequence[Entry]], Awaitable[Any]]


class Act(NamedTuple):
    """An act that takes events along; ``first`` sets the scene."""

    do: Work
    first: Callable[[Stores], Awaitable[Any]] | None = None


async def _ann(stores: Stores) -> None:
    assert await stores.profiles.insert([a_new_profile(a_tag("ann"), token=PERSON)], NOW) == [None]


async def _ann_and_bea(stores: Stores) -> None:
    await _ann(stores)
    assert await stores.profiles.insert([a_new_profile(a_tag("bea"), token=OTHER)], NOW) == [None]


def _changed(**changes: Any) -> Any:
    return a_profile(**{"token": PERSON, "revision": 2, **changes})


ACTS = {
    "a profile is kept": Act(
        lambda s, e: s.profiles.insert([a_new_profile(a_tag("ann"))], NOW, None, lambda *_: e[0])
    ),
    "a profile is kept behind another": Act(
        lambda s, e: s.profiles.insert(
            [a_new_profile(a_tag("ann")), a_new_profile(token=PERSON)], NOW, Keeper(),
            lambda row, _: e[0] if row.token == PERSON else AnEntry(key_version=1),
        )
    ),
    "a profile changes": Act(lambda s, e: s.profiles.replace(_changed(), [a_tag("bea")], 1, e), _ann),
    "an erasure is noted": Act(lambda s, e: s.profiles.note_erasure(PERSON, NOW, e), _ann),
    "a key is made known": Act(lambda s, e: s.keys.insert(a_key_record(), e)),
    "what is known of a key changes": Act(
        lambda s, e: s.keys.update(a_key_record(activated_at=NOW), e), lambda s: s.keys.insert(a_key_record())
    ),
    "an access key is made": Act(lambda s, e: s.access.insert(AKEY, e)),
    "an access key changes": Act(
        lambda s, e: s.access.swap(AKEY, an_access_key(id=KEY), e), lambda s: s.access.insert(AKEY)
    ),
    "a honey token is planted": Act(lambda s, e: s.alarms.plant(HONEY, e)),
    "a honey token is removed": Act(lambda s, e: s.alarms.remove(PERSON, e), lambda s: s.alarms.plant(HONEY, [])),
    "an alarm rings": Act(lambda s, e: s.alarms.ring(e[0])),
    "an unlock is given": Act(lambda s, e: s.unlocks.insert(UNLOCK, e)),
    "a profile is opened": Act(lambda s, e: s.audit.append(e, Allowance(KEY, 1, 5, 5, NOW))),
}  # fmt: skip

UNRECORDABLE: dict[str, tuple[Entry, type[VaultError]]] = {
    "cannot be made": (Unlinkable(), KeyringError),
    "is under a closed key": (AnEntry(mac_version=CLOSED), StaleKeys),
    "has details under a closed key": (AnEntry(key_version=CLOSED), StaleKeys),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_an_act_is_done_with_its_event_or_not_at_all(stores: Stores, act: Act) -> None:
    """Where the event cannot be, nothing has changed; where it can, the act is done and the event is the last."""
    for line in ("audit", "data"):
        await stores.keys.close(line, CLOSED)
    if act.first:
        await act.first(stores)
    before = await snapshot(stores)

    for sentence, (entry, refusal) in UNRECORDABLE.items():
        with pytest.raises(refusal):
            await act.do(stores, [entry])
        assert await snapshot(stores) == before, sentence

    await act.do(stores, [AnEntry(action="this", key_version=1)])
    (event,) = await stores.audit.events(Wanted(action="this"), 0, 9)
    end = await stores.audit.end()
    assert end is not None
    assert event.sequence == end.sequence
    is_done = (await snapshot(stores))[1:8] != before[1:8]
    assert is_done is (act is not ACTS["a profile is opened"])  # that one is nothing but its event


class Refused(NamedTuple):
    """An act that is not done, and what it raises or returns."""

    do: Work
    raises: type[VaultError] | None = None
    first: Callable[[Stores], Awaitable[Any]] = _ann_and_bea


REFUSED = {
    "a change that came too late": Refused(lambda s, e: s.profiles.replace(_changed(), [], 9, e)),
    "a change of somebody unknown": Refused(lambda s, e: s.profiles.replace(_changed(token=KEY), [], 1, e)),
    "a change to another's value": Refused(
        lambda s, e: s.profiles.replace(_changed(), [a_tag("bea")], 1, e), Duplicate
    ),
    "a change under a closed key": Refused(
        lambda s, e: s.profiles.replace(_changed(key_version=CLOSED), [], 1, e), StaleKeys
    ),
    "an erasure of somebody unknown": Refused(lambda s, e: s.profiles.note_erasure(KEY, NOW, e)),
    "an erasure that has begun": Refused(
        lambda s, e: s.profiles.note_erasure(PERSON, NOW + 1, e),
        first=lambda s: _erasing(s),
    ),
    "a profile under a closed key": Refused(
        lambda s, e: s.profiles.insert([a_new_profile(key_version=CLOSED)], NOW, None, lambda *_: e[0]), StaleKeys
    ),
    "a key that is known": Refused(
        lambda s, e: s.keys.insert(a_key_record(fingerprint="other"), e),
        first=lambda s: s.keys.insert(a_key_record()),
    ),
    "no such honey token": Refused(lambda s, e: s.alarms.remove(KEY, e)),
    "a change of nobody's access key": Refused(lambda s, e: s.access.swap(AKEY, an_access_key(id=KEY), e)),
    "a change of an access key that came too late": Refused(
        lambda s, e: s.access.swap(an_access_key(id=KEY), AKEY, e), first=lambda s: s.access.insert(AKEY)
    ),
    "more than an access key may open": Refused(
        lambda s, e: s.audit.append(e, Allowance(KEY, 1, 0, None, NOW)), BudgetSpent
    ),
}  # fmt: skip


async def _erasing(stores: Stores) -> None:
    await _ann(stores)
    assert await stores.profiles.note_erasure(PERSON, NOW)


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_leaves_no_event(stores: Stores, refused: Refused) -> None:
    """The trail tells of what was done, and of refusals that somebody records by themselves."""
    await stores.keys.close("data", CLOSED)
    await refused.first(stores)
    await stores.audit.append([AnEntry()])
    before = await snapshot(stores)

    if refused.raises:
        with pytest.raises(refused.raises):
            await refused.do(stores, [AnEntry(key_version=1)])
    else:
        await refused.do(stores, [AnEntry(key_version=1)])

    assert await snapshot(stores) == before


async def test_a_profile_whose_answer_cannot_be_kept_leaves_no_event(stores: Stores) -> None:
    """The answer is part of the act: without it nothing is inserted, and nothing told."""
    before = await snapshot(stores)

    with pytest.raises(KeyringError):
        await stores.profiles.insert([a_new_profile()], NOW, BrokenKeeper(), lambda *_: AnEntry())

    assert await snapshot(stores) == before


async def test_each_profile_of_a_batch_has_an_event(stores: Stores) -> None:
    """In the order of the batch; one whose value is taken is told with the field."""
    await _ann(stores)
    told: list[tuple[str, str | None]] = []

    def tell(row: Any, taken: str | None) -> Entry:
        told.append((row.token, taken))
        return AnEntry(user_token=row.token, outcome=taken or "ok")

    batch = [a_new_profile(), a_new_profile(a_tag("ann")), a_new_profile()]
    await stores.profiles.insert(batch, NOW, None, tell)

    outcomes = [(new.row.token, taken) for new, taken in zip(batch, (None, "email", None), strict=True)]
    assert told == outcomes
    events = await stores.audit.events(Wanted(), 0, 9)
    assert [(event.user_token, event.outcome) for event in events] == [(t, o or "ok") for t, o in outcomes]


# --- budgets -------------------------------------------------------------------------------------------------

MINUTE_STEP, DAY_STEP = HOUR // 60, DAY // 60


class Window(NamedTuple):
    """What was opened when (milliseconds, how many), what is asked, and after how many seconds to come back."""

    opened: list[tuple[int, int]]
    at: int
    asks: int
    wait: int | None
    per_hour: int | None = 3
    per_day: int | None = None


WINDOWS = {
    "as many as it may": Window([(0, 2)], 0, 1, None),
    "one more": Window([(0, 3)], 0, 1, 3600),
    "none at all is always allowed": Window([(0, 3)], 0, 0, None),
    "in the last millisecond in which they count": Window([(0, 3)], HOUR - 1, 1, 1),
    "an hour later": Window([(0, 3)], HOUR, 1, None),
    "what was opened late in a step goes with the step": Window([(MINUTE_STEP - 1, 3)], HOUR, 1, None),
    "what was opened as the next step began": Window([(MINUTE_STEP, 3)], HOUR, 1, 60),
    "seconds are rounded up": Window([(0, 3)], 1, 1, 3600),
    "a second later": Window([(0, 3)], 1001, 1, 3599),
    "it waits until one is free": Window([(0, 1), (60_000, 1), (120_000, 1)], 180_000, 1, 3420),
    "it waits until as many as it needs are free": Window([(0, 1), (60_000, 1), (120_000, 1)], 180_000, 2, 3480),
    "more at once than it may in all": Window([], 0, 4, 3600),
    "the clock has stepped back": Window([(10 * MINUTE_STEP, 3)], 0, 1, 4200),
    "the clock has stepped back by days": Window([(2 * DAY, 3)], 0, 1, 172_800 + 3600),
    "steps add up": Window([(n * MINUTE_STEP, 1) for n in range(59)], HOUR - 1, 2, 1, per_hour=60),
    "steps add up to the bound": Window([(n * MINUTE_STEP, 1) for n in range(59)], HOUR - 1, 1, None, per_hour=60),
    "a bound of nothing": Window([], 0, 1, 3600, per_hour=0),
    "no bound": Window([(0, 99)], 0, 99, None, per_hour=None),
    "in the last millisecond of the day": Window([(0, 3)], DAY - 1, 1, 1, None, 3),
    "a day later": Window([(0, 3)], DAY, 1, None, None, 3),
    "what was opened as the day's next step began": Window([(DAY_STEP, 3)], DAY, 1, 1440, None, 3),
    "more at once than it may in a day": Window([], 0, 4, 86_400, None, 3),
    "the day is spent and the hour is not": Window([(0, 2), (HOUR, 1)], 2 * HOUR, 1, 79_200, 2, 3),
}  # fmt: skip


async def _open(
    stores: Stores, opens: int, at: int, per_hour: int | None, per_day: int | None, key: str = KEY
) -> None:
    await stores.audit.append([AnEntry()] * opens, Allowance(key, opens, per_hour, per_day, NOW + at))


async def test_a_budget_slides_in_sixtieths(stores: Stores) -> None:
    """What was opened counts for sixty steps, its own the first; whoever is refused is told when to come back."""
    waits: dict[str, int | None] = {}
    for sentence, window in WINDOWS.items():  # the sentence is the access key
        bounds = window.per_hour, window.per_day, sentence
        for at, opens in window.opened:
            await _open(stores, opens, at, *bounds)
        try:
            await _open(stores, window.asks, window.at, *bounds)
            waits[sentence] = None
        except BudgetSpent as refusal:
            waits[sentence] = refusal.retry_after

    assert waits == {sentence: window.wait for sentence, window in WINDOWS.items()}


async def test_what_is_refused_is_not_counted(stores: Stores) -> None:
    """Neither by the bound that refuses it, nor by the one that would not have; nor is an event that fails."""
    await _open(stores, 2, 0, 3, 9)
    with pytest.raises(BudgetSpent):
        await _open(stores, 2, 0, 3, 9)
    with pytest.raises(BudgetSpent):
        await _open(stores, 1, 0, 9, 2)  # the hour was counted before the day refused
    with pytest.raises(KeyringError):
        await stores.audit.append([Unlinkable()], Allowance(KEY, 1, 3, 9, NOW))
    assert await recorded(stores) == [1, 2]

    await _open(stores, 1, 0, 3, 3)
    with pytest.raises(BudgetSpent):
        await _open(stores, 1, 0, 3, None)


async def test_each_access_key_has_a_budget_of_its_own(stores: Stores) -> None:
    """One that is spent is in nobody's way."""
    await _open(stores, 3, 0, 3, None)
    await _open(stores, 3, 0, 3, None, "f" * 16)
    with pytest.raises(BudgetSpent):
        await _open(stores, 1, 0, 3, None, "f" * 16)


async def test_of_many_at_once_as_many_as_may_come_through(stores: Stores) -> None:
    """There is no moment between counting and recording."""
    outcomes = await asyncio.gather(
        *(_open(stores, 1, 0, 5, None) for _ in range(20)), return_exceptions=True
    )

    assert outcomes.count(None) == 5
    assert sum(isinstance(one, BudgetSpent) for one in outcomes) == 15
    assert len(await recorded(stores)) == 5


# --- reading -------------------------------------------------------------------------------------------------

ANN, BEA = "a" * 16, "b" * 16

FILTERS = {
    "all": (Wanted(), 0, 9, [1, 2, 3, 4, 5, 6]),
    "of a person": (Wanted(user_token=PERSON), 0, 9, [1, 3, 5]),
    "by an actor": (Wanted(actor=ANN), 0, 9, [1, 2]),
    "an action": (Wanted(action="profile.changed"), 0, 9, [2, 3]),
    "since a time, which belongs to it": (Wanted(since=NOW + 3), 0, 9, [4, 5, 6]),
    "until a time, which does not": (Wanted(until=NOW + 3), 0, 9, [1, 2, 3]),
    "opened under a key version": (Wanted(revealed_version=2), 0, 9, [4, 5]),
    "all of these": (Wanted(PERSON, BEA, "profile.revealed", NOW, NOW + 9, 2), 0, 9, [5]),
    "of nobody": (Wanted(user_token=KEY), 0, 9, []),
    "behind an event": (Wanted(), 4, 9, [5, 6]),
    "behind an event that is not in it": (Wanted(user_token=PERSON), 2, 9, [3, 5]),
    "behind the end": (Wanted(), 6, 9, []),
    "no more than asked": (Wanted(), 1, 2, [2, 3]),
    "no more than asked of a person": (Wanted(user_token=PERSON), 1, 1, [3]),
}


async def test_events_are_found_by_what_they_say(stores: Stores) -> None:
    """In the order of their sequence, behind the one named."""
    await stores.audit.append(
        [
            AnEntry(actor=ANN, at=NOW),
            AnEntry("profile.changed", None, ANN, at=NOW + 1),
            AnEntry("profile.changed", actor=BEA, at=NOW + 2),
            AnEntry(user_token=OTHER, actor=BEA, at=NOW + 3, revealed_version=2),
            AnEntry(actor=BEA, at=NOW + 4, revealed_version=2),
            AnEntry(user_token=None, actor=BEA, at=NOW + 5, revealed_version=1),
        ]
    )

    found = {name: await recorded(stores, *asked) for name, (*asked, _) in FILTERS.items()}
    assert found == {name: expected for name, (*_, expected) in FILTERS.items()}
    for wanted, after, limit, expected in FILTERS.values():
        every = [event.sequence for event in await stores.audit.events(wanted, 0, 99)]
        assert await stores.audit.count(wanted) == len(every)
        rest = await stores.audit.events(wanted, after, limit, 1)
        assert [event.sequence for event in rest] == [one for one in every if one > after][1 : 1 + limit]
        assert expected == [one for one in every if one > after][:limit]


# --- checkpoints ---------------------------------------------------------------------------------------------


async def test_a_checkpoint_is_made_once_of_each_end(stores: Stores) -> None:
    """None of an empty trail; the end is signed as it is at that moment, and not a second time."""
    signed: list[int] = []

    def sign(end: End) -> str:
        signed.append(end.sequence)
        return f"signed {end.sequence}"

    assert await stores.audit.checkpoint(sign) is None
    await stores.audit.append([AnEntry(), AnEntry()])
    assert await stores.audit.checkpoint(sign) == Checkpoint(2, "signed 2")
    assert await stores.audit.checkpoint(sign) == Checkpoint(2, "signed 2")
    await stores.audit.append([AnEntry()])
    assert await stores.audit.checkpoint(sign) == Checkpoint(3, "signed 3")
    assert signed == [2, 3]


async def test_a_checkpoint_that_comes_with_an_event_is_that_of_its_end(stores: Stores) -> None:
    """It needs no second; and checkpoints are read in order, behind a sequence, as many as asked."""
    await stores.audit.append([AnEntry(checkpoint="one"), AnEntry(), AnEntry(checkpoint="three")])

    assert await stores.audit.checkpoint(lambda _: "again") == Checkpoint(3, "three")
    one, three = Checkpoint(1, "one"), Checkpoint(3, "three")
    assert await stores.audit.checkpoints(0, 9) == [one, three]
    assert await stores.audit.checkpoints(0, 1) == [one]
    assert await stores.audit.checkpoints(1, 9) == [three]
    assert await stores.audit.checkpoints(3, 9) == []


async def test_a_checkpoint_that_cannot_be_signed_is_not_made(stores: Stores) -> None:
    """The next try makes it."""
    await stores.audit.append([AnEntry()])

    def broken(_: End) -> str:
        raise KeyringError

    with pytest.raises(KeyringError):
        await stores.audit.checkpoint(broken)
    assert await stores.audit.checkpoints(0, 9) == []
    assert await stores.audit.checkpoint(lambda _: "now") == Checkpoint(1, "now")


# --- MACs ----------------------------------------------------------------------------------------------------


async def test_a_mac_is_swapped_only_for_the_one_that_was_read(stores: Stores) -> None:
    """Whoever was slower changes nothing; and nothing but MAC and version changes."""
    await stores.audit.append([AnEntry(key_version=1), AnEntry(), AnEntry(mac_version=2)])
    events, end = await stores.audit.events(Wanted(), 0, 9), await stores.audit.end()
    first, second, third = events
    assert await stores.audit.census() == {1: 2, 2: 1}

    assert await stores.audit.put_macs([(first, b"new 1", 2), (second, b"new 2", 2)]) == 2
    assert await stores.audit.put_macs([(first, b"late", 3), (third, b"new 3", 3)]) == 1
    assert await stores.audit.put_macs([]) == 0

    found = await stores.audit.events(Wanted(), 0, 9)
    assert [(event.mac, event.mac_version) for event in found] == [
        (b"new 1", 2),
        (b"new 2", 2),
        (b"new 3", 3),
    ]
    assert [event.said for event in found] == [event.said for event in events]
    assert [event.link for event in found] == [event.link for event in events]
    assert await stores.audit.end() == end
    assert await stores.audit.census() == {2: 2, 3: 1}


async def test_events_under_a_version_are_paged(stores: Stores) -> None:
    """In the order of their sequence, behind one, as many as asked."""
    await stores.audit.append([AnEntry(mac_version=version) for version in (1, 2, 1, 1, 2)])

    async def under(*asked: int) -> list[int]:
        return [event.sequence for event in await stores.audit.events_under(*asked)]

    assert await under(1, 0, 9) == [1, 3, 4]
    assert await under(1, 0, 2) == [1, 3]
    assert await under(1, 3, 2) == [4]
    assert await under(2, 2, 9) == [5]
    assert await under(3, 0, 9) == []
    assert await stores.keys.versions_in_use() == {"data": set(), "index": set(), "audit": {1, 2}}


async def test_under_a_closed_version_nothing_more_is_recorded(stores: Stores) -> None:
    """Not even among others; what is there stays and may be moved on; reopened, it is as before."""
    await stores.audit.append([AnEntry()])
    await stores.keys.close("audit", 1)
    before = await snapshot(stores)

    with pytest.raises(StaleKeys):
        await stores.audit.append([AnEntry(mac_version=2), AnEntry(mac_version=1)])
    assert await snapshot(stores) == before

    (event,) = await stores.audit.events(Wanted(), 0, 9)
    assert await stores.audit.put_macs([(event, b"new", 2)]) == 1
    await stores.audit.append([AnEntry(mac_version=2)])
    await stores.keys.reopen("audit", 1)
    await stores.audit.append([AnEntry(mac_version=1)])
    assert await recorded(stores) == [1, 2, 3]


async def test_the_fences_of_other_lines_are_not_in_its_way(stores: Stores) -> None:
    """A closed data or index version of the same number says nothing of MACs."""
    await stores.keys.close("data", 1)
    await stores.keys.close("index", 1)

    await stores.audit.append([AnEntry(mac_version=1)])

    assert await recorded(stores) == [1]


# --- details -------------------------------------------------------------------------------------------------


async def test_details_go_with_their_person(stores: Stores) -> None:
    """Events and digests stay, and so do other people's details; an erasure that is noted takes nothing yet."""
    await _ann_and_bea(stores)
    entries = [
        AnEntry(key_version=1),
        AnEntry(user_token=OTHER, key_version=1),
        AnEntry(user_token=None, key_version=1),
    ]
    await stores.audit.append([*entries, AnEntry(key_version=1)])
    events = await stores.audit.events(Wanted(), 0, 9)
    details = sealed(stores, "audit_details")

    async def there() -> list[str]:
        return [row.name for row in await details.page(None, 9)]

    await stores.profiles.note_erasure(PERSON, NOW)
    assert await there() == ["1", "2", "3", "4"]
    await stores.profiles.delete(PERSON)

    assert await there() == ["2", "3"]
    assert await stores.audit.events(Wanted(), 0, 9) == events
    await stores.profiles.delete(PERSON)  # absent is fine
    assert await there() == ["2", "3"]
