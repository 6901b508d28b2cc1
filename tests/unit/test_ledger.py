"""The erasure ledger and its receipts: what is in it, before what, and who is obeyed."""

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.rotating import keyring_of
from vault import wiring
from vault.config import Config
from vault.crypto import receipt
from vault.crypto.keyring import KeyState, KeyVersion
from vault.crypto.signed import public_key
from vault.erasure import Erasures
from vault.errors import NoSuchKey, StatementRefused, StoreUnavailable
from vault.installation import Vault
from vault.key_watch import KeyWatch
from vault.ledger import read_ledger

KEY = KeyVersion("signing", 3, KeyState.ACTIVE, 0, bytes(range(32)))
OTHER = KeyVersion("signing", 4, KeyState.ACTIVE, 0, bytes(range(1, 33)))
TOKEN = "6f2b1c1e-6f0e-4c53-9a51-0d6f9d2f8a10"
LINE = receipt.issue(KEY, TOKEN, 1_800_000_000_999, "default")
SIGNERS = {public_key(KEY)}


def test_a_receipt_is_what_the_format_says() -> None:
    """One line, the person named by a digest alone, and its signature the same for ever."""
    told = json.loads(LINE)
    assert LINE.count("\n") == 1
    assert TOKEN not in LINE
    assert {name: told[name] for name in ("format", "token_sha256", "erased_at", "tenant")} == {
        "format": "tokenvault-erasure/1",
        "token_sha256": hashlib.sha256(TOKEN.encode()).hexdigest(),
        "erased_at": "2027-01-15T08:00:00Z",
        "tenant": "default",
    }
    assert told["signature"] == (
        "1ux3OTFnK3fXUPzbEhs8VJnzSOL4law+hCveiEZ61FtgfdKOWssEXsIniVH0k+5hzuxZnHFwioiaHYW8lDdTAw=="
    )


ALTERED = {
    "another person": ("token_sha256", "0" * 64),
    "another time": ("erased_at", "2027-01-15T08:00:01Z"),
    "another tenant": ("tenant", "other"),
    "another format": ("format", "tokenvault-retirement/1"),
    "a member more": ("reason", "asked"),
}


@pytest.mark.parametrize(("name", "value"), ALTERED.values(), ids=ALTERED)
def test_no_member_of_a_receipt_can_be_altered(name: str, value: str) -> None:
    """The signature is over all of them, and a receipt has no others."""
    with pytest.raises(StatementRefused):
        receipt.check(json.dumps({**json.loads(LINE), name: value}))


def test_a_ledger_is_obeyed_where_its_lines_are_signed_by_a_key_that_is_known() -> None:
    """All else is told of, by line; a torn end is nothing; of two receipts for one person the first counts."""
    again = receipt.issue(KEY, TOKEN, 1_900_000_000_000, "default")
    foreign = receipt.issue(OTHER, "someone", 0, "default")
    altered = LINE.replace("default", "defawlt")
    content = "".join([LINE, altered, again, foreign, '{"torn\n', LINE[:50]])
    told = read_ledger(content.encode(), SIGNERS, "the ledger")
    assert list(told.receipts.values()) == [LINE]
    assert [sentence.split(" of ")[0] for sentence in told.refused] == ["Line 2", "Line 4", "Line 5"]
    assert "was altered" in told.refused[0]
    assert public_key(OTHER) in told.refused[1]
    both = read_ledger(content.encode(), {*SIGNERS, public_key(OTHER)}, "the ledger")
    assert len(both.receipts) == 2


def ledger_of(data: Path) -> list[dict[str, str]]:
    """Return the lines of a vault's ledger."""
    return [json.loads(line) for line in (data / "erasures.ndjson").read_text().splitlines()]


async def test_an_erasure_is_in_the_ledger_when_it_is_answered(vault: Vault, data: Path) -> None:
    """With the very receipt that was handed out, in a file of its owner's, without the token."""
    assert (data / "erasures.ndjson").stat().st_mode & 0o777 == 0o600
    token = (await vault.profiles.create({"email": "ada@example.org"})).token
    handed_out = await vault.profiles.erase(token)
    assert (data / "erasures.ndjson").read_text() == handed_out
    assert token not in handed_out
    (key,) = keyring_of(data).of_line("signing")
    assert receipt.check(handed_out, public_key(key)).statement["token_sha256"] == receipt.token_digest(token)


async def test_people_who_expire_are_in_the_ledger_too(vault: Vault, data: Path, clock: FakeClock) -> None:
    """All of a sweep at once."""
    tokens = [
        (await vault.profiles.create({"email": f"p{number}@example.org"}, 60)).token for number in range(40)
    ]
    clock.advance(61)
    assert await vault.profiles.sweep(500) == 40
    assert {line["token_sha256"] for line in ledger_of(data)} == set(map(receipt.token_digest, tokens))


async def test_whoever_erases_at_once_shares_no_line(vault: Vault, data: Path) -> None:
    """Forty appends from several threads are forty whole lines."""
    heads = [await vault.profiles.create({"email": f"p{number}@example.org"}) for number in range(40)]
    receipts = await asyncio.gather(*(vault.profiles.erase(head.token) for head in heads))
    assert sorted((data / "erasures.ndjson").read_text().splitlines(keepends=True)) == sorted(receipts)


async def test_nobody_is_erased_without_the_ledger(vault: Vault, data: Path) -> None:
    """Where it cannot be written the call fails, the profile's box stays, and the next sweep ends it."""
    token = (await vault.profiles.create({"email": "ada@example.org"})).token
    (data / "erasures.ndjson").unlink()
    (data / "erasures.ndjson").mkdir()
    with pytest.raises(StoreUnavailable):
        await vault.profiles.erase(token)
    async with wiring.open_stores("sqlite:", data, 5) as stores:
        row = await stores.profiles.find(token)
        assert row is not None
        assert row.erasing_at is not None
    (data / "erasures.ndjson").rmdir()
    assert await vault.profiles.sweep(10) == 1
    assert [line["token_sha256"] for line in ledger_of(data)] == [receipt.token_digest(token)]
    async with wiring.open_stores("sqlite:", data, 5) as stores:
        assert await stores.profiles.find(token) is None


async def test_an_erasure_that_a_crash_tore_is_noted_again(vault: Vault, data: Path) -> None:
    """Half a line at the end is no line, and what follows is one."""
    first = (await vault.profiles.create({"email": "a@example.org"})).token
    await vault.profiles.erase(first)
    with (data / "erasures.ndjson").open("a") as file:
        file.write('{"format":"tokenvault-era')
    second = (await vault.profiles.create({"email": "b@example.org"})).token
    await vault.profiles.erase(second)
    (key,) = keyring_of(data).of_line("signing")
    told = read_ledger((data / "erasures.ndjson").read_bytes(), {public_key(key)}, "it")
    assert set(told.receipts) == {receipt.token_digest(first), receipt.token_digest(second)}


async def test_without_a_key_that_signs_nobody_is_half_erased(data: Path, clock: FakeClock) -> None:
    """An older keyring: the refusal names the command that makes the key, and none is made by itself."""
    config = Config()
    async with wiring.open_files(config, data, "default", clock) as opened:
        keyring = opened.keyring
        keyring.become(type(keyring)(key for key in keyring if key.line != "signing"))
        watch = KeyWatch(None, keyring, opened.sealer, opened.stores.keys, opened.stores.processes, clock)
        vault = wiring.assemble(config, "default", clock, opened, watch)
        token = (await vault.profiles.create({"email": "a@example.org"})).token
        with pytest.raises(NoSuchKey, match="tokenvault keys new --line signing"):
            await vault.profiles.erase(token)
        assert (await vault.profiles.get(token)).content == {"email": "a@example.org"}


async def test_a_ledger_that_is_gone_is_named(data: Path, clock: FakeClock) -> None:
    """By check, with what to do; and no start puts an empty one in its place once people were erased."""
    config = Config()
    os.unlink(data / "erasures.ndjson")  # noqa: PTH108 - as a broken disk does
    assert await wiring.check(config, data) == []
    async with wiring.open_vault(config, data, clock=clock, housekeeping=True) as vault:
        assert ledger_of(data) == []
        await vault.profiles.erase((await vault.profiles.create({"email": "a@example.org"})).token)
    (data / "erasures.ndjson").unlink()
    async with wiring.open_vault(config, data, clock=clock, housekeeping=True):
        pass
    (sentence,) = await wiring.check(config, data)
    assert "erasures.ndjson is missing: a restored backup would bring them back" in sentence


async def test_a_ledger_may_lie_elsewhere(data: Path, clock: FakeClock, tmp_path: Path) -> None:
    """Where the settings say."""
    away = tmp_path / "away.ndjson"
    config = Config()
    object.__setattr__(config.erasure, "ledger", str(away))
    async with wiring.open_vault(config, data, clock=clock) as vault:
        handed_out = await vault.profiles.erase(
            (await vault.profiles.create({"email": "a@example.org"})).token
        )
    assert away.read_text() == handed_out


def test_erasures_have_no_other_door() -> None:
    """Whatever deletes a profile's row goes through the verb that keeps the ledger."""
    root = Path(wiring.__file__).parent
    callers = [
        path.name
        for path in root.glob("*.py")
        if "profiles.delete(" in path.read_text("utf-8")
        and path.stem != Erasures.__module__.rpartition(".")[2]
    ]
    assert callers == []
