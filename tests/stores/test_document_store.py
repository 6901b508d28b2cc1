import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.stores.boxes import sealed
from tests.stores.endings import Bury, dead_owners, stored
from tests.stores.rows import HOUR, NOW, PERSON, AnEntry, a_document, a_new_profile, sealing
from vault.errors import NameTaken, ProfileNotFound, StaleKeys
from vault.ports import DocumentRow, DocumentStore, Entry, Former, NewValue, Sealing, Stores, Wanted
from vault.records import End, Linked
from vault.stores import open_stores


@pytest.fixture
def documents(stores: Stores) -> DocumentStore:
    """The document store of each back-end in turn."""
    return stores.documents


async def put(documents: DocumentStore, *rows: DocumentRow) -> list[DocumentRow]:
    """Insert rows, and return them with the ids that they were given."""
    return await documents.insert([sealing(row) for row in rows], NOW)


async def kept(documents: DocumentStore, **changes: object) -> DocumentRow:
    """Insert one row, and return it with the id that it was given."""
    [row] = await put(documents, a_document(**changes))
    return row


async def names(documents: DocumentStore, under: str = "") -> list[str]:
    """Return the names of all that live."""
    return [row.name for row in await documents.page(under, NOW, 0, 99)]


async def actions(stores: Stores) -> list[str]:
    """Return what the trail tells of."""
    return [event.action for event in await stores.audit.events(Wanted(), 0, 99)]


# --- insert and find ----------------------------------------------------------------------------------------


async def test_an_inserted_document_is_found(documents: DocumentStore, stores: Stores) -> None:
    """Every column comes back, by name and by id, and its events are in the trail."""
    profile = await stored(stores.profiles, a_new_profile())
    row = a_document(
        name="role/clerk", owner=profile.token, key_version=3, updated_at=NOW + 1, expires_at=NOW + HOUR
    )

    [held] = await documents.insert([sealing(row)], NOW, [AnEntry("role.created"), AnEntry("role.linked")])

    assert held.id > 0
    assert held == replace(row, id=held.id)
    assert await documents.find("role/clerk") == held == await documents.find_by_id(held.id)
    assert await actions(stores) == ["role.created", "role.linked"]


async def test_what_is_not_there_is_none(documents: DocumentStore) -> None:
    """Absent is None, zero or empty, and not an error; a name is found whole and in its own case."""
    row = await kept(documents, name="role/clerk")

    for name in ("role/cler", "role/clerks", "Role/clerk", ""):
        assert await documents.find(name) is None
    for number in (0, -1, row.id + 1):
        assert await documents.find_by_id(number) is None
    assert await documents.of_owner(PERSON, NOW) == []
    assert await documents.page("policy/", NOW, 0, 9) == []
    assert await documents.count("policy/", NOW) == 0


async def test_a_dead_document_is_still_found(documents: DocumentStore) -> None:
    """By name and by id: whether it may be seen is not the store's to judge. It is dead at its very millisecond."""
    row = await kept(documents, expires_at=NOW)

    assert await documents.find(row.name) == row == await documents.find_by_id(row.id)
    assert not row.is_alive(NOW)
    assert row.is_alive(NOW - 1)
    assert a_document().is_alive(NOW)


async def test_ids_follow_the_order_of_the_batch(documents: DocumentStore) -> None:
    """Each row has the id that is returned in its place, and later ones are larger."""
    rows = await put(documents, *(a_document(name=f"role/{name}") for name in ("zoe", "ann", "moe")))

    assert [row.id for row in rows] == sorted({row.id for row in rows})
    for row in rows:
        assert await documents.find_by_id(row.id) == row


async def test_a_row_is_made_for_its_id(documents: DocumentStore, stores: Stores) -> None:
    """Whoever seals it is told the id that it will have, and that is as high as none was; so of a former version."""

    def telling(name: str) -> Sealing:
        return lambda number: a_document(name=name, id=number, box=b"of %d" % number)

    old = await kept(documents)
    assert await documents.delete([old.name]) == 1
    one, other = await documents.insert([telling("role/ann"), telling("role/bea")], NOW)
    left = Former("was/", telling("was/1"), 9)
    assert await documents.swap(one, replace(one, box=b"new"), [], left)
    assert await stores.values.write([NewValue(telling("value/1"), ())], [], NOW)

    rows = await documents.page("", NOW, 0, 9)
    assert [row.name for row in rows] == ["role/ann", "role/bea", "was/1", "value/1"]
    assert [row.box for row in rows] == [b"new", *(b"of %d" % row.id for row in rows[1:])]
    assert old.id < one.id < other.id < rows[2].id < rows[3].id


async def test_an_empty_batch_keeps_nothing(documents: DocumentStore) -> None:
    """No row, no id."""
    assert await documents.insert([], NOW) == []
    assert await names(documents) == []


@pytest.mark.parametrize("way", ["deleted", "purged", "replaced once it had ended"])
async def test_an_id_is_never_given_twice(way: str, documents: DocumentStore) -> None:
    """Not even that of the newest document, which a new one would have next: whoever holds a number holds nothing."""
    row = await kept(documents, expires_at=NOW)
    if way == "deleted":
        assert await documents.delete([row.name]) == 1
    if way == "purged":
        assert await documents.purge(NOW, 9) == 1

    heir = await kept(documents, name=row.name)

    assert heir.id > row.id
    assert await documents.find_by_id(row.id) is None


# --- names ---------------------------------------------------------------------------------------------------


async def test_a_name_belongs_to_one_living_document(documents: DocumentStore, stores: Stores) -> None:
    """Another is refused with all that came along, and neither row nor event of it is there."""
    held = await kept(documents, name="role/clerk", expires_at=NOW + 1)
    other = a_document(name="role/cook")

    with pytest.raises(NameTaken):
        await documents.insert([sealing(other), sealing(a_document(name="role/clerk"))], NOW, [AnEntry()])

    assert await documents.find("role/clerk") == held
    assert await documents.find("role/cook") is None
    assert await actions(stores) == []


async def test_a_batch_has_no_two_of_one_name(documents: DocumentStore) -> None:
    """Duplicates inside a batch are found, and none of it is kept."""
    with pytest.raises(NameTaken):
        await put(documents, a_document(name="a/b"), a_document(), a_document(name="a/b"))

    assert await names(documents) == []


async def test_the_name_of_an_ended_document_is_taken_over(documents: DocumentStore) -> None:
    """From the very millisecond of its end; the old row is gone, with its box and its owner."""
    old = await kept(documents, name="role/clerk", expires_at=NOW)

    heir = await kept(documents, name="role/clerk")

    assert await documents.find("role/clerk") == heir
    assert heir.box != old.box
    assert await documents.count("", NOW) == 1
    assert await documents.purge(NOW + HOUR, 9) == 0


async def test_one_of_many_concurrent_inserts_has_the_name(documents: DocumentStore) -> None:
    """However many ask at once."""
    rows = [a_document(name="role/clerk") for _ in range(10)]

    said = await asyncio.gather(*(put(documents, row) for row in rows), return_exceptions=True)

    won = [row for row, outcome in zip(rows, said, strict=True) if not isinstance(outcome, BaseException)]
    assert sum(isinstance(outcome, NameTaken) for outcome in said) == 9
    held = await documents.find("role/clerk")
    assert held is not None
    assert [held.box] == [row.box for row in won]


# --- owners --------------------------------------------------------------------------------------------------


async def test_an_owner_must_be_there(documents: DocumentStore, stores: Stores) -> None:
    """A document of nobody's profile is refused with all that came along."""
    with pytest.raises(ProfileNotFound):
        await documents.insert([sealing(a_document()), sealing(a_document(owner=PERSON))], NOW, [AnEntry()])

    assert await names(documents) == []
    assert await actions(stores) == []


@dead_owners
async def test_an_owner_must_be_alive(bury: Bury, documents: DocumentStore, stores: Stores) -> None:
    """What is kept for somebody who is on the way out would be left behind."""
    dead = await bury(stores.profiles)

    with pytest.raises(ProfileNotFound):
        await put(documents, a_document(owner=dead.token))

    assert await names(documents) == []


async def test_the_documents_of_a_person_end_with_the_person(
    documents: DocumentStore, stores: Stores
) -> None:
    """All of them and no others, dead ones too, and the notes about them; a name is free again."""
    ann, bea = [await stored(stores.profiles, a_new_profile()) for _ in range(2)]
    mine = await put(
        documents, a_document(owner=ann.token, name="app/ann"), a_document(owner=ann.token, expires_at=NOW)
    )
    others = await put(documents, a_document(owner=bea.token), a_document())
    boxes = sealed(stores, "documents")
    row = await boxes.get("app/ann")
    assert row is not None
    await boxes.set_aside(row, "box_tampered", NOW)

    await stores.profiles.delete(ann.token)

    assert [await documents.find(row.name) for row in mine] == [None, None]
    assert [await documents.find(row.name) for row in others] == others
    assert await boxes.set_aside_census() == {}
    await kept(documents, name="app/ann")


async def test_the_living_documents_of_a_person_are_listed(documents: DocumentStore, stores: Stores) -> None:
    """In the order in which they came, whatever their kind; not those of others, nor those that have ended."""
    ann, bea = [await stored(stores.profiles, a_new_profile()) for _ in range(2)]
    mine = await put(
        documents,
        *(a_document(owner=ann.token, name=name) for name in ("z/1", "a/2")),
        a_document(owner=ann.token, expires_at=NOW + 1),
    )
    await put(
        documents, a_document(owner=ann.token, expires_at=NOW), a_document(owner=bea.token), a_document()
    )

    assert await documents.of_owner(ann.token, NOW) == mine
    assert await documents.of_owner(ann.token, NOW + 1) == mine[:2]


# --- pages ---------------------------------------------------------------------------------------------------


async def test_a_page_is_of_names_that_begin_so(documents: DocumentStore) -> None:
    """In the order in which they came and not of their names; of those that live."""
    rows = await put(
        documents,
        *(
            a_document(name=name)
            for name in ("role/z", "rolex/a", "role/a", "role", "policy/a", "Role/a", "role/é")
        ),
        a_document(name="role/dead", expires_at=NOW),
        a_document(name="role/dying", expires_at=NOW + 1),
    )

    under = [rows[0], rows[2], rows[6], rows[8]]
    assert await documents.page("role/", NOW, 0, 9) == under
    assert await documents.page("role/", NOW, 1, 2) == under[1:3]
    assert await documents.page("role/", NOW, 3, 9) == under[3:]
    assert await documents.page("role/", NOW, 4, 9) == []
    assert await documents.page("role/", NOW + 1, 0, 9) == under[:3]
    assert await documents.count("role/", NOW) == 4
    assert await documents.count("role/", NOW + 1) == 3
    assert await documents.count("", NOW) == 8


async def test_a_page_without_a_limit_has_all(documents: DocumentStore) -> None:
    """A limit of -1 is none, as ``vault.documents`` asks for a whole kind."""
    rows = await put(documents, *(a_document() for _ in range(3)))

    assert await documents.page("role/", NOW, 0, -1) == rows
    assert await documents.page("role/", NOW, 1, -1) == rows[1:]


@pytest.mark.parametrize("letter", ["%", "_", "*", "?", "["])
async def test_no_letter_of_a_prefix_stands_for_others(letter: str, documents: DocumentStore) -> None:
    """A name is text, and not a pattern."""
    row = await kept(documents, name=f"app/{letter}")
    await kept(documents, name="app/x")

    assert await documents.page(f"app/{letter}", NOW, 0, 9) == [row]


# --- swap ----------------------------------------------------------------------------------------------------


async def test_a_swap_puts_in_all_but_id_owner_and_birth(documents: DocumentStore, stores: Stores) -> None:
    """Name, box, key version, change and end are the new row's; its events are in the trail."""
    profile = await stored(stores.profiles, a_new_profile())
    old = await kept(documents, name="role/clerk", owner=profile.token)
    new = replace(
        old, name="role/cook", box=b"new", key_version=2, updated_at=NOW + 5, expires_at=NOW + HOUR,
        owner=PERSON, created_at=1, id=old.id + 7,
    )  # fmt: skip

    assert await documents.swap(old, new, [AnEntry("role.changed")])

    held = replace(new, id=old.id, owner=old.owner, created_at=old.created_at)
    assert await documents.find("role/cook") == held == await documents.find_by_id(old.id)
    assert await documents.find("role/clerk") is None
    assert await documents.find_by_id(old.id + 7) is None
    assert await actions(stores) == ["role.changed"]
    await kept(documents, name="role/clerk")  # the old name is free


async def _changed(documents: DocumentStore, row: DocumentRow) -> None:
    assert await documents.swap(row, replace(row, box=b"faster"))


async def _deleted(documents: DocumentStore, row: DocumentRow) -> None:
    assert await documents.delete([row.name]) == 1


async def _deleted_and_made_again(documents: DocumentStore, row: DocumentRow) -> None:
    await _deleted(documents, row)
    await put(documents, row)  # the very box, under another id


BETWEEN = {
    "it was changed": _changed,
    "it was deleted": _deleted,
    "another of its name and box took its place": _deleted_and_made_again,
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
async def test_a_swap_whose_box_is_gone_does_nothing(
    between: Callable[[DocumentStore, DocumentRow], Awaitable[None]], documents: DocumentStore, stores: Stores
) -> None:
    """Whoever was faster has won: False, and neither row nor event."""
    row = await kept(documents)
    await between(documents, row)
    before = await documents.find(row.name)

    assert not await documents.swap(row, replace(row, box=b"new", name="role/other"), [AnEntry()])

    assert await documents.find(row.name) == before
    assert await documents.find("role/other") is None
    assert await actions(stores) == []


async def test_a_swap_takes_no_name_of_another(documents: DocumentStore, stores: Stores) -> None:
    """Of one that is alive when the change is made: nothing is changed; its own name is no other's."""
    row, other = await put(documents, a_document(), a_document(expires_at=NOW + 1))

    with pytest.raises(NameTaken):
        await documents.swap(row, replace(row, name=other.name, box=b"new"), [AnEntry()])

    assert [await documents.find(each.name) for each in (row, other)] == [row, other]
    assert await actions(stores) == []
    assert await documents.swap(row, replace(row, box=b"new"))


async def test_a_swap_takes_the_name_of_one_that_has_ended(documents: DocumentStore) -> None:
    """From the very millisecond of its end, and only if there is something to swap."""
    row, ended = await put(documents, a_document(), a_document(expires_at=NOW))
    new = replace(row, name=ended.name, box=b"new")

    assert not await documents.swap(replace(row, box=b"other"), new)
    assert await documents.find(ended.name) == ended
    assert await documents.swap(row, new)

    assert await documents.find(ended.name) == new
    assert await documents.find_by_id(ended.id) is None
    assert await documents.count("", 0) == 1


async def test_one_of_many_concurrent_swaps_is_done(documents: DocumentStore, stores: Stores) -> None:
    """Of those who read the same row; the others are told, and leave no event."""
    row = await kept(documents)
    news = [replace(row, box=bytes([number])) for number in range(10)]

    said = await asyncio.gather(*(documents.swap(row, new, [AnEntry()]) for new in news))

    assert sum(said) == 1
    assert await documents.find(row.name) == news[said.index(True)]
    assert len(await actions(stores)) == 1


async def test_a_swap_keeps_former_versions(documents: DocumentStore, stores: Stores) -> None:
    """That which it ends is added, and no more are kept than may be; those of others stay."""
    row = await kept(documents, name="app/ann")
    others = await put(documents, a_document(name="was/annie/1"), a_document(name="app/anna"))
    for number in range(4):
        left = Former("was/ann/", sealing(a_document(name=f"was/ann/{number}")), 2)
        new = replace(row, box=bytes([number]))
        assert await documents.swap(row, new, [AnEntry()], left)
        row = new

    assert await names(documents, "was/ann/") == ["was/ann/2", "was/ann/3"]
    assert [await documents.find(one.name) for one in others] == others
    assert await documents.swap(row, replace(row, box=b"last"), [], Former("was/ann/", None, 0))
    assert await names(documents, "was/ann/") == []


async def test_a_swap_that_is_too_late_keeps_no_version(documents: DocumentStore) -> None:
    """Nothing is done, nor of what would be dropped."""
    row = await kept(documents)
    await kept(documents, name="was/1")
    await _changed(documents, row)

    for left in (Former("was/", sealing(a_document(name="was/2")), 9), Former("was/", None, 0)):
        assert not await documents.swap(row, replace(row, box=b"new"), [], left)
    assert await names(documents, "was/") == ["was/1"]


# --- the end -------------------------------------------------------------------------------------------------


async def test_deleting_tells_how_many_there_were(documents: DocumentStore, stores: Stores) -> None:
    """Unknown names and repeated ones are passed over; the events are recorded once, if there was any."""
    rows = await put(documents, *(a_document(name=f"role/{number}") for number in range(4)))
    some = [rows[0].name, "role/unknown", rows[2].name, rows[0].name]

    assert await documents.delete(some, [AnEntry("role.deleted")]) == 2
    assert await documents.delete(some, [AnEntry("role.deleted")]) == 0
    assert await documents.delete([], [AnEntry("role.deleted")]) == 0

    assert await names(documents) == ["role/1", "role/3"]
    assert await actions(stores) == ["role.deleted"]


async def test_deleting_takes_what_lies_under(documents: DocumentStore) -> None:
    """Uncounted, and only if what it hangs on was there."""
    every = ("app/ann", "was/ann/1", "was/ann/2", "was/anna/1")
    await put(documents, *(a_document(name=name) for name in every))

    assert await documents.delete(["app/nobody"], [], "was/ann/") == 0
    assert await names(documents) == list(every)
    assert await documents.delete(["app/ann"], [], "was/ann/") == 1
    assert await names(documents) == ["was/anna/1"]
    await kept(documents)
    assert await documents.delete(["was/anna/1"], [], "") == 1
    assert await documents.count("", NOW) == 1


async def test_purging_takes_those_that_have_ended(documents: DocumentStore) -> None:
    """From the very millisecond of their end, as many as asked; returns how many went."""
    ends = {"a/1": NOW - 1, "a/2": NOW - 2, "a/3": NOW, "a/4": NOW + 1, "a/5": None}
    await put(documents, *(a_document(name=name, expires_at=end) for name, end in ends.items()))

    async def there() -> list[str]:
        return [name for name in ends if await documents.find(name)]

    assert await documents.purge(NOW - 3, 9) == 0
    assert await documents.purge(NOW, 1) == 1
    assert len(await there()) == 4
    assert await documents.purge(NOW, 9) == 2
    assert await there() == ["a/4", "a/5"]
    assert await documents.purge(NOW, 9) == 0


# --- what is refused is not half done ------------------------------------------------------------------------

Change = Callable[[DocumentStore, DocumentRow, int, Sequence[Entry]], Awaitable[object]]


async def _insert(
    documents: DocumentStore, row: DocumentRow, version: int, entries: Sequence[Entry]
) -> object:
    return await documents.insert(
        [sealing(a_document()), sealing(a_document(key_version=version))], NOW, entries
    )


async def _take_over(
    documents: DocumentStore, row: DocumentRow, version: int, entries: Sequence[Entry]
) -> object:
    return await documents.insert([sealing(a_document(name="role/dead", key_version=version))], NOW, entries)


async def _swap(documents: DocumentStore, row: DocumentRow, version: int, entries: Sequence[Entry]) -> object:
    return await documents.swap(row, replace(row, name="role/new", box=b"new", key_version=version), entries)


async def _delete(
    documents: DocumentStore, row: DocumentRow, version: int, entries: Sequence[Entry]
) -> object:
    return await documents.delete([row.name], entries)


SEALING: dict[str, Change] = {
    "one of two is inserted": _insert,
    "a name is taken over": _take_over,
    "one is changed": _swap,
}
CHANGES: dict[str, Change] = {**SEALING, "one is deleted": _delete}


async def everything(documents: DocumentStore) -> list[DocumentRow | None]:
    """Return all that there is, the dead too."""
    return [*await documents.page("", 0, 0, 99), await documents.find("role/dead")]


@pytest.mark.parametrize("change", SEALING.values(), ids=SEALING)
async def test_nothing_is_sealed_under_a_closed_version(
    change: Change, documents: DocumentStore, stores: Stores
) -> None:
    """Whatever writes a box is held to the fence, and done once the version is open again."""
    row, _ = await put(documents, a_document(), a_document(name="role/dead", expires_at=NOW))
    await stores.keys.close("data", 2)
    before = await everything(documents)

    with pytest.raises(StaleKeys):
        await change(documents, row, 2, [AnEntry()])
    assert await everything(documents) == before
    assert await actions(stores) == []

    await stores.keys.reopen("data", 2)
    assert await change(documents, row, 2, [AnEntry()])
    assert await sealed(stores, "documents").census() != {1: len(before)}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_cannot_be_recorded_is_not_done(
    change: Change, documents: DocumentStore, stores: Stores
) -> None:
    """A change and its events are one."""
    row, _ = await put(documents, a_document(), a_document(name="role/dead", expires_at=NOW))
    await stores.keys.close("audit", 1)
    before = await everything(documents)

    with pytest.raises(StaleKeys):
        await change(documents, row, 1, [AnEntry()])

    assert await everything(documents) == before
    assert await change(documents, row, 1, [])


# --- long ones ----------------------------------------------------------------------------------------------

#: Rows or events of one call, and how many may be written before the loop has its turn.
MANY, A_BREATH = 400, 64


async def _insert_many(stores: Stores, entries: Sequence[Entry], note: Callable[[], None]) -> None:
    def noted(number: int) -> DocumentRow:
        note()
        return a_document(id=number)

    await stores.documents.insert([noted] * MANY, NOW, entries)


async def _delete_many(stores: Stores, entries: Sequence[Entry], note: Callable[[], None]) -> None:
    rows = await put(stores.documents, *(a_document() for _ in range(MANY)))
    note()
    assert await stores.documents.delete([row.name for row in rows], entries) == MANY


async def _record_many(stores: Stores, entries: Sequence[Entry], note: Callable[[], None]) -> None:
    await stores.audit.append(entries)


#: Each with how many it writes, rows and events.
LONG = {
    "documents are inserted": (_insert_many, 2 * MANY),
    "documents are deleted": (_delete_many, 2 * MANY),
    "events are recorded": (_record_many, MANY),
}
Act = Callable[[Stores, Sequence[Entry], Callable[[], None]], Awaitable[None]]


@pytest.mark.parametrize(("act", "writes"), LONG.values(), ids=LONG)
async def test_a_long_call_lets_the_loop_breathe(act: Act, writes: int, tmp_path: Path) -> None:
    """Within its one transaction everybody else has a turn after so many rows, and after so many events."""
    turns, noted = 0, list[int]()

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class Noted(AnEntry):
        def linked(self, end: End | None) -> Linked:
            noted.append(turns)
            return super().linked(end)

    async with open_stores("sqlite:", tmp_path, 5) as stores:
        busy = asyncio.create_task(others())
        await act(stores, [Noted() for _ in range(MANY)], lambda: noted.append(turns))
        busy.cancel()
        assert await stores.audit.count(Wanted()) == MANY

    assert noted[-1] - noted[0] >= writes // A_BREATH
    assert max(Counter(noted).values()) <= 2 * A_BREATH  # the last rows and the first events
