"""What the vault has acknowledged, and therefore must be so: people, sessions, and what went wrong."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Content = dict[str, Any]

#: Failures that are told one by one; more are only counted.
MOST_TOLD = 50


@dataclass(slots=True, eq=False)
class Person:
    """One profile. ``contents`` are its contents in order, of which number ``sure`` is the last acknowledged.

    One writer alone changes a person, so at most one content comes after that.
    """

    token: str
    contents: list[Content]
    sure: int = 0
    erasing: bool = False
    erased: bool = False

    @property
    def content(self) -> Content:
        """The last acknowledged content."""
        return self.contents[self.sure]

    @property
    def email(self) -> str:
        """The last acknowledged e-mail."""
        return str(self.content["email"])

    @property
    def is_calm(self) -> bool:
        """Whether nothing is being done to it."""
        return self.sure == len(self.contents) - 1 and not self.erasing

    def settle(self, *, changed: bool) -> None:
        """Say whether the content that was tried last is the person's now."""
        if changed:
            self.sure += 1
        else:
            self.contents.pop()


@dataclass(slots=True, eq=False)
class Session:
    """One session, by its id. ``claims`` are those that were acknowledged, and one that may be on its way."""

    session_id: str
    person: Person
    claims: list[Content]
    ending: bool = False
    ended: bool = False


@dataclass(slots=True)
class Book:
    """All of it: who is alive, or may be, and who is gone for good.

    ``failures`` are sentences: the proof holds if there is none.
    """

    people: list[Person] = field(default_factory=list)
    gone_people: list[Person] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    gone_sessions: list[Session] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def expect(self, holds: bool, failure: str) -> bool:
        """Write a failure down unless this holds; return whether it does."""
        if not holds:
            self.counts["failures"] += 1
            if len(self.failures) < MOST_TOLD:
                self.failures.append(failure)
        return holds
