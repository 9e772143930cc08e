"""What is counted of sinks, and how much waits for them."""

import time
from collections.abc import Callable

from bridge.observe.facts import ReportsDropped, ReportsPublished, SinksMeasured
from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, gauge
from bridge.observe.telemetry import Takes


class SinkMetrics(MetricTable):
    """By sink, of those that are configured."""

    _published = counter("sink_messages_published", "Reports that a sink has confirmed.", sink=Named.SINKS)
    _dropped = counter(
        "sink_messages_dropped",
        "Reports that were given up: older, or more, than a sink's retention, max_rows and max_bytes allow.",
        sink=Named.SINKS,
    )
    _waiting = gauge(
        "sink_waiting_messages", "Reports that wait for a sink in the queues of this process.", sink=Named.SINKS
    )
    _bytes = gauge("sink_waiting_bytes", "Bytes of the reports that wait for a sink.", sink=Named.SINKS)
    _oldest = gauge(
        "sink_oldest_message_seconds",
        "Age of the oldest report that waits for a sink, 0 where none does.",
        sink=Named.SINKS,
    )

    def __init__(self, metrics: MetricSet, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(metrics)
        self._clock = clock
        self._sinks: tuple[str, ...] = ()
        self.takes: Takes = {
            ReportsPublished: self._reports_published,
            ReportsDropped: self._reports_dropped,
            SinksMeasured: self._measured,
        }

    def declare_sinks(self, sinks: tuple[str, ...]) -> None:
        """These are configured from now on; what waits for others is not shown."""
        self._sinks = sinks

    def _reports_published(self, fact: ReportsPublished) -> None:
        self._published.labels(fact.sink).inc(fact.count)

    def _reports_dropped(self, fact: ReportsDropped) -> None:
        if fact.sink in self._sinks:
            self._dropped.labels(fact.sink).inc(fact.count)

    def _measured(self, fact: SinksMeasured) -> None:
        now = self._clock()
        for sink in self._sinks:
            usage = fact.usage.get(sink)
            self._waiting.labels(sink).set(0 if usage is None else usage.reports)
            self._bytes.labels(sink).set(0 if usage is None else usage.bytes)
            self._oldest.labels(sink).set(0 if usage is None else max(0.0, now - usage.oldest))
