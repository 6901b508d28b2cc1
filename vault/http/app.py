"""One application: the faces, the service's own state, and the envelope around all answers."""

from aiohttp import web

from vault.http import health, native
from vault.http.envelope import envelope
from vault.http.metrics import Metrics
from vault.installation import Vault
from vault.logs import RequestLog


def make_app(vault: Vault) -> web.Application:
    """Return the application that serves one vault; the vault stays its owner's to close."""
    metrics = Metrics(vault)
    settings = vault.config.log
    log = RequestLog(settings.format) if settings.requests and settings.level in ("debug", "info") else None
    app = web.Application(middlewares=[envelope(metrics, log)])
    app.add_routes([*native.routes(vault), *health.routes(vault, metrics)])
    return app
