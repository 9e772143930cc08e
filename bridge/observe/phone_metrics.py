"""What is counted of phones that call the registration service."""

from itertools import product

from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, values_of
from bridge.observe.telemetry import Takes
from hub.facts import PhoneAnswered, PhoneReported, PhonesUnwritten, ReportsLimited
from hub.notification import Platform
from hub.phone import PhoneOperation, PhoneOutcome
from hub.phone_report import PhoneEvent, ReportLimit, ReportOutcome, ReportPolicies


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

    _reports = counter(
        "push_reports",
        "Reports of phones on their pushes, by what was reported and what became of the report.",
        hub=(),
        platform=(),
        event=(),
        outcome=(),
    )
    _reports_by_tag = counter(
        "push_reports_by_tag",
        "Reports of phones that were kept, by the value of the tag that the hub's reports.by_tag names.",
        hub=(),
        event=(),
        value=(),
    )

    _reports_limited = counter(
        "push_reports_limited",
        "Requests with reports that were told to come again later, by whose limit that is.",
        hub=Named.HUBS,
        limit=values_of(ReportLimit),
    )

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self.takes: Takes = {
            PhoneAnswered: self._answered,
            PhonesUnwritten: self._left,
            PhoneReported: self._reported,
            ReportsLimited: self._limited,
        }

    def _answered(self, fact: PhoneAnswered) -> None:
        self._requests.labels(fact.hub, fact.operation.value, fact.outcome.value).inc()

    def _left(self, fact: PhonesUnwritten) -> None:
        self._unwritten.labels(fact.hub).inc()

    def declare_reports(self, policies: ReportPolicies) -> None:
        """Have a zero for all that phones of these hubs may report; the values of a tag are each hub's own."""
        for hub, policy in policies.items():
            for platform, event, outcome in product(Platform.known(), PhoneEvent, ReportOutcome):
                self._reports.labels(hub, platform.value, event.value, outcome.value)
            for event, value in product(PhoneEvent, policy.values):
                self._reports_by_tag.labels(hub, event.value, value)

    def _reported(self, fact: PhoneReported) -> None:
        platform, value = fact.taken.platform.value, fact.taken.value
        for event, outcome in zip(fact.events, fact.taken.outcomes, strict=True):
            self._reports.labels(fact.hub, platform, event.value, outcome.value).inc()
            if outcome is ReportOutcome.ACCEPTED and value is not None:
                self._reports_by_tag.labels(fact.hub, event.value, value).inc()

    def _limited(self, fact: ReportsLimited) -> None:
        self._reports_limited.labels(fact.hub, fact.limit.value).inc()
