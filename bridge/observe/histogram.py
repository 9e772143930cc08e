"""A histogram that takes a whole batch of equal observations at once."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class BatchHistogram(Collector):
    """As `prometheus_client.Histogram`, with `observe(labels, value, count)`.

    A page of a thousand pushes is answered together: a thousand observations of one value cost one.
    """

    def __init__(self, name: str, documentation: str, labels: Sequence[str], *, buckets: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._bounds = [*buckets, float("inf")]
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def labels(self, *values: str) -> None:
        """Have a series for these, so that a zero is seen."""
        self._counts.setdefault(values, [0] * len(self._bounds))
        self._sums.setdefault(values, 0.0)

    def observe(self, labels: tuple[str, ...], value: float, count: int = 1) -> None:
        """Count `count` observations of `value`."""
        if labels not in self._counts:
            self.labels(*labels)
        self._counts[labels][bisect_left(self._bounds, value)] += count
        self._sums[labels] += value * count

    def observe_each(self, labels: tuple[str, ...], values: Sequence[float]) -> None:
        """Count one observation of each of these."""
        if labels not in self._counts:
            self.labels(*labels)
        counts, bounds = self._counts[labels], self._bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self._sums[labels] += sum(values)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """One family, buckets cumulated (Prometheus exposition format)."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, counts in self._counts.items():
            total = 0
            buckets = []
            for bound, count in zip(self._bounds, counts, strict=True):
                total += count
                buckets.append((floatToGoString(bound), total))  # type: ignore[no-untyped-call]  # untyped upstream
            family.add_metric(labels, buckets, self._sums[labels])
        yield family
