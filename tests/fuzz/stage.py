"""The vault that the steps are played with: opened, closed, asked, and its answers compared."""

import asyncio
import shutil
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from tests.clock import FakeClock
from tests.fuzz.model import MOST_SESSIONS, Model, Session
from vault import wiring
from vault.config import Config, Idempotency, Sessions, Storage
from vault.errors import VaultError
from vault.installation import Vault
from vault.session_views import SessionView
from vault.tokens import new_session_id, new_user_token

#: Seconds for which an answer is kept.
IDEMPOTENCY = 7200

#: Which of those there are, and which process.
PICK = st.integers(0, 15)
SECONDS = st.sampled_from((None, 1, 60, 600, 3600))


class Stage(RuleBasedStateMachine):
    """A vault, the model of it, and no step yet. ``steps`` and ``runs`` count those of every run."""

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

    def start(self, at_limit: Any) -> None:
        """Open the vault with these settings."""
        self.config = Config(
            storage=Storage(url=self.url),
            sessions=Sessions(max_per_person=MOST_SESSIONS, at_limit=at_limit),
            idempotency=Idempotency(lifetime=IDEMPOTENCY),
        )
        self._make()
        self.runner.run(self._open())

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

    def compare(self, view: SessionView, session: Session) -> None:
        """Compare what is shown of a session with what should be."""
        for name in (
            "handle", "user_token", "created_at", "authenticated_at", "last_seen_at", "expires_at", "idle_expires_at",
        ):  # fmt: skip
            assert getattr(view, name) == getattr(session, name), name
        assert msgspec.json.decode(view.claims) == session.claims
        assert view.cache_for == min(2, (session.idle_expires_at - self.now) // 1000)
