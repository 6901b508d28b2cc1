"""How commands on keys are asked, and the desk at which they work."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import click

from vault.cli.place import Place, run
from vault.cli.watching import watching
from vault.crypto.keyring import LINES
from vault.key_desk import KeyDesk, Manner, open_desk
from vault.progress import Progress

Command = Callable[..., Any]

line_option = click.option("--line", type=click.Choice(LINES), help="Only this line. Default: every line.")
one_line_option = click.option(
    "--line", type=click.Choice(LINES), default="data", show_default=True, help="The line of the key."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object; steps go to stderr."
)
dry_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")


def _until(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Return the next time the local clock shows HH:MM, in milliseconds."""
    if value is None:
        return None
    try:
        wanted = datetime.strptime(value, "%H:%M").time()
    except ValueError:
        raise click.BadParameter("must be a time of day, such as 05:30") from None
    now = datetime.now().astimezone()
    until = now.replace(hour=wanted.hour, minute=wanted.minute, second=0, microsecond=0)
    return int((until if until > now else until + timedelta(days=1)).timestamp() * 1000)


def paced(command: Command) -> Command:
    """Give a command ``manner``, as the options of long work say it."""

    def call(*, batch: int, rate: int, until: int | None, patience: float, **rest: Any) -> Any:
        return command(manner=Manner(batch, rate, until, patience), **rest)

    wrapped = _in_place_of(command, call)
    for option in (
        click.option(
            "--patience", type=click.FloatRange(0), default=60.0, show_default=True, metavar="SECONDS",
            help="How long to wait for serving processes to load a keyring.",
        ),
        click.option(
            "--until", callback=_until, metavar="HH:MM", help="Stop at this time of day; the same command goes on."
        ),
        click.option("--rate", type=click.IntRange(0), default=0, help="Rows a second at most. 0: no bound."),
        click.option(
            "--batch", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Rows a transaction."
        ),
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped


def versioned(command: Command) -> Command:
    """Give a command ``version``, which is asked for as ``--version N`` or as the argument N."""

    def call(*, version: int | None, number: int | None, **rest: Any) -> Any:
        if (version is None) == (number is None):
            raise click.UsageError("name one version: --version N, or N alone")
        return command(version=version or number, **rest)

    wrapped = _in_place_of(command, call)
    wrapped = click.argument("number", type=click.IntRange(1), required=False, metavar="[N]")(wrapped)
    return click.option("--version", type=click.IntRange(1), metavar="N", help="The version; or N alone.")(
        wrapped
    )


def _in_place_of(command: Command, call: Command) -> Command:
    """Return ``call`` with the name, the help and the options of the command that it calls."""
    call.__doc__, call.__name__ = command.__doc__, command.__name__
    call.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]  # click's own way
    return call


def at(place: Place) -> str:
    """Return the option that a command needs to find this vault; none for ./data."""
    return place.options


def at_desk(
    place: Place,
    work: Callable[[KeyDesk, Progress], Awaitable[Any]],
    manner: Manner | None = None,
    *,
    as_json: bool = False,
    undo: bool = True,
) -> Any:
    """Open the desk, do the work under a progress bar, and return what came of it."""

    async def whole() -> Any:
        with watching(as_json=as_json, undo=undo, place=at(place)) as progress:
            async with open_desk(
                place.config, place.data, manner, progress=progress, tenant=place.tenant
            ) as desk:
                return await work(desk, progress)

    return run(whole())
