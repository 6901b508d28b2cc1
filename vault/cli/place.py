"""Where a command works: its settings and its data folder, and how it ends when it cannot."""

import asyncio
import os
import shlex
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from vault import hardening, logs, wiring
from vault.acting import OPERATOR, Acting, acting
from vault.clock import SystemClock
from vault.config import Config, load
from vault.errors import (
    AlreadyInitialised,
    ConfigError,
    Invalid,
    NoSuchKey,
    TagsCollide,
    TenantNotFound,
    VaultError,
)
from vault.tenant_folder import place_of
from vault.wiring import DEFAULT_TENANT

T = TypeVar("T")
Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Settings and data folder of one command.

    ``tenant`` is an id. ``home`` is the installation's folder, where that is another; ``named`` is the tenant as asked.
    """

    config: Config
    data: Path
    tenant: str = DEFAULT_TENANT
    home: Path | None = None
    named: str | None = None

    @property
    def options(self) -> str:
        """Return the options that a command needs to find this vault; none for ./data."""
        home = self.home or self.data
        told = "" if home == Path("data") else f" --data {shlex.quote(str(home))}"
        return told if self.named is None else f"{told} --tenant {shlex.quote(self.named)}"


def placed(command: Command) -> Command:
    """Give a command ``--config``, ``--data`` and ``--tenant``, and call it with the ``Place`` they name.

    Only trouble is logged: a command says itself what it did. Those that serve configure the log anew.
    """
    return tenant_option(installed(command))


def installed(command: Command) -> Command:
    """Do as ``placed``, without ``--tenant``: for what is about an installation with all of its tenants."""

    def call(*, config_file: Path | None, data: Path, tenant: str | None = None, **rest: Any) -> Any:
        try:
            config = load(config_file, os.environ)
        except ConfigError as error:
            fail(error)
        logs.configure("warning", config.log.format)
        hardening.forbid_core_dumps()
        hardening.quote_nothing_when_crashing()
        return command(located(config, data, tenant), **rest)

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


#: Its value is the name of a tenant, or its id, for which nothing of the installation's has to open.
tenant_option = click.option(
    "--tenant", metavar="NAME", help="Work on the vault of this tenant of the installation; by name or id."
)


def located(config: Config, data: Path, tenant: str | None) -> Place:
    """Return the place of an installation's vault or of one of its tenants'; or end the program where there is none."""
    if tenant is None or tenant == DEFAULT_TENANT:
        return Place(config, data)
    tenant_id = tenant if tenant.isascii() and tenant.isdecimal() else run(_id_of(config, data, tenant))
    place = place_of(config, data, tenant_id)
    return Place(place.config, place.folder, tenant_id, data, tenant)


async def _id_of(config: Config, data: Path, tenant: str) -> str:
    async with wiring.open_files(config, data, DEFAULT_TENANT, SystemClock()) as opened:
        names = await wiring.registered(opened)
    for tenant_id, name in names.items():
        if name == tenant:
            return tenant_id
    raise TenantNotFound(f"There is no tenant {tenant}. See: tokenvault tenants list --data {data}")


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
    raise SystemExit(
        2 if isinstance(error, ConfigError | AlreadyInitialised | Invalid | NoSuchKey | TenantNotFound) else 1
    )
