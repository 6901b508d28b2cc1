"""The reader of the proof: what is read must be what was acknowledged, whatever a rotation is doing."""

import asyncio
import random
from collections.abc import Awaitable

from prove_rotation_book import Book, Person, Session
from prove_rotation_client import Client

#: Seconds between two steps.
PAUSE = 0.008

#: Share of the reads that ask for what is gone.
GONE = 0.1


class Reader:
    """Reads people and sessions and looks e-mails up, and compares with what was acknowledged."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self._client = client
        self._book = client.book
        self._chance = chance

    async def step(self) -> None:
        """Read one thing."""
        await self._chance.choice((self._read, self._look_up, self._find))()
        await asyncio.sleep(PAUSE * self._chance.uniform(0, 2))

    async def _read(self) -> None:
        gone = self._book.gone_people
        people = gone if gone and self._chance.random() < GONE else self._book.people
        await check_person(self._client, self._chance.choice(people))

    async def _look_up(self) -> None:
        gone = self._book.gone_sessions
        sessions = gone if gone and self._chance.random() < GONE else self._book.sessions
        if sessions:
            await check_session(self._client, self._chance.choice(sessions))

    async def _find(self) -> None:
        await check_email(self._client, self._chance.choice(self._book.people))


async def check_person(client: Client, person: Person) -> None:
    """Read a person: exactly what was acknowledged last, or what is just being written."""
    sure, erased = person.sure, person.erased
    answer = await client.ask("GET", f"/profiles/{person.token}")
    if answer is None:
        return
    client.book.counts["reads compared"] += 1
    if answer.status == 404:
        client.book.expect(person.erasing, "an acknowledged profile is not found")
        return
    # A kill may have taken back what was being written, and then it is in the book no more; not so its reader.
    is_known = answer.status == 200 and answer.body["profile"] in person.contents[sure:]
    client.book.expect(
        is_known and not erased, f"a profile was read with {answer.status}, and not as it was acknowledged"
    )


async def check_session(client: Client, session: Session) -> None:
    """Look a session up: alive with its claims, or gone for good."""
    ended, claims = session.ended, session.claims
    answer = await client.ask("GET", "/sessions/current", Session_Id=session.session_id)
    if answer is None:
        return
    client.book.counts["reads compared"] += 1
    if answer.status == 404:
        client.book.expect(session.ending, "a live session is not found")
        return
    allowed = [*claims, *session.claims]
    is_known = answer.status == 200 and answer.body["claims"] in allowed
    is_theirs = is_known and answer.body["user_token"] == session.person.token
    client.book.expect(
        is_theirs, f"a session was looked up with {answer.status}, and not as it was acknowledged"
    )
    client.book.expect(not ended, "a revoked session answers")


async def check_email(client: Client, person: Person) -> None:
    """Look a person up by e-mail, unless something is being done to them."""
    email, sure, calm = person.email, person.sure, person.is_calm
    answer = await client.ask("POST", "/profiles/lookup", {"email": email})
    if answer is None or not calm or not person.is_calm or person.sure != sure:
        return
    client.book.counts["reads compared"] += 1
    client.book.expect(
        answer.status == 200 and answer.body["token"] == person.token,
        f"a look-up by e-mail was answered {answer.status}, and not with the person's token",
    )


def check_all(book: Book, client: Client) -> list[Awaitable[None]]:
    """Return the checks of everything that is in the book."""
    return [
        *(check_person(client, person) for person in (*book.people, *book.gone_people)),
        *(check_email(client, person) for person in book.people),
        *(check_session(client, session) for session in (*book.sessions, *book.gone_sessions)),
    ]
