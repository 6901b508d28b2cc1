"""The writer of the proof. It has people and sessions of its own, so it knows how each of them must be."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import count

from prove_rotation_book import Content, Person
from prove_rotation_client import MERGE_PATCH, Answer, Client, maybe_key
from prove_rotation_sessions import SessionWriter

#: Seconds between two steps.
PAUSE = 0.02

#: Make every content another.
_numbers = count(1)


class Writer:
    """Creates, changes and erases people, and opens, changes and revokes sessions. ``most`` bounds its people."""

    def __init__(self, client: Client, chance: random.Random, most: int) -> None:
        self._client = client
        self._book = client.book
        self._chance = chance
        self._most = most
        self._people: list[Person] = []
        self._sessions = SessionWriter(client, chance)
        self._kept: deque[tuple[str, Content, str]] = deque(maxlen=100)

    async def fill(self, people: int, sessions: int) -> None:
        """Make the first people and sessions."""
        contents = [_content() for _ in range(people)]
        answer = await self._client.surely(
            "POST", "/profiles/batch", {"profiles": [{"profile": content} for content in contents]}
        )
        for content, entry in zip(contents, answer.body["results"], strict=True):
            self._add(entry["token"], content)
        for _ in range(sessions):
            await self._open_session()
        for _ in range(5):
            await self._create()

    async def step(self) -> None:
        """Do one thing, wait for its answer, and note what holds from here on."""
        steps: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (10, self._create), (4, self._create_one_of_two), (6, self._replay), (30, self._change),
            (8, self._duplicate_of_another), (6, self._duplicate_of_the_newest), (6, self._change_to_taken),
            (60 if len(self._people) > self._most else 1, self._erase),
            (24, self._open_session), (10, self._sessions.change_claims), (8, self._sessions.renew),
            (9, self._sessions.revoke),
        ]  # fmt: skip
        ((_, step),) = self._chance.choices(steps, [weight for weight, _ in steps])
        await step()
        await asyncio.sleep(PAUSE * self._chance.uniform(0, 2))

    async def _open_session(self) -> None:
        await self._sessions.open(self._chance.choice(self._people))

    async def _create(self) -> None:
        content, headers = _content(), maybe_key(self._chance)
        answer = await self._client.ask("POST", "/profiles", {"profile": content}, **headers)
        if answer is None and headers:  # the key makes it safe to ask again
            answer = await self._client.surely("POST", "/profiles", {"profile": content}, **headers)
        if answer is None:
            await self._settle_created([content])
        elif self._client.acknowledged(answer, 201, "a create"):
            self._add(answer.body["token"], content)
            if headers:
                self._kept.append((headers["Idempotency_Key"], content, answer.body["token"]))

    async def _create_one_of_two(self) -> None:
        """Two with one e-mail at the same time: exactly one may come in."""
        one, other = _content(), _content()
        other["email"] = str(one["email"]).upper()
        answers = await asyncio.gather(
            *(self._client.ask("POST", "/profiles", {"profile": content}) for content in (one, other))
        )
        if None in answers:
            await self._settle_created([one, other])
            return
        statuses = sorted(answer.status for answer in answers if answer)
        if not self._book.expect(statuses == [201, 409], f"two with one e-mail were answered {statuses}"):
            return
        for content, answer in zip((one, other), answers, strict=True):
            if answer and answer.status == 201:
                self._book.counts["writes acknowledged"] += 1
                self._add(answer.body["token"], content)
        self._book.counts["duplicates refused"] += 1

    async def _settle_created(self, contents: list[Content]) -> None:
        """Find out which of the creates that were cut off, if any, came in before the kill."""
        found = await self._client.surely("POST", "/profiles/lookup", {"email": contents[0]["email"]})
        if found.status == 200:
            read = await self._client.surely("GET", f"/profiles/{found.body['token']}")
            if self._client.acknowledged(read, 200, "the read of what was found by e-mail"):
                content = read.body["profile"]
                self._book.expect(content in contents, "a create that was cut off left another content")
                self._add(found.body["token"], content)
        else:
            self._book.expect(found.status == 404, f"a look-up by e-mail was answered {found.status}")

    async def _replay(self) -> None:
        """An earlier create with its key again: the same token."""
        if self._kept:
            key, content, token = self._chance.choice(self._kept)
            answer = await self._client.ask("POST", "/profiles", {"profile": content}, Idempotency_Key=key)
            if answer:
                self._book.counts["kept answers repeated"] += 1
                self._book.expect(
                    answer.status == 201 and answer.body["token"] == token,
                    f"a repeated create was answered {answer.status} {answer.code}, not as the first time",
                )

    async def _change(self) -> None:
        person = self._chance.choice(self._people)
        change: Content = {"number": next(_numbers)}
        if self._chance.random() < 0.3:
            change["email"] = _email()
        person.contents.append({**person.content, **change})
        answer = await self._patch(person, change)
        if answer is None:
            read = await self._client.surely("GET", f"/profiles/{person.token}")
            content = read.body["profile"] if read.status == 200 else None
            self._book.expect(
                content in person.contents[person.sure :], "a change that was cut off left neither content"
            )
            person.settle(changed=content == person.contents[-1])
        else:
            person.settle(changed=self._client.acknowledged(answer, 200, "a change"))

    async def _duplicate_of_another(self) -> None:
        await self._refused({**_content(), "email": self._chance.choice(self._people).email})

    async def _duplicate_of_the_newest(self) -> None:
        await self._create()
        await self._refused({**_content(), "email": self._people[-1].email.capitalize()})

    async def _refused(self, content: Content) -> None:
        answer = await self._client.ask("POST", "/profiles", {"profile": content}, **maybe_key(self._chance))
        if answer:
            self._expect_duplicate(answer, "a create with another's e-mail")

    async def _change_to_taken(self) -> None:
        one, other = self._chance.sample(self._people, 2)
        answer = await self._patch(one, {"email": other.email})
        if answer:
            self._expect_duplicate(answer, "a change to another's e-mail")

    async def _erase(self) -> None:
        person = self._people.pop(self._chance.randrange(len(self._people)))
        person.erasing = True
        async with self._sessions.erasing(person):
            answer = await self._client.ask("DELETE", f"/profiles/{person.token}")
            if answer is None:
                answer = await self._client.surely("DELETE", f"/profiles/{person.token}")
                self._book.expect(
                    answer.status in (200, 404), f"an erasure, repeated, was answered {answer.status}"
                )
            else:
                self._client.acknowledged(answer, 200, "an erasure")
            person.erased = True
            self._book.people.remove(person)
            self._book.gone_people.append(person)
        if self._chance.random() < 0.5:  # the e-mail is free again
            content = {**_content(), "email": person.email}
            created = await self._client.ask("POST", "/profiles", {"profile": content})
            if created is None:
                await self._settle_created([content])
            elif self._client.acknowledged(created, 201, "a create with the e-mail of an erased person"):
                self._add(created.body["token"], content)

    async def _patch(self, person: Person, change: Content) -> Answer | None:
        return await self._client.ask("PATCH", f"/profiles/{person.token}", change, kind=MERGE_PATCH)

    def _expect_duplicate(self, answer: Answer, what: str) -> None:
        self._book.counts["duplicates refused"] += answer.status == 409
        self._book.expect(
            (answer.status, answer.code) == (409, "duplicate"),
            f"{what} was answered {answer.status} {answer.code} and not refused as a duplicate",
        )

    def _add(self, token: str, content: Content) -> None:
        person = Person(token, [content])
        self._people.append(person)
        self._book.people.append(person)


def _content() -> Content:
    number = next(_numbers)
    return {
        "email": _email(), "first_name": f"Marguerite {number}", "number": number,
        "address": {"city": "Nürnberg", "street": f"Lange Straße {number}"}, "notes": "rings twice. " * (number % 40),
    }  # fmt: skip


def _email() -> str:
    return f"person-{next(_numbers)}@example.org"
