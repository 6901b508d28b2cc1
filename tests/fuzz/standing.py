"""What holds after every step, whatever it was."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

from hypothesis.stateful import invariant

from tests.fuzz.model import SPELLINGS, keys_of
from tests.fuzz.stage import Stage
from vault.errors import ProfileNotFound, SessionNotFound
from vault.installation import Vault


class Standing(Stage):
    """Everything there ever was is asked for."""

    @invariant()
    def the_model_is_right(self) -> None:
        """After each step, asked of the first process alone, so that the other may sleep through a rotation."""
        if self.vaults:
            self.runner.run(self._check(self.vaults[0]))

    async def _check(self, vault: Vault) -> None:
        # All at once, so that what is recorded of the reading goes to the disk in a few transactions.
        found = await asyncio.gather(*self._questions(vault), return_exceptions=True)
        for error in found:
            if error is not None:
                raise error

    def _questions(self, vault: Vault) -> Iterator[Coroutine[Any, Any, Any]]:
        for token in self.model.tokens:
            yield self._check_profile(vault, token)
            yield self._check_sessions(vault, token)
        for name, spellings in SPELLINGS.items():
            for spelling in spellings:
                yield self._check_value(vault, name, spelling)
        for session_id in self.model.session_ids:
            if self.model.live_session(session_id, self.now) is None:
                yield self._check_dead(vault, session_id)

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
            self.compare(view, live[view.handle])

    async def _check_dead(self, vault: Vault, session_id: str) -> None:
        """A session that was ended or is over is unknown."""
        await self.answer(vault.sessions.current(session_id), SessionNotFound)
