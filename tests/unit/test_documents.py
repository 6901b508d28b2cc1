import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.clock import FakeClock
from vault.config import Config
from vault.crypto.keyring import new_keyring
from vault.crypto.sealer import Sealer
from vault.documents import Document, Documents, NewDocument
from vault.errors import BoxError, Conflict, NameTaken, ProfileNotFound, RecordNotFound
from vault.installation import Vault
from vault.key_desk import open_desk
from vault.key_watch import KeyWatch
from vault.ports import DocumentRow, Entry, Former, Wanted
from vault.stores import open_stores
from vault.stores.memory.documents import MemoryDocuments

MINUTE = 60_000
CLERK: dict[str, Any] = {"description": "May read", "policies": [1, 2], "title": "Kanzlei-Äpfel"}


@pytest.fixture
def documents(vault: Vault) -> Documents:
    """The documents of a vault in SQLite files."""
    return vault.documents


async def keep(documents: Documents, key: str = "clerk", **options: Any) -> Document:
    """Keep a role."""
    return await documents.add(NewDocument("role", key, CLERK, **options))


def alter(folder: Path, statement: str, *values: object) -> None:
    """Write to the file past all of our code."""
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount == 1


# --- keeping and reading -------------------------------------------------------------------------------------


async def test_a_document_comes_back_as_it_was_kept(vault: Vault, clock: FakeClock) -> None:
    """By its name and by its number: content, owner and times."""
    person = (await vault.profiles.create({"login": "ann"})).token
    end = clock.time + MINUTE

    kept = await keep(vault.documents, owner=person, expires_at=end)

    assert kept == Document(kept.id, "role", "clerk", person, CLERK, clock.time, clock.time, end)
    assert await vault.documents.get("role", "clerk") == kept
    assert await vault.documents.get_by_id("role", kept.id) == kept
    assert await vault.documents.of_person(person) == [kept]


async def test_a_key_may_have_parts(documents: Documents) -> None:
    """The kind ends at the first stroke; what comes behind is the key's."""
    kept = await documents.add(NewDocument("app", "0b0c/shop/2", {}))

    assert (kept.kind, kept.key) == ("app", "0b0c/shop/2")
    assert await documents.page("app", "0b0c/") == [kept] == await documents.page("app", "0b0c/shop")
    assert await documents.page("app", "0b0d") == []


async def test_several_are_kept_all_or_none(documents: Documents) -> None:
    """With ids in the order in which they were named."""
    kept = await documents.add_all([NewDocument("role", key, {"of": key}) for key in ("zoe", "ann")])
    assert [document.content["of"] for document in kept] == ["zoe", "ann"]
    assert [await documents.get_by_id("role", one.id) for one in kept] == kept

    with pytest.raises(NameTaken):
        await documents.add_all([NewDocument("role", "moe", {}), NewDocument("role", "ann", {})])
    with pytest.raises(ProfileNotFound):
        await documents.add_all([NewDocument("role", "moe", {}), NewDocument("role", "joe", {}, "nobody")])
    assert await documents.page("role") == kept


async def test_no_one_elses_number_opens(documents: Documents) -> None:
    """A number of another kind, of nothing, or beyond what a number can be, is unknown."""
    kept = await keep(documents)

    for kind, number in (
        ("policy", kept.id),
        ("rol", kept.id),
        ("role", kept.id + 1),
        ("role", 0),
        ("role", -1),
    ):
        with pytest.raises(RecordNotFound):
            await documents.get_by_id(kind, number)
    with pytest.raises(RecordNotFound):
        await documents.get_by_id("role", 2**63)


async def test_a_page_is_of_one_kind(documents: Documents) -> None:
    """In the order in which they came, cut as asked; counted alike."""
    kept = [await keep(documents, key) for key in ("zoe", "ann", "moe")]
    await documents.add(NewDocument("rolex", "ann", {}))

    assert await documents.page("role") == kept
    assert await documents.page("role", offset=1, limit=1) == kept[1:2]
    assert (await documents.count("role"), await documents.count("role", "z")) == (3, 1)


async def test_content_is_shown_by_no_repr(documents: Documents) -> None:
    """Neither before it is kept nor after."""
    kept = await keep(documents)

    assert "Kanzlei" not in repr(kept) + repr(NewDocument("role", "clerk", CLERK))
    assert "Kanzlei" in str(kept.content)


# --- the end -------------------------------------------------------------------------------------------------


async def test_an_ended_document_is_unknown(vault: Vault, clock: FakeClock) -> None:
    """From the very millisecond of its end, by every way there is; and its name is free."""
    documents = vault.documents
    person = (await vault.profiles.create({"login": "ann"})).token
    kept = await keep(documents, owner=person, expires_at=clock.time + MINUTE)
    clock.time += MINUTE - 1
    assert await documents.get("role", "clerk") == kept

    clock.time += 1

    with pytest.raises(RecordNotFound):
        await documents.get("role", "clerk")
    with pytest.raises(RecordNotFound):
        await documents.get_by_id("role", kept.id)
    with pytest.raises(RecordNotFound):
        await documents.change(kept, lambda content: content)
    assert await documents.page("role") == [] == await documents.of_person(person)
    assert await documents.count("role") == 0
    assert (await keep(documents)).id > kept.id


async def test_the_sweep_deletes_what_has_ended(documents: Documents, clock: FakeClock) -> None:
    """As many as asked, and nothing that lives."""
    for number in range(3):
        await keep(documents, f"{number}", expires_at=clock.time + MINUTE)
    living = await keep(documents)

    assert await documents.sweep(9) == 0
    clock.time += MINUTE
    assert [await documents.sweep(2), await documents.sweep(2), await documents.sweep(2)] == [2, 1, 0]
    assert await documents.page("role") == [living]


async def test_housekeeping_sweeps_documents(vault: Vault, clock: FakeClock) -> None:
    """A round leaves none that has ended, and counts those that are left."""
    await keep(vault.documents, "old", expires_at=clock.time + MINUTE)
    await keep(vault.documents)
    clock.time += MINUTE

    assert await vault.housekeeping.round() == 1
    assert sum(vault.housekeeping.census.rows["documents"].values()) == 1


async def test_erasure_ends_what_a_person_owned(vault: Vault) -> None:
    """With the profile, and nothing of another's."""
    ann, bea = [(await vault.profiles.create({"login": name})).token for name in ("ann", "bea")]
    await keep(vault.documents, "ann", owner=ann)
    hers = await keep(vault.documents, "bea", owner=bea)

    await vault.profiles.erase(ann)

    assert await vault.documents.page("role") == [hers]


async def test_removing_tells_whether_it_was_there(vault: Vault) -> None:
    """Of one it is an error if it was not, of several the number that were; the events come with it."""
    documents = vault.documents
    for key in ("ann", "bea", "cy"):
        await keep(documents, key)

    await documents.remove("role", "ann", [vault.audit.event("role.deleted")])
    with pytest.raises(RecordNotFound):
        await documents.remove("role", "ann", [vault.audit.event("role.deleted")])
    assert await documents.remove_all("role", ["ann", "bea", "cy"]) == 2
    assert len(await vault.audit.events(Wanted(action="role.deleted"), 0, 9)) == 1


async def test_removing_one_that_has_ended_is_as_of_an_unknown_one(vault: Vault, clock: FakeClock) -> None:
    """From the very millisecond of its end, and no event tells of it."""
    await keep(vault.documents, expires_at=clock.time + MINUTE)
    clock.time += MINUTE

    with pytest.raises(RecordNotFound):
        await vault.documents.remove("role", "clerk", [vault.audit.event("role.deleted")])

    assert await vault.audit.events(Wanted(action="role.deleted"), 0, 9) == []


# --- changes -------------------------------------------------------------------------------------------------


async def test_a_change_is_of_what_is_there_now(vault: Vault, clock: FakeClock) -> None:
    """Not of what the caller read before; the time of the change is told, id and birth stay."""
    documents = vault.documents
    read = await keep(documents)
    await documents.change(read, lambda content: {**content, "policies": [3]})
    clock.advance(5)

    changed = await documents.change(
        read, lambda content: {**content, "n": 1}, [vault.audit.event("role.changed")]
    )

    assert changed.content == {**CLERK, "policies": [3], "n": 1}
    assert (changed.id, changed.created_at, changed.updated_at) == (read.id, read.created_at, clock.time)
    assert await documents.get("role", "clerk") == changed
    assert len(await vault.audit.events(Wanted(action="role.changed"), 0, 9)) == 1


async def test_no_change_is_lost(documents: Documents) -> None:
    """Whoever was slower applies the change anew."""
    read = await keep(documents)

    await asyncio.gather(
        *(documents.change(read, lambda content, n=n: {**content, f"{n}": n}) for n in range(20))  # type: ignore[misc]
    )

    assert (await documents.get("role", "clerk")).content == {**CLERK, **{f"{n}": n for n in range(20)}}


async def test_a_document_is_renamed(documents: Documents) -> None:
    """It opens under the new name and its old number, and the old name is free; another's name is refused."""
    read, other = await keep(documents), await keep(documents, "cook")

    with pytest.raises(NameTaken):
        await documents.change(read, lambda content: {}, key=other.key)
    renamed = await documents.change(read, lambda content: content, key="scribe")

    assert await documents.get("role", "scribe") == renamed == await documents.get_by_id("role", read.id)
    assert (renamed.key, renamed.content) == ("scribe", CLERK)
    with pytest.raises(RecordNotFound):
        await documents.get("role", "clerk")
    assert (await keep(documents)).id not in (read.id, other.id)


async def test_a_document_takes_the_name_of_one_that_has_ended(
    documents: Documents, clock: FakeClock
) -> None:
    """As a new one would: from the very millisecond of its end, and not before."""
    read, ended = await keep(documents), await keep(documents, "cook", expires_at=clock.time + MINUTE)
    clock.time += MINUTE - 1
    with pytest.raises(NameTaken):
        await documents.change(read, lambda content: content, key="cook")
    clock.time += 1

    renamed = await documents.change(read, lambda content: content, key="cook")

    assert await documents.get("role", "cook") == renamed == await documents.get_by_id("role", read.id)
    with pytest.raises(RecordNotFound):
        await documents.get_by_id("role", ended.id)


async def test_a_change_may_set_another_end(documents: Documents, clock: FakeClock) -> None:
    """Later, sooner or none; without a word the end stays."""
    read = await keep(documents, expires_at=clock.time + MINUTE)

    assert (await documents.change(read, lambda content: {})).expires_at == clock.time + MINUTE
    later = await documents.change(
        read, lambda content: content, lives_until=lambda held: (held.expires_at or 0) + MINUTE
    )
    assert later.expires_at == clock.time + 2 * MINUTE
    clock.time += MINUTE
    assert await documents.get("role", "clerk") == later
    assert (
        await documents.change(read, lambda content: content, lives_until=lambda _: None)
    ).expires_at is None


class _AlwaysLate(MemoryDocuments):
    """A store in which somebody else was faster each time."""

    tried = 0

    async def swap(
        self,
        old: DocumentRow,
        new: DocumentRow,
        entries: Sequence[Entry] = (),
        former: Former | None = None,
    ) -> bool:
        """Come too late."""
        self.tried += 1
        return False


async def test_a_change_that_never_wins_is_given_up(clock: FakeClock) -> None:
    """After a bounded number of tries, with a refusal that says to try again."""
    keyring = new_keyring(clock.now())
    sealer = Sealer(keyring, "default")
    async with open_stores("memory:", None, 5) as stores:
        held = stores.documents
        assert isinstance(held, MemoryDocuments)
        store = _AlwaysLate(held._fence, held._audit, held._profiles)
        documents = Documents(
            store, sealer, clock, KeyWatch(None, keyring, sealer, stores.keys, stores.processes, clock)
        )
        read = await keep(documents)

        with pytest.raises(Conflict):
            await documents.change(read, lambda content: {})

    assert 1 < store.tried <= 1000


# --- rows that somebody has written to -----------------------------------------------------------------------

ALTERED = {
    "another owner": "UPDATE documents SET owner = :other WHERE id = :id",
    "no owner": "UPDATE documents SET owner = NULL WHERE id = :id",
    "a later end": "UPDATE documents SET expires_at = expires_at + 1 WHERE id = :id",
    "no end": "UPDATE documents SET expires_at = NULL WHERE id = :id",
    "another birth": "UPDATE documents SET created_at = created_at - 1 WHERE id = :id",
    "another number": "UPDATE documents SET id = id + 1 WHERE id = :id",
}


@pytest.mark.parametrize("statement", ALTERED.values(), ids=ALTERED)
async def test_a_row_that_was_altered_is_unknown(
    statement: str, vault: Vault, data: Path, clock: FakeClock
) -> None:
    """Whoever writes to the file gives it no other owner, number or longer life; the log tells of it, not of whom."""
    ann, bea = [(await vault.profiles.create({"login": name})).token for name in ("ann", "bea")]
    kept = await keep(vault.documents, owner=ann, expires_at=clock.time + MINUTE)
    with closing(sqlite3.connect(data / "vault.db", isolation_level=None)) as connection:
        assert connection.execute(statement, {"other": bea, "id": kept.id}).rowcount == 1

    with capture_logs() as logs:
        with pytest.raises(RecordNotFound):
            await vault.documents.get("role", "clerk")
        for number in (kept.id, kept.id + 1):
            with pytest.raises(RecordNotFound):
                await vault.documents.get_by_id("role", number)
        with pytest.raises(RecordNotFound):
            await vault.documents.change(kept, lambda content: content)

    assert logs == [{"event": "document.row_altered", "where": "role", "log_level": "error"}] * 3


async def test_exchanged_numbers_lead_nowhere(documents: Documents, data: Path) -> None:
    """Whoever gives each of two documents the other's number has neither opened, by number or by name."""
    clerk, admin = await keep(documents), await keep(documents, "admin")
    for before, after in ((clerk.id, 0), (admin.id, clerk.id), (0, admin.id)):
        alter(data, "UPDATE documents SET id = ? WHERE id = ?", after, before)

    with capture_logs():
        for one in (clerk, admin):
            with pytest.raises(RecordNotFound):
                await documents.get("role", one.key)
            with pytest.raises(RecordNotFound):
                await documents.get_by_id("role", one.id)
        assert await documents.page("role") == []


async def test_a_number_is_no_others_after_the_count_was_set_back(documents: Documents, data: Path) -> None:
    """Whoever writes to SQLite's own table of sequences stops nobody, and gives no number that is in use."""
    kept = [await keep(documents, key) for key in ("ann", "bea")]
    alter(data, "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'documents'")

    assert (await keep(documents)).id > max(one.id for one in kept)


#: What is written to the file, and what the log says of it.
UNREADABLE = {
    "its row was altered": ("created_at = 1", "record_not_found"),
    "its box was altered": (
        "box = CAST(substr(box, 1, length(box) - 8) || zeroblob(8) AS BLOB)",
        "box_tampered",
    ),
    "its key is nobody's": (
        "box = CAST(substr(box, 1, 1) || x'00000063' || substr(box, 6) AS BLOB)",
        "box_unknown_key",
    ),
    "its box is none": ("box = x''", "box_malformed"),
    "its name was altered": ("name = 'role/bean'", "box_wrong_key"),
}


@pytest.mark.parametrize(("change", "code"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_unreadable_hides_no_other(change: str, code: str, vault: Vault, data: Path) -> None:
    """It is left out of every list, with one line that names the kind, and still counted; asked for, it is refused."""
    documents = vault.documents
    person = (await vault.profiles.create({"login": "ann"})).token
    kept = [await keep(documents, key, owner=person) for key in ("ann", "bea", "cyd")]
    alter(data, f"UPDATE documents SET {change} WHERE id = ?", kept[1].id)  # noqa: S608 - our own words
    line = {"event": "document.left_out", "where": "role", "code": code, "log_level": "error"}

    with capture_logs() as logs:
        assert await documents.page("role") == [kept[0], kept[2]]
        assert await documents.of_person(person) == [kept[0], kept[2]]
    assert logs == [line] * 2
    assert await documents.count("role") == 3

    with capture_logs(), pytest.raises((RecordNotFound, BoxError)):
        await documents.get_by_id("role", kept[1].id)


async def test_a_name_that_was_altered_is_not_logged(vault: Vault, data: Path) -> None:
    """What stands where the kind was may be a token."""
    person = (await vault.profiles.create({"login": "ann"})).token
    kept = await keep(vault.documents, owner=person)
    alter(data, "UPDATE documents SET name = ? WHERE id = ?", f"role.{person}", kept.id)

    with capture_logs() as logs:
        assert await vault.documents.of_person(person) == []

    assert [line["where"] for line in logs] == [None]


async def test_a_list_knows_of_a_new_key(vault: Vault, data: Path, config: Config) -> None:
    """A process that slept through a rotation reads the keyring anew, and leaves nothing out."""
    person = (await vault.profiles.create({"login": "ann"})).token
    kept = await keep(vault.documents, owner=person)
    lists = (lambda: vault.documents.page("role"), lambda: vault.documents.of_person(person))
    for ask in lists:
        async with open_desk(config, data) as desk:
            await desk.rotations.rotate("data")
        with capture_logs() as logs:
            assert await ask() == [kept]
        assert {line["event"] for line in logs} <= {"keyring.loaded"}  # a line that not every log level has


async def test_an_end_that_was_put_off_keeps_nothing_alive(
    vault: Vault, data: Path, clock: FakeClock
) -> None:
    """Behind its true end it is as unknown as before."""
    kept = await keep(vault.documents, expires_at=clock.time + MINUTE)
    alter(data, "UPDATE documents SET expires_at = expires_at * 2 WHERE id = ?", kept.id)
    clock.time += 2 * MINUTE

    with capture_logs(), pytest.raises(RecordNotFound):
        await vault.documents.get("role", "clerk")


async def test_a_box_opens_under_its_own_name_alone(documents: Documents, data: Path) -> None:
    """Neither under another name nor in another's row."""
    await keep(documents)
    admin = await keep(documents, "admin")
    clerks = "(SELECT box FROM documents WHERE name = 'role/clerk')"
    alter(data, f"UPDATE documents SET box = {clerks} WHERE id = ?", admin.id)  # noqa: S608 - our own words
    with pytest.raises(BoxError):
        await documents.get("role", "admin")

    alter(data, "UPDATE documents SET name = 'role/chief' WHERE name = 'role/clerk'")
    with pytest.raises(BoxError):
        await documents.get("role", "chief")


async def test_nothing_of_a_document_is_in_the_file(documents: Documents, data: Path) -> None:
    """Its name is; its content is sealed."""
    await keep(documents)

    content = b"".join((data / name).read_bytes() for name in ("vault.db", "vault.db-wal"))
    assert b"role/clerk" in content
    assert "Äpfel".encode() not in content
    assert b"May read" not in content
