"""The service's own state."""

from typing import Any

from aiohttp.test_utils import TestClient

Client = TestClient[Any, Any]


async def test_health_needs_no_access_key(anonymous: Client) -> None:
    """Load balancers and Prometheus ask without a key."""
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await anonymous.get(path)).status == 200
