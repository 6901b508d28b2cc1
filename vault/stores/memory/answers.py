"""Kept answers, a part of both the profile store and the session store."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

from msgspec.structs import replace

from vault.ports import AlreadyAnswered, AnswerKeeper
from vault.records import KeptAnswer, SealedRow
from vault.stores.memory.fence import Fence
from vault.stores.memory.sealed import Boxes

Key = TypeVar("Key")
Row = TypeVar("Row")


class MemoryAnswers:
    """The kept answers of one store."""

    def __init__(self, fence: Fence) -> None:
        self.answers: dict[bytes, KeptAnswer] = {}
        self._fence = fence

    async def kept_answer(self, digest: bytes, now: int) -> KeptAnswer | None:
        """Look the answer up; an expired one is as good as absent."""
        return self._kept(digest, now)

    async def purge_answers(self, now: int, limit: int) -> int:
        """Forget expired answers."""
        expired = (digest for digest, kept in self.answers.items() if kept.expires_at <= now)
        return drop(self.answers, expired, limit)

    def answer_boxes(self) -> Boxes:
        """Show the answers as boxes."""

        def put(row: SealedRow) -> None:
            digest = bytes.fromhex(row.name)
            self.answers[digest] = replace(self.answers[digest], box=row.box, key_version=row.key_version)

        return Boxes(
            lambda: [
                SealedRow(k.digest.hex(), k.digest, k.box, k.key_version) for k in self.answers.values()
            ],
            put,
            lambda name: self.answers.pop(bytes.fromhex(name)),
        )

    def _kept(self, digest: bytes, now: int) -> KeptAnswer | None:
        kept = self.answers.get(digest)
        return kept if kept and now < kept.expires_at else None

    def _refuse_repeat(self, keeper: AnswerKeeper | None, now: int) -> None:
        if keeper and (kept := self._kept(keeper.digest, now)):
            raise AlreadyAnswered(kept)

    def _answer(self, keeper: AnswerKeeper | None, outcomes: Sequence[str | None]) -> KeptAnswer | None:
        """Return the keeper's answer, if any. Called before the write it answers, because sealing may fail."""
        answer = keeper.keep(outcomes) if keeper else None
        if answer:
            self._fence.check_box(answer.key_version)
        return answer

    def _keep(self, answer: KeptAnswer | None) -> None:
        if answer:
            self.answers[answer.digest] = answer


def drop(rows: dict[Key, Row], doomed: Iterable[Key], limit: int | None = None) -> int:
    """Delete up to ``limit`` of the doomed rows; return how many."""
    chosen = list(islice(doomed, limit))
    for key in chosen:
        del rows[key]
    return len(chosen)
