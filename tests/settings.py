"""Settings for tests."""

from vault.config import Access, Config

#: As they come, but that refused access keys are answered at once and never too many: thousands come from one address.
UNHELD = Config(access=Access(failure_hold=0, failures_per_minute=1_000_000))
