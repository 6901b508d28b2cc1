"""Numbers for Prometheus. Labels hold route templates, codes and key ids: never a value, a token or an id."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from vault.installation import Vault

#: Seconds. A look-up takes well under a millisecond, a batch some seconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


@dataclass(slots=True)
class _Tally:
    """Answers of one route, method and status: total seconds, and how many fell into each bucket."""

    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))


class Metrics(Collector):
    """The numbers of one process. Requests are tallied here, which costs a quarter of what the library's locks do."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._tallies: dict[tuple[str, str, str], _Tally] = {}
        self._registry = CollectorRegistry()
        self._refusals = Counter(
            "vault_refusals",
            "Refusals by code and access key: a burst of session_not_found is somebody guessing ids.",
            ("code", "key_id"),
            registry=self._registry,
        )
        self._registry.register(self)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        labels = (route, method, str(status))
        tally = self._tallies.get(labels)
        if tally is None:
            tally = self._tallies[labels] = _Tally()
        tally.seconds += seconds
        tally.buckets[bisect_left(BUCKETS, seconds)] += 1

    def refused(self, code: str, key_id: str | None) -> None:
        """Count one refusal. Short-lived tokens are one label together: each of its own would never go again."""
        self._refusals.labels(code, (key_id or "").partition("-")[0]).inc()

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """Tell the tallies, and the counts that housekeeping last took (a million rows are not counted a scrape)."""
        labels = ("route", "method", "status")
        requests = CounterMetricFamily("vault_requests", "Requests answered.", labels=labels)
        seconds = HistogramMetricFamily("vault_request_seconds", "Time to answer.", labels=labels)
        for values, tally in self._tallies.items():
            upto = list(accumulate(tally.buckets))
            requests.add_metric(values, upto[-1])
            bounds = [*map(str, BUCKETS), "+Inf"]
            seconds.add_metric(values, list(zip(bounds, upto, strict=True)), tally.seconds)
        census = self._vault.housekeeping.census
        rows = GaugeMetricFamily("vault_rows", "Sealed rows.", labels=("store", "key_version"))
        for store, versions in census.rows.items():
            for version, count in versions.items():
                rows.add_metric((store, str(version)), count)
        aside = GaugeMetricFamily(
            "vault_quarantine_rows", "Rows whose box does not open.", labels=("store", "key_version", "cause")
        )
        for store, causes in census.quarantine.items():
            for (version, cause), count in causes.items():
                aside.add_metric((store, str(version), cause), count)
        live = GaugeMetricFamily(
            "vault_live_sessions", "Sessions that have not expired.", census.live_sessions
        )
        lag = GaugeMetricFamily(
            "vault_sweep_lag_seconds",
            "How long the oldest row that has ended is still there.",
            labels=("store",),
        )
        for store, milliseconds in census.overdue.items():
            lag.add_metric((store,), milliseconds / 1000)
        # Of tenants there is what somebody has to be woken for. Their rows, which are under keys of their own, are told
        # by "tokenvault keys status --tenant".
        tenants = self._vault.tenants
        opened = tenants.opened if tenants else ()
        desks = [self._vault.alarms, *(vault.alarms for vault in opened)]
        alarms = CounterMetricFamily(
            "vault_alarms", "Honey tokens opened.", sum(each.raised for each in desks)
        )
        unheard = GaugeMetricFamily(
            "vault_alarms_undelivered",
            "Alarms that the webhook has not taken.",
            sum(each.undelivered for each in desks),
        )
        personal = CounterMetricFamily(
            "vault_session_data_warnings", "Session data that looks personal and was kept.", labels=("rule",)
        )
        for rule, count in self._vault.named_sessions.warnings.items():
            personal.add_metric((rule,), count)
        known = tenants.counted if tenants else 0
        number = GaugeMetricFamily("vault_tenants", "Tenants beside the default one.", known)
        closed = GaugeMetricFamily(
            "vault_tenants_closed",
            "Tenants whose vault is not open in this process: for long, if one does not open.",
            max(0, known - len(opened)),
        )
        yield from (requests, seconds, rows, aside, live, lag, alarms, unheard, personal, number, closed)
