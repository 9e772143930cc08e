"""What is counted of the queues."""

from collections.abc import Mapping
from dataclasses import replace

from bridge.observe.metric_set import MetricSet, Named, values_of
from bridge.observe.telemetry import Takes
from hub.facts import NotificationsPaced, WorkLeftOver, WorkTaken
from hub.store.contracts.fleet import OwnershipCounts
from hub.store.contracts.outbox import QueueState, Service
from hub.work import Lane

_WAIT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)


class QueueMetrics:
    """By queue."""

    def __init__(self, metrics: MetricSet) -> None:
        counter, gauge, histogram = metrics.counter, metrics.gauge, metrics.histogram
        lanes = values_of(Lane)
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
        self._claims = counter("queue_claims", "Pieces of work taken.", queue=lanes)
        self._expirations = counter(
            "queue_lease_expirations", "Pieces of work that a process had left when it ended.", queue=lanes
        )
        self._owned = gauge("queues_owned", "Queues of the store that this process owns.")
        self._taken_over = counter("queues_taken_over", "Queues whose owner was dead, taken over by this process.")
        self._lost = counter(
            "queues_lost", "Queues that another process took over, for this one had not renewed in time."
        )
        self._renewals_failed = counter(
            "ownership_renewals_failed", "Renewals of what this process owns that the database did not confirm."
        )
        self._paced = gauge(
            "rate_waiting_messages", "Notifications that wait for the rate of a rule or a hub.", hub=Named.HUBS
        )
        self._limited = counter(
            "rate_limited_notifications",
            "Notifications that had to wait, as the rate of a rule or a hub allowed no more.",
            hub=Named.HUBS,
        )
        self._pacing: set[str] = set()
        self._counted = OwnershipCounts()
        self.takes: Takes = {
            WorkTaken: self._work_taken,
            WorkLeftOver: self._work_left_over,
            NotificationsPaced: self._notifications_paced,
        }

    def set_paced(self, waiting: Mapping[Service, int]) -> None:
        """Before a scrape."""
        counts: dict[str, int] = dict.fromkeys(self._pacing, 0)
        for (hub, _), count in waiting.items():
            counts[hub] = counts.get(hub, 0) + count
        for hub, count in counts.items():
            self._paced.labels(hub).set(count)
        self._pacing = set(counts)

    def _notifications_paced(self, fact: NotificationsPaced) -> None:
        self._limited.labels(fact.hub).inc(fact.count)

    def set_queues(self, states: Mapping[Lane, QueueState], capacity: int) -> None:
        """Before a scrape."""
        for lane, state in states.items():
            self._queue.labels(lane.value, "ready").set(state.ready)
            self._queue.labels(lane.value, "leased").set(state.in_hand)
            self._queue.labels(lane.value, "delayed").set(state.delayed)
            self._queue_oldest.labels(lane.value).set(state.oldest_ready)
            self._queue_capacity.labels(lane.value).set(capacity)

    def set_ownership(self, counts: OwnershipCounts) -> None:
        """Before a scrape."""
        before, self._counted = self._counted, replace(counts)
        self._owned.set(counts.owned)
        self._taken_over.inc(counts.taken_over - before.taken_over)
        self._lost.inc(counts.lost - before.lost)
        self._renewals_failed.inc(counts.renewals_failed - before.renewals_failed)

    def _work_taken(self, fact: WorkTaken) -> None:
        self._claims.labels(fact.lane.value).inc(fact.count)
        for seconds in fact.waited:
            self._queue_wait.observe((fact.lane.value,), seconds)

    def _work_left_over(self, fact: WorkLeftOver) -> None:
        self._expirations.labels(fact.lane.value).inc(fact.count)
