"""What one fuzzing run came to."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Result:
    """``counts`` says how much was tried, ``findings`` what broke (with how, as far as the tool says it).

    ``replay`` is the command that does it again.
    """

    name: str
    seed: int
    seconds: float
    counts: dict[str, int]
    replay: str
    findings: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it as one line."""
        told = ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        verdict = f"{len(self.findings)} FINDINGS" if self.findings else "holds"
        return f"{self.name}: {told}, {self.seconds:.0f} s, seed {self.seed}: {verdict}"
