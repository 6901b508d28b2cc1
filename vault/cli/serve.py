"""Commands that serve HTTP."""

import asyncio
import signal
import ssl
from dataclasses import replace

import click
import structlog

from vault import data_folder, hardening, logs, wiring
from vault.access import DEMO_KEY
from vault.cli.place import Place, installed, run
from vault.cli.upkeep import show_first_key
from vault.config import Config
from vault.errors import ConfigError, DataFolderError
from vault.installation import Vault


@click.command(epilog="Example: tokenvault serve --data ./data --port 3000")
@click.option("--host", help="Address to listen on (setting server.host).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 picks a free one (setting server.port).")
@installed
def serve(place: Place, *, host: str | None, port: int | None) -> None:
    """Serve the vault; on the first start make it."""
    config = _with_address(place.config, host, port)

    async def work() -> None:
        if data_folder.is_new(config, place.data):
            show_first_key(await wiring.initialise(config, place.data))
        async with wiring.open_vault(config, place.data, housekeeping=True) as vault:
            if not any(await vault.access.list()):  # an earlier first start ended before it showed the key
                show_first_key(await wiring.first_access_key(vault))
            await _serve(vault, config)

    _harden(config)
    _install_uvloop()
    run(work())


@click.command(epilog="Example: tokenvault demo --port 3000")
@click.option("--host", help="Address to listen on (setting server.host).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 picks a free one (setting server.port).")
@installed
def demo(place: Place, *, host: str | None, port: int | None) -> None:
    """Serve an empty vault in memory, with the well-known access key DEMO: never for real data."""
    config = _with_address(place.config, host, port)
    config = replace(config, storage=replace(config.storage, url="memory:"))

    async def work() -> None:
        async with wiring.open_vault(config, None, demo=True, housekeeping=True) as vault:
            click.echo("*" * 78)
            click.echo("DEMO: everything is in memory and gone at the end, and ANYBODY may read it with the")
            click.echo(f"access key '{DEMO_KEY}'. Never put real people's data here.")
            click.echo("*" * 78)
            await _serve(vault, config)

    _harden(config)
    _install_uvloop()
    run(work())


def _with_address(config: Config, host: str | None, port: int | None) -> Config:
    server = config.server
    return replace(
        config,
        server=replace(server, host=host or server.host, port=server.port if port is None else port),
    )


def _harden(config: Config) -> None:
    """Guard the memory, before a key is in it; logged as the settings say, for here nobody looks on."""
    logs.configure(config.log.level, config.log.format)
    hardening.open_many_files()
    if config.server.lock_memory:
        hardening.lock_memory()


async def _serve(vault: Vault, config: Config) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs, refuse what comes, and return."""
    # Here: the other commands serve nothing, and start a third sooner without it.
    from vault.http.app import make_app
    from vault.http.server import Runner, Site

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = Runner(
        make_app(vault),
        server=config.server,
        limits=config.limits,
        access_log=None,
        shutdown_timeout=config.server.shutdown_grace,
    )
    await runner.setup()
    try:
        tls = _tls(config)
        site = Site(
            runner,
            config.server.host,
            config.server.port,
            ssl_context=tls,
            handshake_timeout=config.limits.header_timeout,
        )
        try:
            await site.start()
        except OSError as error:
            raise DataFolderError(
                f"cannot listen on {config.server.host}:{config.server.port}: {error.strerror}. "
                "Name another address with --host and --port."
            ) from None
        host, port = runner.addresses[0][:2]
        address = f"[{host}]" if ":" in host else host
        click.echo(f"listening on {'https' if tls else 'http'}://{address}:{port}")
        structlog.get_logger().info("serving")
        await stop.wait()
        structlog.get_logger().info("stopping")
    finally:
        await runner.cleanup()


def _tls(config: Config) -> ssl.SSLContext | None:
    if not config.server.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.server.tls_certificate, config.server.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"server.tls_certificate and server.tls_key cannot be used: {error}.") from None
    if config.server.tls_client_ca:
        try:
            context.load_verify_locations(config.server.tls_client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"server.tls_client_ca cannot be used: {error}.") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _install_uvloop() -> None:
    """Use uvloop where it installs: about a fifth faster."""
    try:
        import uvloop
    except ImportError:
        return
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
