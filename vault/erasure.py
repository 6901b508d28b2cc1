"""Erasure of people, over two stores that share no transaction.

Note the intent durably, close the person's epoch (from here no session can be opened), delete. In between the
profile answers as unknown; what was interrupted is finished by ``sweep``, at start and ever after.
"""

import asyncio

import structlog

from vault.clock import Clock
from vault.ports import ProfileStore, SessionStore


class Erasures:
    """Erases the people of one vault."""

    def __init__(self, profiles: ProfileStore, sessions: SessionStore, clock: Clock) -> None:
        self._profiles = profiles
        self._sessions = sessions
        self._clock = clock

    async def erase(self, token: str) -> bool:
        """Erase a person; False if there is none."""
        if not await self._profiles.note_erasure(token, self._clock.now()):
            return False
        await self._finish(token)
        return True

    async def sweep(self, limit: int) -> int:
        """Finish interrupted erasures and erase expired profiles, up to ``limit`` of each; return how many."""
        unfinished = await self._profiles.unfinished_erasures(limit)
        for token in unfinished:
            await self._finish(token)
        expired = await self._profiles.expired(self._clock.now(), limit)
        for token in expired:
            await self.erase(token)
        return len(unfinished) + len(expired)

    async def erase_again(self, limit: int) -> int:
        """Erase everybody whose epoch is closed and who is here all the same; return how many.

        They were erased, and a backup of the profiles from before brought them back: the sessions' file remembers.
        """
        erased, after = 0, ""
        while closed := await self._sessions.closed(after, limit):
            for token in closed:
                if await self._profiles.find(token):  # a read for each, a write only for those who are back
                    erased += await self.erase(token)
            after = closed[-1]
            await asyncio.sleep(0)
        return erased

    async def _finish(self, token: str) -> None:
        await self._sessions.close(token, self._clock.now())
        await self._profiles.delete(token)
        structlog.get_logger().info("profile.erased")
