"""Erasure of people, over two stores that share no transaction, and a ledger apart from both.

Note the intent durably, close the person's epoch (from here no session can be opened), put the receipt into the
ledger, delete. In between the profile answers as unknown; what was interrupted is finished by ``sweep``, at start and
ever after. Each step is taken for many people at once: writers share transactions, and the ledger its sync.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from vault.audit import Audit
from vault.clock import Clock
from vault.ledger import Ledger
from vault.ports import ProfileStore, SessionStore


class Erasures:
    """Erases the people of one vault."""

    def __init__(
        self, profiles: ProfileStore, sessions: SessionStore, ledger: Ledger, audit: Audit, clock: Clock
    ) -> None:
        self._profiles = profiles
        self._sessions = sessions
        self._ledger = ledger
        self._audit = audit
        self._clock = clock

    async def was_erased(self, token: str) -> bool:
        """Whether this person was erased, or is being: then nobody is ever called so again."""
        return await self._sessions.epoch(token) is None

    async def erase(self, token: str) -> str | None:
        """Erase a person; return the receipt (a line of JSON), or None if there is no such person."""
        receipts = await self.erase_all([token])
        return receipts[0] if receipts else None

    async def erase_all(self, tokens: Sequence[str], action: str = "profile.erased") -> list[str]:
        """Erase people; return the receipts of those that there are.

        ``action`` is what the audit trail calls it. Raises ``NoSuchKey`` without a key that signs, and
        ``StoreUnavailable``; who was begun is finished by the next ``sweep``.
        """
        self._ledger.require_signer()
        now = self._clock.now()
        noted = await asyncio.gather(
            *(self._profiles.note_erasure(token, now, [self._audit.event(action, token)]) for token in tokens)
        )
        return await self._finish([token for token, exists in zip(tokens, noted, strict=True) if exists])

    async def sweep(self, limit: int) -> int:
        """Finish interrupted erasures and erase expired profiles, up to ``limit`` of each; return how many."""
        unfinished = await self._profiles.unfinished_erasures(limit)
        await self._finish(unfinished)
        expired = await self._profiles.expired(self._clock.now(), limit)
        await self.erase_all(expired, "profile.expired")
        return len(unfinished) + len(expired)

    async def erase_again(self, limit: int) -> int:
        """Erase everybody whose epoch is closed and who is here all the same; return how many.

        They were erased, and a backup of the profiles from before brought them back: the sessions' file remembers.
        """
        erased, after = 0, ""
        while closed := await self._sessions.closed(after, limit):
            # A read for each, a write only for those who are back.
            erased += len(await self.erase_all([t for t in closed if await self._profiles.find(t)]))
            after = closed[-1]
            await asyncio.sleep(0)
        return erased

    async def erase_listed(self, tokens: Sequence[str], is_listed: Callable[[str], bool]) -> int:
        """Erase those of these people who are listed, and end the sessions of one whose profile is gone already.

        Returns how many had a profile.
        """
        listed = [token for token in tokens if is_listed(token)]
        now = self._clock.now()
        erased = len(await self.erase_all(listed))
        await asyncio.gather(*(self._sessions.close(token, now) for token in listed))
        return erased

    async def _finish(self, tokens: Sequence[str]) -> list[str]:
        now = self._clock.now()
        await asyncio.gather(*(self._sessions.close(token, now) for token in tokens))
        # Before the box goes: whoever was told that a person is erased finds it in the ledger. A crash behind this
        # lets ``sweep`` note it once more, and readers take the first.
        receipts = await self._ledger.note(tokens, now)
        await asyncio.gather(*(self._profiles.delete(token) for token in tokens))
        for _ in tokens:
            structlog.get_logger().info("profile.erased")
        return receipts
