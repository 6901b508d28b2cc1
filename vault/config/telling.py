"""Tells what can be set: the example file and the README's table."""

import json
from collections.abc import Mapping
from dataclasses import fields

from vault.claims import ClaimRule
from vault.config.settings import SECTIONS, VARIABLES

_HEADER = """\
# All settings of the vault with their defaults. Durations are seconds, sizes bytes. Copy this file, change what
# you need, drop the rest, and name the copy with --config.
#
# An environment variable VAULT_SECTION__KEY overrides the file. Text is taken as it is: VAULT_SERVER__HOST=::1;
# all else is TOML: VAULT_SERVER__PORT=8080, VAULT_LOG__REQUESTS=false, VAULT_SESSIONS__CLAIMS='{ role = "slug" }'.
"""


def render_example() -> str:
    """Return the text of config.example.toml: every setting with its default, below its reason."""
    lines = [_HEADER]
    for table, section in SECTIONS.items():
        lines += [f"# {section.__doc__}", f"[{table}]"]
        for one in fields(section):
            default = getattr(section, one.name)
            lines.append(f"# {one.metadata['why']}")
            if isinstance(default, Mapping):
                lines += [
                    f"[{table}.{one.name}]",
                    *(f"{name} = {_toml(rule)}" for name, rule in default.items()),
                ]
            else:
                lines.append(f"{one.name} = {_toml(default)}")
        lines.append("")
    return "\n".join(lines)


def settings_table() -> str:
    """Return the README's rows, in Markdown: setting, default, environment variable, why."""
    rows = ["| setting | default | environment variable | why |", "| --- | --- | --- | --- |"]
    for variable, (table, one, default) in VARIABLES.items():
        rows.append(f"| `{table}.{one.name}` | `{_toml(default)}` | `{variable}` | {one.metadata['why']} |")
    return "\n".join(rows)


def _toml(value: object) -> str:
    """Return a default as TOML, which writes text, numbers, true and false as JSON does."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_toml(inner)}' for name, inner in value.items())} }}"
    return json.dumps(value.type if isinstance(value, ClaimRule) else value)
