"""One application: the faces, the service's own state, and the envelope around all answers."""

from aiohttp import web

from vault.http import health, native
from vault.http.envelope import envelope
from vault.http.metrics import Metrics
from vault.installation import Vault


def make_app(vault: Vault) -> web.Application:
    """Return the application that serves one vault; the vault stays its owner's to close."""
    metrics = Metrics(vault)
    app = web.Application(middlewares=[envelope(metrics, log_requests=vault.config.log.requests)])
    app.add_routes([*native.routes(vault), *health.routes(vault, metrics)])
    return app
