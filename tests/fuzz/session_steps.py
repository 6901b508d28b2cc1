"""Steps about sessions: opened, used, changed, ended."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.fuzz.model import MOST_SESSIONS, TELLING_ROLE, Json, Session
from tests.fuzz.stage import PICK, SECONDS, Stage
from vault.errors import ClaimRefused, ProfileNotFound, SessionLimit, SessionNotFound, VaultError
from vault.sessions import Wanted
from vault.tokens import new_handle

CLAIMS = st.sampled_from(
    ({}, {"role": "editor"}, {"roles": ["reader", "writer"]}, {"role": TELLING_ROLE}, {"locale": "de"}, {"email": "a"})
)  # fmt: skip
CHANGES = st.one_of(CLAIMS, st.just({"role": None}), st.just({"locale": "fr", "roles": None}))


class SessionSteps(Stage):
    """What is done to sessions."""

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
        self.compare(opened.view, session)

    @rule(who=PICK, pick=PICK)
    def look_up(self, who: int, pick: int) -> None:
        """Look a session up; its window slides."""
        self._use(who, self.session_id(pick))

    def _use(self, who: int, session_id: str) -> None:
        session = self.model.live_session(session_id, self.now)
        view = self.ask(self.vault(who).sessions.current(session_id), None if session else SessionNotFound)
        if session:
            session.slide(self.now)
            self.compare(view, session)

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
            self.compare(view, session)

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
        self.compare(opened.view, session)

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
