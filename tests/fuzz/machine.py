"""Steps that Hypothesis puts in any order: each asks the real vault and the model, and both have to say the same."""

import asyncio
import atexit
import functools
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.clock import FakeClock
from tests.fuzz.model import (
    MOST_SESSIONS,
    SPELLINGS,
    SURNAME,
    TELLING_ROLE,
    AccessKey,
    Json,
    Kept,
    Model,
    Profile,
    Session,
    keys_of,
)
from tests.rotating import boxes, select
from vault import wiring
from vault.access import SCOPES, VERDICT_LIFETIME
from vault.config import Config, Idempotency, Sessions, Storage
from vault.crypto.keyring import LINES
from vault.errors import (
    AccessKeyNotFound,
    ClaimRefused,
    Duplicate,
    IdempotencyKeyReused,
    Invalid,
    ProfileNotFound,
    RevisionMismatch,
    SessionLimit,
    SessionNotFound,
    Unauthenticated,
    VaultError,
)
from vault.idempotency import attempt
from vault.installation import Vault
from vault.key_desk import KeyDesk, Manner, open_desk
from vault.profile_views import NewContent, ProfileHead
from vault.session_views import SessionView
from vault.sessions import Wanted
from vault.tokens import new_handle, new_session_id, new_user_token

#: Seconds: a verdict's life, a touch's step, an idle window, a day; and less.
SPANS = (0.25, VERDICT_LIFETIME / 1000, 7, 60, 599, 3600, 86_400)
HOUR = 3600
IDEMPOTENCY = 7200

PICK = st.integers(0, 15)
SECONDS = st.sampled_from((None, 1, 60, 600, 3600))
CLAIMS = st.sampled_from(
    ({}, {"role": "editor"}, {"roles": ["reader", "writer"]}, {"role": TELLING_ROLE}, {"locale": "de"}, {"email": "a"})
)  # fmt: skip
CHANGES = st.one_of(CLAIMS, st.just({"role": None}), st.just({"locale": "fr", "roles": None}))
#: What no field looks into: it has to come back as it went in.
OTHER = st.sampled_from(
    (None, "", "\0", "𝒜é", 2**64 - 1, -1.5e300, [{"a": []}], {"": {"deep": [None, True]}})
)
CONTENT = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.sampled_from((*spellings, None)) for name, spellings in SPELLINGS.items()},
        "last_name": st.sampled_from((SURNAME, "Hopper")),
        "other": OTHER,
        "more": st.text(max_size=600).filter(lambda text: text.isprintable()),
    },
)


def invalid(content: Json) -> bool:
    """Whether an indexed value is no text."""
    return any(isinstance(content.get(name), bool) for name in SPELLINGS)


ANY_CONTENT = st.one_of(CONTENT, CONTENT.map(lambda content: {**content, "email": True}))


class VaultMachine(RuleBasedStateMachine):
    """A vault in memory. ``steps`` counts those of every run."""

    url: ClassVar[str] = "memory:"
    processes: ClassVar[int] = 1
    steps: ClassVar[int] = 0
    runs: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).runs += 1
        self.model, self.clock, self.runner = Model(), FakeClock(), asyncio.Runner()
        self.vaults: list[Vault] = []
        self.data: Path | None = None
        self.open = AsyncExitStack()

    @initialize(at_limit=st.sampled_from(("end_oldest", "refuse")))
    def begin(self, at_limit: Any) -> None:
        """Open the vault."""
        self.config = Config(
            storage=Storage(url=self.url),
            sessions=Sessions(max_per_person=MOST_SESSIONS, at_limit=at_limit),
            idempotency=Idempotency(lifetime=IDEMPOTENCY),
        )
        self._make()
        self.runner.run(self._open())
        # Somebody is there, so that few steps are needed until something may go wrong.
        self.create(0, {"email": "bob@example.org"}, 3600, None)
        self.log_in(0, 0, {}, 600, 60)

    def _make(self) -> None:
        """Make what the vault is kept in."""

    async def _open(self) -> None:
        for _ in range(self.processes):
            context = wiring.open_vault(self.config, self.data, clock=self.clock)
            self.vaults.append(await self.open.enter_async_context(context))

    async def _close(self) -> None:
        self.vaults.clear()
        await self.open.aclose()

    def teardown(self) -> None:
        """Close the vault and remove its files."""
        self.runner.run(self._close())
        self.runner.close()
        if self.data:
            shutil.rmtree(self.data)

    # --- asking ---

    @property
    def now(self) -> int:
        """What every process takes for the time."""
        return self.clock.time

    def vault(self, who: int) -> Vault:
        """Return the vault as one of the processes has it, and count the step."""
        type(self).steps += 1
        return self.vaults[who % len(self.vaults)]

    def ask(self, call: Coroutine[Any, Any, Any], refusal: type[VaultError] | None) -> Any:
        """Return what is answered, or the refusal, which has to be this one."""
        return self.runner.run(self.answer(call, refusal))

    async def answer(self, call: Coroutine[Any, Any, Any], refusal: type[VaultError] | None) -> Any:
        """Do what ``ask`` does, inside the loop."""
        try:
            said = await call
        except VaultError as error:
            said = error
        came = type(said) if isinstance(said, VaultError) else None
        assert came is refusal, f"refused with {came}, where {refusal} was due"
        return said

    def token(self, pick: int) -> str:
        """Return the token of somebody there ever was, or of nobody."""
        return [*self.model.tokens, new_user_token(), "no token"][pick % (len(self.model.tokens) + 2)]

    def session_id(self, pick: int) -> str:
        """Return an id there ever was, or none."""
        ids = [*self.model.session_ids, new_session_id(), "no id"]
        return ids[pick % len(ids)]

    # --- profiles ---

    @rule(who=PICK, content=ANY_CONTENT, expires_in=SECONDS, key=st.sampled_from((None, None, "one", "two")))
    def create(self, who: int, content: Json, expires_in: int | None, key: str | None) -> None:
        """Keep a profile, perhaps again."""
        body = repr((content, expires_in)).encode()
        tried = attempt(bytes(32), "a call", key, body) if key else None
        kept = self.model.kept.get(key or "")
        kept = kept if kept and self.now < kept.expires_at else None
        refusal: type[VaultError] | None = None
        if invalid(content):
            refusal = Invalid
        elif kept:
            refusal = None if kept.request == body else IdempotencyKeyReused
        elif taken := self.model.taken(content, self.now):
            refusal = Duplicate
        head = self.ask(self.vault(who).profiles.create(content, expires_in, tried), refusal)
        if refusal is Duplicate:
            assert head.field == taken
        elif refusal is None and kept:
            assert head.token == kept.token
        elif refusal is None:
            self._created(head, content, expires_in)
            if key:
                self.model.kept[key] = Kept(body, head.token, self.now + IDEMPOTENCY * 1000)

    def _created(self, head: ProfileHead, content: Json, expires_in: int | None) -> None:
        expires_at = None if expires_in is None else self.now + expires_in * 1000
        assert (head.revision, head.created_at, head.updated_at) == (1, self.now, self.now)
        assert head.expires_at == expires_at
        assert head.token not in self.model.tokens
        self.model.put(Profile(head.token, content, 1, self.now, self.now, expires_at))

    @rule(who=PICK, batch=st.lists(st.tuples(ANY_CONTENT, SECONDS), max_size=4))
    def create_many(self, who: int, batch: list[tuple[Json, int | None]]) -> None:
        """Keep several; each is judged on its own."""
        entries = [NewContent(*entry) for entry in batch]
        outcomes = self.ask(self.vault(who).profiles.create_many(entries), None)
        assert len(outcomes) == len(batch)
        for (content, expires_in), outcome in zip(batch, outcomes, strict=True):
            if invalid(content):
                assert (outcome.token, outcome.code) == (None, "invalid")
            elif taken := self.model.taken(content, self.now):
                assert (outcome.token, outcome.code, [*outcome.fields]) == (None, "duplicate", [taken])
            else:
                expires_at = None if expires_in is None else self.now + expires_in * 1000
                self.model.put(Profile(outcome.token, content, 1, self.now, self.now, expires_at))

    @rule(
        who=PICK, pick=PICK, content=ANY_CONTENT, merge=st.booleans(),
        if_match=st.sampled_from((None, "seen", "older", "both", "none")),
    )  # fmt: skip
    def change(self, who: int, pick: int, content: Json, merge: bool, if_match: str | None) -> None:
        """Change a profile."""
        token = self.token(pick)
        old = self.model.living(token, self.now)
        revision = old.revision if old else 1
        seen = {
            None: None,
            "seen": [revision],
            "older": [revision - 1],
            "both": [revision - 1, revision],
            "none": [],
        }
        wanted = {**old.content, **content} if merge and old else content
        refusal: type[VaultError] | None = None
        if old is None:
            refusal = ProfileNotFound
        elif if_match in ("older", "none"):
            refusal = RevisionMismatch
        elif invalid(wanted):
            refusal = Invalid
        elif taken := self.model.taken(wanted, self.now, token):
            refusal = Duplicate
        profiles = self.vault(who).profiles
        head = self.ask(
            profiles.change(token, lambda found: {**found, **content} if merge else content, seen[if_match]),
            refusal,
        )
        if refusal is Duplicate:
            assert head.field == taken
        elif refusal is None and old is not None:
            assert (head.revision, head.updated_at) == (revision + 1, self.now)
            self.model.put(Profile(token, wanted, revision + 1, old.created_at, self.now, old.expires_at))

    @rule(who=PICK, pick=PICK)
    def erase(self, who: int, pick: int) -> None:
        """Erase a person; one who has expired is gone afterwards too, and unknown."""
        token = self.token(pick)
        refusal = None if self.model.living(token, self.now) else ProfileNotFound
        self.ask(self.vault(who).profiles.erase(token), refusal)
        if token in self.model.profiles:
            self.model.erase(token)

    # --- sessions ---

    @rule(who=PICK, pick=st.none() | PICK, claims=CLAIMS, expires_in=SECONDS, idle=SECONDS)
    def log_in(
        self, who: int, pick: int | None, claims: Json, expires_in: int | None, idle: int | None
    ) -> None:
        """Open a session."""
        person = None if pick is None else self.token(pick)
        live = [one for one in self.model.sessions_of(person) if one.lives(self.now)] if person else []
        surplus = max(0, len(live) - MOST_SESSIONS + 1)
        refusal: type[VaultError] | None = None
        if person and not self.model.living(person, self.now):
            refusal = ProfileNotFound
        elif self.model.refuses(person, claims):
            refusal = ClaimRefused
        elif surplus and self.config.sessions.at_limit == "refuse":
            refusal = SessionLimit
        opened = self.ask(self.vault(who).sessions.open(Wanted(person, claims, expires_in, idle)), refusal)
        if refusal is not None:
            return
        lifetime, window = (expires_in or 86_400) * 1000, (idle or 3600) * 1000
        end = self.model.end_of(person, self.now + lifetime)
        session = Session(
            opened.session_id, opened.view.handle, person, claims, lifetime, window,
            self.now, self.now, self.now, end, min(self.now + window, end),
        )  # fmt: skip
        if surplus and person:
            # Of those seen at one moment, any may have had to go: what is left says which.
            left = {view.handle for view in self.runner.run(self.vaults[0].sessions.of_person(person))}
            ended = [one for one in live if one.handle not in left]
            stayed = [one.last_seen_at for one in live if one.handle in left]
            assert len(ended) == surplus
            assert max(one.last_seen_at for one in ended) <= min(stayed, default=self.now)
            for one in ended:
                del self.model.sessions[one.session_id]
        assert session.session_id not in self.model.session_ids
        assert session.handle not in self.model.handles
        self.model.keep_session(session)
        self._same(opened.view, session)

    def _same(self, view: SessionView, session: Session) -> None:
        """Compare what is shown of a session with what should be."""
        for name in (
            "handle", "user_token", "created_at", "authenticated_at", "last_seen_at", "expires_at", "idle_expires_at",
        ):  # fmt: skip
            assert getattr(view, name) == getattr(session, name), name
        assert msgspec.json.decode(view.claims) == session.claims
        assert view.cache_for == min(2, (session.idle_expires_at - self.now) // 1000)

    @rule(who=PICK, pick=PICK)
    def look_up(self, who: int, pick: int) -> None:
        """Look a session up; its window slides."""
        self._use(who, self.session_id(pick))

    def _use(self, who: int, session_id: str) -> None:
        session = self.model.live_session(session_id, self.now)
        view = self.ask(self.vault(who).sessions.current(session_id), None if session else SessionNotFound)
        if session:
            session.slide(self.now)
            self._same(view, session)

    @precondition(lambda self: self.model.sessions)
    @rule(who=PICK, pick=PICK, times=st.integers(1, 4), share=st.sampled_from((0.1, 0.5, 0.99)))
    def come_back(self, who: int, pick: int, times: int, share: float) -> None:
        """Use a session again and again, each time when some of its idle window is over."""
        session = [*self.model.sessions.values()][pick % len(self.model.sessions)]
        for _ in range(times):
            self.clock.advance(share * session.idle / 1000)
            self._use(who, session.session_id)

    @rule(who=PICK, pick=PICK, changes=CHANGES)
    def change_claims(self, who: int, pick: int, changes: Json) -> None:
        """Set and drop claims."""
        session_id = self.session_id(pick)
        session = self.model.live_session(session_id, self.now)
        claims = {**session.claims, **changes} if session else {}
        claims = {name: value for name, value in claims.items() if value is not None}
        refusal = self._unchangeable(session, claims)
        view = self.ask(self.vault(who).sessions.change_claims(session_id, changes), refusal)
        if session and refusal is None:
            session.claims = claims
            self._same(view, session)

    @rule(who=PICK, pick=PICK, claims=st.none() | CLAIMS, reauthenticated=st.booleans())
    def rotate_session(self, who: int, pick: int, claims: Json | None, reauthenticated: bool) -> None:
        """Take a new id."""
        session_id = self.session_id(pick)
        session = self.model.live_session(session_id, self.now)
        refusal = self._unchangeable(session, claims or {})
        opened = self.ask(
            self.vault(who).sessions.rotate(session_id, claims, reauthenticated=reauthenticated), refusal
        )
        if session is None or refusal is not None:
            return
        del self.model.sessions[session_id]
        session.session_id, session.last_seen_at = opened.session_id, self.now
        session.claims = session.claims if claims is None else claims
        if reauthenticated:
            session.authenticated_at = self.now
            session.expires_at = self.model.end_of(session.user_token, self.now + session.lifetime)
        session.idle_expires_at = min(self.now + session.idle, session.expires_at)
        self.model.keep_session(session)
        self._same(opened.view, session)

    def _unchangeable(self, session: Session | None, claims: Json) -> type[VaultError] | None:
        if session is None or (session.user_token and not self.model.living(session.user_token, self.now)):
            return SessionNotFound
        return ClaimRefused if self.model.refuses(session.user_token, claims) else None

    @rule(who=PICK, pick=PICK)
    def log_out(self, who: int, pick: int) -> None:
        """End a session by its id."""
        session_id = self.session_id(pick)
        self.ask(self.vault(who).sessions.end(session_id), None)
        self.model.sessions.pop(session_id, None)

    @rule(who=PICK, pick=PICK)
    def end_handle(self, who: int, pick: int) -> None:
        """End a session by its handle."""
        handles = [*self.model.handles, new_handle(), "no handle"]
        handle = handles[pick % len(handles)]
        self.ask(self.vault(who).sessions.end_handle(handle), None)
        self.model.sessions = {
            name: session for name, session in self.model.sessions.items() if session.handle != handle
        }

    @rule(who=PICK, pick=PICK, keep=st.none() | PICK)
    def end_all(self, who: int, pick: int, keep: int | None) -> None:
        """End all of a person's sessions, but for one."""
        token = self.token(pick)
        handle = (
            None
            if keep is None or not self.model.handles
            else self.model.handles[keep % len(self.model.handles)]
        )
        self.ask(self.vault(who).sessions.end_all(token, handle), None)
        for session in list(self.model.sessions_of(token)):
            if session.handle != handle or not session.lives(self.now):
                del self.model.sessions[session.session_id]

    # --- access keys ---

    @rule(who=PICK, scopes=st.sets(st.sampled_from([*SCOPES, "no scope"]), max_size=3), expires_in=SECONDS)
    def make_access_key(self, who: int, scopes: set[str], expires_in: int | None) -> None:
        """Make an access key."""
        refusal = Invalid if not scopes or "no scope" in scopes else None
        made = self.ask(self.vault(who).access.create("test", scopes, expires_in), refusal)
        if refusal is None:
            text, row = made
            self.model.keys.append(AccessKey(text, row.id, expires_in and self.now + expires_in * 1000))

    @precondition(lambda self: self.model.keys)
    @rule(who=PICK, pick=PICK)
    def authenticate(self, who: int, pick: int) -> None:
        """Present an access key."""
        key = self.model.keys[pick % len(self.model.keys)]
        expired = key.expires_at is not None and self.now >= key.expires_at
        refusal = Unauthenticated if key.revoked or expired else None
        if key.revoked and self.now < key.verdict_until:
            return  # the defect that test_model.py shows: a verdict outlives its half second where the clock steps back
        self.ask(self.vault(who).access.authenticate(key.text), refusal)
        key.verdict_until = max(key.verdict_until, self.now + VERDICT_LIFETIME)
        self.ask(self.vault(who).access.authenticate(key.text[:-1] + "~"), Unauthenticated)

    @precondition(lambda self: self.model.keys)
    @rule(who=PICK, pick=PICK)
    def revoke_access_key(self, who: int, pick: int) -> None:
        """Revoke an access key: dead at once in this process, and in the others a verdict's life later."""
        key = self.model.keys[pick % len(self.model.keys)]
        self.ask(self.vault(who).access.revoke(key.key_id), None)
        self.ask(self.vault(who).access.revoke("no key"), AccessKeyNotFound)
        key.revoked = True
        self.ask(self.vault(who).access.authenticate(key.text), Unauthenticated)
        self.clock.time += VERDICT_LIFETIME

    # --- time and housekeeping ---

    @rule(seconds=st.sampled_from(SPANS))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    @rule()
    def set_the_clock_back(self) -> None:
        """Set the clock back an hour, as it happens to machines."""
        self.clock.advance(-HOUR)

    @rule(pick=PICK, past=st.sampled_from((-1, 0, 1)))
    def wait_for_an_end(self, pick: int, past: int) -> None:
        """Let time pass until a millisecond before something ends, the very one, or the next."""
        ends = [profile.expires_at for profile in self.model.profiles.values() if profile.expires_at]
        ends += [end for one in self.model.sessions.values() for end in (one.expires_at, one.idle_expires_at)]
        ends += [kept.expires_at for kept in self.model.kept.values()]
        ends += [key.expires_at for key in self.model.keys if key.expires_at]
        ends = sorted({end for end in ends if end > self.now})
        if ends:
            self.clock.time = ends[pick % len(ends)] + past

    @rule(who=PICK)
    def keep_house(self, who: int) -> None:
        """Sweep and count."""
        vault = self.vault(who)
        self.ask(vault.housekeeping.round(), None)
        self.model.sweep_profiles(self.now)
        self.model.sweep_sessions(self.now)
        assert vault.housekeeping.census.live_sessions == len(self.model.sessions)
        rows = {name: sum(census.values()) for name, census in vault.housekeeping.census.rows.items()}
        assert rows.items() >= {
            "profiles": len(self.model.profiles), "profile_answers": len(self.model.kept),
            "sessions": len(self.model.sessions), "session_answers": 0,
        }.items()  # fmt: skip
        self._count()

    def _count(self) -> None:
        """Look for what no verb shows."""

    # --- what holds after every step ---

    @invariant()
    def the_model_is_right(self) -> None:
        """After each step, asked of the first process alone, so that the other may sleep through a rotation."""
        if self.vaults:
            self.runner.run(self._check(self.vaults[0]))

    async def _check(self, vault: Vault) -> None:
        for token in self.model.tokens:
            await self._check_profile(vault, token)
            await self._check_sessions(vault, token)
        for name, spellings in SPELLINGS.items():
            for spelling in spellings:
                await self._check_value(vault, name, spelling)
        for session_id in self.model.session_ids:
            if self.model.live_session(session_id, self.now) is None:
                await self.answer(vault.sessions.current(session_id), SessionNotFound)

    async def _check_profile(self, vault: Vault, token: str) -> None:
        """Who lives reads back as last written; who does not is unknown."""
        profile = self.model.living(token, self.now)
        read = await self.answer(vault.profiles.get(token), None if profile else ProfileNotFound)
        if profile:
            assert read.content == profile.content
            for name in ("token", "revision", "created_at", "updated_at", "expires_at"):
                assert getattr(read.head, name) == getattr(profile, name), name

    async def _check_value(self, vault: Vault, name: str, spelling: str | int) -> None:
        """A value leads to its owner, or to nobody."""
        owner = next((self.model.found(key, self.now) for key in keys_of({name: spelling})), None)
        found = await self.answer(vault.profiles.lookup(name, spelling), None if owner else ProfileNotFound)
        assert owner in (None, found)

    async def _check_sessions(self, vault: Vault, token: str) -> None:
        """Of a person those sessions are listed that live, and of somebody who is gone none."""
        live = {one.handle: one for one in self.model.sessions_of(token) if one.lives(self.now)}
        listed = await self.answer(vault.sessions.of_person(token), None)
        assert {view.handle for view in listed} == live.keys()
        ages = [view.created_at for view in listed]
        assert ages == sorted(ages, reverse=True)
        for view in listed:
            self._same(view, live[view.handle])


class SqliteVaultMachine(VaultMachine):
    """A vault in SQLite files that two processes have open; its keys rotate, and it may be started again."""

    url = "sqlite:"
    processes = 2
    steps = 0
    runs = 0

    def _make(self) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="tokenvault-fuzz-")) / "data"
        shutil.copytree(_initialised(), self.data)
        self.pending: set[str] = set()
        self.target = dict.fromkeys(LINES, 1)

    def teardown(self) -> None:
        """Remove the folder around the data as well."""
        super().teardown()
        if self.data:
            self.data.parent.rmdir()

    def _count(self) -> None:
        assert self.data is not None
        rows = select(self.data / "vault.db", "SELECT version, count(*) FROM tags GROUP BY version")
        assert dict(rows) == {version: len(owned) for version, owned in self.model.owners.items() if owned}

    def operate(self, work: Any) -> None:
        """Do something at the operator's desk, beside the processes."""

        async def at_the_desk() -> None:
            assert self.data is not None
            async with open_desk(self.config, self.data, Manner(patience=0), clock=self.clock) as desk:
                await work(desk)

        type(self).steps += 1
        self.ask(at_the_desk(), None)

    @rule(line=st.sampled_from(LINES))
    def make_key(self, line: str) -> None:
        """Add a version that waits."""
        if line not in self.pending:
            self.operate(lambda desk: desk.rotations.new_key(line))
            self.pending.add(line)
            self.target[line] += 1
            if line == "index":
                self.model.owners[self.target[line]] = {}
                # As the task does that follows the keyring: one that slept on would not yet make tags under it.
                for vault in self.vaults:
                    self.runner.run(vault.profiles._watch.refresh())

    @rule(line=st.sampled_from(LINES))
    def rotate_key(self, line: str) -> None:
        """Rotate a line whole. Two living profiles with one value, whom a clock set back revived, would stop it."""
        if line == "index" and self.model.collide(self.now):
            return
        if line not in self.pending:
            self.target[line] += 1
        self.pending.discard(line)

        async def rotate(desk: KeyDesk) -> None:
            report = await desk.rotations.rotate(line)
            assert (report.left, report.quarantine, report.to_version) == ([], 0, self.target[line])

        self.operate(rotate)
        if line == "index":
            self.model.reindex(self.target[line], self.now)
        if line == "data":
            assert self.data is not None
            for place, versions in boxes(self.data).items():
                if "canary" not in place:
                    assert set(versions) == {self.target[line]}, place

    @rule()
    def start_again(self) -> None:
        """End every process and start anew, which sweeps who has expired."""
        type(self).steps += 1
        self.runner.run(self._close())
        self.runner.run(self._open())
        self.model.sweep_profiles(self.now)


@functools.cache
def _initialised() -> Path:
    """Return a data folder that is made once and copied: making one waits for the disk many times."""
    folder = Path(tempfile.mkdtemp(prefix="tokenvault-fuzz-"))
    atexit.register(shutil.rmtree, folder)
    asyncio.run(wiring.initialise(Config(), folder / "data"))
    return folder / "data"
