"""A request sent twice is done once: the first answer is kept, sealed, in the transaction of its write.

Follows draft-ietf-httpapi-idempotency-key-header: the same key with another request is refused. The kept
answer's digest is keyed with the caller's own secret, so that neither a guessed key nor a stolen database
finds it, and one caller's keys never meet another's.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from vault.clock import Clock
from vault.crypto.sealer import Sealer
from vault.errors import IdempotencyKeyReused
from vault.ports import AlreadyAnswered, AnswerKeeper, AnswerStore
from vault.records import KeptAnswer

T = TypeVar("T")
Outcomes = Sequence[str | None]


@dataclass(slots=True)
class Attempt:
    """One try at a request that carries an Idempotency-Key. ``replayed`` says whether an earlier one had won."""

    digest: bytes = field(repr=False)
    request: bytes = field(repr=False)
    replayed: bool = False


def attempt(pepper: bytes, call: str, key: str, body: bytes) -> Attempt:
    """Name a try: ``pepper`` is 32 secret bytes of the caller's, ``call`` the route's template."""
    message = f"{call}\n{key}".encode()
    return Attempt(
        hashlib.blake2b(message, key=pepper, digest_size=32).digest(), hashlib.sha256(body).digest()
    )


class _Kept(msgspec.Struct):
    request: bytes
    result: msgspec.Raw


@dataclass(frozen=True, slots=True)
class _Keeper(Generic[T]):
    """Seals the result of a write under its attempt's digest."""

    answers: "Answers"
    attempt: Attempt
    result: Callable[[Outcomes], T]

    @property
    def digest(self) -> bytes:
        return self.attempt.digest

    def keep(self, outcomes: Outcomes) -> KeptAnswer | None:
        result = self.result(outcomes)
        return None if result is None else self.answers.seal(self.attempt, result)


class Answers:
    """Kept answers of one vault; ``lifetime`` is how long they are kept, in seconds."""

    def __init__(self, sealer: Sealer, clock: Clock, lifetime: int) -> None:
        self._sealer = sealer
        self._clock = clock
        self._lifetime = lifetime * 1000

    async def once(
        self,
        store: AnswerStore,
        tried: Attempt | None,
        kind: type[T],
        write: Callable[[AnswerKeeper | None], Awaitable[Outcomes]],
        result: Callable[[Outcomes], T | None],
    ) -> T | None:
        """Write and return the result, or return that of the earlier attempt.

        ``result`` turns the store's outcomes into the answer; None is not kept. Raises
        ``IdempotencyKeyReused`` if the earlier attempt was another request.
        """
        if tried is None:
            return result(await write(None))
        kept = await store.kept_answer(tried.digest, self._clock.now())
        if kept is None:
            try:
                return result(await write(_Keeper(self, tried, result)))
            except AlreadyAnswered as answered:  # the same request overtook us
                kept = answered.kept
        return self._open(kept, tried, kind)

    def seal(self, tried: Attempt, result: object) -> KeptAnswer:
        """Seal a result under the attempt's digest."""
        plaintext = msgspec.json.encode(_Kept(tried.request, msgspec.Raw(msgspec.json.encode(result))))
        sealed = self._sealer.seal("answer", tried.digest.hex(), plaintext)
        return KeptAnswer(tried.digest, sealed.box, sealed.key_version, self._clock.now() + self._lifetime)

    def _open(self, kept: KeptAnswer, tried: Attempt, kind: type[T]) -> T:
        answer = msgspec.json.decode(self._sealer.open("answer", kept.digest.hex(), kept.box), type=_Kept)
        if not hmac.compare_digest(answer.request, tried.request):
            raise IdempotencyKeyReused
        tried.replayed = True
        return msgspec.json.decode(answer.result, type=kind)
