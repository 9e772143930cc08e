"""Every metric of the daemon, in one list; names, labels and label values are promises.

All begin with `pushbridge_` (the prefix is written once, below). Every combination of labels that can be told in advance
exists from the start, so that a zero is seen. Never a label: a handle, a tag, an id, an error's text.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client import Counter as CounterMetric

from bridge.errors import Reason, Stage
from bridge.histogram import BatchHistogram
from bridge.pipeline import End, Passage
from bridge.supervisor import SourceState, SourceStatus
from hub.bulkhead import Bulkhead
from hub.notification import Notification, Platform
from hub.outcome import DELIVERY_LABELS, OutcomeName, State
from hub.senders.base import Push
from hub.store.base import Lane, QueueState

MAX_RULES = 200
"""Rules with series of their own; the others share `_other`."""

OTHER = "_other"

INGEST = {
    End.ACCEPTED: "accepted",
    End.SUPPRESSED: "duplicate",
    End.DEAD_LETTER: "malformed",
    End.NO_MATCH: "filtered",
}
"""The label `outcome` of `pushbridge_ingest_messages_total`, by an event's end."""

ENDED = {
    State.COMPLETED: "completed",
    State.NO_TARGET_FOUND: "no_target",
    State.ABANDONED: "expired",
    State.CANCELLED: "cancelled",
}
"""The label `outcome` of `pushbridge_notifications_total`, by a notification's state."""

_STORE_OPERATIONS = ("accept", "count", "expand", "lease", "read", "record", "release", "renew", "write")
REMOTE = "remote"
"""The label `platform` of what is handed over to a hub elsewhere."""

_EVALUATIONS = ("match", "error")
_DELIVERIES = sorted({*DELIVERY_LABELS.values(), "timeout"})
_TRANSACTION = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_END_TO_END = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_AUDIENCE = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7)
_WAIT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)


class Metrics:
    """The registry and what is counted in it; building it starts nothing."""

    def __init__(
        self,
        *,
        version: str,
        sources: Sequence[str],
        rules: Sequence[str],
        hubs: Sequence[str],
        remotes: Sequence[str] = (),
    ) -> None:
        # A second series for each counter, which nobody asks for; the function is untyped upstream.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._rules: frozenset[str] = frozenset()
        platforms = [platform.value for platform in Platform]
        lanes = [lane.value for lane in Lane]

        Info("pushbridge_build", "Version of the daemon.", registry=self.registry).info({"version": version})
        self._ingest = self._counter(
            "ingest_messages", "Messages taken, by what became of them.", ("source", "outcome")
        )
        self._lag = self._gauge("ingest_lag_messages", "Messages that wait at the broker.", ("source",))
        self._oldest_unacked = self._gauge(
            "ingest_oldest_unacked_timestamp_seconds",
            "When the oldest message not yet settled was taken, 0 when there is none.",
            ("source",),
        )
        self._source_up = self._gauge(
            "source_up",
            "1 while messages of the source can flow, 0 while it connects, is refused or stalls.",
            ("source",),
        )
        self._source_rebuilds = self._counter("source_rebuilds", "Connections of a source built again.", ("source",))
        self._rebuilds_told: dict[str, int] = {}
        self._rule_evaluations = self._counter(
            "rule_evaluations", "Rules that matched, or could not be evaluated.", ("rule", "outcome"),
            product([OTHER], _EVALUATIONS),
        )  # fmt: skip
        self._dead_letters = self._counter(
            "dead_letters", "Messages, or one rule's share of them, that ended as dead letters.", ("stage", "reason"),
            product((stage.value for stage in Stage), (reason.value for reason in Reason)),
        )  # fmt: skip
        self._config_ok = self._gauge("config_last_reload_successful", "1 if the last configuration read was valid.")
        self._config_at = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When a valid configuration was read last."
        )
        self.http_requests = self._counter("http_requests", "Requests answered.", ("route", "method", "code"))
        self.http_seconds = BatchHistogram(
            "pushbridge_http_request_duration_seconds", "Time to answer a request.", ("route",), buckets=_REQUEST,
            children=(),
        )  # fmt: skip
        self.registry.register(self.http_seconds)
        self.http_in_flight = self._gauge("http_requests_in_flight", "Requests being answered.")
        self._devices = self._gauge("devices", "Live registrations.", ("hub", "platform"))
        self._audience = BatchHistogram(
            "pushbridge_audience_devices", "Registrations a notification reached.", ("kind",), buckets=_AUDIENCE,
            children=_one(("broadcast", "expression")),
        )  # fmt: skip
        self.registry.register(self._audience)
        self._notifications = self._counter("notifications", "Notifications that ended.", ("hub", "outcome"))
        self._queue = self._gauge(
            "queue_messages", "Notifications and pages that wait.", ("queue", "state"),
            product(lanes, ("ready", "leased", "delayed")),
        )  # fmt: skip
        self._queue_capacity = self._gauge(
            "queue_capacity_messages", "How many may wait, over all queues.", ("queue",), _one(lanes)
        )
        self._queue_oldest = self._gauge(
            "queue_oldest_ready_timestamp_seconds", "Since when the oldest that is due has been due, 0 when none is.",
            ("queue",), _one(lanes),
        )  # fmt: skip
        self._queue_wait = BatchHistogram(
            "pushbridge_queue_wait_seconds", "From acceptance to the start of the work.", ("queue",), buckets=_WAIT,
            children=_one(lanes),
        )  # fmt: skip
        self.registry.register(self._queue_wait)
        self._claims = self._counter("queue_claims", "Pieces of work leased.", ("queue",), _one(lanes))
        self._expirations = self._counter(
            "queue_lease_expirations", "Leases that ran out, or were left by a dead process.", ("queue",), _one(lanes)
        )
        self._deliveries = self._counter(
            "pns_deliveries", "Pushes answered, every try counted.", ("hub", "platform", "outcome")
        )
        self._handovers = self._counter(
            "remote_sends", "Notifications handed over to a hub elsewhere, every try counted.", ("hub", "outcome")
        )
        self._remote_circuit = self._gauge(
            "remote_circuit_open", "1 while the breaker before a hub elsewhere is open: notifications wait.", ("hub",)
        )
        self._request_seconds = BatchHistogram(
            "pushbridge_pns_request_duration_seconds", "From handing a batch of pushes to the sender to its last answer.",
            ("platform",), buckets=_REQUEST, children=_one(platforms),
        )  # fmt: skip
        self.registry.register(self._request_seconds)
        self._in_flight = self._gauge("pns_requests_in_flight", "Pushes under way.", ("platform",), _one(platforms))
        self._retries = self._counter(
            "pns_retries",
            "Pushes to be tried again.",
            ("platform", "reason"),
            product((*platforms, REMOTE), _DELIVERIES),
        )
        self._throttled_until = self._gauge(
            "pns_throttled_until_timestamp_seconds",
            "Until when the service asked everybody to wait.",
            ("platform", "credential"),
        )
        self._circuit = self._gauge(
            "pns_circuit_open", "1 while the breaker is open: pushes are parked.", ("platform", "credential")
        )
        self._end_to_end = BatchHistogram(
            "pushbridge_end_to_end_seconds", "From acceptance to the service's answer, successes only.", ("platform",),
            buckets=_END_TO_END, children=_one(platforms),
        )  # fmt: skip
        self.registry.register(self._end_to_end)
        self._store_errors = self._counter(
            "store_errors", "Operations the store could not do.", ("engine", "op"),
            product(("sqlite",), _STORE_OPERATIONS),
        )  # fmt: skip
        self._store_seconds = BatchHistogram(
            "pushbridge_store_transaction_seconds", "Time of a transaction.", ("engine", "op"), buckets=_TRANSACTION,
            children=[("sqlite", "write")],
        )  # fmt: skip
        self.registry.register(self._store_seconds)
        self.know(sources=sources, rules=rules, hubs=hubs, remotes=remotes)

    def know(
        self, *, sources: Sequence[str], rules: Sequence[str], hubs: Sequence[str], remotes: Sequence[str] = ()
    ) -> None:
        """Have a zero for all that a configuration names; what an earlier one named stays.

        `remotes` are those of the `hubs` that are elsewhere.
        """
        self._rules = frozenset(sorted(rules)[:MAX_RULES])
        platforms = [platform.value for platform in Platform]
        for source in sources:
            for gauge in (self._lag, self._oldest_unacked, self._source_up):
                gauge.labels(source)
            self._source_rebuilds.labels(source)
            self._rebuilds_told.setdefault(source, 0)
        _touch(self._ingest, product(sources, INGEST.values()))
        _touch(self._rule_evaluations, product(sorted(self._rules), _EVALUATIONS))
        _touch(self._notifications, product(hubs, ENDED.values()))
        _touch(self._devices, product(hubs, platforms))
        _touch(self._deliveries, product(hubs, platforms, _DELIVERIES))
        _touch(self._throttled_until, product(platforms, hubs))
        _touch(self._circuit, product(platforms, hubs))
        _touch(self._handovers, product(remotes, _DELIVERIES))
        _touch(self._remote_circuit, _one(remotes))

    def reloaded(self, *, ok: bool) -> None:
        """A configuration was read and applied, or was not valid."""
        self._config_ok.set(ok)
        if ok:
            self._config_at.set_to_current_time()

    # What is told as it happens

    def passed(self, passages: Sequence[Passage]) -> None:
        """A batch of events is in the store."""
        for passage in passages:
            self._ingest.labels(passage.message.source, INGEST[passage.end]).inc()
            if passage.end is End.SUPPRESSED:
                continue
            decision = passage.decision
            for rule in decision.matched:
                self._rule_evaluations.labels(rule if rule in self._rules else OTHER, "match").inc()
            for rule in decision.errors:
                self._rule_evaluations.labels(rule if rule in self._rules else OTHER, "error").inc()
            for letter in passage.dead_letters:
                self._dead_letters.labels(letter.stage, letter.reason).inc()

    def source_changed(self, status: SourceStatus) -> None:
        self._source_up.labels(status.name).set(status.ready and status.state is not SourceState.STOPPED)
        told = self._rebuilds_told[status.name]
        # One that was replaced by another configuration begins anew.
        self._source_rebuilds.labels(status.name).inc(status.rebuilds - (told if told <= status.rebuilds else 0))
        self._rebuilds_told[status.name] = status.rebuilds

    def targeted(self, *, broadcast: bool, count: int) -> None:
        self._audience.observe(("broadcast" if broadcast else "expression",), count)

    def answered(
        self, hub: str, platform: Platform, seconds: float, results: Mapping[OutcomeName, int], timed_out: int
    ) -> None:
        """Deadlines that passed are `timeout` here; the wire contract knows them as unreachable."""
        counts = Counter(timeout=timed_out, unreachable=-timed_out)
        for outcome, count in results.items():
            counts[DELIVERY_LABELS[outcome]] += count
        for label, count in counts.items():
            self._deliveries.labels(hub, platform.value, label).inc(count)
        self._request_seconds.observe((platform.value,), seconds, sum(results.values()))

    def forwarded(self, hub: str, outcome: OutcomeName, *, ended: bool) -> None:
        self._handovers.labels(hub, DELIVERY_LABELS[outcome]).inc()
        if not ended:
            self._retries.labels(REMOTE, DELIVERY_LABELS[outcome]).inc()

    def delivered(self, platform: Platform, seconds: float, count: int) -> None:
        self._end_to_end.observe((platform.value,), seconds, count)

    def retried(self, platform: Platform, outcomes: Mapping[OutcomeName, int]) -> None:
        for outcome, count in outcomes.items():
            self._retries.labels(platform.value, DELIVERY_LABELS[outcome]).inc(count)

    def claimed(self, lane: Lane, count: int, waited: Sequence[float]) -> None:
        self._claims.labels(lane.value).inc(count)
        for seconds in waited:
            self._queue_wait.observe((lane.value,), seconds)

    def lease_expired(self, lane: Lane, count: int) -> None:
        self._expirations.labels(lane.value).inc(count)

    def ended(self, counts: Mapping[tuple[str, State], int]) -> None:
        for (hub, state), count in counts.items():
            self._notifications.labels(hub, ENDED[state]).inc(count)

    def store_failed(self, operation: str) -> None:
        self._store_errors.labels("sqlite", operation).inc()

    def transaction(self, operation: str, seconds: float) -> None:
        """Called from the store's threads."""
        self._store_seconds.observe(("sqlite", operation), seconds)

    # What is asked for before a scrape

    def set_sources(self, statuses: Sequence[SourceStatus]) -> None:
        for status in statuses:
            self._lag.labels(status.name).set(status.backlog or 0)
            self._oldest_unacked.labels(status.name).set(status.unsettled_since)

    def set_queues(self, states: Mapping[Lane, QueueState], capacity: int) -> None:
        for lane, state in states.items():
            self._queue.labels(lane.value, "ready").set(state.ready)
            self._queue.labels(lane.value, "leased").set(state.leased)
            self._queue.labels(lane.value, "delayed").set(state.delayed)
            self._queue_oldest.labels(lane.value).set(state.oldest_ready)
            self._queue_capacity.labels(lane.value).set(capacity)

    def set_devices(self, counts: Mapping[tuple[str, Platform], int]) -> None:
        for (hub, platform), count in counts.items():
            self._devices.labels(hub, platform.value).set(count)

    def set_bulkheads(self, bulkheads: Mapping[tuple[str, Platform], Bulkhead[Push]]) -> None:
        in_flight = dict.fromkeys(Platform, 0)
        for (hub, platform), bulkhead in bulkheads.items():
            in_flight[platform] += bulkhead.in_flight
            self._circuit.labels(platform.value, hub).set(bulkhead.is_open)
            self._throttled_until.labels(platform.value, hub).set(bulkhead.throttled_until)
        for platform, count in in_flight.items():
            self._in_flight.labels(platform.value).set(count)

    def set_remotes(self, remotes: Mapping[str, Bulkhead[Notification]]) -> None:
        for hub, bulkhead in remotes.items():
            self._remote_circuit.labels(hub).set(bulkhead.is_open)

    def _counter(
        self, name: str, documentation: str, labels: Sequence[str] = (), children: Iterable[tuple[str, ...]] = ()
    ) -> CounterMetric:
        counter = CounterMetric(f"pushbridge_{name}_total", documentation, labels, registry=self.registry)
        _touch(counter, children)
        return counter

    def _gauge(
        self, name: str, documentation: str, labels: Sequence[str] = (), children: Iterable[tuple[str, ...]] = ()
    ) -> Gauge:
        gauge = Gauge(f"pushbridge_{name}", documentation, labels, registry=self.registry)
        _touch(gauge, children)
        return gauge


def _touch(metric: CounterMetric | Gauge, children: Iterable[tuple[str, ...]]) -> None:
    for child in children:
        metric.labels(*child)


def _one(names: Sequence[str]) -> list[tuple[str]]:
    return [(name,) for name in names]
