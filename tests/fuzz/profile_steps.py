"""Steps about profiles: kept, changed, erased."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.fuzz.model import SPELLINGS, SURNAME, Json, Kept, Profile
from tests.fuzz.stage import IDEMPOTENCY, PICK, SECONDS, Stage
from vault.errors import (
    Duplicate,
    IdempotencyKeyReused,
    Invalid,
    ProfileNotFound,
    RevisionMismatch,
    VaultError,
)
from vault.idempotency import attempt
from vault.profile_views import NewContent, ProfileHead

#: What no field looks into: it has to come back as it went in.
OTHER = st.sampled_from(
    (None, "", "\0", "𝒜é", 2**64 - 1, -1.5e300, [{"a": []}], {"": {"deep": [None, True]}})
)
CONTENT = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.sampled_from((*spellings, None)) for name, spellings in SPELLINGS.items()},
        "last_name": st.sampled_from((SURNAME, "Hopper")),
        "other": OTHER,
        "more": st.text(max_size=600).filter(lambda text: text.isprintable()),
    },
)


def invalid(content: Json) -> bool:
    """Whether an indexed value is no text."""
    return any(isinstance(content.get(name), bool) for name in SPELLINGS)


ANY_CONTENT = st.one_of(CONTENT, CONTENT.map(lambda content: {**content, "email": True}))


class ProfileSteps(Stage):
    """What is done to profiles."""

    @rule(who=PICK, content=ANY_CONTENT, expires_in=SECONDS, key=st.sampled_from((None, None, "one", "two")))
    def create(self, who: int, content: Json, expires_in: int | None, key: str | None) -> None:
        """Keep a profile, perhaps again."""
        body = repr((content, expires_in)).encode()
        tried = attempt(bytes(32), "a call", key, body) if key else None
        kept = self.model.kept.get(key or "")
        kept = kept if kept and self.now < kept.expires_at else None
        refusal: type[VaultError] | None = None
        if invalid(content):
            refusal = Invalid
        elif kept:
            refusal = None if kept.request == body else IdempotencyKeyReused
        elif taken := self.model.taken(content, self.now):
            refusal = Duplicate
        head = self.ask(self.vault(who).profiles.create(content, expires_in, tried), refusal)
        if refusal is Duplicate:
            assert head.field == taken
        elif refusal is None and kept:
            assert head.token == kept.token
        elif refusal is None:
            self._created(head, content, expires_in)
            if key:
                self.model.kept[key] = Kept(body, head.token, self.now + IDEMPOTENCY * 1000)

    def _created(self, head: ProfileHead, content: Json, expires_in: int | None) -> None:
        expires_at = None if expires_in is None else self.now + expires_in * 1000
        assert (head.revision, head.created_at, head.updated_at) == (1, self.now, self.now)
        assert head.expires_at == expires_at
        assert head.token not in self.model.tokens
        self.model.put(Profile(head.token, content, 1, self.now, self.now, expires_at))

    @rule(who=PICK, batch=st.lists(st.tuples(ANY_CONTENT, SECONDS), max_size=4))
    def create_many(self, who: int, batch: list[tuple[Json, int | None]]) -> None:
        """Keep several; each is judged on its own."""
        entries = [NewContent(*entry) for entry in batch]
        outcomes = self.ask(self.vault(who).profiles.create_many(entries), None)
        assert len(outcomes) == len(batch)
        for (content, expires_in), outcome in zip(batch, outcomes, strict=True):
            if invalid(content):
                assert (outcome.token, outcome.code) == (None, "invalid")
            elif taken := self.model.taken(content, self.now):
                assert (outcome.token, outcome.code, [*outcome.fields]) == (None, "duplicate", [taken])
            else:
                expires_at = None if expires_in is None else self.now + expires_in * 1000
                self.model.put(Profile(outcome.token, content, 1, self.now, self.now, expires_at))

    @rule(
        who=PICK, pick=PICK, content=ANY_CONTENT, merge=st.booleans(),
        if_match=st.sampled_from((None, "seen", "older", "both", "none")),
    )  # fmt: skip
    def change(self, who: int, pick: int, content: Json, merge: bool, if_match: str | None) -> None:
        """Change a profile."""
        token = self.token(pick)
        old = self.model.living(token, self.now)
        revision = old.revision if old else 1
        seen = {
            None: None,
            "seen": [revision],
            "older": [revision - 1],
            "both": [revision - 1, revision],
            "none": [],
        }
        wanted = {**old.content, **content} if merge and old else content
        refusal: type[VaultError] | None = None
        if old is None:
            refusal = ProfileNotFound
        elif if_match in ("older", "none"):
            refusal = RevisionMismatch
        elif invalid(wanted):
            refusal = Invalid
        elif taken := self.model.taken(wanted, self.now, token):
            refusal = Duplicate
        profiles = self.vault(who).profiles
        head = self.ask(
            profiles.change(token, lambda found: {**found, **content} if merge else content, seen[if_match]),
            refusal,
        )
        if refusal is Duplicate:
            assert head.field == taken
        elif refusal is None and old is not None:
            assert (head.revision, head.updated_at) == (revision + 1, self.now)
            self.model.put(Profile(token, wanted, revision + 1, old.created_at, self.now, old.expires_at))

    @rule(who=PICK, pick=PICK)
    def erase(self, who: int, pick: int) -> None:
        """Erase a person; one who has expired is gone afterwards too, and unknown."""
        token = self.token(pick)
        refusal = None if self.model.living(token, self.now) else ProfileNotFound
        self.ask(self.vault(who).profiles.erase(token), refusal)
        if token in self.model.profiles:
            self.model.erase(token)
