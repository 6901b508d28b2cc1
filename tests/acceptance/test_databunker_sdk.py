"""The vendor's own Python SDK, as published, against the real program on a port."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from databunkerpro import DatabunkerproAPI

from tests.program import Program

Json = dict[str, Any]

CARD = "4111111111111111"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, for all tests here."""
    folder = tmp_path_factory.mktemp("databunker")
    with Program(folder / "data", folder) as running:
        yield running


@pytest.fixture(scope="module")
def api(program: Program) -> DatabunkerproAPI:
    """The SDK with a root token, and a base URL as people write it."""
    return DatabunkerproAPI(f"{program.url}/", program.access_key)


def ok(answer: Json) -> Json:
    """Return an answer that went well."""
    assert answer.get("status") == "ok", answer
    return answer


def refused(answer: Json, message: str) -> None:
    """Look at a refusal."""
    assert answer == {"status": "error", "message": message}


def someone(**more: Any) -> Json:
    """Return the profile of a new person."""
    name = uuid4().hex
    return {"email": f"{name}@example.org", "login": name, "name": "Ada", "age": 36, **more}


def test_users(api: DatabunkerproAPI) -> None:
    """Created, found by each index, merged, patched, listed by version, deleted."""
    profile = someone(phone="+14155550123", custom="C-1")
    token = ok(api.create_user(profile, {"finaltime": "100d", "slidingtime": "30d"}))["token"]
    for mode in ("email", "login", "phone", "custom"):
        found = ok(api.get_user(mode, profile[mode]))
        assert (found["token"], found["profile"]) == (token, profile)
    assert api.create_user({"email": profile["email"]}) == {
        "status": "error",
        "message": "Duplicate index: email",
    }
    ok(api.update_user("token", token, {"name": "Grace"}))
    ok(api.patch_user("token", token, [{"op": "replace", "path": "/age", "value": 37}]))
    now = ok(api.get_user("token", token))
    assert now["profile"] == {**profile, "name": "Grace", "age": 37}
    assert [one["version"] for one in ok(api.list_user_versions("token", token))["versions"]] == [1, 2, 3]
    assert ok(api.get_user("token", token, version=1))["profile"] == profile
    ok(api.delete_user("email", profile["email"]))
    refused(api.get_user("token", token), "The user record was not found")


def test_a_change_is_held_until_it_is_approved(api: DatabunkerproAPI) -> None:
    """Asked for, listed, approved once; a cancelled one changes nothing."""
    token = ok(api.create_user(someone()))["token"]
    wanted = ok(api.request_user_update("token", token, {"name": "Grace"}))["requestuuid"]
    assert ok(api.get_user("token", token))["profile"]["name"] == "Ada"
    assert [one["requestuuid"] for one in ok(api.list_user_requests("token", token))["rows"]] == [wanted]
    ok(api.approve_user_request(wanted))
    assert ok(api.get_user("token", token))["profile"]["name"] == "Grace"
    refused(api.approve_user_request(wanted), "This user request is closed")
    other = ok(api.request_user_deletion("token", token))["requestuuid"]
    ok(api.cancel_user_request(other))
    ok(api.get_user("token", token))


def test_bulk(api: DatabunkerproAPI) -> None:
    """Many in one body; read again under an unlock; deleted."""
    people = [someone() for _ in range(300)]
    made = ok(api.create_users_bulk([{"profile": one} for one in [*people, people[0]]]))
    assert len(made["created"]) == 300
    assert len(made["errors"]) == 1
    unlock = ok(api.bulk_list_unlock())["unlockuuid"]
    wanted = [{"mode": "email", "identity": one["email"]} for one in people]
    rows = ok(api.bulk_list_users(unlock, wanted))["rows"]
    assert [row["profile"] for row in rows] == people
    assert len(ok(api.bulk_list_all_users(unlock, 0, 100))["rows"]) == 100
    assert ok(api.search_user(people[3]["email"], unlock))["rows"][0]["profile"] == people[3]
    refused(api.bulk_list_users(str(uuid4()), wanted), "The unlockuuid value was not found or is not valid")
    assert ok(api.delete_users_bulk(wanted))["deleted_count"] == 300


def test_sessions(api: DatabunkerproAPI) -> None:
    """Kept under the caller's id, listed, changed, deleted; and never there again."""
    profile = someone()
    token = ok(api.create_user(profile))["token"]
    session = str(uuid4())
    ok(api.upsert_session(session, {"userToken": token, "role": "editor"}, {"finaltime": "30m"}))
    assert ok(api.get_session(session))["sessiondata"] == {"userToken": token, "role": "editor"}
    listed = ok(api.list_user_sessions("email", profile["email"]))["rows"]
    assert listed == [{"sessionuuid": session, "sessiondata": {"userToken": token, "role": "editor"}}]
    ok(api.upsert_session(session, {"userToken": token, "role": "reader"}))
    assert ok(api.get_session(session))["sessiondata"]["role"] == "reader"
    ok(api.delete_session(session))
    assert api.get_session(session)["status"] == "error"
    assert ok(api.list_user_sessions("token", token))["rows"] == []


def test_tokens(api: DatabunkerproAPI) -> None:
    """A card comes back by both its tokens; unique ones are one."""
    made = ok(api.create_token("creditcard", CARD, {"unique": True, "finaltime": "12m"}))
    base = made["tokenbase"]
    assert len(base) == len(CARD)
    assert base.isdigit()
    assert base != CARD
    for token in (made["tokenuuid"], base):
        found = ok(api.get_token(token))
        assert (found["record"], found["tokentype"]) == (CARD, "creditcard")
    assert ok(api.create_token("creditcard", CARD, {"unique": True}))["tokenuuid"] == made["tokenuuid"]
    bulk = ok(
        api.create_tokens_bulk(
            [{"tokentype": "email", "record": "ada@example.org"}, {"tokentype": "text", "record": "x"}]
        )
    )
    assert len(bulk["created"]) == 2
    unlock = ok(api.bulk_list_unlock())["unlockuuid"]
    tokens = [one["tokenuuid"] for one in bulk["created"]]
    assert {row["record"] for row in ok(api.bulk_list_tokens(unlock, tokens))["rows"]} == {
        "ada@example.org",
        "x",
    }
    assert ok(api.bulk_delete_tokens(unlock, tokens))["deleted"] == 2
    ok(api.delete_token(base))
    refused(api.get_token(made["tokenuuid"]), "Token not found")
    for kind in ("phone", "date", "unixtime", "str"):
        assert api.create_token(kind, "1")["status"] == "error"


def test_shares(api: DatabunkerproAPI, program: Program) -> None:
    """Whoever has the record's id sees the listed fields, and no more."""
    token = ok(api.create_user(someone(city="Oslo")))["token"]
    record = ok(api.create_shared_record("token", token, {"fields": "name,city", "finaltime": "1h"}))[
        "recorduuid"
    ]
    stranger = DatabunkerproAPI(program.url)
    assert ok(stranger.get_shared_record(record))["data"] == {"name": "Ada", "city": "Oslo"}
    ok(api.delete_user("token", token))
    assert stranger.get_shared_record(record)["status"] == "error"


def test_app_data(api: DatabunkerproAPI) -> None:
    """Kept beside the profile, by the name of an application."""
    token = ok(api.create_user(someone()))["token"]
    ok(api.create_app_data("token", token, "shipping", {"street": "Main 1"}))
    ok(api.update_app_data("token", token, "shipping", {"zip": "0150"}))
    assert ok(api.get_app_data("token", token, "shipping"))["appdata"] == {"street": "Main 1", "zip": "0150"}
    assert "shipping" in str(ok(api.list_app_data_names("token", token)))
    assert "shipping" in str(ok(api.list_app_names()))


def test_audit(api: DatabunkerproAPI) -> None:
    """What was done about a person is listed, and each event can be read."""
    token = ok(api.create_user(someone()))["token"]
    ok(api.get_user("token", token, request_metadata={"purpose": "ticket 4711"}))
    rows = ok(api.list_user_audit_events("token", token))["rows"]
    assert len(rows) >= 2
    event = ok(api.get_audit_event(rows[0]["auditeventuuid"]))
    assert {"eventtype", "timestamp"} <= event.keys() | event.get("event", {}).keys()
    assert abs(rows[-1]["timestamp"] - time.time()) < 3600


def test_a_role_sees_what_its_policy_allows(api: DatabunkerproAPI, program: Program) -> None:
    """And nothing else; a person's own token reaches that person alone."""
    profile = someone()
    token = ok(api.create_user(profile))["token"]
    role = f"support-{uuid4().hex[:8]}"
    ok(api.create_role({"rolename": role, "roledesc": "reads names"}))
    policy = {
        "Effect": "Allow", "Principal": {"Role": [role]}, "Action": ["UserGet"], "Resource": ["*"],
    }  # fmt: skip
    made = ok(api.create_policy({"policyname": f"p-{role}", "policydesc": "", "policy": policy}))
    ok(api.link_policy(role, made["policyid"]))
    clerk = DatabunkerproAPI(program.url, ok(api.create_role_x_token(role))["xtoken"])
    assert ok(clerk.get_user("email", profile["email"]))["token"] == token
    assert clerk.delete_user("token", token)["status"] == "error"
    own = DatabunkerproAPI(program.url, ok(api.create_user_x_token("token", token))["xtoken"])
    assert ok(own.get_user("email", profile["email"]))["profile"] == profile
    other = ok(api.create_user(someone()))["token"]
    assert own.get_user("token", other)["status"] == "error"
    assert own.delete_user("token", token)["status"] == "error"


def test_tenants(api: DatabunkerproAPI, program: Program) -> None:
    """Two tenants have the same e-mail and nothing else in common."""
    name = f"t-{uuid4().hex[:8]}"
    made = ok(api.create_tenant({"tenantname": name, "tenantorg": "Acme", "email": "root@acme.example"}))
    acme = DatabunkerproAPI(program.url, made["xtoken"], name)
    profile = someone()
    ok(api.create_user(profile))
    theirs = ok(acme.create_user(profile))["token"]
    assert ok(acme.get_user("email", profile["email"]))["token"] == theirs
    assert api.get_user("token", theirs)["status"] == "error"
    refused(
        DatabunkerproAPI(program.url, made["xtoken"], "default").get_user("token", theirs), "Access denied"
    )
    assert name in str(ok(api.list_tenants()))
    ok(api.delete_tenant(made["tenantid"]))
    refused(acme.get_user("token", theirs), "Access denied")


def test_system(api: DatabunkerproAPI) -> None:
    """Counts, a report, and Prometheus' numbers as the SDK reads them."""
    token = ok(api.create_user(someone()))["token"]
    assert ok(api.get_system_stats())["stats"]["numusers"] >= 1
    assert "report" in ok(api.get_user_report("token", token))
    assert "Ada" in ok(api.get_user_html_report("token", token))["html"]
    assert any(name.startswith("vault_requests_total") for name in api.get_system_metrics())
    assert "status" in api.set_license_key("none")
    refused(api.create_file("token", token, "a.txt", "eA=="), "The API request was not found")
