"""What is counted of spans."""

from bridge.observe.facts import SpanOutcome, SpansSent
from bridge.observe.metric_set import MetricSet, MetricTable, counter, values_of
from bridge.observe.telemetry import Takes


class TraceMetrics(MetricTable):
    """By what became of them; all 0 where `bridge.tracing` names no collector."""

    _spans = counter(
        "trace_spans",
        "Spans that were to go to the collector of bridge.tracing, by what became of them; all but exported are lost.",
        outcome=values_of(SpanOutcome),
    )

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self.takes: Takes = {SpansSent: self._spans_sent}

    def _spans_sent(self, fact: SpansSent) -> None:
        for outcome, count in fact.counts.items():
            self._spans.labels(outcome.value).inc(count)
