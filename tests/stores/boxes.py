"""The registry of boxes, by name, and a way to put a row into each place that keeps them."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from tests.stores.rows import (
    NOW,
    AnEntry,
    Keeper,
    a_document,
    a_new_profile,
    a_session,
    an_access_key,
    sealing,
)
from vault.ports import SealedStore, Stores
from vault.records import SealedRow

#: A key version that the row beside an answer is under, so that it is in nobody's way.
BYSTANDER = 99


def sealed(stores: Stores, name: str) -> SealedStore:
    """Return the one place with this name where boxes are kept."""
    (store,) = (store for store in stores.sealed if store.name == name)
    return store


async def _a_profile(stores: Stores, key_version: int) -> str:
    new = a_new_profile(key_version=key_version)
    assert await stores.profiles.insert([new], NOW) == [None]
    return new.row.token


async def _an_answer_to_a_profile(stores: Stores, key_version: int) -> str:
    keeper = Keeper(key_version=key_version)
    assert await stores.profiles.insert([a_new_profile(key_version=BYSTANDER)], NOW, keeper) == [None]
    return keeper.digest.hex()


async def _a_session(stores: Stores, key_version: int) -> str:
    row = a_session(key_version=key_version)
    await stores.sessions.insert(row, 0, "refuse", NOW)
    return row.handle


async def _an_answer_to_a_session(stores: Stores, key_version: int) -> str:
    keeper = Keeper(key_version=key_version)
    await stores.sessions.insert(a_session(key_version=BYSTANDER), 0, "refuse", NOW, keeper)
    return keeper.digest.hex()


async def _the_details_of_an_event(stores: Stores, key_version: int) -> str:
    await stores.audit.append([AnEntry(key_version=key_version)])
    end = await stores.audit.end()
    assert end is not None
    return str(end.sequence)


async def _an_access_key(stores: Stores, key_version: int) -> str:
    row = an_access_key(key_version=key_version)
    await stores.access.insert(row)
    return row.id


class Kind(NamedTuple):
    """A place where boxes are kept: its purpose, and how a row comes into it; that returns the row's name."""

    purpose: str
    add: Callable[[Stores, int], Awaitable[str]]


async def _a_document(stores: Stores, key_version: int) -> str:
    [row] = await stores.documents.insert([sealing(a_document(key_version=key_version))], NOW)
    return row.name


KINDS = {
    "profiles": Kind("profile", _a_profile),
    "profile_answers": Kind("answer", _an_answer_to_a_profile),
    "sessions": Kind("session", _a_session),
    "session_answers": Kind("answer", _an_answer_to_a_session),
    "audit_details": Kind("event", _the_details_of_an_event),
    "access_keys": Kind("access", _an_access_key),
    "documents": Kind("document", _a_document),
}
each_kind = pytest.mark.parametrize("name", KINDS)


async def kept(stores: Stores, name: str, key_version: int = 1) -> SealedRow:
    """Put a row into a place and return it as the registry shows it."""
    row = await sealed(stores, name).get(await KINDS[name].add(stores, key_version))
    assert row is not None
    return row


async def everything(stores: Stores) -> dict[str, list[SealedRow]]:
    """Return every box of every place: two calls that give the same saw no write between them."""
    return {store.name: await store.page(None, 9999) for store in stores.sealed}
