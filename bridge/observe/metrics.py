"""Every metric of the daemon, in four lists; names, labels and label values are promises.

All begin with `pushbridge_`, and counters end in `_total` (both are written once, not with each name). Every combination of
labels that can be told in advance exists from the start, so that a zero is seen. Never a label: a handle, a tag, an id, an
error's text.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from prometheus_client import GCCollector, Info, PlatformCollector, ProcessCollector, disable_created_metrics

from bridge.admin.connections import Limit
from bridge.observe.facts import EventOutcome, EventsStored, MessagesGivenUp, SourceChanged, SourceState, SourceStatus
from bridge.observe.metric_set import MetricSet, Named
from bridge.observe.telemetry import Takes
from hub.acceptance import DeadLetter
from hub.delivery.bulkhead import Bulkhead
from hub.facts import (
    AudienceFound,
    DeadLettersStored,
    LeasesExpired,
    NotificationsEnded,
    NotificationUnreached,
    PageAnswered,
    PropertiesMissing,
    PushesEnded,
    PushesRetried,
    RemoteAnswered,
    StoreFailed,
    WorkLeased,
)
from hub.notification import Everyone, Notification, Platform
from hub.outcome import DELIVERY_LABELS, OutcomeName, State, Unreached
from hub.platforms.table import services
from hub.push import PushPage
from hub.store.base import QueueState
from hub.store.health import OPERATIONS
from hub.work import Lane

MAX_RULES = 200
"""Rules with series of their own; the others share `_other`."""

MAX_DEAD_LETTER_RULES = 100
"""Rules with dead-letter series of their own, the first by name; each has them for each of its sources."""

OTHER = "_other"
NONE = "_none"
"""The label `rule` of a dead letter that is no rule's."""

INGEST = {
    EventOutcome.ACCEPTED: "accepted",
    EventOutcome.SUPPRESSED: "duplicate",
    EventOutcome.DEAD_LETTER: "malformed",
    EventOutcome.NO_MATCH: "filtered",
}
"""The label `outcome` of `pushbridge_ingest_messages_total`, by an event's end."""

ENDED = {
    State.COMPLETED: "completed",
    State.NO_TARGET_FOUND: "no_target",
    State.ABANDONED: "expired",
    State.CANCELLED: "cancelled",
}
"""The label `outcome` of `pushbridge_notifications_total`, by a notification's state."""

_ENGINES = ("sqlite",)
_STORE_OPERATIONS = sorted({*OPERATIONS.values()})
ADMIN_LISTENER, API_LISTENER = "bridge.http", "hub_api"
"""The listeners, by the keys of their settings: the label `listener`."""

REMOTE = "remote"
"""The label `platform` of what is handed over to a hub elsewhere."""

_DELIVERIES = sorted({*DELIVERY_LABELS.values(), "timeout"})
_TRANSACTION = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_END_TO_END = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_AUDIENCE = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7)
_WAIT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)


class Metrics:
    """What is counted; building it starts nothing.

    The lists below are the catalogue: name, meaning, and each label with its values.
    """

    def __init__(
        self,
        *,
        version: str,
        sources: Sequence[str],
        rules: Sequence[str],
        hubs: Sequence[str],
        remotes: Sequence[str] = (),
        dead_letters: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        # A second series for each counter, which nobody asks for; the function is untyped upstream.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._catalogue = MetricSet("pushbridge_")
        self.registry = self._catalogue.registry
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        Info("pushbridge_build", "Version of the daemon.", registry=self.registry).info({"version": version})
        self._rules: frozenset[str] = frozenset()
        self._dead_letter_rules: frozenset[str] = frozenset()
        self._rebuilds_counted: dict[str, int] = {}
        self._inhabited: set[tuple[str, Platform]] = set()
        self.takes: Takes = {
            EventsStored: self._events_stored,
            MessagesGivenUp: self._messages_given_up,
            SourceChanged: self._source_changed,
            AudienceFound: self._audience_found,
            PropertiesMissing: self._properties_missing_in,
            PageAnswered: self._page_answered,
            PushesEnded: self._pushes_ended,
            PushesRetried: self._pushes_retried,
            RemoteAnswered: self._remote_answered,
            NotificationUnreached: self._notification_unreached,
            NotificationsEnded: self._notifications_ended,
            DeadLettersStored: self._dead_letters_stored,
            WorkLeased: self._work_leased,
            LeasesExpired: self._leases_expired,
            StoreFailed: self._store_failed,
        }
        self._list_intake()
        self._list_queue()
        self._list_delivery()
        self._list_process()
        self.declare(sources=sources, rules=rules, hubs=hubs, remotes=remotes, dead_letters=dead_letters)

    def _list_intake(self) -> None:
        counter, gauge = self._catalogue.counter, self._catalogue.gauge
        self._ingest = counter(
            "ingest_messages",
            "Messages taken, by what became of them.",
            source=Named.SOURCES,
            outcome=INGEST.values(),
        )
        self._given_up = counter(
            "ingest_messages_given_up",
            "Messages that the broker took back before they were in the store; they come again.",
            source=Named.SOURCES,
        )
        self._lag = gauge("ingest_lag_messages", "Messages that wait at the broker.", source=Named.SOURCES)
        self._oldest_unacked = gauge(
            "ingest_oldest_unacked_timestamp_seconds",
            "When the oldest message not yet settled was taken, 0 when there is none.",
            source=Named.SOURCES,
        )
        self._source_up = gauge(
            "source_up",
            "1 while messages of the source can flow, 0 while it connects, is refused or stalls.",
            source=Named.SOURCES,
        )
        self._source_rebuilds = counter("source_rebuilds", "Connections of a source built again.", source=Named.SOURCES)
        self._rule_evaluations = counter(
            "rule_evaluations",
            "Rules that matched, or could not be evaluated.",
            rule=Named.RULES,
            outcome=("match", "error"),
        )
        self._dead_letters = counter(
            "dead_letters",
            "Messages, or one rule's share of them, that ended as dead letters.",
            source=(),
            rule=(),
            reason=(),
        )

    def _list_queue(self) -> None:
        counter, gauge, histogram = self._catalogue.counter, self._catalogue.gauge, self._catalogue.histogram
        lanes = _values(Lane)
        self._queue = gauge(
            "queue_messages", "Notifications and pages that wait.", queue=lanes, state=("ready", "leased", "delayed")
        )
        self._queue_capacity = gauge("queue_capacity_messages", "How many may wait, over all queues.", queue=lanes)
        self._queue_oldest = gauge(
            "queue_oldest_ready_timestamp_seconds",
            "Since when the oldest that is due has been due, 0 when none is.",
            queue=lanes,
        )
        self._queue_wait = histogram(
            "queue_wait_seconds", "From acceptance to the start of the work.", _WAIT, queue=lanes
        )
        self._claims = counter("queue_claims", "Pieces of work leased.", queue=lanes)
        self._expirations = counter(
            "queue_lease_expirations", "Leases that ran out, or were left by a dead process.", queue=lanes
        )
        self._store_errors = counter(
            "store_errors", "Operations the store could not do.", engine=_ENGINES, op=_STORE_OPERATIONS
        )
        self._store_seconds = histogram(
            "store_transaction_seconds", "Time of a transaction.", _TRANSACTION, engine=_ENGINES, op=("write",)
        )

    def _list_delivery(self) -> None:
        counter, gauge, histogram = self._catalogue.counter, self._catalogue.gauge, self._catalogue.histogram
        platforms = tuple(each.platform.value for each in services())
        self._devices = gauge("devices", "Live registrations.", hub=Named.HUBS, platform=platforms)
        self._audience = histogram(
            "audience_devices",
            "Registrations a notification reached.",
            _AUDIENCE,
            kind=("broadcast", "expression"),
        )
        self._notifications = counter(
            "notifications", "Notifications that ended.", hub=Named.HUBS, outcome=ENDED.values()
        )
        self._unreached = counter(
            "notifications_unreached",
            "Notifications that ended and that no phone got, by cause.",
            hub=Named.HUBS,
            reason=_values(Unreached),
        )
        self._properties_missing = counter(
            "template_properties_missing",
            "Notifications that lacked a property of a template, once for each template.",
            hub=Named.HUBS,
            platform=platforms,
        )
        self._deliveries = counter(
            "pns_deliveries",
            "Pushes answered, every try counted.",
            hub=Named.HUBS,
            platform=platforms,
            outcome=_DELIVERIES,
        )
        self._request_seconds = histogram(
            "pns_request_duration_seconds",
            "From handing a batch of pushes to the sender to its last answer.",
            _REQUEST,
            platform=platforms,
        )
        self._in_flight = gauge("pns_requests_in_flight", "Pushes under way.", platform=platforms)
        self._retries = counter(
            "pns_retries", "Pushes to be tried again.", platform=(*platforms, REMOTE), reason=_DELIVERIES
        )
        self._throttled_until = gauge(
            "pns_throttled_until_timestamp_seconds",
            "Until when the service asked everybody to wait.",
            platform=platforms,
            credential=Named.HUBS,
        )
        self._circuit = gauge(
            "pns_circuit_open",
            "1 while the breaker is open: pushes are parked.",
            platform=platforms,
            credential=Named.HUBS,
        )
        self._end_to_end = histogram(
            "end_to_end_seconds",
            "From acceptance to the service's answer, successes only.",
            _END_TO_END,
            platform=platforms,
        )
        self._handovers = counter(
            "remote_sends",
            "Notifications handed over to a hub elsewhere, every try counted.",
            hub=Named.REMOTES,
            outcome=_DELIVERIES,
        )
        self._remote_circuit = gauge(
            "remote_circuit_open",
            "1 while the breaker before a hub elsewhere is open: notifications wait.",
            hub=Named.REMOTES,
        )

    def _list_process(self) -> None:
        counter, gauge, histogram = self._catalogue.counter, self._catalogue.gauge, self._catalogue.histogram
        self._config_ok = gauge("config_last_reload_successful", "1 if the last configuration read was valid.")
        self._config_at = gauge(
            "config_last_reload_success_timestamp_seconds", "When a valid configuration was read last."
        )
        self.http_requests = counter("http_requests", "Requests answered.", route=(), method=(), code=())
        self.http_seconds = histogram("http_request_duration_seconds", "Time to answer a request.", _REQUEST, route=())
        self.http_in_flight = gauge("http_requests_in_flight", "Requests being answered.")
        self._connections_refused = counter(
            "http_connections_refused",
            "Connections over a limit of a listener: answered 503, or closed.",
            listener=(ADMIN_LISTENER, API_LISTENER),
            limit=_values(Limit),
        )

    def declare(
        self,
        *,
        sources: Sequence[str],
        rules: Sequence[str],
        hubs: Sequence[str],
        remotes: Sequence[str] = (),
        dead_letters: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Have a zero for all that a configuration names; of what an earlier one named, counts stay and gauges go.

        `remotes` are those of the `hubs` that are elsewhere. `dead_letters` are the triples of source, rule (empty: none)
        and reason that can happen.
        """
        self._rules = frozenset(sorted(rules)[:MAX_RULES])
        self._catalogue.declare(
            {
                Named.SOURCES: sources,
                Named.RULES: [OTHER, *sorted(self._rules)],
                Named.HUBS: hubs,
                Named.REMOTES: remotes,
            }
        )
        self._dead_letter_rules = frozenset(
            sorted({rule for _, rule, _ in dead_letters if rule})[:MAX_DEAD_LETTER_RULES]
        )
        for source, rule, reason in dead_letters:
            self._dead_letters.labels(source, self._dead_letter_rule(rule), reason)

    def connection_refused(self, listener: str, limit: Limit) -> None:
        """A connection was over a limit of one of the two listeners."""
        self._connections_refused.labels(listener, limit.value).inc()

    def reloaded(self, *, ok: bool) -> None:
        """A configuration was read and applied, or was not valid."""
        self._config_ok.set(ok)
        if ok:
            self._config_at.set_to_current_time()

    async def exposition(self) -> bytes:
        """A scrape, in slices."""
        return await self._catalogue.exposition()

    # Facts, as they happen

    def _events_stored(self, fact: EventsStored) -> None:
        fresh = [event for event in fact.events if event.outcome is not EventOutcome.SUPPRESSED]
        taken = Counter((event.message.source, INGEST[event.outcome]) for event in fact.events)
        matched = Counter(self._rule(rule) for event in fresh for rule in event.decision.matched)
        failed = Counter(self._rule(rule) for event in fresh for rule in event.decision.errors)
        for (source, outcome), count in taken.items():
            self._ingest.labels(source, outcome).inc(count)
        for outcome, rules in (("match", matched), ("error", failed)):
            for rule, count in rules.items():
                self._rule_evaluations.labels(rule, outcome).inc(count)
        self._count_dead_letters(letter for event in fresh for letter in event.dead_letters)

    def _dead_letters_stored(self, fact: DeadLettersStored) -> None:
        self._count_dead_letters(fact.dead_letters)

    def _count_dead_letters(self, dead_letters: Iterable[DeadLetter]) -> None:
        for (source, rule, reason), count in Counter(
            (letter.source, self._dead_letter_rule(letter.rule), letter.reason) for letter in dead_letters
        ).items():
            self._dead_letters.labels(source, rule, reason).inc(count)

    def _dead_letter_rule(self, name: str) -> str:
        if not name:
            return NONE
        return name if name in self._dead_letter_rules else OTHER

    def _messages_given_up(self, fact: MessagesGivenUp) -> None:
        for source, count in Counter(event.message.source for event in fact.events).items():
            self._given_up.labels(source).inc(count)

    def _rule(self, name: str) -> str:
        return name if name in self._rules else OTHER

    def _source_changed(self, fact: SourceChanged) -> None:
        status = fact.status
        self._source_up.labels(status.name).set(_is_up(status))
        counted = self._rebuilds_counted.get(status.name, 0)
        # A source that another configuration replaced counts from 0.
        self._source_rebuilds.labels(status.name).inc(status.rebuilds - (counted if counted <= status.rebuilds else 0))
        self._rebuilds_counted[status.name] = status.rebuilds

    def _audience_found(self, fact: AudienceFound) -> None:
        kind = "broadcast" if isinstance(fact.notification.audience, Everyone) else "expression"
        self._audience.observe((kind,), sum(fact.counts.values()))

    def _page_answered(self, fact: PageAnswered) -> None:
        """Deadlines that passed are `timeout` here; the wire contract knows them as unreachable."""
        platform = fact.platform.value
        counts = Counter(timeout=fact.timed_out, unreachable=-fact.timed_out)
        for outcome, count in fact.outcomes.items():
            counts[DELIVERY_LABELS[outcome]] += count
        for label, count in counts.items():
            self._deliveries.labels(fact.hub, platform, label).inc(count)
        self._request_seconds.observe((platform,), fact.seconds, sum(fact.outcomes.values()))

    def _pushes_ended(self, fact: PushesEnded) -> None:
        succeeded = fact.outcomes.get(OutcomeName.SUCCESS)
        if succeeded:
            self._end_to_end.observe((fact.platform.value,), fact.seconds, succeeded)

    def _pushes_retried(self, fact: PushesRetried) -> None:
        for outcome, count in fact.outcomes.items():
            self._retries.labels(fact.platform.value, DELIVERY_LABELS[outcome]).inc(count)

    def _remote_answered(self, fact: RemoteAnswered) -> None:
        outcome = DELIVERY_LABELS[fact.outcome]
        self._handovers.labels(fact.notification.hub, outcome).inc()
        if fact.due_at is not None:
            self._retries.labels(REMOTE, outcome).inc()

    def _work_leased(self, fact: WorkLeased) -> None:
        self._claims.labels(fact.lane.value).inc(fact.count)
        for seconds in fact.waited:
            self._queue_wait.observe((fact.lane.value,), seconds)

    def _leases_expired(self, fact: LeasesExpired) -> None:
        self._expirations.labels(fact.lane.value).inc(fact.count)

    def _notifications_ended(self, fact: NotificationsEnded) -> None:
        for (hub, state), count in fact.counts.items():
            self._notifications.labels(hub, ENDED[state]).inc(count)

    def _notification_unreached(self, fact: NotificationUnreached) -> None:
        self._unreached.labels(fact.notification.hub, fact.why.value).inc()

    def _properties_missing_in(self, fact: PropertiesMissing) -> None:
        self._properties_missing.labels(fact.notification.hub, fact.platform.value).inc()

    def _store_failed(self, fact: StoreFailed) -> None:
        self._store_errors.labels("sqlite", fact.operation).inc()

    def transaction(self, operation: str, seconds: float) -> None:
        """Called from the store's threads."""
        self._store_seconds.observe(("sqlite", operation), seconds)

    # What is asked for before a scrape

    def set_sources(self, statuses: Sequence[SourceStatus]) -> None:
        for status in statuses:
            self._lag.labels(status.name).set(status.backlog or 0)
            self._oldest_unacked.labels(status.name).set(status.unsettled_since)
            self._source_up.labels(status.name).set(_is_up(status))

    def set_queues(self, states: Mapping[Lane, QueueState], capacity: int) -> None:
        for lane, state in states.items():
            self._queue.labels(lane.value, "ready").set(state.ready)
            self._queue.labels(lane.value, "leased").set(state.leased)
            self._queue.labels(lane.value, "delayed").set(state.delayed)
            self._queue_oldest.labels(lane.value).set(state.oldest_ready)
            self._queue_capacity.labels(lane.value).set(capacity)

    def set_devices(self, counts: Mapping[tuple[str, Platform], int]) -> None:
        for hub, platform in self._inhabited - counts.keys():  # the last phone is gone
            self._devices.labels(hub, platform.value).set(0)
        for (hub, platform), count in counts.items():
            self._devices.labels(hub, platform.value).set(count)
        self._inhabited = set(counts)

    def set_bulkheads(self, bulkheads: Mapping[tuple[str, Platform], Bulkhead[PushPage]]) -> None:
        in_flight = dict.fromkeys((each.platform for each in services()), 0)
        for (hub, platform), bulkhead in bulkheads.items():
            in_flight[platform] += bulkhead.in_flight
            self._circuit.labels(platform.value, hub).set(bulkhead.is_open)
            self._throttled_until.labels(platform.value, hub).set(bulkhead.throttled_until)
        for platform, count in in_flight.items():
            self._in_flight.labels(platform.value).set(count)

    def set_remotes(self, remotes: Mapping[str, Bulkhead[Sequence[Notification]]]) -> None:
        for hub, bulkhead in remotes.items():
            self._remote_circuit.labels(hub).set(bulkhead.is_open)


def _is_up(status: SourceStatus) -> bool:
    return status.ready and status.state is not SourceState.STOPPED


def _values(names: type[Enum]) -> tuple[str, ...]:
    return tuple(name.value for name in names)
