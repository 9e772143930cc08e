"""What is told of sources: how each fares, what waits for it, and its schemas."""

from collections.abc import Mapping, Sequence

from prometheus_client import Counter

from bridge.observe.facts import SchemaLookedUp, SourceChanged, SourceState, SourceStatus
from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, gauge, values_of
from bridge.observe.telemetry import Takes
from bridge.schemas.client import LookupResult


class SourceMetrics(MetricTable):
    """By source."""

    _lag = gauge(
        "ingest_lag_messages",
        "Messages that wait at the broker; no series where the broker does not say.",
        source=Named.SOURCES,
    )
    _oldest_unacked = gauge(
        "ingest_oldest_unacked_timestamp_seconds",
        "When the oldest message not yet settled was taken, 0 when there is none.",
        source=Named.SOURCES,
    )
    _source_up = gauge(
        "source_up",
        "1 while messages of the source can flow, 0 while it connects, is refused or stalls.",
        source=Named.SOURCES,
    )
    _last_message = gauge(
        "source_last_message_timestamp_seconds",
        "When this process took a message of the source the last time, 0 before the first.",
        source=Named.SOURCES,
    )
    _expected_by = gauge(
        "source_expected_by_timestamp_seconds",
        "When the next message of a source with expect_every has to be there, 0 without expect_every.",
        source=Named.SOURCES,
    )
    _limited_seconds = counter(
        "source_rate_limited_seconds",
        "Seconds in which messages waited at the broker, as the source's rate allowed no more.",
        source=Named.SOURCES,
    )
    _limited_requests = counter(
        "source_rate_limited_requests",
        "Requests that were told to come again later, as the source's rate allowed no more.",
        source=Named.SOURCES,
    )
    _source_rebuilds = counter("source_rebuilds", "Connections of a source built again.", source=Named.SOURCES)
    _schema_lookups = counter(
        "schema_lookups",
        "Lookups of schemas at a registry, by how they ended.",
        source=Named.REGISTRIES,
        result=values_of(LookupResult),
    )
    _schemas_cached = gauge("schemas_cached", "Schemas of a registry that are kept.", source=Named.REGISTRIES)
    _schema_awaited = gauge(
        "schema_awaited_since_timestamp_seconds",
        "Since when messages of a source wait for a schema, 0 while none does.",
        source=Named.REGISTRIES,
    )
    _rebalances = counter(
        "source_rebalances",
        "Rebalances of a source's group of consumers, in each of which its partitions are dealt out anew.",
        source=Named.SOURCES,
    )

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self._counted: dict[tuple[Counter, str], float] = {}
        self.takes: Takes = {SchemaLookedUp: self._schema_looked_up, SourceChanged: self._source_changed}

    def set_sources(self, statuses: Sequence[SourceStatus]) -> None:
        """Before a scrape."""
        for status in statuses:
            name = status.name
            if status.backlog is None:  # not known is not none
                self._lag.remove(name)
            else:
                self._lag.labels(name).set(status.backlog)
            self._oldest_unacked.labels(name).set(status.unsettled_since)
            self._source_up.labels(name).set(_is_up(status))
            self._last_message.labels(name).set(status.last_message)
            self._expected_by.labels(name).set(status.expected_by)
            self._count(self._limited_seconds, name, status.limited_seconds)
            self._count(self._limited_requests, name, status.limited_requests)
            self._count(self._rebalances, name, status.rebalances)

    def set_schemas(self, statuses: Sequence[SourceStatus], kept: Mapping[str, int]) -> None:
        """Before a scrape. `kept` counts schemas by source, for sources with a registry."""
        for status in statuses:
            if status.name in kept:
                waits = status.state is SourceState.AWAITING_SCHEMA
                self._schemas_cached.labels(status.name).set(kept[status.name])
                self._schema_awaited.labels(status.name).set(status.since if waits else 0)

    def _schema_looked_up(self, fact: SchemaLookedUp) -> None:
        self._schema_lookups.labels(fact.source, fact.result.value).inc()

    def _source_changed(self, fact: SourceChanged) -> None:
        status = fact.status
        self._source_up.labels(status.name).set(_is_up(status))
        self._count(self._source_rebuilds, status.name, status.rebuilds)

    def _count(self, metric: Counter, source: str, total: float) -> None:
        """Bring a counter to a total; that of a source which a configuration replaced begins at 0 again."""
        counted = self._counted.get((metric, source), 0.0)
        metric.labels(source).inc(total - counted if counted <= total else total)
        self._counted[metric, source] = total


def _is_up(status: SourceStatus) -> bool:
    return status.ready and status.state is not SourceState.STOPPED
