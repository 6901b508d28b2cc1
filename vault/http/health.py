"""How the service itself is: for load balancers and Prometheus. Holds no data, so it asks for no access key."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from vault.http.metrics import Metrics
from vault.installation import Vault


def routes(vault: Vault, metrics: Metrics) -> list[web.RouteDef]:
    """Return ``/healthz`` (the process runs), ``/readyz`` (the store answers) and ``/metrics``."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        await vault.housekeeping.ready()  # raises StoreUnavailable; without a proven keyring nothing serves
        return web.json_response({"status": "ready"})

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        web.get("/healthz", healthz, allow_head=False),
        web.get("/readyz", readyz, allow_head=False),
        web.get("/metrics", scrape, allow_head=False),
    ]
