"""The four races. Each round makes its own people and sessions, so that nothing is left of the one before.

``docs/sessions.md`` says what must hold: what was ended stays ended, in every process, from the moment that somebody
was told so; an old id is dead and has one successor; nobody gets in who began before everybody was put out.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from prove_races_pair import Aim, Timed, at_once, order, timed
from prove_rotation_book import Book
from prove_rotation_client import Client, client_session
from prove_rotation_rounds import event_of
from rotation_process import Service, serving

LOGOUT, ROTATE, REVOKE, ERASE = RACES = (
    "logout against touch",
    "rotate against look-up",
    "revoke-all against create",
    "erase against open",
)

#: Seconds after which the sessions of the first race end unused; their window slides in steps of a tenth.
IDLE = 20

#: Sessions of the first race that are made at a time, and then left alone until their next use is written down.
AT_A_TIME = 100

#: What an erasure is answered: with a receipt or without.
ERASED = (200, 204)

_numbers = count(1)


class Races:
    """One proof in one folder, against this many processes. ``seen`` tells what came first, by race."""

    def __init__(self, folder: Path, book: Book, chance: random.Random, processes: int) -> None:
        self.book = book
        self.processes = processes
        self.seconds = 0.0
        self.seen: dict[str, Counter[str]] = {race: Counter() for race in RACES}
        self._folder = folder
        self._sessions = folder / "data" / "sessions.db"
        self._chance = chance
        self._clients: list[Client] = []

    def as_json(self) -> dict[str, Any]:
        """Return what it found as JSON shows it."""
        return {
            "seconds": round(self.seconds, 1),
            "seen": {race: dict(seen) for race, seen in self.seen.items()},
            "counts": dict(self.book.counts),
            "slowest_ms": round(self.book.slowest * 1000, 1),
            "failures": self.book.failures,
            "holds": not self.book.failures,
        }

    async def run(self, rounds: int, step: Callable[[str], None]) -> None:
        """Do it all. ``step`` hears of each round. What does not hold is in the book."""
        began_at = time.monotonic()
        data = self._folder / "data"
        logs = [self._folder / f"service-{number}.log" for number in range(self.processes)]
        async with AsyncExitStack() as stack:
            services = [await stack.enter_async_context(serving(data, log)) for log in logs]
            http = await stack.enter_async_context(client_session())
            for service in services:
                service.access_key = services[0].access_key
                self._clients.append(Client(service, self.book, http))
            step("ready")
            await self._logouts(rounds, step)
            for race, once in ((ROTATE, self._rotate), (REVOKE, self._revoke), (ERASE, self._erase)):
                aim = Aim(self._chance)
                for _ in range(rounds):
                    await once(aim)
                    step(f"{race}, {self.book.counts['failures']} failures")
            await self._end(services)
        for line in (line for log in logs for line in log.read_text().splitlines()):
            event = event_of(line)
            if event:
                self.book.expect(False, f"logged as an error: {event}")
        self.seconds = time.monotonic() - began_at

    async def _end(self, services: list[Service]) -> None:
        for service in services:
            self.book.expect(service.is_alive, "a service ended by itself")
            await service.stop()

    async def _logouts(self, rounds: int, step: Callable[[str], None]) -> None:
        """Race logouts of sessions whose next use slides the window, which is a write."""
        aim, left = Aim(self._chance), rounds
        while left:
            a_few = min(left, AT_A_TIME)
            token = await self._person()
            opened = [await self._open(token, idle_timeout=IDLE) for _ in range(a_few)]
            await asyncio.sleep(IDLE / 10 + 0.01)
            for session in opened:
                await self._logout(session, aim)
                step(f"{LOGOUT}, {self.book.counts['failures']} failures")
            await self._expect_sessions(LOGOUT, token, [])
            left -= a_few

    async def _logout(self, session: dict[str, Any], aim: Aim) -> None:
        here, there = self._two()
        locked = aim.lock(self._sessions)
        held, late = aim.delays()
        header = {"Session_Id": session["session_id"]}
        out, touch = await at_once(
            timed(here, held, "DELETE", "/sessions/current", **header),
            timed(there, late, "GET", "/sessions/current", **header),
            locked=locked,
        )
        self._expect(LOGOUT, out.answer.status == 204, f"a logout was answered {out.answer.status}")
        self._expect(
            LOGOUT, touch.answer.status in (200, 404), f"a look-up was answered {touch.answer.status}"
        )
        is_alive = touch.answer.status == 200
        slid = is_alive and touch.answer.body["last_seen_at"] != session["last_seen_at"]
        self._expect(LOGOUT, not (is_alive and out.had <= touch.asked), "a look-up after the logout found it")
        self._expect(LOGOUT, is_alive or touch.had > out.asked, "a session was dead before its logout")
        self._expect(LOGOUT, slid == is_alive, "a look-up did not slide the window: the race was none")
        await self._expect_dead(LOGOUT, session["session_id"])
        aim.note(one_won=not is_alive)
        self._note(LOGOUT, "the touch" if is_alive else "the logout", out, touch)

    async def _rotate(self, aim: Aim) -> None:
        here, there = self._two()
        token = await self._person()
        old = await self._open(token, claims={"tenant": "races"})
        locked = aim.lock(self._sessions)
        held, late = aim.delays()
        header = {"Session_Id": old["session_id"]}
        one, other, read = await at_once(
            timed(here, held, "POST", "/sessions/current/rotate", {}, **header),
            timed(there, held, "POST", "/sessions/current/rotate", {}, **header),
            timed(there, late, "GET", "/sessions/current", **header),
            locked=locked,
        )
        statuses = sorted((one.answer.status, other.answer.status))
        self._expect(ROTATE, statuses == [200, 404], f"two rotations of one id were answered {statuses}")
        self._expect(ROTATE, read.answer.status in (200, 404), f"a look-up was answered {read.answer.status}")
        winner, loser = (one, other) if one.answer.status == 200 else (other, one)
        is_alive = read.answer.status == 200
        self._expect(
            ROTATE, not (is_alive and winner.had <= read.asked), "a look-up found an id after its rotation"
        )
        await self._expect_dead(ROTATE, old["session_id"])
        if winner.answer.status == 200:
            for client in self._clients:
                header = {"Session_Id": winner.answer.body["session_id"]}
                found = await client.ask("GET", "/sessions/current", **header)
                self._expect(
                    ROTATE,
                    found is not None and found.status == 200 and found.body["claims"] == {"tenant": "races"},
                    "the successor of a rotation does not live as it was",
                )
        await self._expect_sessions(ROTATE, token, [old["handle"]])
        aim.note(one_won=not is_alive)
        self._note(ROTATE, "the look-up" if is_alive else "the rotation", winner, read)
        self.book.counts[f"two rotations, {order(winner, loser)}"] += 1

    async def _revoke(self, aim: Aim) -> None:
        here, there = self._two()
        token = await self._person()
        before = await self._open(token)
        await self._is_alive(before["session_id"])  # so that every process keeps it
        locked = aim.lock(self._sessions)
        held, late = aim.delays()
        revoke, create = await at_once(
            timed(here, held, "DELETE", f"/profiles/{token}/sessions"),
            timed(there, late, "POST", "/sessions", {"user_token": token}),
            locked=locked,
        )
        self._expect(REVOKE, revoke.answer.status == 204, f"a revoke-all was answered {revoke.answer.status}")
        self._expect(
            REVOKE, create.answer.status in (201, 404), f"a create was answered {create.answer.status}"
        )
        await self._expect_dead(REVOKE, before["session_id"])
        lives: list[dict[str, Any]] = []
        if create.answer.status == 201:
            new = create.answer.body
            if await self._is_alive(new["session_id"]):
                lives.append(new)
                began = datetime.fromisoformat(new["authenticated_at"]).timestamp() * 1000
                self._expect(
                    REVOKE, round(began) >= revoke.asked_ms, "a session lives whose login began before"
                )
                self._expect(REVOKE, create.had > revoke.asked, "a session lives that was opened before")
            else:
                self._expect(REVOKE, create.asked < revoke.had, "a session is dead that was opened after")
        else:
            self._expect(REVOKE, create.asked < revoke.had, "a login after the revocation was refused")
        await self._expect_sessions(REVOKE, token, [one["handle"] for one in lives])
        after = await self._open(token)
        self._expect(REVOKE, await self._is_alive(after["session_id"]), "nobody gets in after a revoke-all")
        aim.note(one_won=None if create.answer.status == 404 else bool(lives))
        first = "the revocation, and the login began after it" if lives else "the login, which is dead"
        refused = "the revocation, and the login, begun before it, is refused"
        self._note(REVOKE, first if create.answer.status == 201 else refused, revoke, create)

    async def _erase(self, aim: Aim) -> None:
        here, there = self._two()
        token = await self._person()
        before = await self._open(token)
        await self._is_alive(before["session_id"])  # so that every process keeps it
        locked = aim.lock(self._sessions)
        held, late = aim.delays()
        erase, create = await at_once(
            timed(here, held, "DELETE", f"/profiles/{token}"),
            timed(there, late, "POST", "/sessions", {"user_token": token}),
            locked=locked,
        )
        is_opened = create.answer.status == 201
        self._expect(ERASE, erase.answer.status in ERASED, f"an erasure was answered {erase.answer.status}")
        self._expect(
            ERASE, create.answer.status in (201, 404), f"a create was answered {create.answer.status}"
        )
        self._expect(
            ERASE, not is_opened or create.asked < erase.had, "a session was opened after the erasure"
        )
        self._expect(ERASE, is_opened or create.had > erase.asked, "a login was refused before the erasure")
        for session in (before, create.answer.body) if is_opened else (before,):
            await self._expect_dead(ERASE, session["session_id"])
        await self._expect_sessions(ERASE, token, [])
        for client in self._clients:
            for method, path, body in (
                ("POST", "/sessions", {"user_token": token}),
                ("GET", f"/profiles/{token}", None),
            ):
                answer = await client.ask(method, path, body)
                self._expect(ERASE, answer is not None and answer.status == 404, "an erased person is known")
        aim.note(one_won=not is_opened)
        self._note(ERASE, "the login, which is dead" if is_opened else "the erasure", erase, create)

    async def _person(self) -> str:
        body = {"profile": {"email": f"racer-{next(_numbers)}@example.org"}}
        return str((await self._clients[0].surely("POST", "/profiles", body)).body["token"])

    async def _open(self, token: str, **wanted: Any) -> dict[str, Any]:
        body = {"user_token": token, **wanted}
        opened: dict[str, Any] = (await self._clients[0].surely("POST", "/sessions", body)).body
        return opened

    async def _is_alive(self, session_id: str) -> bool:
        """Ask every process; they must agree."""
        answers = [
            await client.surely("GET", "/sessions/current", Session_Id=session_id) for client in self._clients
        ]
        statuses = {answer.status for answer in answers}
        self.book.expect(len(statuses) == 1 and statuses <= {200, 404}, f"look-ups were answered {statuses}")
        self.book.counts["look-ups after a race"] += len(answers)
        return statuses == {200}

    async def _expect_dead(self, race: str, session_id: str) -> None:
        self._expect(race, not await self._is_alive(session_id), "what was ended lives")

    async def _expect_sessions(self, race: str, token: str, handles: list[str]) -> None:
        for client in self._clients:
            listed = await client.surely("GET", f"/profiles/{token}/sessions")
            found = [one["handle"] for one in listed.body["sessions"]] if listed.status == 200 else []
            self._expect(race, found == handles, f"{len(found)} sessions are listed and not {len(handles)}")

    def _two(self) -> tuple[Client, Client]:
        """Return who asks for the one side and who for the other: with two processes, now this way, now that."""
        clients = self._chance.sample(self._clients, len(self._clients))
        return clients[0], clients[-1]

    def _expect(self, race: str, holds: bool, failure: str) -> None:
        self.book.expect(holds, f"{race}: {failure}")

    def _note(self, race: str, first: str, one: Timed, other: Timed) -> None:
        self.seen[race][f"{first} ({order(one, other)})"] += 1
