"""An audit trail over any stores, for tests that put a vault together by hand."""

from tests.clock import FakeClock
from vault import wiring
from vault.audit import Audit
from vault.config import Config
from vault.crypto.keyring import Keyring
from vault.crypto.sealer import Sealer
from vault.key_watch import KeyWatch
from vault.ports import Stores


def an_audit(
    stores: Stores, keyring: Keyring, config: Config | None = None, clock: FakeClock | None = None
) -> Audit:
    """Return the trail of the tenant "default" of a vault whose keys do not change."""
    clock, sealer = clock or FakeClock(), Sealer(keyring, wiring.DEFAULT_TENANT)
    watch = KeyWatch(None, keyring, sealer, stores.keys, stores.processes, clock)
    opened = wiring.Opened(None, keyring, sealer, stores)
    return wiring.audit_of(config or Config(), wiring.DEFAULT_TENANT, clock, opened, watch)
