"""A process is killed before each of its writes while it makes a tenant, ends one, or changes what unlocks them all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.settings import UNHELD
from vault import wiring
from vault.errors import KeyringError, NameTaken, TenantNotFound
from vault.tenant_folder import found, keyrings
from vault.tenants import Tenants
from vault.unlock import changing, recovery

ROOT = Path(__file__).parents[2]
PATIENCE = 100

#: Copies a data folder again and again; each time a child acts there, and kills itself right before its n-th call that
#: changes a disk. Prints the number of the child that lived.
VICTIMS = """
import asyncio, os, shutil, signal, sys
from pathlib import Path
from tests.settings import UNHELD
from vault import wiring
from vault.tenant_folder import keyrings
from vault.unlock import changing, recovery

template, scratch, act = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def arm(number):
    calls = 0
    opening = os.open
    def lethal(call):
        def counted(*arguments, **options):
            nonlocal calls
            writes = call is not opening or arguments[1] & os.O_CREAT
            calls += bool(writes)
            if writes and calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)
        return counted
    for name in ("rename", "replace", "link", "unlink", "fsync", "write", "open", "mkdir", "rmdir"):
        setattr(os, name, lethal(getattr(os, name)))

async def with_tenants(folder, number):
    async with wiring.open_vault(UNHELD, folder) as vault:
        (acme,) = await vault.tenants.page()
        shares = recovery.make(folder / "keyring.json", "file:unlock.key", folder).texts
        arm(number)
        if act == "make":
            await vault.tenants.create("apex")
        elif act == "wrap":
            await vault.wrapping.renew(shares[:3])
        else:
            await vault.tenants.delete(acme.id)

number = 0
while True:
    number += 1
    folder = scratch / str(number)
    shutil.copytree(template, folder)
    child = os.fork()
    if child == 0:
        if act == "rewrap":
            beside = keyrings(UNHELD, folder)
            arm(number)
            changing.renew(folder / "keyring.json", "file:unlock.key", folder, beside=beside)
        else:
            asyncio.run(with_tenants(folder, number))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        break
    assert status == -signal.SIGKILL, status
print(number)
"""


@pytest.fixture
async def template(tmp_path: Path) -> Path:
    """A vault with a tenant that has a person in it."""
    folder = tmp_path / "template"
    await wiring.initialise(UNHELD, folder)
    async with wiring.open_vault(UNHELD, folder) as vault:
        assert vault.tenants is not None
        await vault.tenants.create("acme")
        await (await vault.tenants.of("acme")).profiles.create({"email": "ada@example.org"})
    return folder


def killed(template: Path, scratch: Path, act: str, least: int) -> list[Path]:
    """Have it killed before each write; return the folders, the last of which was left to live."""
    done = subprocess.run(
        [sys.executable, "-c", VICTIMS, str(template), str(scratch), act],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    number = int(done.stdout.split()[-1])
    assert number > least
    return [scratch / str(one) for one in range(1, number + 1)]


async def assert_clean(folder: Path, tenants: Tenants[wiring.Vault], names: list[str]) -> None:
    """Those tenants are there and open, and nothing of others is."""
    told = await tenants.page()
    assert [one.name for one in told] == names, folder
    assert found(UNHELD, folder) == sorted(str(one.id) for one in told), folder
    for name in names:
        await tenants.of(name)


async def test_an_end_that_was_killed_stays_one(template: Path, tmp_path: Path) -> None:
    """Whenever it was killed, the tenant is dead at once; its keys went before its data; the next start finishes."""
    folders = killed(template, tmp_path / "end", "end", 12)
    keyless = 0
    for folder in folders:
        left = {path.name for path in folder.glob("tenants/*/*")}
        is_whole = {"vault.db", "sessions.db", "erasures.ndjson"} <= left
        assert is_whole or not keyrings(UNHELD, folder), f"{folder}: data went before the keys"
        keyless += is_whole and not keyrings(UNHELD, folder)
        async with wiring.open_vault(UNHELD, folder) as vault:
            assert vault.tenants is not None
            with pytest.raises(TenantNotFound):
                await vault.tenants.of("acme")
            await vault.tenants.round()
            await assert_clean(folder, vault.tenants, [])
            assert await vault.documents.count("tenant") == await vault.documents.count("tenant-token") == 0
            assert not list(folder.glob("tenants/*"))
    assert keyless


async def test_a_making_that_was_killed_leaves_nothing(template: Path, tmp_path: Path) -> None:
    """The tenant is there whole or not at all; its name is free for the next, also without a start in between."""
    folders = killed(template, tmp_path / "make", "make", 15)
    for number, folder in enumerate(folders):
        async with wiring.open_vault(UNHELD, folder) as vault:
            assert vault.tenants is not None
            is_made = "apex" in [one.name for one in await vault.tenants.page()]
            if is_made:
                with pytest.raises(NameTaken):
                    await vault.tenants.create("apex")
            elif number % 2:
                await vault.tenants.create("apex")
                is_made = True
            else:
                await vault.tenants.round()
            await assert_clean(folder, vault.tenants, ["acme", "apex"] if is_made else ["acme"])
            assert await vault.documents.count("tenant-token") == 1 + is_made
        assert await wiring.check(UNHELD, folder) == []


async def test_a_change_of_the_unlock_key_that_was_killed(template: Path, tmp_path: Path) -> None:
    """The vault and its tenant open at every moment; running it again finishes, and the old key opens neither."""
    old = (template / "unlock.key").read_text()
    folders = killed(template, tmp_path / "rewrap", "rewrap", 25)
    for folder in folders:
        async with wiring.open_vault(UNHELD, folder) as vault:
            assert vault.tenants is not None
            await assert_clean(folder, vault.tenants, ["acme"])
        beside = keyrings(UNHELD, folder)
        assert len(beside) == 1
        if folder != folders[-1]:
            changing.renew(folder / "keyring.json", "file:unlock.key", folder, beside=beside)
        assert (folder / "unlock.key").read_text() != old
        (folder / "old.key").write_text(old)
        (folder / "old.key").chmod(0o600)
        for path in (folder / "keyring.json", *beside):
            for file in (path, path.with_name("keyring.json.previous")):
                with pytest.raises(KeyringError, match="no slot"):
                    changing.renew(file, "file:old.key", folder, dry_run=True)
                changing.renew(file, "file:unlock.key", folder, dry_run=True)


async def test_a_making_of_another_unlock_key_that_was_killed(template: Path, tmp_path: Path) -> None:
    """The vault and its tenant open as before at every moment; made once more, one key opens both."""
    shares = recovery.make(template / "keyring.json", "file:unlock.key", template).texts
    uneven = 0
    for folder in killed(template, tmp_path / "wrap", "wrap", 15):
        paths = [folder / "keyring.json", *keyrings(UNHELD, folder)]
        assert len(paths) == 2
        uneven += len({len(json.loads(path.read_bytes())["slots"]) for path in paths}) > 1
        async with wiring.open_vault(UNHELD, folder) as vault:
            assert vault.tenants is not None
            await assert_clean(folder, vault.tenants, ["acme"])
            made = await vault.wrapping.renew(shares[2:])
        (folder / "made.key").write_text(made)
        (folder / "made.key").chmod(0o600)
        for path in paths:
            for source in ("file:made.key", "file:unlock.key"):
                changing.renew(path, source, folder, dry_run=True)
    assert uneven
