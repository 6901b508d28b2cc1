import pytest
from msgspec.structs import replace

from tests.stores.rows import DAY, NOW, AnEntry, Keeper, a_key_record, a_new_profile, a_session, a_tag
from vault.ports import Stores
from vault.records import KeyRecord


def by_name(records: list[KeyRecord]) -> list[KeyRecord]:
    """Put the records in an order."""
    return sorted(records, key=lambda record: (record.line, record.version))


FULL = {
    "activated_at": NOW + 1,
    "compromised_at": NOW + 2,
    "empty_since": NOW + 3,
    "destroyed_at": NOW + 4,
    "certificate": '{"version": 1}',
}


async def test_every_version_ever_inserted_is_known(stores: Stores) -> None:
    """A version is its line and its number together, and every column comes back."""
    assert await stores.keys.known() == []
    records = [a_key_record(line=line, version=n) for line in ("data", "index", "signing") for n in (1, 2)]
    records.append(a_key_record(line="signing", version=3, **FULL))
    for record in records:
        await stores.keys.insert(record)

    assert by_name(await stores.keys.known()) == records


async def test_a_known_version_does_not_change(stores: Stores) -> None:
    """Making it known again is fine, and what was known first stands."""
    record = a_key_record()
    await stores.keys.insert(record)

    await stores.keys.insert(record)
    await stores.keys.insert(replace(record, fingerprint="another", canary=b"another", created_at=NOW + 1))

    assert await stores.keys.known() == [record]


@pytest.mark.parametrize("column", FULL)
async def test_what_becomes_of_a_version_is_noted(column: str, stores: Stores) -> None:
    """Each date and the certificate can be set and taken back; other versions stay as they are."""
    record, *others = [
        a_key_record(line=line, version=n) for line, n in (("data", 1), ("data", 2), ("index", 1))
    ]
    for each in (record, *others):
        await stores.keys.insert(each)
    noted = replace(record, **{column: FULL[column]})

    await stores.keys.update(noted)
    assert by_name(await stores.keys.known()) == [noted, *others]

    await stores.keys.update(record)
    assert by_name(await stores.keys.known()) == [record, *others]


async def test_identity_proof_and_birth_are_never_updated(stores: Stores) -> None:
    """Fingerprint and canary vouch for the key as it was first seen."""
    record = a_key_record()
    await stores.keys.insert(record)

    await stores.keys.update(
        replace(record, fingerprint="another", canary=b"another", created_at=NOW + 1, **FULL)
    )

    assert await stores.keys.known() == [replace(record, **FULL)]


async def test_an_update_makes_nothing_known(stores: Stores) -> None:
    """Of a version that was never inserted there is no proof."""
    await stores.keys.update(a_key_record(**FULL))

    assert await stores.keys.known() == []


async def test_an_empty_vault_uses_no_version(stores: Stores) -> None:
    """A version that is known but sealed nothing is not in use."""
    await stores.keys.insert(a_key_record())

    assert await stores.keys.versions_in_use() == {"data": set(), "index": set(), "audit": set()}


async def test_versions_are_in_use_over_all_stores(stores: Stores) -> None:
    """Profiles, sessions, kept answers and details need data keys, tags need index keys, and events audit keys."""
    tags = a_tag("ann@example.org", version=7), a_tag("ann@example.org", version=8)
    await stores.profiles.insert([a_new_profile(*tags, key_version=1)], NOW, Keeper(key_version=2))
    await stores.sessions.insert(a_session(key_version=3), 0, "refuse", NOW, Keeper(key_version=4))
    await stores.audit.append([AnEntry(mac_version=9, key_version=5)])

    assert await stores.keys.versions_in_use() == {"data": {1, 2, 3, 4, 5}, "index": {7, 8}, "audit": {9}}


async def test_dead_rows_still_need_their_keys(stores: Stores) -> None:
    """As long as a row is stored, so is its need of a key."""
    new = a_new_profile(a_tag("ann@example.org", version=7), key_version=1)
    await stores.profiles.insert([new], NOW)
    await stores.profiles.note_erasure(new.row.token, NOW)
    expired = a_session(NOW - 2 * DAY, key_version=3)
    await stores.sessions.insert(expired, 0, "refuse", NOW - 2 * DAY)

    assert await stores.keys.versions_in_use() == {"data": {1, 3}, "index": {7}, "audit": set()}


async def test_a_version_is_free_when_its_last_row_is_gone(stores: Stores) -> None:
    """What was deleted, replaced, revoked or purged needs no key any more."""
    tag = a_tag("ann@example.org", version=7)
    new, session = a_new_profile(tag, key_version=1), a_session(key_version=3)
    kept = [Keeper(key_version=2, expires_at=NOW + 1), Keeper(key_version=4, expires_at=NOW + 1)]
    await stores.profiles.insert([new, a_new_profile(key_version=9)], NOW, kept[0])
    await stores.sessions.insert(session, 0, "refuse", NOW, kept[1])

    changed = replace(new.row, key_version=5, revision=2)
    await stores.profiles.replace(changed, [a_tag("ann@example.org", version=8)], 1)
    assert await stores.keys.versions_in_use() == {"data": {2, 3, 4, 5, 9}, "index": {8}, "audit": set()}

    await stores.profiles.delete(new.row.token)
    await stores.sessions.revoke(session.digest)
    for answers in (stores.profiles, stores.sessions):
        await answers.purge_answers(NOW + 1, 9)
    assert await stores.keys.versions_in_use() == {"data": {9}, "index": set(), "audit": set()}
