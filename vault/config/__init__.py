"""Settings, from a TOML file and the environment."""

from vault.config.reading import load
from vault.config.settings import (
    Access,
    Alarms,
    Audit,
    Config,
    Erasure,
    Housekeeping,
    Idempotency,
    Keyring,
    Limits,
    Log,
    Profiles,
    Server,
    Sessions,
    Storage,
)
from vault.config.telling import render_example, settings_table

__all__ = [
    "Access",
    "Alarms",
    "Audit",
    "Config",
    "Erasure",
    "Housekeeping",
    "Idempotency",
    "Keyring",
    "Limits",
    "Log",
    "Profiles",
    "Server",
    "Sessions",
    "Storage",
    "load",
    "render_example",
    "settings_table",
]
