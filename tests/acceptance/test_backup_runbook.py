"""The commands of docs/backup.md, run as they are written."""

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.runbook import ROOT, House, Operator, scenarios

SCENARIOS = scenarios((ROOT / "docs" / "backup.md").read_text("utf-8"), Path(__file__))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A vault that is not there yet; the service makes it."""
    return House(tmp_path)


@pytest.mark.parametrize("name", ["every night", "sealed"])
def test_a_backup_beside_the_service(name: str, house: House) -> None:
    """As it is typed, with people in it."""
    with house.serving():
        house.take_in()
        operator = Operator(SCENARIOS[name], house.folder)
        while not operator.is_done():
            assert "backup of 6 profiles" in operator.types() or operator.is_done()
        house.stand()


def test_a_tenant_has_backups_of_its_own(house: House) -> None:
    """As it is typed, beside the service."""
    operator = Operator(SCENARIOS["tenants"], house.folder)
    with house.serving():
        told = operator.types()
    assert "backup of 0 profiles in backups/acme" in told
    assert "move this folder to data/tenants/" in told
    assert operator.is_done()


def test_restoring(house: House) -> None:
    """From a backup, with what was kept apart; whoever was erased since is erased there too."""
    operator = Operator(SCENARIOS["restoring"], house.folder)
    with house.serving():
        house.take_in()
        operator.types()
        assert house.say("DELETE", f"/profiles/{house.tokens[0]}")[0] == 200
    told = operator.types(mark="people are erased, and the databases are lost")
    assert "1 erased anew" in told
    assert operator.is_done()
    house.data = house.folder / "restored"
    with house.serving():
        assert house.say("GET", f"/profiles/{house.tokens[0]}")[0] == 404
        house.stand(without=(0,))


def test_a_receipt(house: House) -> None:
    """The last line of the ledger is the person's receipt."""
    operator = Operator(SCENARIOS["receipt"], house.folder)
    with house.serving():
        house.take_in()
        _, receipt = house.say("DELETE", f"/profiles/{house.tokens[0]}")
    told = operator.types()
    assert f"token digest {receipt['token_sha256']} was erased at" in told
    whose = ["tokenvault", "verify-receipt", "receipt.json", "--token", house.tokens[0]]
    done = subprocess.run(
        whose, cwd=house.folder, env=operator.environment, capture_output=True, text=True, check=True
    )
    assert "the person of this token was erased" in done.stdout
