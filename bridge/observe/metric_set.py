"""Metrics whose label values are known before the first one is counted, so that a zero is seen."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from itertools import product
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from bridge.observe.histogram import BatchHistogram
from hub.slices import TimeSlice

_SLICE = 0.002
"""Seconds of writing at a time; the largest family, of twenty hubs, adds 3 ms (measured)."""

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets for the time of a request, ours or one that is answered here."""


class Named(Enum):
    """Label values that a configuration names: what is called so now, and what was called so before."""

    SOURCES = auto()
    REGISTRIES = auto()
    RULES = auto()
    HUBS = auto()
    REMOTES = auto()
    MIRRORS = auto()
    REGISTRATIONS = auto()
    SINKS = auto()


Metric = TypeVar("Metric", Counter, Gauge, BatchHistogram)
LabelValues = Iterable[str] | Named
"""All values of a label; none of them where only the traffic can tell."""


class MetricSet:
    """Makes metrics. Each label is a keyword argument with its values, and every combination of them has a series."""

    def __init__(self, prefix: str) -> None:
        self.registry = CollectorRegistry()
        self._prefix = prefix
        self._metrics: list[tuple[Counter | Gauge | BatchHistogram, list[tuple[str, ...] | Named]]] = []
        self._gauge_series: dict[Gauge, set[tuple[str, ...]]] = {}

    def counter(self, name: str, documentation: str, **labels: LabelValues) -> Counter:
        """Without its `_total`, which the library adds."""
        return self._kept(Counter(self._prefix + name, documentation, [*labels], registry=self.registry), labels)

    def gauge(self, name: str, documentation: str, **labels: LabelValues) -> Gauge:
        return self._kept(Gauge(self._prefix + name, documentation, [*labels], registry=self.registry), labels)

    def histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...], **labels: LabelValues
    ) -> BatchHistogram:
        histogram = BatchHistogram(self._prefix + name, documentation, [*labels], buckets=buckets)
        self.registry.register(histogram)
        return self._kept(histogram, labels)

    def declare(self, names: Mapping[Named, Iterable[str]]) -> None:
        """Have a series for all that a configuration names.

        Of what an earlier one named, counts stay and gauges go: a source that was taken away is not down.
        """
        known = {named: tuple(values) for named, values in names.items()}
        for metric, labels in self._metrics:
            if not labels:
                continue
            series = list(product(*(known[each] if isinstance(each, Named) else each for each in labels)))
            for values in series:
                metric.labels(*values)
            if isinstance(metric, Gauge):
                for gone in self._gauge_series.get(metric, set()).difference(series):
                    metric.remove(*gone)
                self._gauge_series[metric] = set(series)

    def info(self, name: str, documentation: str, *labels: str) -> "InfoSeries":
        """A gauge that is 1 for each of what a configuration names, and says in labels what is known of it."""
        return InfoSeries(Gauge(f"{self._prefix}{name}_info", documentation, labels, registry=self.registry))

    async def exposition(self) -> bytes:
        """All of it as Prometheus reads it (text format 0.0.4), one family after the other: events go on meanwhile."""
        parts = []
        turn = TimeSlice(_SLICE)
        for family in self.registry.collect():
            await turn.yield_if_spent()  # to collect a family takes about as long as to write it
            parts.append(generate_latest(_Only(family)))
            await turn.yield_if_spent()
        return b"".join(parts)

    def _kept(self, metric: Metric, labels: Mapping[str, LabelValues]) -> Metric:
        values = [each if isinstance(each, Named) else tuple(each) for each in labels.values()]
        self._metrics.append((metric, values))
        return metric


class InfoSeries:
    """Facts of a configuration as labels."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge

    def declare(self, facts: Iterable[tuple[str, ...]]) -> None:
        """A series for each of the facts, in the place of those before."""
        self._gauge.clear()
        for fact in facts:
            self._gauge.labels(*fact).set(1)


class MetricEntry(Generic[Metric]):
    """A metric as a `MetricTable` lists it; each instance has the metric itself in that place."""

    def __init__(self, make: Callable[[MetricSet], Metric]) -> None:
        self.make: Callable[[MetricSet], Metric] = make

    def __get__(self, instance: object, owner: type) -> Metric:
        raise AttributeError("an instance has it once it is made")  # the metric then stands in front of this


class MetricTable:
    """A table of metrics: a subclass lists them, and an instance has them in a set."""

    def __init__(self, metrics: MetricSet) -> None:
        for name, entry in vars(type(self)).items():
            if isinstance(entry, MetricEntry):
                setattr(self, name, entry.make(metrics))


def counter(name: str, documentation: str, **labels: LabelValues) -> MetricEntry[Counter]:
    """See `MetricSet.counter`."""
    return MetricEntry(lambda metrics: metrics.counter(name, documentation, **labels))


def gauge(name: str, documentation: str, **labels: LabelValues) -> MetricEntry[Gauge]:
    """See `MetricSet.gauge`."""
    return MetricEntry(lambda metrics: metrics.gauge(name, documentation, **labels))


def histogram(
    name: str, documentation: str, buckets: tuple[float, ...], **labels: LabelValues
) -> MetricEntry[BatchHistogram]:
    """See `MetricSet.histogram`."""
    return MetricEntry(lambda metrics: metrics.histogram(name, documentation, buckets, **labels))


def values_of(names: type[Enum]) -> tuple[str, ...]:
    """The label values of a closed set."""
    return tuple(name.value for name in names)


class _Only(Collector):
    """A registry of one family."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterable[Family]:
        return [self._family]
