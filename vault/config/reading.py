"""Reads settings: the defaults, overridden by a file, then by the environment."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import marshmallow as ma

from vault.config.schema import schema_of
from vault.config.settings import VARIABLES, Config, Key
from vault.errors import ConfigError

_SCHEMA = schema_of(Config())


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the settings: the defaults, overridden by the file if there is one, then by the environment.

    Raises ConfigError that tells all problems at once, one a line: ``file:line: key: what is wrong``, with the
    variable in place of file and line if it comes from there. Values are not repeated.
    """
    tables, places = _read(path) if path else ({}, {(): "environment"})
    problems = []
    for variable, raw in sorted(environ.items()):
        if not variable.startswith("VAULT_") or "__" not in variable:
            continue  # another program's, such as VAULT_ADDR
        if variable not in VARIABLES:
            problems.append(f"{variable}: there is no such setting")
            continue
        table, one, default = VARIABLES[variable]
        settings = tables.setdefault(table, {})
        if isinstance(settings, dict):  # else the schema refuses it below
            settings[one.name] = raw if isinstance(default, str) else _parsed(raw)
            places = {key: place for key, place in places.items() if key[:2] != (table, one.name)}
            places[table, one.name] = variable
    try:
        config: Config = _SCHEMA.load(tables)
    except ma.ValidationError as error:
        for key, messages in _walk(error.messages_dict):
            if isinstance(messages, list):
                key = tuple(part for part in key if part != "_schema")
                place = next(places[key[:n]] for n in range(len(key), -1, -1) if key[:n] in places)
                problems += [f"{place}: {'.'.join(key)}: {message}" for message in messages]
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def _read(path: Path) -> tuple[dict[str, Any], dict[Key, str]]:
    """Return the tables of a TOML file, and the ``file:line`` of each key."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8") from error
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number or a nesting beyond Python's limits
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise ConfigError(f"{path}:{line}: is not TOML: {error}") from error
    return tables, {key: f"{path}:{line}" for key, line in _lines(text).items()}


def _lines(text: str) -> dict[Key, int]:
    """Return the line on which each key begins, in a text that is TOML as a whole.

    A statement ends with the first line at which it is TOML by itself, below the header of its table.
    """
    lines: dict[Key, int] = {}
    header = statement = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            first = number
        statement += line + "\n"
        try:
            tables = tomllib.loads(header + statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            header = statement
        for key, _ in _walk(tables):
            lines.setdefault(key, first)
        statement = ""
    return lines


def _walk(tree: object, key: Key = ()) -> Iterator[tuple[Key, object]]:
    """Yield the nodes of nested dictionaries with their keys: the root, and as deep as a claim lies."""
    yield key, tree
    if isinstance(tree, dict) and len(key) < len(("sessions", "claims", "role")):
        for name, inner in tree.items():
            yield from _walk(inner, (*key, name))


def _parsed(raw: str) -> object:
    """Return the TOML value of a variable; if it has none, the text itself, for the schema to refuse."""
    try:
        tables = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        return raw
    return tables["value"] if len(tables) == 1 else raw
