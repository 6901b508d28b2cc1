"""The audit trail as the verbs write it: who, what, when and why, and nothing of what a profile holds."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.clock import FakeClock
from tests.grep import leaves
from tests.http.conversation import ADA, MERGE, NOBODY, Client, answer, create, open_session, problem
from tests.rotating import desk, select
from tests.settings import UNHELD
from vault import wiring
from vault.acting import OPERATOR, Acting, acting
from vault.audit import CHECKPOINT_AGE, CHECKPOINT_FORMAT, Audit
from vault.config import Audit as AuditSettings
from vault.config import Config
from vault.crypto import signed
from vault.http.app import make_app
from vault.http.native.operation import PREFIX
from vault.installation import Vault
from vault.ports import Wanted
from vault.records import Event
from vault.statement_file import StatementFile

BEA = {"email": "bea.trice@hidden-valley.example", "first_name": "Beatrice-Benedicta"}
REASON = "monthly invoices"


@pytest.fixture
def config() -> Config:
    """A checkpoint every seven events."""
    return Config(access=UNHELD.access, audit=AuditSettings(checkpoint_every=7))


async def events(vault: Vault, after: int = 0) -> list[Event]:
    """Return the events behind one."""
    return await vault.audit.events(Wanted(), after, 9999)


async def last(vault: Vault) -> int:
    """Return where the trail ends."""
    return max((event.sequence for event in await events(vault)), default=0)


class Told(NamedTuple):
    """What an event has to say. ``of`` names a person of the stage; None stands for nobody."""

    action: str
    of: str | None = None
    details: dict[str, Any] | None = None
    outcome: str = "ok"
    purpose: str | None = None
    version: int | None = None


class Stage:
    """The vault of one test, with the people and sessions that its acts have brought forth."""

    def __init__(self, vault: Vault, client: Client) -> None:
        self.vault = vault
        self.client = client
        self.people: dict[str, str] = {"nobody": NOBODY}
        self.sessions: list[dict[str, Any]] = []
        self.unlock = ""
        self.request_ids: list[str] = []

    async def call(self, status: int, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Make a call, which must be answered so."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        data = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json", **sent}
        async with self.client.request(method, PREFIX + path, data=data, headers=sent) as response:
            text = await response.read()
            assert response.status == status, text
            self.request_ids.append(response.headers["X-Request-Id"])
            return json.loads(text) if text and response.content_type.endswith("/json") else None

    async def session(self) -> None:
        """Open a session for Ada."""
        wanted = {"user_token": self.people["ada"], "claims": {"role": "reader"}}
        self.sessions.append(await self.call(201, "POST", "/sessions", wanted))

    @property
    def handle(self) -> str:
        """The last session's handle."""
        return str(self.sessions[-1]["handle"])

    def presented(self) -> dict[str, str]:
        """The last session's id, as its holder sends it."""
        return {"Session_Id": self.sessions[-1]["session_id"]}


Do = Callable[[Stage], Awaitable[Any]]


async def _keep_ada(stage: Stage) -> None:
    for _ in range(2):  # the second is a replay
        told = await stage.call(201, "POST", "/profiles", {"profile": ADA}, Idempotency_Key="once")
        stage.people["ada"] = told["token"]


async def _keep_batch(stage: Stage) -> None:
    batch = [{"profile": one} for one in (BEA, ADA, {"login": ["no"]})]
    told = await stage.call(200, "POST", "/profiles/batch", {"profiles": batch})
    stage.people["bea"] = told["results"][0]["token"]


async def _unlock(stage: Stage) -> None:
    told = await stage.call(201, "POST", "/profiles/bulk/unlock", {"reason": REASON})
    stage.unlock = told["unlock"]


async def _rotate(stage: Stage) -> None:
    told = await stage.call(200, "POST", "/sessions/current/rotate", {}, **stage.presented())
    stage.sessions[-1] = told


def _call(status: int, method: str, path: str, body: Any = None, **headers: str) -> Do:
    """Make a call whose path, and body, may name people of the stage."""

    def do(stage: Stage) -> Awaitable[Any]:
        named = body(stage) if callable(body) else body
        return stage.call(status, method, path.format(**stage.people, handle=stage.sessions and stage.handle), named,
                          **headers)  # fmt: skip

    return do


MERGING = {"Content_Type": MERGE}

#: Each act in its turn, and the events that it leaves. HANDLE stands for the handle of the session of that moment.
HANDLE: Any = object()
ACTS: dict[str, tuple[Do, list[Told]]] = {
    "a profile is kept, and asked for again": (_keep_ada, [Told("profile.created", "ada")]),
    "a profile of somebody who is there": (
        _call(409, "POST", "/profiles", {"profile": {"email": ADA["email"]}}),
        [Told("profile.created", None, {"field": "email"}, "duplicate")],
    ),
    "a batch": (
        _keep_batch,
        [Told("profile.created", "bea"), Told("profile.created", None, {"field": "email"}, "duplicate")],
    ),
    "a profile is opened": (_call(200, "GET", "/profiles/{ada}"), [Told("profile.revealed", "ada", version=1)]),
    "some fields are opened": (
        _call(200, "GET", "/profiles/{ada}?fields=email,address.city"),
        [Told("profile.revealed", "ada", {"fields": ["email", "address.city"]}, version=1)],
    ),
    "a profile is opened for a purpose": (
        _call(200, "GET", "/profiles/{ada}", Vault_Purpose="ticket 4711"),
        [Told("profile.revealed", "ada", purpose="ticket 4711", version=1)],
    ),
    "a profile is exported": (
        _call(200, "GET", "/profiles/{ada}/export"), [Told("profile.exported", "ada", version=1)],
    ),
    "a profile that there is not": (_call(404, "GET", "/profiles/{nobody}"), []),
    "somebody is found": (
        _call(200, "POST", "/profiles/lookup", {"email": ADA["email"]}),
        [Told("profile.looked_up", "ada", {"field": "email"})],
    ),
    "nobody is found": (
        _call(404, "POST", "/profiles/lookup", {"phone": "+4930901820144"}),
        [Told("profile.looked_up", None, {"field": "phone"}, "profile_not_found")],
    ),
    "a profile is replaced": (
        _call(200, "PUT", "/profiles/{ada}", {"profile": ADA}), [Told("profile.changed", "ada")],
    ),
    "a profile is changed": (
        _call(200, "PATCH", "/profiles/{ada}", {"city": "Ockham-Park"}, **MERGING), [Told("profile.changed", "ada")],
    ),
    "a change that comes too late": (
        _call(412, "PATCH", "/profiles/{ada}", {"city": "X"}, If_Match='"9"', **MERGING), [],
    ),
    "a change to another's e-mail": (_call(409, "PATCH", "/profiles/{ada}", {"email": BEA["email"]}, **MERGING), []),
    "a session is opened": (lambda stage: stage.session(), [Told("session.opened", "ada", {"handle": HANDLE})]),
    "a session for nobody": (
        _call(404, "POST", "/sessions", {"user_token": NOBODY}),
        [Told("session.refused", "nobody", outcome="profile_not_found")],
    ),
    "a session with personal data in it": (
        _call(422, "POST", "/sessions", lambda s: {"user_token": s.people["ada"], "claims": {"role": ADA["email"]}}),
        [Told("session.refused", "ada", outcome="claim_refused")],
    ),
    "a session is looked up": (lambda s: s.call(200, "GET", "/sessions/current", **s.presented()), []),
    "sessions are listed": (_call(200, "GET", "/profiles/{ada}/sessions"), []),
    "claims are changed": (
        lambda s: s.call(200, "PATCH", "/sessions/current", {"claims": {"role": "editor"}}, **s.presented()),
        [Told("session.changed", "ada", {"handle": HANDLE})],
    ),
    "claims are refused": (
        lambda s: s.call(422, "PATCH", "/sessions/current", {"claims": {"role": ADA["email"]}}, **s.presented()),
        [Told("session.refused", "ada", outcome="claim_refused")],
    ),
    "a session is rotated": (_rotate, [Told("session.rotated", "ada", {"handle": HANDLE, "reason": "asked"})]),
    "a session ends": (
        lambda s: s.call(204, "DELETE", "/sessions/current", **s.presented()),
        [Told("session.revoked", "ada", {"handle": HANDLE, "reason": "by_id"})],
    ),
    "a session that has ended": (lambda s: s.call(204, "DELETE", "/sessions/current", **s.presented()), []),
    "another session is opened": (lambda stage: stage.session(), [Told("session.opened", "ada", {"handle": HANDLE})]),
    "a session ends by its handle": (
        _call(204, "DELETE", "/sessions/{handle}"),
        [Told("session.revoked", "ada", {"handle": HANDLE, "reason": "by_handle"})],
    ),
    "all sessions end": (
        _call(204, "DELETE", "/profiles/{ada}/sessions"),
        [Told("session.revoked", "ada", {"reason": "all_of_person"})],
    ),
    "leave to read in bulk": (_unlock, [Told("bulk.unlocked", None, {"reason": REASON})]),
    "profiles are read in bulk": (
        lambda s: s.call(200, "POST", "/profiles/bulk/read",
                         {"unlock": s.unlock, "tokens": [s.people["bea"], NOBODY, s.people["ada"]]}),
        [Told("profile.revealed", one, purpose=REASON, version=1) for one in ("bea", "ada")],
    ),
    "the trail is read": (_call(200, "GET", "/audit?limit=3"), []),
    "the trail is exported": (_call(200, "GET", "/audit/export"), [Told("audit.exported")]),
    "a person is erased": (_call(200, "DELETE", "/profiles/{bea}"), [Told("profile.erased", "bea")]),
    "a person is erased again": (_call(404, "DELETE", "/profiles/{bea}"), []),
    "what the key may not": (_call(404, "GET", "/nothing"), []),
}  # fmt: skip


@pytest.fixture
async def stage(vault: Vault, client: Client) -> Stage:
    """A vault with nobody in it yet, and an access key that may do everything."""
    return Stage(vault, client)


async def test_each_act_says_who_what_when_and_why(stage: Stage, clock: FakeClock, data: Path) -> None:
    """One event for each act, none for what is not done; all of them by the caller's key, with the request's id.

    And nothing that a profile holds is in any of them: neither in the rows nor in the details.
    """
    vault = stage.vault
    key_id = (await vault.access.list()).keys[-1].id
    wrong = {}
    for sentence, (do, expected) in ACTS.items():
        clock.advance(1)
        before = await last(vault)
        await do(stage)
        handle = stage.handle if stage.sessions else ""
        told = [
            (event.action, event.user_token, await vault.audit.details(event), event.outcome, event.purpose,
             event.revealed_version) for event in await events(vault, before)
        ]  # fmt: skip
        wanted = [
            (one.action, one.of and stage.people.get(one.of), _filled(one.details, handle), one.outcome, one.purpose,
             one.version) for one in expected
        ]  # fmt: skip
        for event in await events(vault, before):
            said = event.actor, event.at, event.tenant
            if said != (key_id, clock.now(), "default") or event.request_id not in stage.request_ids[-2:]:
                wrong[f"{sentence}: who and when"] = said
        if told != wanted:
            wrong[sentence] = told, wanted
    assert wrong == {}
    everything = "".join(f"{row}" for row in select(data / "vault.db", "SELECT * FROM audit_events"))
    everything += json.dumps([await vault.audit.presented(event) for event in await events(vault)])
    values = [*leaves(ADA).values(), *leaves(BEA).values(), "Ockham-Park", "901820144", "reader", "editor"]
    assert [value for value in values if str(value).lower() in everything.lower()] == []


def _filled(details: dict[str, Any] | None, handle: str) -> dict[str, Any] | None:
    return details and {name: handle if value is HANDLE else value for name, value in details.items()}


async def test_what_the_vault_does_by_itself_is_its_own(vault: Vault, clock: FakeClock) -> None:
    """Whoever had a sweep started: a profile that ends by itself was ended by nobody."""
    token = (await vault.profiles.create(ADA, expires_in=60)).token
    before = await last(vault)
    clock.advance(60)
    acting.set(Acting("request", "somebody's key"))

    assert await vault.profiles.sweep(10) == 1

    (event,) = await events(vault, before)
    assert (event.action, event.actor, event.user_token) == ("profile.expired", "vault", token)
    assert event.request_id is None


async def test_acts_on_keys_and_access_keys_are_the_operators(
    vault: Vault, data: Path, clock: FakeClock
) -> None:
    """Who is at the command line is in the details, which are sealed; an access key is named by its id."""
    acting.set(Acting(key_id=OPERATOR))
    before = await last(vault)
    _, row = await vault.access.create("billing", {"profiles:read"})
    await vault.access.suspend(row.id)
    await vault.access.resume(row.id)
    await vault.access.revoke(row.id)
    async with desk(data, clock) as operator:
        await operator.rotations.rotate("signing")

    found = await events(vault, before)
    assert {event.actor for event in found} == {OPERATOR}
    assert [event.action for event in found] == [
        "access.created", "access.suspended", "access.resumed", "access.revoked",
        "key.added", "key.activated", "key.disabled",
    ]  # fmt: skip
    details = [await vault.audit.details(event) or {} for event in found]
    assert {one["access_key"] for one in details[:4]} == {row.id}
    assert [(one["line"], one["version"]) for one in details[4:]] == [
        ("signing", 2),
        ("signing", 2),
        ("signing", 1),
    ]
    assert all("@" in one["by"] for one in details[4:])


async def test_each_of_many_callers_at_once_signs_for_their_own(
    vault: Vault, key_for: Callable[..., Awaitable[str]]
) -> None:
    """What runs in one transaction for many is written by one task, and yet by each caller's name and purpose."""
    keys = [await key_for("admin") for _ in range(3)]
    ids = [one.id for one in (await vault.access.list()).keys][-3:]
    before = await last(vault)
    async with TestClient(TestServer(make_app(vault))) as client:

        async def one(number: int) -> None:
            who = number % 3
            headers = {"Authorization": f"Bearer {keys[who]}", "Vault-Purpose": f"case {number}"}
            body = {"profile": {"email": f"p{number}@example.org"}}
            made = await answer(await client.post(f"{PREFIX}/profiles", json=body, headers=headers), 201)
            await answer(await client.get(f"{PREFIX}/profiles/{made['token']}", headers=headers))
            path = f"{PREFIX}/profiles/{made['token']}"
            headers["Content-Type"] = MERGE
            await answer(await client.patch(path, data='{"n": 1}', headers=headers))
            await answer(await client.delete(path, headers=headers))

        await asyncio.gather(*(one(number) for number in range(30)))

    found = await events(vault, before)
    assert len(found) == 120
    for event in found:
        assert event.purpose is not None
        assert event.actor == ids[int(event.purpose.split()[1]) % 3]
    assert len({(event.user_token, event.purpose) for event in found}) == 30
    assert len({event.request_id for event in found}) == 120


# --- why ---

PURPOSES = {
    "none": (None, 400, "purpose_missing"),
    "an empty one": ("", 422, "invalid"),
    "one that is too long": ("x" * 129, 422, "invalid"),
    "one with an e-mail in it": ("for ada@example.org", 422, "invalid"),
    "one with a phone number in it": ("call +49 30 901820144", 422, "invalid"),
    "one that is not ASCII": ("Prüfung", 422, "invalid"),
}


@pytest.fixture
async def strict(data: Path, clock: FakeClock, config: Config) -> Any:
    """A vault that asks for a purpose."""
    settings = Config(access=config.access, audit=AuditSettings(require_purpose=True))
    async with wiring.open_vault(settings, data, clock=clock) as vault:
        text, _ = await vault.access.create("support", {"admin"})
        headers = {"Authorization": f"Bearer {text}"}
        async with TestClient(TestServer(make_app(vault)), headers=headers) as client:
            yield Stage(vault, client)


async def test_a_profile_is_opened_for_a_purpose_only(strict: Stage) -> None:
    """Without one, or with one that would not be kept in the clear, nothing is opened and nothing recorded."""
    token = await create(strict.client, ADA)
    before = await last(strict.vault)
    for purpose, status, code in PURPOSES.values():
        headers = {} if purpose is None else {"Vault-Purpose": purpose}
        for path in (token, f"{token}/export"):
            response = await strict.client.get(f"{PREFIX}/profiles/{path}", headers=headers)
            told = await problem(response, status, code)
            assert ("Vault-Purpose" in told.get("errors", {})) is (code == "invalid")
    assert await last(strict.vault) == before

    await strict.call(200, "GET", f"/profiles/{token}", Vault_Purpose="x" * 128)
    await strict.call(200, "POST", "/profiles/lookup", {"email": ADA["email"]})  # opens nothing
    await open_session(strict.client, token)
    assert await last(strict.vault) == before + 3


async def test_the_person_sees_who_opened_the_profile_and_why(strict: Stage, clock: FakeClock) -> None:
    """In the export: each opening with its time, the name of the access key, purpose and fields; this one too."""
    token = await create(strict.client, ADA)
    other = await create(strict.client, BEA)
    await strict.call(200, "GET", f"/profiles/{token}?fields=email", Vault_Purpose="ticket 4711")
    await strict.call(200, "GET", f"/profiles/{other}", Vault_Purpose="ticket 4712")
    clock.advance(60)
    told = await strict.call(200, "GET", f"/profiles/{token}/export", Vault_Purpose="Art. 15")

    common = {"by": "support"}
    assert told["openings"] == [
        {**common, "at": "2027-01-15T08:00:00.000Z", "action": "profile.revealed", "purpose": "ticket 4711",
         "fields": ["email"]},
        {**common, "at": "2027-01-15T08:01:00.000Z", "action": "profile.exported", "purpose": "Art. 15",
         "fields": None},
    ]  # fmt: skip


METADATA = {
    "no JSON": "{",
    "no object": "[1]",
    "too long": json.dumps({"a": "x" * 4096}),
    "too deep": '{"a":' * 9 + "1" + "}" * 9,
}


async def test_what_the_caller_says_of_a_request_is_sealed(stage: Stage, data: Path) -> None:
    """It is in the details alone, beside the others; and it goes when the person is erased."""
    token = await create(stage.client, ADA)
    before = await last(stage.vault)
    for text in METADATA.values():
        headers = {"Vault-Request-Metadata": text}
        response = await stage.client.get(f"{PREFIX}/profiles/{token}", headers=headers)
        assert (await problem(response, 422, "invalid"))["errors"].keys() == {"Vault-Request-Metadata"}
    assert await last(stage.vault) == before

    said = {"agent": "Gwendolen-Fairfax", "desk": {"floor": 12}}
    await stage.call(200, "GET", f"/profiles/{token}?fields=email", Vault_Request_Metadata=json.dumps(said))
    (event,) = await events(stage.vault, before)
    assert await stage.vault.audit.details(event) == {"fields": ["email"], "request_metadata": said}
    await stage.call(200, "DELETE", f"/profiles/{token}", Vault_Request_Metadata=json.dumps(said))

    assert [await stage.vault.audit.details(one) for one in await events(stage.vault, before)] == [None, None]
    assert await stage.vault.housekeeping.round() >= 0
    content = {path.name: path.read_bytes() for path in data.iterdir()}  # noqa: ASYNC240 - all is done
    assert [name for name, held in content.items() if b"Gwendolen" in held] == []


# --- checkpoints ---


async def test_every_so_many_events_the_trail_is_signed(vault: Vault, config: Config) -> None:
    """At the very event, whose link it says; by the vault's signing key; also in the middle of a batch."""
    assert config.audit.checkpoint_every == 7
    await vault.audit.record(*(vault.audit.event("audit.exported") for _ in range(20)))

    found = {event.sequence: event for event in await events(vault)}
    stored = await vault.audit._store.checkpoints(0, 99)
    assert [one.sequence for one in stored] == [n for n in found if n % 7 == 0]
    for one in stored:
        shape = type("Shape", (signed.Statement,), {"__annotations__": {
            "tenant": str, "sequence": int, "link": str, "at": int}}, forbid_unknown_fields=True)  # fmt: skip
        told = signed.check(one.statement, CHECKPOINT_FORMAT, shape).statement
        assert (told["sequence"], told["link"]) == (one.sequence, found[one.sequence].link.hex())
        assert one.statement.count("\n") == 1


async def test_an_old_trail_is_signed_and_put_outside(vault: Vault, data: Path, clock: FakeClock) -> None:
    """Five minutes after the last time, if there was an event; each checkpoint is in the file, once, and in order."""
    path = data / "checkpoints.ndjson"

    async def anchored(*audits: Audit) -> list[int]:
        for audit in audits or (vault.audit,):
            await audit.anchor()
        return [json.loads(line)["sequence"] for line in path.read_text().splitlines()]

    first = await anchored()
    assert first[-1] == await last(vault)
    await vault.audit.record(vault.audit.event("audit.exported"))
    clock.advance(CHECKPOINT_AGE / 1000 - 1)
    unsigned = await last(vault)
    assert [n for n in await anchored() if n > first[-1] and n % 7] == []  # not old enough
    clock.advance(1)
    second = await anchored()
    assert second[-1] == unsigned
    clock.advance(CHECKPOINT_AGE / 1000)
    assert await anchored() == second  # nothing has happened since

    await vault.audit.record(*(vault.audit.event("audit.exported") for _ in range(9)))
    third = await anchored()
    end = await last(vault)
    assert third == sorted({*third}), "each once"
    assert [n for n in third if n > unsigned] == [
        n for n in range(unsigned + 1, end + 1) if n % 7 == 0 or n == end
    ]
    assert StatementFile(path).path.stat().st_mode & 0o777 == 0o600


async def test_another_process_goes_on_with_the_file(data: Path, clock: FakeClock, config: Config) -> None:
    """What is in the file already, it does not put there again."""
    for _ in range(3):
        async with wiring.open_vault(config, data, clock=clock) as vault:
            await vault.audit.anchor()
    lines = (data / "checkpoints.ndjson").read_text().splitlines()
    sequences = [json.loads(line)["sequence"] for line in lines]
    assert len(sequences) == len(set(sequences)) > 0


async def test_a_headless_client_is_nobody(anonymous: Client, vault: Vault) -> None:
    """A request that was refused before anybody was known to ask leaves no event."""
    before = await last(vault)
    for headers in ({}, {"Authorization": "Bearer tvk_0123456789abcdef_" + "A" * 43}):
        response = await anonymous.get(f"{PREFIX}/profiles/{NOBODY}", headers=headers)
        assert response.status == 401
        assert isinstance(response, aiohttp.ClientResponse)
    assert await last(vault) == before
