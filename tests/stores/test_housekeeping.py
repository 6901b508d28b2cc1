import asyncio
from pathlib import Path

import pytest

from tests.stores.boxes import KINDS, everything, kept, sealed
from tests.stores.rows import NOW, a_key_record, a_new_profile, a_session, a_tag
from vault.errors import ConfigError, StaleKeys, StoreUnavailable
from vault.ports import Stores
from vault.records import Rotation, Tag
from vault.stores import SCHEMES, open_stores


async def test_an_open_store_can_be_read(stores: Stores) -> None:
    """A ping of a healthy store raises nothing."""
    await stores.housekeeping.ping()


async def test_nothing_is_wrong_with_a_healthy_store(stores: Stores) -> None:
    """A store that has just been written to has no fault to report."""
    await stores.profiles.insert([a_new_profile()], NOW)

    assert await stores.housekeeping.check() == []


async def test_shredding_takes_only_what_is_deleted(stores: Stores) -> None:
    """What is stored is still there afterwards."""
    gone, kept, session = a_new_profile(), a_new_profile(), a_session()
    await stores.profiles.insert([gone, kept], NOW)
    await stores.sessions.insert(session, 0, "refuse", NOW)
    await stores.profiles.delete(gone.row.token)

    await stores.housekeeping.shred()

    assert await stores.profiles.find(gone.row.token) is None
    assert await stores.profiles.find(kept.row.token) == kept.row
    assert await stores.sessions.find(session.digest) == session


@pytest.mark.parametrize("url", ["", "memory", "carrier-pigeon:", "nosuch://ann:s3cret@example.org/"])
def test_an_unknown_scheme_is_refused(url: str, tmp_path: Path) -> None:
    """The message names the schemes there are, and repeats nothing of the URL, which may hold a password."""
    with pytest.raises(ConfigError) as refusal:
        open_stores(url, tmp_path, 5)

    assert all(f"{scheme}:" in refusal.value.message for scheme in SCHEMES)
    assert "s3cret" not in refusal.value.message


def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks a driver is told what to install."""
    monkeypatch.setitem(SCHEMES, "pigeon", "carrier_pigeon.stores")

    with pytest.raises(ConfigError, match=r"needs the module 'carrier_pigeon'.*tokenization-vault\[pigeon\]"):
        open_stores("pigeon:", None, 5)


async def test_each_opening_of_memory_is_empty() -> None:
    """Two vaults in memory know nothing of each other, and no folder is needed."""
    async with open_stores("memory:", None, 5) as one, open_stores("memory:", None, 5) as other:
        new = a_new_profile()
        await one.profiles.insert([new], NOW)

        assert await other.profiles.find(new.row.token) is None


# --- copy ----------------------------------------------------------------------------------------------------


async def test_a_copy_holds_the_same_rows(tmp_path: Path) -> None:
    """Boxes, tags, keys, fences, notes and the journal: the copy opens, is healthy, and is private."""
    source, folder = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    folder.mkdir()
    async with open_stores("sqlite:", source, 5) as stores:
        names = [name for name in KINDS for _ in range(3)]
        rows = [await kept(stores, name) for name in names]
        await stores.profiles.insert([a_new_profile(a_tag("ann"))], NOW)
        await sealed(stores, "profiles").set_aside(rows[0], "box_tampered", NOW)
        await stores.keys.insert(a_key_record())
        await stores.keys.close("data", 7)
        await stores.rotations.write(Rotation(0, "data", "ann", NOW, "[1]"))

        await stores.housekeeping.copy(folder)
        before = await contents(stores)

    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "vault.db": 0o600,
        "sessions.db": 0o600,
    }
    async with open_stores("sqlite:", folder, 5) as copy:
        assert await contents(copy) == before
        assert await copy.housekeeping.check() == []
        with pytest.raises(StaleKeys):
            await copy.profiles.insert([a_new_profile(key_version=7)], NOW)


async def test_a_copy_is_made_while_a_writer_goes_on(tmp_path: Path) -> None:
    """What was acknowledged before is in it, what is in it was written, and no row is half there."""
    source = tmp_path / "source"
    source.mkdir()
    async with open_stores("sqlite:", source, 5) as stores:
        await stores.profiles.insert([a_new_profile(a_tag(f"first {n}")) for n in range(2000)], NOW)
        written: dict[str, Tag] = {}
        ended, wrote = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            while not ended.is_set():
                tag = a_tag(f"{len(written)}")
                new = a_new_profile(tag)
                assert await stores.profiles.insert([new], NOW) == [None]
                await stores.sessions.insert(a_session(user_token=new.row.token), 0, "refuse", NOW)
                written[new.row.token] = tag
                wrote.set()

        writer = asyncio.create_task(write())
        copies = []
        for number in range(5):
            folder = tmp_path / f"copy {number}"
            folder.mkdir()
            wrote.clear()
            await wrote.wait()  # the writer is at it
            acknowledged = dict(written)
            await stores.housekeeping.copy(folder)
            copies.append((folder, acknowledged))
        ended.set()
        await writer
        last = await everything(stores)

    for folder, acknowledged in copies:
        async with open_stores("sqlite:", folder, 5) as copy:
            assert await copy.housekeeping.check() == []
            found = await everything(copy)
            for name, rows in found.items():
                assert set(rows) <= set(last[name])
            tokens = {row.name for row in found["profiles"]}
            assert tokens >= acknowledged.keys()
            assert len(tokens) >= 2000
            tags = await copy.profiles.tags_of(list(acknowledged))
            assert tags == {token: {tag} for token, tag in acknowledged.items()}
            for row in found["sessions"]:
                session = await copy.sessions.find(bytes(row.cursor))
                assert session is not None
                assert session.user_token in tokens
    assert len(last["profiles"]) > 2000 + len(copies[-1][1])  # it went on to the end


async def test_a_vault_in_memory_is_not_copied(tmp_path: Path) -> None:
    """There is nothing that another process could open: it says so and leaves the folder empty."""
    async with open_stores("memory:", None, 5) as stores:
        with pytest.raises(StoreUnavailable):
            await stores.housekeeping.copy(tmp_path)
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - an empty folder, after all is done


async def contents(stores: Stores) -> tuple[object, ...]:
    """Return what there is in all stores."""
    boxes = await everything(stores)
    return (
        boxes,
        await stores.profiles.tags_of([row.name for row in boxes["profiles"]]),
        [await store.set_aside_rows(9) for store in stores.sealed],
        await stores.keys.known(),
        await stores.keys.closed(),
        await stores.rotations.journal(9),
    )
