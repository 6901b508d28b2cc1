"""The commands of docs/audit.md, run as they are written, beside a real service."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.runbook import ROOT, House, Operator, scenarios
from tests.acceptance.terminal import call

SCENARIOS = scenarios((ROOT / "docs" / "audit.md").read_text("utf-8"), Path(__file__))

Service = tuple[House, str, str]

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed, and the page's commands use it"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A house that serves all of these scenarios, its address, and an access key for everything."""
    house = House(tmp_path_factory.mktemp("house"))
    (house.folder / "scripts").symlink_to(ROOT / "scripts")
    with house.serving() as program:
        house.take_in()
        yield house, program.url, program.access_key


@contextmanager
def at_the_desk(service: Service, name: str) -> Iterator[Operator]:
    """Give an operator with a scenario and a person of its own; all of it has to be typed."""
    house, url, key = service
    status, person = house.say("POST", "/profiles", {"profile": {"email": f"{name}@example.org"}})
    assert status == 201, person
    values = {"http://127.0.0.1:3000": url, "tvk_…": key, "TOKEN=…": f"TOKEN={person['token']}"}
    operator = Operator([*SCENARIOS["in every shell"], *SCENARIOS[name]], house.folder, values=values)
    operator.types()
    yield operator
    assert operator.is_done()


def value(operator: Operator, name: str) -> str:
    """Return what the operator's shell has under a name."""
    return operator.shell(f". ./shell-state; printf %s ${name}", 0)


def page(told: str) -> list[dict[str, Any]]:
    """Return the events of the page that was printed."""
    answer, _ = json.JSONDecoder().raw_decode(told[told.index('{"events":') :])
    events: list[dict[str, Any]] = answer["events"]
    return events


def test_the_person_sees_who_opened_the_profile_and_why(service: Service) -> None:
    """The opening and the export itself, with key, purpose and fields."""
    with at_the_desk(service, "why") as operator:
        exported = json.loads(operator.types().splitlines()[-1])
    said = [(one["by"], one["action"], one["purpose"], one["fields"]) for one in exported["openings"]]
    assert said == [
        ("first admin", "profile.revealed", "ticket 4711", ["email"]),
        ("first admin", "profile.exported", "the person asks", None),
    ]


def test_an_auditor_reads_the_trail(service: Service) -> None:
    """A page about a person, all of it as a file, and at the command line what the auditor did."""
    with at_the_desk(service, "reading") as operator:
        told = operator.types()
        created = [(one["action"], one["user_token"]) for one in page(told)]
        assert created == [("profile.created", value(operator, "TOKEN"))]
    trail = [json.loads(line) for line in (service[0].folder / "trail.ndjson").read_text().splitlines()]
    assert [one["sequence"] for one in trail] == list(range(11, 11 + len(trail)))
    own = json.loads(told.splitlines()[-1])
    assert (own["action"], own["sequence"]) == ("audit.exported", trail[-1]["sequence"])


def test_a_spent_budget_is_refused_and_told(service: Service) -> None:
    """One more than the hour's share: 429, when to come again, an event and a metric."""
    house, url, _ = service
    with at_the_desk(service, "budget") as operator:
        operator.types()
        path, key = f"/api/v1/profiles/{house.tokens[0]}", value(operator, "SUPPORT")
        assert {call(url, "GET", path, key)[0] for _ in range(99)} == {200}
        told = operator.types(mark="the hour's share is opened")
    assert "429 Too Many Requests" in told
    assert re.search(r"^Retry-After: \d+", told, re.MULTILINE)
    assert [one["outcome"] for one in page(told)] == ["budget_spent"]


def test_whoever_opens_a_decoy_is_told_of_and_stopped(service: Service) -> None:
    """It is shown like any other; its key is out at once, until it is resumed."""
    with at_the_desk(service, "honey") as operator:
        operator.types()
        told = operator.types(mark="somebody opens it, and comes again")
    assert '"first_name":"Tilda"' in told
    actions = ["profile.revealed", "alarm.honey_token", "access.suspended"]
    assert [one["action"] for one in page(told)] == actions
    assert re.search(r"^vault_alarms_total [1-9]", told, re.MULTILINE)
    assert '"profile":{"email":"honey@example.org"}' in told.splitlines()[-1]


def test_bulk_reads_are_for_a_reason_that_is_on_record(service: Service) -> None:
    """One by its token, two of the list; the person's trail has the reason that was named first."""
    with at_the_desk(service, "bulk") as operator:
        told = operator.types()
    assert told.count('"profile":{') == 3
    assert {one["purpose"] for one in page(told)} == {"the letters of May"}


def test_the_trail_is_proven_and_a_change_is_named(service: Service) -> None:
    """By the command and by the script; then the event that was altered."""
    alter = "UPDATE audit_events SET purpose = :purpose WHERE sequence = 7"
    with at_the_desk(service, "proving") as operator:
        assert operator.types().count("the audit trail holds: ") == 2
        service[0].sql(alter, purpose="another")
        assert "first broken link: event 7" in operator.types(mark="an event is altered")
        service[0].sql(alter, purpose=None)


def test_a_checkpoint_that_was_kept_elsewhere_finds_an_old_copy(tmp_path: Path) -> None:
    """Where what lay beside the database went with it, nothing else does."""
    house = House(tmp_path)
    with house.serving():
        house.take_in()
        house.sql("VACUUM INTO :file", file=str(tmp_path / "old.db"))
        house.stand()
    operator = Operator(SCENARIOS["kept elsewhere"], tmp_path)
    assert "the audit trail holds: " in operator.types()
    (tmp_path / "old.db").replace(house.data / "vault.db")
    (house.data / "checkpoints.ndjson").unlink()
    told = operator.types(mark="an old copy of the database is put in place, and the file beside it is gone")
    assert "the audit trail holds: " in told
    assert re.search(
        r"first broken link: event \d+: events .* are missing: a signed checkpoint has them", told
    )
    assert operator.is_done()
