"""Steps about access keys: made, presented, revoked."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.fuzz.model import AccessKey
from tests.fuzz.stage import PICK, SECONDS, Stage
from vault.access import SCOPES, VERDICT_LIFETIME
from vault.errors import AccessKeyNotFound, Invalid, Unauthenticated


class AccessKeySteps(Stage):
    """What is done to access keys."""

    @rule(who=PICK, scopes=st.sets(st.sampled_from([*SCOPES, "no scope"]), max_size=3), expires_in=SECONDS)
    def make_access_key(self, who: int, scopes: set[str], expires_in: int | None) -> None:
        """Make an access key."""
        refusal = Invalid if not scopes or "no scope" in scopes else None
        made = self.ask(self.vault(who).access.create("test", scopes, expires_in), refusal)
        if refusal is None:
            text, row = made
            self.model.keys.append(AccessKey(text, row.id, expires_in and self.now + expires_in * 1000))

    @precondition(lambda self: self.model.keys)
    @rule(who=PICK, pick=PICK)
    def authenticate(self, who: int, pick: int) -> None:
        """Present an access key."""
        key = self.model.keys[pick % len(self.model.keys)]
        expired = key.expires_at is not None and self.now >= key.expires_at
        refusal = Unauthenticated if key.revoked or expired else None
        if key.revoked and any(0 < until - self.now <= VERDICT_LIFETIME for until in key.verdicts):
            return  # the clock is once more in the half second of a verdict, which a process may have slept over
        self.ask(self.vault(who).access.authenticate(key.text), refusal)
        if refusal is None:
            key.verdicts.append(self.now + VERDICT_LIFETIME)
        self.ask(self.vault(who).access.authenticate(key.text[:-1] + "~"), Unauthenticated)

    @precondition(lambda self: self.model.keys)
    @rule(who=PICK, pick=PICK)
    def revoke_access_key(self, who: int, pick: int) -> None:
        """Revoke an access key: dead at once in this process, and in the others a verdict's life later."""
        key = self.model.keys[pick % len(self.model.keys)]
        self.ask(self.vault(who).access.revoke(key.key_id), None)
        self.ask(self.vault(who).access.revoke("no key"), AccessKeyNotFound)
        key.revoked = True
        self.ask(self.vault(who).access.authenticate(key.text), Unauthenticated)
        self.clock.time += VERDICT_LIFETIME
