"""What is counted of phones that call the registration service."""

from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, values_of
from bridge.observe.telemetry import Takes
from hub.facts import PhoneAnswered, PhonesUnwritten
from hub.phone import PhoneOperation, PhoneOutcome


class PhoneMetrics(MetricTable):
    """By hub, of those that phones call."""

    _requests = counter(
        "phone_requests",
        "Requests of phones that were answered, by what was asked and what became of it.",
        hub=Named.REGISTRATIONS,
        operation=values_of(PhoneOperation),
        outcome=values_of(PhoneOutcome),
    )
    _unwritten = counter(
        "phone_write_failures",
        "Times that phones could not be written to the engine of a hub, and were left for later.",
        hub=Named.REGISTRATIONS,
    )

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self.takes: Takes = {PhoneAnswered: self._answered, PhonesUnwritten: self._left}

    def _answered(self, fact: PhoneAnswered) -> None:
        self._requests.labels(fact.hub, fact.operation.value, fact.outcome.value).inc()

    def _left(self, fact: PhonesUnwritten) -> None:
        self._unwritten.labels(fact.hub).inc()
