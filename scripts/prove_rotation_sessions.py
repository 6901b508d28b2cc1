"""The sessions of one writer of the proof: it alone changes them, so it knows how they are."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from prove_rotation_book import Content, Person, Session
from prove_rotation_client import Client, maybe_key

#: Make every claim another.
_numbers = count(1)


class SessionWriter:
    """Opens, changes, renews and revokes sessions."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self._sessions: list[Session] = []

    async def open(self, person: Person) -> None:
        """Open one for this person."""
        headers = maybe_key(self._chance)
        claims = _claims()
        body = {"user_token": person.token, "claims": claims}
        answer = await self._client.ask("POST", "/sessions", body, **headers)
        if answer is None and headers:  # the key makes it safe to ask again
            answer = await self._client.surely("POST", "/sessions", body, **headers)
        # Without a key nobody knows the id of a session whose opening was cut off: it idles out.
        if answer and self._client.acknowledged(answer, 201, "the opening of a session"):
            self._keep(Session(answer.body["session_id"], person, [claims]))

    async def change_claims(self) -> None:
        """Change the claims of one."""
        session = self._some()
        if session:
            claims = _claims()
            session.claims.append(claims)
            answer = await self._client.surely(
                "PATCH", "/sessions/current", {"claims": claims}, Session_Id=session.session_id
            )
            self._client.acknowledged(answer, 200, "a change of claims")
            session.claims = [claims]

    async def renew(self) -> None:
        """Take a new id. If that was cut off, nobody knows the new one, and the old one is dead or not."""
        session = self._some()
        if session:
            session.ending = True
            self._sessions.remove(session)
            header = {"Session_Id": session.session_id}
            answer = await self._client.ask("POST", "/sessions/current/rotate", {}, **header)
            if answer is None:
                await self._client.surely("DELETE", "/sessions/current", **header)
            elif self._client.acknowledged(answer, 200, "a new id for a session"):
                self._keep(Session(answer.body["session_id"], session.person, session.claims))
            self._end(session)

    async def revoke(self) -> None:
        """Revoke one: logout may be asked twice."""
        session = self._some()
        if session:
            session.ending = True
            self._sessions.remove(session)
            answer = await self._client.surely("DELETE", "/sessions/current", Session_Id=session.session_id)
            self._client.acknowledged(answer, 204, "a revocation")
            self._end(session)

    @asynccontextmanager
    async def erasing(self, person: Person) -> AsyncIterator[None]:
        """Note that this person's sessions end: on entering that it begins, on leaving that it is done."""
        theirs = [session for session in self._sessions if session.person is person]
        self._sessions = [session for session in self._sessions if session.person is not person]
        for session in theirs:
            session.ending = True
        yield
        for session in theirs:
            self._end(session)

    def _end(self, session: Session) -> None:
        session.ended = True
        self._client.book.sessions.remove(session)
        self._client.book.gone_sessions.append(session)

    def _keep(self, session: Session) -> None:
        self._sessions.append(session)
        self._client.book.sessions.append(session)

    def _some(self) -> Session | None:
        return self._chance.choice(self._sessions) if self._sessions else None


def _claims() -> Content:
    return {"roles": ["editor"], "tenant": f"tenant-{next(_numbers)}"}
