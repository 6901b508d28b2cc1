"""Steps of the clock, and the housekeeping that goes by it."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.fuzz.stage import PICK, Stage
from vault.access import VERDICT_LIFETIME

#: Seconds: a verdict's life, a touch's step, an idle window, a day; and less.
SPANS = (0.25, VERDICT_LIFETIME / 1000, 7, 60, 599, 3600, 86_400)
HOUR = 3600


class TimeSteps(Stage):
    """What time does."""

    @rule(seconds=st.sampled_from(SPANS))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    @rule()
    def set_the_clock_back(self) -> None:
        """Set the clock back an hour, as it happens to machines."""
        self.clock.advance(-HOUR)

    @rule(pick=PICK, past=st.sampled_from((-1, 0, 1)))
    def wait_for_an_end(self, pick: int, past: int) -> None:
        """Let time pass until a millisecond before something ends, the very one, or the next."""
        ends = [profile.expires_at for profile in self.model.profiles.values() if profile.expires_at]
        ends += [end for one in self.model.sessions.values() for end in (one.expires_at, one.idle_expires_at)]
        ends += [kept.expires_at for kept in self.model.kept.values()]
        ends += [key.expires_at for key in self.model.keys if key.expires_at]
        ends = sorted({end for end in ends if end > self.now})
        if ends:
            self.clock.time = ends[pick % len(ends)] + past

    @rule(who=PICK)
    def keep_house(self, who: int) -> None:
        """Sweep and count."""
        vault = self.vault(who)
        self.ask(vault.housekeeping.round(), None)
        self.model.sweep_profiles(self.now)
        self.model.sweep_sessions(self.now)
        assert vault.housekeeping.census.live_sessions == len(self.model.sessions)
        rows = {name: sum(census.values()) for name, census in vault.housekeeping.census.rows.items()}
        assert rows.items() >= {
            "profiles": len(self.model.profiles), "profile_answers": len(self.model.kept),
            "sessions": len(self.model.sessions), "session_answers": 0,
        }.items()  # fmt: skip
        self._count()

    def _count(self) -> None:
        """Look for what no verb shows."""
