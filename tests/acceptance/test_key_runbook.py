"""The runbook's commands, run as they are written, scenario by scenario, beside a real service where it says so."""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import boto3
import pytest

from tests.acceptance.runbook import PEOPLE, ROOT, House, Operator, quoted, scenarios
from tests.acceptance.terminal import run
from tests.acceptance.test_unlock_services import TOKEN, service
from vault.cli.keys import keys
from vault.config import load
from vault.crypto.keyring import LINES

RUNBOOK = (ROOT / "docs" / "key-rotation.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
DAY = 86_400_000
SCENARIOS = scenarios(RUNBOOK, Path(__file__))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A vault that is not there yet; the service makes it."""
    return House(tmp_path)


@contextmanager
def beside_a_service(house: House, name: str, **environment: str) -> Iterator[Operator]:
    """Give an operator beside a running service with people in it; the whole scenario has to be typed."""
    operator = Operator(SCENARIOS[name], house.folder, environment)
    with house.serving():
        house.take_in()
        yield operator
    assert operator.is_done()


@contextmanager
def with_the_service_stopped(house: House, name: str) -> Iterator[Operator]:
    """Give an operator at a vault with people in it, which does not serve; afterwards it starts and all is well."""
    operator = Operator(SCENARIOS[name], house.folder)
    with house.serving():
        house.take_in()
    yield operator
    assert operator.is_done()
    with house.serving():
        house.stand()


def test_the_settings_of_the_runbook_can_be_read(tmp_path: Path) -> None:
    """Each excerpt of a settings file is one that the vault takes."""
    excerpts = re.findall(r"```toml\n(.*?)```", RUNBOOK, re.DOTALL)
    assert len(excerpts) == 4
    for excerpt in excerpts:
        file = tmp_path / "config.toml"
        file.write_text(excerpt)
        assert load(file, {}).keyring.unlock == tomllib.loads(excerpt)["keyring"]["unlock"]


def test_the_status_is_for_people_and_for_programs(house: House) -> None:
    """A row for each line, who has loaded it, and the same as JSON."""
    with beside_a_service(house, "status") as operator:
        shown = operator.types()
    assert shown.count("1 of 1 processes") == 4
    assert f"{PEOPLE} profiles, {PEOPLE} sessions" in shown
    assert '"quarantine": 0' in shown


def test_files_are_written_anew_beside_a_service(house: House) -> None:
    """Nothing is left, and the service goes on with the files as they are then."""
    with beside_a_service(house, "shred") as operator:
        assert "the databases are written anew" in operator.types()
        house.stand()


def test_the_routine(house: House) -> None:
    """Planned, rehearsed, rotated beside the service, refused for a day, destroyed with a certificate that holds."""
    with beside_a_service(house, "routine") as operator:
        before = operator.types()
        assert f"profiles: {PEOPLE} under version 1: all open" in before
        assert "the copy is removed" in before
        assert house.states("data") == ["active"]
        rotated = operator.types()
        for step in (
            "version 2 of line data is made, pending", "loaded the keyring",
            "version 2 of line data is active, version 1 is retiring", "rows are re-sealed under version 2",
            "open, read back", "version 1 of line data is disabled: it opens nothing",
            "index tags are added under version 2", "old index tags deleted, under version 1",
            "what was overwritten is gone from the files", "undo: tokenvault keys enable data 1)",
        ):  # fmt: skip
            assert step in rotated
        assert "left:" not in rotated
        for line in LINES:
            assert house.states(line) == ["disabled", "active"]
        house.stand()
        assert re.search(r"run the same command again in (24 h 0|23 h 5\d) min", operator.types())
        house.sql("UPDATE key_versions SET empty_since = empty_since - :day", day=DAY)
        destroyed = operator.types(mark="a day later")
        for line in LINES:
            assert f"version 1 of line {line} is destroyed: nothing undoes this" in destroyed
            assert house.states(line) == ["destroyed", "active"]
        checked = operator.types()
        assert "valid: version 1 of line data" in checked
        assert "compare it with one you know" not in checked
        house.stand()
    with house.serving():
        house.stand()


def test_the_one_command_of_the_readme(house: House) -> None:
    """It rotates every line beside the service, typed where the README's other commands are."""
    section = README.split("## Rotating keys")[1].split("\n## ")[0]
    (command,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    (house.folder / ".venv").mkdir()
    (house.folder / ".venv" / "bin").symlink_to(house.folder / "bin")
    with house.serving():
        house.take_in()
        operator = Operator(SCENARIOS["status"], house.folder)
        assert "left:" not in operator.shell(command, 0)
        for line in LINES:
            assert house.states(line) == ["disabled", "active"]
        house.stand()


def test_the_readme_lists_every_script_about_keys() -> None:
    """With the command that is the same, and no other script."""
    section = README.split("## Rotating keys")[1].split("\n## ")[0]
    listed = dict(re.findall(r"^\| `scripts/(\w+\.py)` \| `([a-z-]+)` \|", section, re.MULTILINE))
    about_keys = {
        path.name for path in (ROOT / "scripts").glob("*.py") if "vault.cli.keys" in path.read_text("utf-8")
    }
    assert set(listed) == about_keys
    assert set(listed.values()) <= set(keys.commands)


def test_undoing_it_half_way(house: House) -> None:
    """What was added is disabled; what was activated gives way; every row is under the version before."""
    with beside_a_service(house, "undo") as operator:
        operator.types()
        assert house.states("data") == ["active", "disabled", "disabled"]
        assert house.sql("SELECT DISTINCT key_version FROM profiles") == [(1,)]
        house.stand()


def test_a_rotation_that_goes_on_for_nights(house: House) -> None:
    """The crontab's commands begin a rotation, go on with one that is unfinished, and leave a finished one alone."""
    with beside_a_service(house, "nights") as operator:
        lines = operator.next_block("cron").splitlines()
        begin, go_on, begin_index, go_on_index = [
            line.split(maxsplit=5)[5].replace("/srv/vault", str(house.folder)) for line in lines
        ]
        operator.shell(go_on, 1)
        assert house.states("data") == ["active"]
        operator.shell("tokenvault keys new --line data && tokenvault keys activate data 2", 0)
        operator.shell(go_on, 0)
        assert house.states("data") == ["disabled", "active"]
        operator.shell(begin, 0)
        assert house.states("data") == ["disabled", "disabled", "active"]
        operator.shell(go_on_index, 1)
        operator.shell(begin_index, 0)
        assert house.states("index") == ["disabled", "active"]
        house.stand()


def test_a_stolen_data_key(house: House) -> None:
    """Its rows go at once, the people are listed, every session ends, and it rests before it is destroyed."""
    with beside_a_service(house, "stolen data key") as operator:
        told = operator.types()
        assert "nothing more is written under version 1, by any process" in told
        assert f"exposed: {PEOPLE} profiles, {PEOPLE} sessions" in told
        assert "disabled COMPROMISED" in told
        listed = house.folder / "exposed.txt"
        assert sorted(listed.read_text().split()) == sorted(house.tokens)
        assert listed.stat().st_mode & 0o777 == 0o600
        house.stand(sessions=0)
        operator.types()


def test_a_stolen_unlock_key(house: House) -> None:
    """The old one opens neither the file nor the generation before it; then every key is another."""
    with beside_a_service(house, "stolen unlock key") as operator:
        stolen = (house.data / "unlock.key").read_bytes()
        operator.types()
        thief = house.folder / "thief"
        thief.mkdir()
        for name in ("keyring.json", "keyring.json.previous"):
            (thief / "keyring.json").write_bytes((house.data / name).read_bytes())
            (thief / "keyring.json").chmod(0o600)
            (thief / "unlock.key").write_bytes(stolen)
            (thief / "unlock.key").chmod(0o600)
            refused = run("keys", "recovery", "rehearse", "--data", thief)
            assert (refused.returncode, "no slot for it" in refused.stderr) == (1, True)
        house.stand()
        operator.types()
        for line in LINES:
            assert house.states(line) == ["disabled", "active"]
        house.stand(sessions=0)
    with house.serving():
        house.stand(sessions=0)


def test_a_stolen_index_key(house: House) -> None:
    """Everybody has a tag under its successor, and none under it."""
    with beside_a_service(house, "stolen index key") as operator:
        assert "can try which e-mails" in operator.types()
        assert house.sql("SELECT DISTINCT version FROM tags") == [(2,)]
        house.stand()


def test_a_lost_keyring(house: House) -> None:
    """The service goes on in the meantime; the backup fits; nothing else is offered."""
    with beside_a_service(house, "lost keyring") as operator:
        operator.types()
        (house.data / "keyring.json").unlink()
        house.stand()
        told = operator.types(mark="the keyring is lost")
        assert "keyring.json is missing. Without it nothing in this vault can be opened" in told
        house.stand()
    with house.serving():
        house.stand()


def test_a_keyring_that_is_too_old(house: House) -> None:
    """It is refused by name of the key that it lacks, and nothing is written meanwhile."""
    with with_the_service_stopped(house, "old keyring") as operator:
        told = operator.types()
        assert "The database needs key version 2 of line 'data', and the keyring lacks it" in told
        assert house.states("data") == ["disabled", "active"]


def test_a_keyring_copied_during_a_rotation_is_brought_up_to_date(house: House) -> None:
    """What the runbook says of it: the start refuses it and names the command, which brings it up to date."""
    with house.serving():
        house.take_in()
    assert run("keys", "new", "--data", house.data).returncode == 0
    copy = (house.data / "keyring.json").read_bytes()
    assert run("keys", "rotate", "--line", "data", "--data", house.data).returncode == 0
    (house.data / "keyring.json").write_bytes(copy)
    refused = run("serve", "--port", "0", "--data", house.data)
    assert refused.returncode == 1
    assert "tokenvault keys rotate --line data" in refused.stderr
    assert run("keys", "rotate", "--line", "data", "--data", house.data).returncode == 0
    with house.serving():
        house.stand()


def test_a_lost_unlock_key(house: House) -> None:
    """Three of five sheets bring it back, and the service starts with it."""
    with beside_a_service(house, "lost unlock key") as operator:
        told = operator.types()
        assert "Each of the 10 triples" in told
        lost = (house.data / "unlock.key").read_bytes()
        (house.data / "unlock.key").unlink()
        house.stand()
        assert "unlock.key is missing" in operator.types(mark="the unlock key is lost")
        assert (house.data / "unlock.key").read_bytes() == lost
    with house.serving():
        house.stand()


def lose(house: House) -> None:
    """Lose both databases, as a broken disk does."""
    for name in ("vault.db", "sessions.db"):
        (house.data / name).unlink()


def test_an_older_database_under_the_newer_keyring(house: House) -> None:
    """Enabled and rotated, everybody is there, is found, and cannot be registered twice."""
    with with_the_service_stopped(house, "older database") as operator:
        operator.types()
        lose(house)
        told = operator.types(mark="the databases are lost")
        assert "Rows still use key version 1 of line 'data', which is disabled" in told
        assert house.states("data") == ["disabled", "active"]


def test_one_older_file_beside_a_whole_one(house: House) -> None:
    """The profiles of before, and the sessions of today: who was erased since stays erased."""
    with house.serving():
        house.take_in()
    backup = (house.data / "vault.db").read_bytes()
    with house.serving():
        assert house.say("DELETE", f"/profiles/{house.tokens[0]}")[0] == 200
    (house.data / "vault.db").write_bytes(backup)
    with house.serving():
        assert house.say("GET", f"/profiles/{house.tokens[0]}")[0] == 404
        house.stand(without=(0,))


def test_everything_from_one_time(house: House) -> None:
    """A destroyed key does not come back; the keyring of before, with the database of before, opens it."""
    with with_the_service_stopped(house, "destroyed key") as operator:
        operator.types()
        lose(house)
        told = operator.types(mark="the databases are lost")
        assert "which is destroyed: no row under it can be opened" in told
        assert house.states("data") == ["active"]


def test_rows_that_do_not_open(house: House) -> None:
    """Each has its cause; one is retried, one given up, one restored; the last stays on the list."""
    with beside_a_service(house, "quarantine") as operator:
        early, altered, cut, moved, other = house.tokens[:5]
        operator.values = {
            "NAME=profiles/…": f"NAME=profiles/{early}",
            "OTHER=profiles/…": f"OTHER=profiles/{cut}",
            "token = '…'": f"token = '{altered}'",
        }
        ((old,),) = house.sql("SELECT box FROM profiles WHERE token = :token", token=early)
        assert run("keys", "rotate", "--line", "data", "--data", house.data).returncode == 0
        house.sql("DELETE FROM closed_versions WHERE version = 1")  # as whoever restores a row has to
        house.sql(
            "UPDATE profiles SET box = :box, key_version = 1 WHERE token = :token", box=old, token=early
        )
        house.sql("INSERT INTO closed_versions VALUES ('data', 1)")
        (house.folder / "backup").mkdir()
        house.sql("VACUUM INTO :file", file=str(house.folder / "backup" / "vault.db"))
        for token, sql in {
            altered: "substr(box, 1, 70) || zeroblob(length(box) - 70)",
            cut: "substr(box, 1, 40)",
            moved: "(SELECT box FROM profiles WHERE token = :other)",
        }.items():
            statement = f"UPDATE profiles SET box = CAST({sql} AS BLOB) WHERE token = :token"  # noqa: S608 - as above
            house.sql(statement, token=token, other=other)
        told = operator.types()
        for cause in ("unknown key", "wrong key for that version", "tampered", "malformed"):
            assert f"do not open, {cause}: 1" in told
        listed = told.split("keys quarantine list")[-1]
        causes = {
            early: "unknown key",
            moved: "wrong key for that version",
            altered: "tampered",
            cut: "malformed",
        }
        for token, cause in causes.items():
            assert re.search(rf"profiles/{token} .*│ {cause} ", listed), listed
        assert "opens, and is re-sealed" in operator.types()
        assert "1 rows are discarded" in operator.types()
        operator.shell(_sql(operator.next_block("sql")), 0)
        assert "left: 1 row does not open" in operator.types()
        assert house.say("GET", f"/profiles/{cut}")[0] == 404
        assert house.say("GET", f"/profiles/{moved}")[0] == 500
        house.stand(without=(2, 3))


def _sql(statements: str) -> str:
    program = f'import sqlite3; sqlite3.connect("data/vault.db").executescript({statements!r})'
    return f"{quoted(sys.executable)} -c {quoted(program)}"


def restarted(house: House, **environment: str) -> None:
    """Start the service with other settings, and find everything there."""
    with house.serving(**environment):
        house.stand()


def test_another_source_of_the_unlock_key(house: House) -> None:
    """Moved out of the data folder beside the service; then the same key comes in three other ways."""
    with beside_a_service(house, "another source") as operator:
        operator.types()
        assert not (house.data / "unlock.key").exists()
        house.stand()
        assert operator.types().count("are as they should be") == 3
    restarted(house, VAULT_KEYRING__UNLOCK="file:../away/unlock.key")


def test_a_passphrase(house: House) -> None:
    """Added, put into the settings, and alone."""
    with beside_a_service(house, "passphrase") as operator:
        operator.types()
        house.stand()
    phrase = {"PHRASE": "wind over the old harbour wall", "VAULT_KEYRING__UNLOCK": "passphrase:env:PHRASE"}
    restarted(house, **phrase)


def moto(port: int) -> list[str]:
    """Return the command that answers for AWS KMS."""
    program = "from moto.server import main; import sys; main(sys.argv[1:])"
    return [sys.executable, "-c", program, "-H", "127.0.0.1", "-p", str(port)]


def bao(port: int) -> list[str]:
    """Return the command of OpenBao's development server."""
    program = str(Path(sys.executable).with_name("bao"))
    return [
        program, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={TOKEN}",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]  # fmt: skip


def an_alias_of_kms(address: str) -> dict[str, str]:
    """Make a key in KMS and give it the runbook's alias; return the environment in which boto3 finds it."""
    identity: dict[str, str] = {"aws_access_key_id": "an-id", "aws_secret_access_key": "a-secret"}
    with closing(boto3.client("kms", "eu-central-1", endpoint_url=address, **identity)) as kms:
        arn = kms.create_key()["KeyMetadata"]["Arn"]
        kms.create_alias(AliasName="alias/tokenvault", TargetKeyId=arn)
    upper = {name.upper(): value for name, value in identity.items()}
    return {"AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "eu-central-1", **upper}


SERVICES: dict[str, tuple[Callable[[int], list[str]], str, Callable[[str], dict[str, str]], str]] = {
    "aws kms": (moto, "/moto-api/data.json", an_alias_of_kms, "aws-kms:alias/tokenvault"),
    "transit": (
        bao,
        "/v1/sys/health",
        lambda address: {"VAULT_ADDR": address, "VAULT_TOKEN": TOKEN},
        "transit:transit/tokenvault",
    ),
}


@pytest.mark.parametrize(("name", "row"), SERVICES.items(), ids=SERVICES)
def test_a_service_that_unlocks(
    house: House, name: str, row: tuple[Callable[[int], list[str]], str, Callable[[str], dict[str, str]], str]
) -> None:
    """Added, put into the settings, and alone; the next start asks the service."""
    command, path, prepared, source = row
    with service(command, path, house.folder / "service.log") as address:
        environment = prepared(address)
        with beside_a_service(house, name, **environment) as operator:
            operator.types()
            house.stand()
        restarted(house, **environment, VAULT_KEYRING__UNLOCK=source)
