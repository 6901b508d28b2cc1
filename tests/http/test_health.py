"""The service's own state."""

from tests.clock import FakeClock
from tests.http.conversation import Client, create
from vault.installation import Vault


async def test_health_needs_no_access_key(anonymous: Client) -> None:
    """Load balancers and Prometheus ask without a key."""
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await anonymous.get(path)).status == 200


async def test_a_sweep_disturbs_no_writer(client: Client, vault: Vault, clock: FakeClock) -> None:
    """Requests that come right behind a round of housekeeping are served as at any other time."""
    for number in range(20):
        await create(client, {"n": number}, expires_in=1)
        clock.advance(1)
        assert await vault.housekeeping.round() == 1
