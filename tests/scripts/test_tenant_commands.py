"""The commands about tenants, and ``--tenant`` of all others, called as a program calls them."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from vault import wiring
from vault.cli import main
from vault.config import Config
from vault.crypto.keyring_text import MOST_SLOTS
from vault.installation import Vault

PEOPLE = 3


@dataclass(frozen=True)
class Scene:
    """An installation with people, and a tenant of it with others."""

    data: Path

    @property
    def folder(self) -> Path:
        """Return the tenant's folder."""
        return self.data / "tenants" / "1"

    def run(self, *words: str, code: int = 0) -> Result:
        """Run a command and look at its exit code."""
        result = CliRunner(env={"COLUMNS": "300"}).invoke(main, [*words, "--data", str(self.data)])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def told(self, *words: str, code: int = 0) -> Any:
        """Run a command with ``--json``; return what it prints."""
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def rows(self, folder: Path, table: str, column: str) -> list[Any]:
        """Return a column of the database in a folder."""
        with closing(sqlite3.connect(folder / "vault.db")) as file:
            return [row for (row,) in file.execute(f"SELECT {column} FROM {table}")]  # noqa: S608 - our own names


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That installation, made once."""
    folder = tmp_path_factory.mktemp("template") / "data"

    async def fill() -> None:
        await wiring.initialise(Config(), folder)
        async with wiring.open_vault(Config(), folder) as vault:
            assert vault.tenants is not None
            tenant, _ = await vault.tenants.create("acme", "Acme", "root@acme.example")
            assert tenant.id == 1
            acme = await vault.tenants.of("acme")
            await vault.profiles.create({"email": "home@example.org"})
            for number in range(PEOPLE):
                await acme.profiles.create({"email": f"person{number}@example.org"})

    asyncio.run(fill())
    return folder


@pytest.fixture
def scene(template: Path, tmp_path: Path) -> Scene:
    """A copy of it."""
    shutil.copytree(template, tmp_path / "data")
    return Scene(tmp_path / "data")


def within(scene: Scene, look: Callable[[Vault], Any], tenant: str = "acme") -> Any:
    """Open a tenant as a service does, and look."""

    async def work() -> Any:
        async with wiring.open_vault(Config(), scene.data) as vault:
            assert vault.tenants is not None
            return await look(await vault.tenants.of(tenant))

    return asyncio.run(work())


def test_a_tenant_is_made_listed_given_another_token_and_ended(scene: Scene) -> None:
    """Each token is shown once; nothing but a confirmed command ends it."""
    made = scene.told("tenants", "create", "apex", "--org", "Apex")
    assert (made["name"], made["org"], made["email"]) == ("apex", "Apex", None)
    assert [one["name"] for one in scene.told("tenants", "list")] == ["acme", "apex"]
    listed = scene.run("tenants", "list").stdout
    assert "apex" in listed
    assert made["xtoken"] not in listed
    assert scene.told("tenants", "token", "apex")["xtoken"] != made["xtoken"]
    scene.run("tenants", "delete", "apex", code=1)
    assert [one["name"] for one in scene.told("tenants", "list")] == ["acme", "apex"]
    assert "apex is gone" in scene.run("tenants", "delete", "apex", "--yes").stdout
    assert [one["name"] for one in scene.told("tenants", "list")] == ["acme"]
    assert not (scene.data / "tenants" / str(made["id"])).exists()


REFUSED = {
    "a name that is taken": (("tenants", "create", "acme"), 1, "Duplicate tenant name"),
    "a name that cannot be": (("tenants", "create", "A.B"), 2, "tenantname"),
    "an end of nobody": (("tenants", "delete", "nope", "--yes"), 1, "The tenant record was not found"),
    "a token of nobody": (("tenants", "token", "nope"), 1, "The tenant record was not found"),
    "another command, on nobody": (("keys", "status", "--tenant", "nope"), 2, "There is no tenant nope"),
    "another command, on an id of nobody": (("keys", "status", "--tenant", "7"), 1, "holds no vault"),
}


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(scene: Scene, words: tuple[str, ...], code: int, sentence: str) -> None:
    """Says why, and changes nothing."""
    assert sentence in scene.run(*words, code=code).stderr
    assert [one.name for one in (scene.data / "tenants").iterdir()] == ["1"]


def commands(group: click.Group, *before: str) -> dict[tuple[str, ...], click.Command]:
    """Return every command by its words."""
    found: dict[tuple[str, ...], click.Command] = {}
    for name, one in group.commands.items():
        found |= commands(one, *before, name) if isinstance(one, click.Group) else {(*before, name): one}
    return found


#: Commands that are about an installation as a whole, and why.
WHOLE = {
    "init": "makes the installation",
    "serve": "serves all tenants",
    "demo": "has its own, in memory",
    "tenants": "are its own",
    "access create": "an access key is the root of every tenant",
    "access revoke": "the same",
    "access suspend": "the same",
    "access resume": "the same",
    "keys rewrap": "one source unlocks all keyrings, so all of them go along",
    "keys recovery": "the shares are of that source's key",
}


def test_every_command_works_on_a_tenant_but_those_about_the_whole() -> None:
    """Whatever takes ``--data`` takes ``--tenant``."""
    for words, command in commands(main).items():
        options = {name for parameter in command.params for name in parameter.opts}
        is_whole = any(" ".join(words).startswith(whole) for whole in WHOLE)
        assert ("--tenant" in options) == ("--data" in options and not is_whole), words


def test_keys_of_a_tenant_are_rotated(scene: Scene) -> None:
    """Its rows go to another key, the installation's stay where they are; by name and by id."""
    before = (scene.data / "keyring.json").read_bytes()
    assert scene.told("keys", "rotate", "--tenant", "acme")["left"] == []
    assert scene.rows(scene.folder, "profiles", "key_version") == [2] * PEOPLE
    assert scene.rows(scene.data, "profiles", "key_version") == [1]
    assert (scene.data / "keyring.json").read_bytes() == before
    (active,) = (
        one
        for one in scene.told("keys", "status", "--tenant", "1")["lines"]["data"]
        if one["state"] == "active"
    )
    assert (active["version"], active["rows"]["profiles"]) == (2, PEOPLE)
    assert scene.told("keys", "rehearse", "--tenant", "acme")["left"] == []
    undo = scene.run("keys", "new", "--tenant", "acme").stdout
    assert f"--data {scene.data} --tenant acme" in undo
    retired = scene.told("keys", "retire", "--version", "1", "--cool-down", "0", "--tenant", "acme")
    certificate = retired["certificate_file"]
    assert certificate == str(scene.folder / "certificates" / "data-1.json")
    assert scene.told("keys", "verify-certificate", certificate, "--tenant", "acme")["signer_known"]
    assert not scene.told("keys", "verify-certificate", certificate, code=1)["valid"]
    assert len(within(scene, _tokens)) == PEOPLE


async def _tokens(vault: Vault) -> list[str]:
    return [await vault.profiles.lookup("email", f"person{number}@example.org") for number in range(PEOPLE)]


def test_the_trail_of_a_tenant_is_proven_and_exported(scene: Scene) -> None:
    """Its own events, and none of the installation's."""
    assert scene.told("audit", "verify", "--tenant", "acme")["holds"]
    events = [
        json.loads(line) for line in scene.run("audit", "export", "--tenant", "acme").stdout.splitlines()
    ]
    assert [event["action"] for event in events].count("profile.created") == PEOPLE
    assert {event["tenant"] for event in events if "tenant" in event} <= {"1"}
    assert json.loads(scene.run("audit", "checkpoint", "--tenant", "acme").stdout)["tenant"] == "1"
    with closing(sqlite3.connect(scene.folder / "vault.db")) as file, file:
        file.execute("DELETE FROM audit_events WHERE sequence = 2")
    assert not scene.told("audit", "verify", "--tenant", "acme", code=1)["holds"]
    assert scene.told("audit", "verify")["holds"]


def test_a_tenant_is_checked(scene: Scene) -> None:
    """Each row of it, and no other's; that it has no access key of its own is as it should be."""
    told = scene.told("check", "--deep", "--tenant", "acme")
    assert told["right"]
    assert told["looked_at"]["profiles"] == PEOPLE
    assert scene.told("check", "--deep")["looked_at"]["profiles"] == 1
    with closing(sqlite3.connect(scene.folder / "vault.db")) as file, file:
        file.execute("UPDATE profiles SET box = zeroblob(200) WHERE rowid = 1")
    assert scene.told("check", "--deep", "--tenant", "acme", code=1)["counts"]["box"] == 1
    assert scene.told("check", "--deep")["right"]
    assert scene.told("access", "list", "--tenant", "acme") == []


def test_a_lost_folder_is_named(scene: Scene) -> None:
    """By the check of the installation: a tenant without its folder, and a folder without its tenant."""
    assert scene.told("check")["trouble"] == []
    shutil.move(scene.folder, scene.data / "tenants" / "9")
    lost, foreign = scene.told("check", code=1)["trouble"]
    assert lost.startswith(f"The folder of tenant acme is missing: {scene.folder}")
    assert foreign.startswith(f"{scene.data / 'tenants' / '9'} is no tenant's")
    assert scene.run("tenants", "delete", "acme", "--yes")
    assert scene.told("tenants", "create", "apex")["id"] not in (1, 9)
    assert (scene.data / "tenants" / "9" / "keyring.json").exists()


def test_a_keyring_that_does_not_open_is_named(scene: Scene) -> None:
    """By the check of the installation: a tenant that lacks the way that the settings name."""
    keyring = scene.folder / "keyring.json"
    keyring.write_bytes(keyring.read_bytes()[:-20])
    [trouble] = scene.told("check", code=1)["trouble"]
    assert trouble.startswith("Tenant acme does not open: ")


def test_a_number_whose_folder_is_there_is_passed(scene: Scene) -> None:
    """An installation that was restored from before it made a tenant gives nobody that tenant's files."""
    (last,) = scene.rows(scene.data, "documents", "max(id)")
    theirs = scene.data / "tenants" / str(last + 1)
    shutil.copytree(scene.folder, theirs)
    assert scene.told("tenants", "create", "apex")["id"] == last + 2
    assert scene.rows(theirs, "profiles", "count(*)") == [PEOPLE]


def test_a_tenant_is_backed_up_and_restored(scene: Scene, tmp_path: Path) -> None:
    """Into a folder that takes the lost one's place; a backup of another vault is not taken for it."""
    scene.run("backup", "--to", str(tmp_path / "backup"), "--tenant", "acme")
    scene.run("backup", "--to", str(tmp_path / "home"))
    within(scene, lambda vault: vault.profiles.create({"email": "late@example.org"}))
    restore = ("restore", "--from", str(tmp_path / "backup"), "--to", str(tmp_path / "restored"))
    assert "The backup is of tenant 1, and not of default" in scene.run(*restore, code=1).stderr
    wrong = ("restore", "--from", str(tmp_path / "home"), "--to", str(tmp_path / "restored"))
    assert (
        "The backup is of tenant default, and not of 1"
        in scene.run(*wrong, "--tenant", "acme", code=1).stderr
    )
    said = scene.run(*restore, "--tenant", "acme").stdout
    assert f"move this folder to {scene.folder}" in said
    assert "serve" not in said.replace("service", "")
    shutil.rmtree(scene.folder)
    shutil.move(tmp_path / "restored", scene.folder)
    assert len(within(scene, _tokens)) == PEOPLE
    assert scene.told("check")["right"]
    assert scene.told("check", "--tenant", "acme")["right"]


def test_a_lost_tenant_is_restored_in_its_place(scene: Scene, tmp_path: Path) -> None:
    """With the keyring in its backup, when the whole folder is lost."""
    scene.run("backup", "--to", str(tmp_path / "backup"), "--with-keyring", "--tenant", "acme")
    status = scene.told("keys", "status", "--tenant", "acme")
    (signer,) = (one["public_key"] for one in status["lines"]["signing"])
    shutil.rmtree(scene.folder)
    words = (
        "restore",
        "--from",
        str(tmp_path / "backup"),
        "--to",
        str(scene.folder),
        "--with-keyring-of-backup",
    )
    scene.run(*words, "--without-ledger", "--public-key", signer, "--tenant", "acme")
    assert len(within(scene, _tokens)) == PEOPLE


REWRAPS = {
    "a fresh key in place": ((),),
    "another keyring key": (("--fresh",),),
    "another source, and that one alone": (
        ("--to", "file:other.key"), ("--only", "file:other.key"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("steps", REWRAPS.values(), ids=REWRAPS)
def test_what_unlocks_the_keyring_unlocks_those_of_tenants(
    scene: Scene, steps: tuple[tuple[str, ...], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each change as before it; a stolen copy of what unlocked them before opens neither."""
    old = (scene.data / "unlock.key").read_bytes()
    for step in steps:
        if "--only" in step:
            monkeypatch.setenv("VAULT_KEYRING__UNLOCK", step[-1])
        assert scene.told("keys", "rewrap", *step)["tenants"] == 1
        for tenant in ((), ("--tenant", "acme")):
            assert scene.told("keys", "status", *tenant)["warnings"] == []
    if "--fresh" not in steps[0]:
        (scene.data / "old.key").write_bytes(old)
        (scene.data / "old.key").chmod(0o600)
        monkeypatch.setenv("VAULT_KEYRING__UNLOCK", "file:old.key")
        for tenant in ((), ("--tenant", "1")):
            assert "no slot" in scene.run("keys", "status", *tenant, code=1).stderr


def test_full_keyrings_take_no_other_source(scene: Scene) -> None:
    """The command says what can be removed, and changes neither that of the installation nor the tenant's."""
    for number in range(1, MOST_SLOTS):
        scene.run("keys", "rewrap", "--to", f"file:{number}.key")
    keyrings = (scene.data / "keyring.json", scene.folder / "keyring.json")
    before = [path.read_bytes() for path in keyrings]
    for more in (("--to", "file:late.key"), ()):
        for dry in ((), ("--dry-run",)):
            said = scene.run("keys", "rewrap", *more, *dry, code=1).stderr
            assert "no room for another" in said
            assert "keys rewrap --only SOURCE" in said
    assert [path.read_bytes() for path in keyrings] == before
    assert not (scene.data / "late.key").exists()
    scene.run("keys", "rewrap", "--only", "file:unlock.key")
    assert scene.told("keys", "rewrap", "--to", "file:late.key")["slots"].count("slot") == 2


def test_keyrings_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the settings place a file outside of the data folder, that of a tenant lies beside it, and goes with it."""
    monkeypatch.setenv("VAULT_KEYRING__FILE", str(tmp_path / "keys" / "keyring.json"))
    (tmp_path / "keys").mkdir(mode=0o700)
    scene = Scene(tmp_path / "data")
    scene.run("init")
    made = scene.told("tenants", "create", "acme")
    (keyring,) = (tmp_path / "keys" / "tenants").glob("*/keyring.json")
    assert keyring.parent.name == str(made["id"])
    assert not list((scene.data / "tenants").glob("*/keyring.json"))
    assert scene.told("check")["right"]
    assert scene.told("check", "--tenant", "acme")["right"]
    scene.run("tenants", "delete", "acme", "--yes")
    assert not list((tmp_path / "keys" / "tenants").iterdir())
