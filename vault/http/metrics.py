"""Numbers for Prometheus. Labels hold route templates, codes and key ids: never a value, a token or an id."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from vault.installation import Vault

#: Seconds. A look-up takes well under a millisecond, a batch some seconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Metrics:
    """The numbers of one process."""

    def __init__(self, vault: Vault) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "vault_requests", "Requests answered.", ("route", "method", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "vault_request_seconds",
            "Time to answer.",
            ("route", "method"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._refusals = Counter(
            "vault_refusals",
            "Refusals by code and access key: a burst of session_not_found is somebody guessing ids.",
            ("code", "key_id"),
            registry=self._registry,
        )
        self._registry.register(_CensusCollector(vault))
        # labels() takes a lock and hashes; the hot path looks its children up once.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        child = self._children.get((route, method, status))
        if child is None:
            child = self._requests.labels(route, method, status), self._seconds.labels(route, method)
            self._children[route, method, status] = child
        child[0].inc()
        child[1].observe(seconds)

    def refused(self, code: str, key_id: str | None) -> None:
        """Count one refusal."""
        self._refusals.labels(code, key_id or "").inc()

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self._registry)


class _CensusCollector(Collector):
    """Tells the counts that housekeeping last took: counting a million rows at each scrape would be rude."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def collect(self) -> Iterator[GaugeMetricFamily]:
        census = self._vault.housekeeping.census
        yield GaugeMetricFamily(
            "vault_live_sessions", "Sessions that have not expired.", census.live_sessions
        )
        rows = GaugeMetricFamily("vault_rows", "Sealed rows.", labels=("store", "key_version"))
        for store, versions in census.rows.items():
            for version, count in versions.items():
                rows.add_metric((store, str(version)), count)
        yield rows
