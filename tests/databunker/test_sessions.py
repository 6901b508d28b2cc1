"""Sessions under ids of the caller's own."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from tests.acceptance.terminal import everything_in
from tests.clock import FakeClock
from tests.databunker.conftest import Bunker
from tests.grep import leaks
from tests.rotating import desk, spoil
from tests.settings import UNHELD
from vault import wiring
from vault.config import Config
from vault.deep_check import Findings, deep_check
from vault.http.app import make_app
from vault.installation import Vault
from vault.ports import Wanted as Filter
from vault.progress import Silent
from vault.sessions import Wanted
from vault.tokens import named_session_digest

ID = "5f0e6b6e-6f2a-4d0a-9d5e-1f7c3c9a2b10"
HOUR, MINUTE, DAY = 3600, 60, 86_400
GONE = (404, "not found", "SessionGet")

Person = Callable[..., Awaitable[str]]


async def held(bunker: Bunker, named: str = ID) -> Any:
    """Return a session's data."""
    return (await bunker.ok("SessionGet", sessionuuid=named))["sessiondata"]


async def listed(bunker: Bunker, person: str) -> list[str]:
    """Return the ids of a person's sessions."""
    rows = (await bunker.ok("SessionListUserSessions", mode="token", identity=person))["rows"]
    return [row["sessionuuid"] for row in rows]


# --- what goes in comes out ---------------------------------------------------------------------------------


async def test_a_python_login(bunker: Bunker, person: Person, clock: FakeClock) -> None:
    """Login, me, logout; and without the logout, gone after its half hour, however often it was used."""
    ada, ids = await person(email="ada@example.org"), [str(uuid.uuid4()) for _ in range(2)]
    for one in ids:
        data = {"userToken": ada, "role": "editor"}
        assert await bunker.ok("SessionUpsert", sessionuuid=one, sessiondata=data, finaltime="30m") == {}
        assert await held(bunker, one) == data
    assert sorted(await listed(bunker, ada)) == sorted(ids)

    await bunker.ok("SessionDelete", sessionuuid=ids[0])
    await bunker.refused(*GONE, sessionuuid=ids[0])
    assert await listed(bunker, ada) == ids[1:]

    for _ in range(29):
        clock.advance(MINUTE)
        await held(bunker, ids[1])
    clock.advance(MINUTE)
    await bunker.refused(*GONE, sessionuuid=ids[1])
    assert await listed(bunker, ada) == []


async def test_any_object_is_kept_as_it_was(kept: Bunker) -> None:
    """Of any depth and of nobody's; a UUID is the same in either case, and an id as Express makes it is not."""
    data = {"userid": 7, "ratio": 1.5, "tags": ["a", None, True], "deep": {"ünï": {"": "\n"}}, "none": None}
    express = "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy"
    for one in (ID, express):
        await kept.ok("SessionUpsert", sessionuuid=one, sessiondata=data)
        assert await held(kept, one) == data
    assert await held(kept, ID.upper()) == data
    await kept.refused(*GONE, sessionuuid=express.lower())


MALFORMED = {
    "no id": ({"sessiondata": {}}, "Missing API request parameters: sessionuuid"),
    "no data": ({"sessionuuid": ID}, "Missing API request parameters: sessiondata"),
    "data that is no object": (
        {"sessionuuid": ID, "sessiondata": [1]},
        "The sessiondata parameter has an incorrect format",
    ),
    "an id that is a word": ({"sessionuuid": "me", "sessiondata": {}}, "Bad UUID"),
    "an id of the vault's own": ({"sessionuuid": "tvs_" + "a" * 43, "sessiondata": {}}, "Bad UUID"),
    "a time that is none": (
        {"sessionuuid": ID, "sessiondata": {}, "finaltime": "soon"},
        "The finaltime parameter has an incorrect format",
    ),
}


@pytest.mark.parametrize("sentence", MALFORMED)
async def test_malformed(bunker: Bunker, sentence: str) -> None:
    """It is refused and nothing is kept."""
    said, message = MALFORMED[sentence]
    await bunker.refused(400, message, "SessionUpsert", **said)
    await bunker.refused(*GONE, sessionuuid=ID)


async def test_data_beyond_the_size_of_a_session(bunker: Bunker) -> None:
    """It is 413."""
    status, _ = await bunker("SessionUpsert", sessionuuid=ID, sessiondata={"a": "b" * 16_384})
    assert status == 413


async def test_missing_and_ended_are_one_answer(bunker: Bunker, clock: FakeClock) -> None:
    """Never there, deleted and expired: the same 404; and to delete what is absent goes well."""
    await bunker.refused(*GONE, sessionuuid=ID)
    await bunker.ok("SessionDelete", sessionuuid=ID)
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={})
    clock.advance(HOUR)
    await bunker.refused(*GONE, sessionuuid=ID)
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={})
    await bunker.ok("SessionDelete", sessionuuid=ID)
    await bunker.refused(*GONE, sessionuuid=ID)


# --- how long -----------------------------------------------------------------------------------------------

LIVES: dict[str, tuple[dict[str, Any], int, int]] = {
    "as the settings say": ({}, HOUR, DAY),
    "m is minutes": ({"slidingtime": "5m", "finaltime": "30m"}, 5 * MINUTE, 30 * MINUTE),
    "above the caps: the caps": ({"slidingtime": "7d", "finaltime": "1y"}, HOUR, DAY),
    "in seconds": ({"slidingtime": 60, "finaltime": "90"}, MINUTE, 90),
    "until a moment": ({"finaltime": 1_800_000_000 + 600}, 600, 600),
}


@pytest.mark.parametrize("sentence", LIVES)
async def test_lives(bunker: Bunker, clock: FakeClock, sentence: str) -> None:
    """Unused it ends after its window; used, it goes on until its end, to the second."""
    said, window, end = LIVES[sentence]
    other = str(uuid.uuid4())
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={}, **said)
    await bunker.ok("SessionUpsert", sessionuuid=other, sessiondata={}, **said)
    for _ in range(0, end - 1, window // 2):
        left = 1_800_000_000 + end - clock.now() // 1000
        clock.advance(min(window // 2, left - 1))
        await held(bunker, other)
    if window < end:
        await bunker.refused(*GONE, sessionuuid=ID)
    clock.advance(1)
    await bunker.refused(*GONE, sessionuuid=other)


async def test_a_time_beyond_all_numbers(kept: Bunker, clock: FakeClock) -> None:
    """It is cut before it is written down: no row could hold it."""
    ages = "999999999999y"
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={}, slidingtime=ages, finaltime=ages)
    clock.advance(HOUR)
    await kept.refused(*GONE, sessionuuid=ID)


async def test_upserts_never_pass_the_longest_lifetime(bunker: Bunker, clock: FakeClock) -> None:
    """Asked each half hour for another day, it still ends a day after it was opened; what is put then is a new one."""
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"n": 0})
    for n in range(47):
        clock.advance(HOUR / 2)
        await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"n": n}, finaltime="1d")
    clock.advance(HOUR / 2 - 1)
    assert await held(bunker) == {"n": 46}
    clock.advance(1)
    await bunker.refused(*GONE, sessionuuid=ID)
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"n": "new"})
    clock.advance(HOUR - 1)
    assert await held(bunker) == {"n": "new"}


async def test_an_upsert_slides_and_keeps_the_end(bunker: Bunker, clock: FakeClock) -> None:
    """Without a time it leaves the end where it was, and with one it moves it."""
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={}, finaltime="2h", slidingtime="30m")
    for n in range(5):
        clock.advance(20 * MINUTE)
        await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"n": n})
    clock.advance(20 * MINUTE)
    await bunker.refused(*GONE, sessionuuid=ID)

    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={}, slidingtime="30m")
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"n": 1})
    clock.advance(30 * MINUTE)
    await bunker.refused(*GONE, sessionuuid=ID)

    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={}, finaltime="2h")
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={}, finaltime="10m", slidingtime="1m")
    clock.advance(MINUTE - 1)
    assert await held(bunker) == {}
    clock.advance(MINUTE)
    await bunker.refused(*GONE, sessionuuid=ID)


async def test_a_session_ends_with_its_profile(bunker: Bunker, clock: FakeClock) -> None:
    """A profile that lives for ten minutes has no session in the eleventh."""
    token = (await bunker.ok("UserCreate", profile={"login": "ada"}, finaltime=600))["token"]
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": token})
    clock.advance(599)
    assert await held(bunker) == {"token": token}
    clock.advance(1)
    await bunker.refused(*GONE, sessionuuid=ID)


# --- no resurrection ----------------------------------------------------------------------------------------


async def births(vault: Vault, person: str) -> list[tuple[str, int]]:
    """Return handle and birth of a person's sessions."""
    return [(view.handle, view.created_at) for view in await vault.sessions.of_person(person)]


@pytest.mark.parametrize("how", ["SessionDelete", "expired", "handle", "all"])
async def test_an_ended_session_is_never_continued(
    kept: Bunker, vault: Vault, clock: FakeClock, how: str
) -> None:
    """The same id afterwards is another session: another handle, a birth of its own, the new data alone."""
    person = (await kept.ok("UserCreate", profile={"login": "ada"}))["token"]
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": person, "old": 1})
    [(handle, _)] = await births(vault, person)
    clock.advance(MINUTE)
    if how == "SessionDelete":
        await kept.ok("SessionDelete", sessionuuid=ID)
    elif how == "expired":
        clock.advance(HOUR)
    elif how == "handle":
        await vault.sessions.end_handle(handle)
    else:
        await vault.sessions.end_all(person)
    await kept.refused(*GONE, sessionuuid=ID)

    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": person, "new": 1})

    assert await held(kept) == {"token": person, "new": 1}
    [(other, born)] = await births(vault, person)
    assert other != handle
    assert born == clock.now()


async def test_an_upsert_goes_on_with_a_living_session(kept: Bunker, vault: Vault, clock: FakeClock) -> None:
    """Handle and birth stay, the data is replaced and not merged."""
    person = (await kept.ok("UserCreate", profile={"login": "ada"}))["token"]
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": person, "old": 1})
    before = await births(vault, person)
    clock.advance(MINUTE)
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": person, "new": 1})
    assert await births(vault, person) == before
    assert await held(kept) == {"token": person, "new": 1}


async def test_writers_at_once_leave_one_session(kept: Bunker, vault: Vault) -> None:
    """Of many upserts of one new id one opens it and the others change it; each is answered."""
    person = (await kept.ok("UserCreate", profile={"login": "ada"}))["token"]
    puts = [
        kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": person, "n": n}) for n in range(20)
    ]
    await asyncio.gather(*puts)
    assert len(await births(vault, person)) == 1
    assert (await held(kept))["n"] in range(20)


async def test_a_delete_beside_upserts_wins_over_those_it_meets(kept: Bunker, vault: Vault) -> None:
    """What is put into a living session while it is deleted does not bring it back."""
    for round_ in range(20):
        await vault.named_sessions.put(ID, {"n": -1})
        putting = [asyncio.create_task(vault.named_sessions.put(ID, {"n": n})) for n in range(3)]
        for _ in range(round_ % 4):
            await asyncio.sleep(0)
        ending = asyncio.create_task(vault.named_sessions.end(ID))
        await asyncio.gather(*putting, ending)
        await kept.refused(*GONE, sessionuuid=ID)


# --- whose it is --------------------------------------------------------------------------------------------

PROFILE = {"login": "ada", "email": "ada@example.org", "phone": "+41446681800", "custom": "c-1"}
NAMING: dict[str, dict[str, Any]] = {
    "by login": {"login": "ADA"},
    "by e-mail": {"email": "Ada@Example.org"},
    "by phone": {"phone": "+41 44 668 18 00"},
    "by custom": {"custom": "c-1"},
    "by login, behind a token of nobody": {"token": "00000000-0000-4000-8000-000000000000", "login": "ada"},
    "by the first that leads to somebody": {"login": "nobody", "email": 7, "phone": None, "custom": "c-1"},
}


@pytest.mark.parametrize("sentence", NAMING)
async def test_a_session_belongs_to_whom_its_data_names(
    bunker: Bunker, person: Person, sentence: str
) -> None:
    """It is in the person's list, which any way to name the person leads to."""
    await person(**PROFILE)
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata=NAMING[sentence])
    for mode in ("login", "email", "phone", "custom"):
        found = await bunker.ok("SessionListUserSessions", mode=mode, identity=PROFILE[mode])
        assert found == {"rows": [{"sessionuuid": ID, "sessiondata": NAMING[sentence]}]}


@pytest.mark.parametrize("name", ["token", "userToken"])
async def test_a_session_names_its_person_by_token(bunker: Bunker, person: Person, name: str) -> None:
    """In either case of its letters."""
    ada = await person(login="ada")
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={name: ada.upper()})
    assert await listed(bunker, ada) == [ID]


NOBODY = {
    "nothing that names anybody": {"userid": 1, "ip": "10.0.0.1", "useragent": "Mozilla"},
    "a token of nobody": {"token": "00000000-0000-4000-8000-000000000000"},
    "a token of another kind": {
        "token": "Bearer abc",
        "userToken": 17,
        "login": True,
        "email": ["a@b.example"],
    },
    "names below the top": {"user": {"login": "ada"}},
}


@pytest.mark.parametrize("sentence", NOBODY)
async def test_a_session_of_nobody_is_kept(bunker: Bunker, person: Person, sentence: str) -> None:
    """It is nobody's, and comes back as it was."""
    ada = await person(login="ada")
    await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata=NOBODY[sentence])
    assert await held(bunker) == NOBODY[sentence]
    assert await listed(bunker, ada) == []


async def test_a_session_changes_hands_under_its_id(kept: Bunker, vault: Vault, clock: FakeClock) -> None:
    """Nobody's, Ada's, Grace's, nobody's again: listed where it belongs, and no younger for it."""
    ada, grace = [(await kept.ok("UserCreate", profile={"login": one}))["token"] for one in ("ada", "grace")]
    for token in (None, ada, grace, None, ada):
        await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": token})
        assert await listed(kept, ada) == ([ID] if token == ada else [])
        assert await listed(kept, grace) == ([ID] if token == grace else [])
        clock.advance(MINUTE)
    [(_, born)] = await births(vault, ada)
    assert born == clock.now() - 5 * 60_000
    for _ in range(28):
        clock.advance(50 * MINUTE)
        await held(kept)
    clock.advance(35 * MINUTE - 1)
    await held(kept)
    clock.advance(1)
    await kept.refused(*GONE, sessionuuid=ID)


async def test_a_list_of_an_unknown_person(bunker: Bunker) -> None:
    """It is 404, by token and by value; and without a list there is none of a page either."""
    for mode, identity in (("token", ID), ("email", "nobody@example.org")):
        await bunker.refused(
            404, "The user record was not found", "SessionListUserSessions", mode=mode, identity=identity
        )
    token = (await bunker.ok("UserCreate", profile={}))["token"]
    ids = {str(uuid.uuid4()) for _ in range(25)}
    for one in ids:
        await bunker.ok("SessionUpsert", sessionuuid=one, sessiondata={"token": token})
    assert set(await listed(bunker, token)) == ids


async def test_the_bound_a_person_holds_here_too(clock: FakeClock) -> None:
    """The session unused for longest ends to make room; where that is to be refused, what was there stays."""
    for at_limit in ("end_oldest", "refuse"):
        sessions = replace(UNHELD.sessions, max_per_person=2, at_limit=at_limit)
        config = replace(UNHELD, sessions=sessions, storage=replace(UNHELD.storage, url="memory:"))
        async with wiring.open_vault(config, None, clock=clock) as vault:
            token = (await vault.profiles.create({"login": "ada"})).token
            ids = [str(uuid.UUID(int=n)) for n in range(3)]
            await vault.named_sessions.put(ids[2], {"is": "nobody's"})
            for one in ids[:2]:
                clock.advance(1)
                await vault.named_sessions.put(one, {"token": token})
            async with TestClient(TestServer(make_app(vault))) as http:
                bunker = Bunker(http, await wiring.first_access_key(vault))
                said = {"sessionuuid": ids[2], "sessiondata": {"token": token}}
                status, _ = await bunker("SessionUpsert", **said)
                assert status == (200 if at_limit == "end_oldest" else 409)
                left = ids[1:] if at_limit == "end_oldest" else ids[:2]
                assert sorted(await listed(bunker, token)) == left
                if at_limit == "refuse":
                    assert await held(bunker, ids[2]) == {"is": "nobody's"}


# --- one store, one set of rules ----------------------------------------------------------------------------


async def test_erasing_a_person_ends_them(kept: Bunker, vault: Vault) -> None:
    """Erased, the person has none; the same data afterwards is nobody's."""
    token = (await kept.ok("UserCreate", profile={"login": "ada"}))["token"]
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": token})
    await vault.profiles.erase(token)
    await kept.refused(*GONE, sessionuuid=ID)
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": token})
    assert await vault.sessions.of_person(token) == []


async def test_the_native_face_shows_them_by_handle_alone(kept: Bunker, vault: Vault) -> None:
    """Listed without their data, ended by handle, whole in an export; and their ids open nothing there."""
    token = (await kept.ok("UserCreate", profile={"login": "ada"}))["token"]
    data = {"token": token, "cart": "a1"}
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata=data)
    bearer = {"Authorization": f"Bearer {kept.token}"}

    async with kept.http.get(f"/api/v1/profiles/{token}/sessions", headers=bearer) as response:
        [session] = (await response.json())["sessions"]
    assert session["claims"] is None
    assert ID not in json.dumps(session)
    [exported] = (await vault.export(token)).sessions
    assert json.loads(bytes(exported.claims)) == data
    digest = named_session_digest(ID)
    for guess in (ID, f"databunker\0{ID}".encode().hex(), digest.hex()):
        async with kept.http.get(
            "/api/v1/sessions/current", headers={**bearer, "Session-Id": guess}
        ) as response:
            assert response.status == 404
    async with kept.http.delete(f"/api/v1/sessions/{session['handle']}", headers=bearer) as response:
        assert response.status == 204
    await kept.refused(*GONE, sessionuuid=ID)


async def test_native_sessions_are_not_told_here(bunker: Bunker, memory: Vault, person: Person) -> None:
    """Their ids cannot be told, so they are not in the list."""
    ada = await person(login="ada")
    await memory.sessions.open(Wanted(ada))
    assert await listed(bunker, ada) == []


async def test_nothing_of_them_is_in_clear(kept: Bunker, data: Path) -> None:
    """Neither the id nor the data is in any file."""
    token = (await kept.ok("UserCreate", profile={"login": "ada"}))["token"]
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": token, "cart": "unmistakable"})
    files = {name: content for name, (_, content) in everything_in(data).items()}
    secrets = {"id": ID.encode(), "id as bytes": uuid.UUID(ID).bytes, "data": b"unmistakable"}
    assert leaks(files, secrets) == []


async def found_in(config: Config, data: Path, clock: FakeClock) -> list[str]:
    """Return the kinds of all that the deep check finds."""
    findings = Findings()
    await deep_check(config, data, findings, Silent(), clock)
    return [finding.kind for finding in findings.found]


async def test_a_rotation_of_keys_takes_them_along(
    kept: Bunker, config: Config, data: Path, clock: FakeClock
) -> None:
    """Under the new key they open, are changed and are sound, when the old one is disabled."""
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"n": 1})
    async with desk(data, clock) as opened:
        await opened.rotations.rotate("data")
    assert await held(kept) == {"n": 1}
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"n": 2})
    assert await held(kept) == {"n": 2}
    assert await found_in(config, data, clock) == []


ALTERED = {
    "a longer window": "idle_timeout = idle_timeout * 2",
    "a later end": "expires_at = expires_at + 1",
    "another birth": "created_at = created_at + 1",
    "nobody's": "user_token = NULL",
    "the digest of another id": "digest = x'00'",
}


@pytest.mark.parametrize("sentence", ALTERED)
async def test_an_altered_row_is_as_unknown(
    kept: Bunker, config: Config, data: Path, clock: FakeClock, sentence: str
) -> None:
    """Whoever writes to the file gains nothing: it is not shown nor listed, is found, and the id may begin anew."""
    token = (await kept.ok("UserCreate", profile={"login": "ada"}))["token"]
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": token}, slidingtime="10m")
    assert await found_in(config, data, clock) == []

    spoil(data / "sessions.db", f"UPDATE sessions SET {ALTERED[sentence]}")  # noqa: S608 - a literal of the table

    await kept.refused(*GONE, sessionuuid=ID)
    assert await listed(kept, token) == []
    assert await found_in(config, data, clock) == ["session_row"]
    await kept.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": token, "n": 1})
    assert await held(kept) == {"token": token, "n": 1}


# --- personal data ------------------------------------------------------------------------------------------

PERSONAL: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({"role": "editor", "seen": 1_800_000_000_000, "at": "2027-01-15T08:00:00.000Z"}, set()),
    "a UUID of digits": ({"cart": "12345678-1234-4123-8123-123456789012"}, set()),
    "the cookie of Express": (
        {"cookie": {"originalMaxAge": 60_000, "expires": "2027-01-15T08:01:00.000Z", "httpOnly": True}},
        set(),
    ),
    "an e-mail address in that cookie": (
        {"cookie": {"originalMaxAge": 1, "to": "ada@example.org"}},
        {"email"},
    ),
    "an e-mail address": ({"note": "to ada@example.org"}, {"email"}),
    "a card, deep inside": ({"a": [{"b": "4111 1111 1111 1111"}]}, {"card"}),
    "the name of a field": ({"user": {"lastName": "x"}}, {"personal_name"}),
    "a name of the person's own": ({"label": "lovelace"}, {"own_profile"}),
    "a number of the person's own": ({"n": 41446681800}, {"own_profile"}),
}
OWNER = {"login": "ada", "name": "Ada Lovelace", "phone": "41446681800"}


@pytest.mark.parametrize("sentence", PERSONAL)
async def test_personal_data_is_kept_with_a_warning(bunker: Bunker, person: Person, sentence: str) -> None:
    """The rule, and nothing else, is in the log and in the metrics; the data is kept."""
    data, rules = PERSONAL[sentence]
    data = {**data, "token": await person(**OWNER)}
    with capture_logs() as logs:
        await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata=data)
        await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata=data)  # the same again: judged once
    assert await held(bunker) == data
    told = [line for line in logs if line["event"] == "session.data_looks_personal"]
    assert told == (
        [{"event": "session.data_looks_personal", "log_level": "warning", "rules": sorted(rules)}]
        if rules
        else []
    )
    async with bunker.http.get("/metrics", headers={"Authorization": f"Bearer {bunker.token}"}) as response:
        lines = (await response.text()).splitlines()
    counted = {line for line in lines if line.startswith("vault_session_data_warnings_total{")}
    assert counted == {f'vault_session_data_warnings_total{{rule="{rule}"}} 1.0' for rule in rules}


@pytest.mark.parametrize("sentence", PERSONAL)
async def test_personal_data_may_be_refused(clock: FakeClock, sentence: str) -> None:
    """With 'refuse' it is 400, naming the rule and no value; what was there stays, and the refusal is recorded."""
    config = replace(
        UNHELD,
        databunker=replace(UNHELD.databunker, session_data="refuse"),
        storage=replace(UNHELD.storage, url="memory:"),
    )
    data, rules = PERSONAL[sentence]
    async with wiring.open_vault(config, None, clock=clock) as vault:
        token = (await vault.profiles.create(OWNER)).token
        async with TestClient(TestServer(make_app(vault))) as http:
            bunker = Bunker(http, await wiring.first_access_key(vault))
            await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": token})
            said = {"sessionuuid": ID, "sessiondata": {**data, "token": token}}
            if not rules:
                await bunker.ok("SessionUpsert", **said)
                return
            message = f"The session's data looks personal: {', '.join(sorted(rules))}"
            await bunker.refused(400, message, "SessionUpsert", **said)
            assert await held(bunker) == {"token": token}
            assert ("session.refused", "claim_refused") in await acts(vault, token)


# --- the trail ----------------------------------------------------------------------------------------------


async def acts(vault: Vault, token: str | None) -> list[tuple[str, str]]:
    """Return action and outcome of the events of sessions of one person, in order."""
    events = await vault.audit.events(Filter(), 0, 1000)
    return [
        (e.action, e.outcome) for e in events if e.action.startswith("session.") and e.user_token == token
    ]


async def test_each_act_is_recorded_and_no_use(
    bunker: Bunker, memory: Vault, person: Person, clock: FakeClock
) -> None:
    """Opened, changed, revoked; not a look-up, the same data again, nor the stamp that Express puts on its cookie."""
    ada = await person(login="ada")

    async def put(**data: Any) -> None:
        await bunker.ok("SessionUpsert", sessionuuid=ID, sessiondata={"token": ada, **data})

    await put(n=1, cookie={"expires": "a"})
    await put(n=1, cookie={"expires": "a"})
    clock.advance(120)
    await put(n=1, cookie={"expires": "b"})
    assert (await held(bunker))["cookie"] == {"expires": "b"}
    await put(n=2)
    await bunker.ok("SessionDelete", sessionuuid=ID)
    await bunker.ok("SessionDelete", sessionuuid=ID)
    assert [action for action, _ in await acts(memory, ada)] == [
        "session.opened", "session.changed", "session.revoked",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "method", ["SessionUpsert", "SessionGet", "SessionDelete", "SessionListUserSessions"]
)
async def test_no_token_no_session(bunker: Bunker, memory: Vault, person: Person, method: str) -> None:
    """Neither a stranger nor a person's own token is let in: ids are other browsers' secrets."""
    ada = await person(login="ada")
    own = await memory.grants.issue("user", user_token=ada)
    said = {"sessionuuid": ID, "sessiondata": {}, "mode": "token", "identity": ada}
    await bunker.by("").refused(403, "Access denied", method, **said)
    await bunker.by(own).refused(403, "API access denied", method, **said)
