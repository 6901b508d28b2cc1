"""On whose behalf the vault acts just now: what log lines and audit events say of it.

The one thing that is not handed from call to call: every act has it, none depends on it, and a verb that forgot to
pass it on would write an event without its author.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: Whoever holds the data folder and the keys, at a command line; and the vault itself, when it sweeps.
OPERATOR = "operator"
ITSELF = "vault"


class Budget(NamedTuple):
    """How many profiles an access key may open. None: no bound."""

    per_hour: int | None
    per_day: int | None


@dataclass(slots=True)
class Acting:
    """One request or command. ``key_id`` is the access key's, once it is known who calls."""

    request_id: str = ""
    key_id: str | None = None
    purpose: str | None = None
    budget: Budget | None = None
    #: What the caller says of the request; kept sealed.
    metadata: Mapping[str, Any] | None = field(default=None, repr=False)


#: A request runs in a context of its own, so what is set there ends with it.
acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


@contextmanager
def by_itself() -> Iterator[None]:
    """Let what is done inside be the vault's own doing, whoever had it started."""
    before = acting.set(None)
    try:
        yield
    finally:
        acting.reset(before)
