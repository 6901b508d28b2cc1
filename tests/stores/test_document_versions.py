import pytest
from msgspec.structs import replace

from tests.stores.rows import NOW, AnEntry, a_document, sealing
from vault.errors import NameTaken, StaleKeys
from vault.ports import DocumentRow, DocumentStore, Former, Stores, Wanted

NAME, UNDER = "appdata/ann/shop", "appversion/ann/shop/"
CLOSED = 7


@pytest.fixture
def documents(stores: Stores) -> DocumentStore:
    """The document store of each back-end in turn."""
    return stores.documents


async def kept(documents: DocumentStore, *names: str) -> list[DocumentRow]:
    """Keep documents of these names."""
    rows = [a_document(name=name) for name in names]
    return await documents.insert([sealing(row) for row in rows], NOW)


async def names(documents: DocumentStore, under: str = "") -> list[str]:
    """Return the names of all that live."""
    return [row.name for row in await documents.page(under, NOW, 0, 99)]


def left(number: int, most: int = 9, **changes: object) -> Former:
    """Return what a change leaves."""
    return Former(UNDER, sealing(a_document(name=f"{UNDER}{number}", **changes)), most)


# --- a change that leaves a version -------------------------------------------------------------------------


async def test_a_swap_keeps_what_was(documents: DocumentStore, stores: Stores) -> None:
    """The version is there with the new row; its event is recorded once."""
    [row] = await kept(documents, NAME)
    version = a_document(name=f"{UNDER}1")
    former = Former(UNDER, sealing(version), 9)

    assert await documents.swap(row, replace(row, box=b"new"), [AnEntry("a.b")], former)

    [kept_one] = await documents.page(UNDER, NOW, 0, 9)
    assert kept_one == replace(version, id=kept_one.id)
    assert kept_one.id > row.id
    assert [event.action for event in await stores.audit.events(Wanted(), 0, 9)] == ["a.b"]


async def test_a_swap_keeps_so_many(documents: DocumentStore) -> None:
    """The newest by their coming and not by their name; those of others stay."""
    [row, *_] = await kept(documents, NAME, "appversion/ann/shop2/1", "appversion/ann/sho/1")
    for number in (8, 9, 10, 11):
        new = replace(row, box=bytes([number]))
        assert await documents.swap(row, new, [], left(number, most=2))
        row = new
    assert await names(documents, UNDER) == [f"{UNDER}10", f"{UNDER}11"]

    assert await documents.swap(row, replace(row, box=b"last"), [], Former(UNDER, None, 0))
    assert await names(documents) == [NAME, "appversion/ann/shop2/1", "appversion/ann/sho/1"]


async def test_a_swap_that_is_too_late_leaves_nothing(documents: DocumentStore) -> None:
    """Neither a version nor a gap among them."""
    row, _ = await kept(documents, NAME, f"{UNDER}1")
    assert not await documents.swap(replace(row, box=b"other"), row, [], left(2, most=1))
    assert await names(documents, UNDER) == [f"{UNDER}1"]


async def test_a_refused_swap_leaves_nothing(documents: DocumentStore, stores: Stores) -> None:
    """For a name that is another's, and for a version under a closed key."""
    row, other = await kept(documents, NAME, "appdata/ann/other")
    with pytest.raises(NameTaken):
        await documents.swap(row, replace(row, name=other.name, box=b"new"), [AnEntry()], left(1))
    await stores.keys.close("data", CLOSED)
    with pytest.raises(StaleKeys):
        await documents.swap(row, replace(row, box=b"new"), [AnEntry()], left(1, key_version=CLOSED))

    assert await documents.find(NAME) == row
    assert await names(documents, UNDER) == []
    assert await stores.audit.events(Wanted(), 0, 9) == []


# --- an end that takes others along -------------------------------------------------------------------------


async def test_what_lies_under_goes_too(documents: DocumentStore) -> None:
    """Uncounted; and nothing else does, whatever its name is like."""
    stays = ["appversion/ann/shop2/1", "appversion/ann/shop", "appversion/ann/sho/1", "appdata/ann/shop2"]
    await kept(documents, NAME, f"{UNDER}1", f"{UNDER}2", *stays)

    assert await documents.delete([NAME], [], UNDER) == 1

    assert await names(documents) == stays


async def test_nothing_goes_with_what_is_not_there(documents: DocumentStore, stores: Stores) -> None:
    """No event either."""
    await kept(documents, f"{UNDER}1")
    assert await documents.delete([NAME], [AnEntry()], UNDER) == 0
    assert await names(documents) == [f"{UNDER}1"]
    assert await stores.audit.events(Wanted(), 0, 9) == []


async def test_nothing_lies_under_no_name(documents: DocumentStore) -> None:
    """An empty one is not the head of all."""
    await kept(documents, NAME, f"{UNDER}1")
    assert await documents.delete([NAME]) == 1
    assert await names(documents) == [f"{UNDER}1"]
