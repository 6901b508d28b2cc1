"""Where a command works: its settings and its data folder, and how it ends when it cannot."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from vault import hardening, logs
from vault.acting import OPERATOR, Acting, acting
from vault.config import Config, load
from vault.errors import AlreadyInitialised, ConfigError, Invalid, NoSuchKey, TagsCollide, VaultError

T = TypeVar("T")
Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Settings and data folder of one command."""

    config: Config
    data: Path


def placed(command: Command) -> Command:
    """Give a command ``--config`` and ``--data``, and call it with the ``Place`` they name.

    Only trouble is logged: a command says itself what it did. Those that serve configure the log anew.
    """

    def call(*, config_file: Path | None, data: Path, **rest: Any) -> Any:
        try:
            config = load(config_file, os.environ)
        except ConfigError as error:
            fail(error)
        logs.configure("warning", config.log.format)
        hardening.forbid_core_dumps()
        hardening.quote_nothing_when_crashing()
        return command(Place(config, data), **rest)

    call.__doc__ = command.__doc__
    call.__name__ = command.__name__
    call.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]  # click's own way
    options = [
        click.option(
            "--data",
            type=click.Path(file_okay=False, path_type=Path),
            default=Path("data"),
            show_default="./data",
            help="Data folder: keyring and databases.",
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Settings file (see config.example.toml). Environment variables override it.",
        ),
    ]
    wrapped: Command = call
    for option in options:
        wrapped = option(wrapped)
    return wrapped


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, or end the program with what the vault says is wrong."""
    before = acting.set(Acting(key_id=OPERATOR))
    try:
        return asyncio.run(work)
    except VaultError as error:
        fail(error)
    finally:
        acting.reset(before)


def fail(error: VaultError) -> NoReturn:
    """Say what happened on standard error; exit 2 for settings and usage, 1 for the vault's own trouble."""
    click.echo(f"tokenvault: {error.message}", err=True)
    if isinstance(error, TagsCollide):
        click.echo("  " + ", ".join(error.names), err=True)
    cause = getattr(error.__cause__, "sqlite_errorname", None)
    if cause:
        click.echo(f"  SQLite says: {cause}", err=True)
    for name, sentence in error.fields.items():
        click.echo(f"  {name}: {sentence}", err=True)
    raise SystemExit(2 if isinstance(error, ConfigError | AlreadyInitialised | Invalid | NoSuchKey) else 1)
