"""The commands of docs/backup.md, run as they are written, by the shell of the key runbook's operator."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance import test_key_runbook
from tests.acceptance.test_key_runbook import Block, House, Operator

PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text("utf-8")
_PIECES = re.compile(
    r"<!-- (?P<begins>run by tests/acceptance/test_backup_runbook\.py: )?(?P<mark>[^>]+?) -->"
    r"|```(?P<kind>sh)\n(?P<text>.*?)```",
    re.DOTALL,
)


def scenarios() -> dict[str, list[Block]]:
    """Return the blocks of each scenario, in order."""
    found: dict[str, list[Block]] = {}
    name = mark = ""
    for piece in _PIECES.finditer(PAGE):
        if piece["mark"]:
            mark = piece["mark"]
            if piece["begins"]:
                name = mark
                found[name] = []
        else:
            found[name].append(Block("sh", piece["text"], mark))
            mark = ""
    return found


SCENARIOS = scenarios()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A vault that the service makes; the operator reads this page."""
    monkeypatch.setattr(test_key_runbook, "SCENARIOS", SCENARIOS)
    return House(tmp_path)


def test_every_block_of_the_page_is_run() -> None:
    """Each scenario has its test here, and each command stands in one."""
    written = Path(__file__).read_text("utf-8")
    assert all(f'"{name}"' in written for name in SCENARIOS)
    assert sum(map(len, SCENARIOS.values())) == PAGE.count("```sh\n")


@pytest.mark.parametrize("name", ["every night", "sealed"])
def test_a_backup_beside_the_service(name: str, house: House) -> None:
    """As it is typed, with people in it."""
    with house.serving():
        house.take_in()
        operator = Operator(name, house.folder)
        while not operator.is_done():
            assert "backup of 6 profiles" in operator.types() or operator.is_done()
        house.stand()


def test_restoring(house: House) -> None:
    """From a backup, with what was kept apart; whoever was erased since is erased there too."""
    operator = Operator("restoring", house.folder)
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
    operator = Operator("receipt", house.folder)
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
