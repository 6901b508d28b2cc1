"""Kept answers: what the store of an idempotent write promises."""

from collections.abc import Sequence
from typing import Protocol

from vault.errors import VaultError
from vault.records import KeptAnswer


class AnswerKeeper(Protocol):
    """Makes the answer that is kept with an idempotent write, once the outcome is known."""

    @property
    def digest(self) -> bytes:
        """32 bytes that stand for caller, call and Idempotency-Key."""
        ...

    def keep(self, outcomes: Sequence[str | None]) -> KeptAnswer | None:
        """Seal the answer, or return None to keep none. Called inside the transaction; must not do I/O."""
        ...


class AlreadyAnswered(VaultError):
    """The same request was answered before."""

    code = "already_answered"

    def __init__(self, kept: KeptAnswer) -> None:
        super().__init__()
        self.kept = kept


class AnswerStore(Protocol):
    """Kept answers. Both stores are one, because an answer is written in the transaction of its write."""

    async def kept_answer(self, digest: bytes, now: int) -> KeptAnswer | None:
        """Return the unexpired answer under this digest."""
        ...

    async def purge_answers(self, now: int, limit: int) -> int:
        """Delete up to ``limit`` answers with ``expires_at <= now``; return how many."""
        ...
