"""What is counted of phones that rules with `unless_opened` ask about."""

from bridge.observe.facts import FollowUpsMeasured, PushesFollowedUp
from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, gauge, values_of
from bridge.observe.telemetry import Takes
from hub.follow_up import FollowUpOutcome


class FollowUpMetrics(MetricTable):
    """By hub, and of all in the queues of this process."""

    _followed = counter(
        "follow_ups",
        "Phones that were looked at after a push of a rule with unless_opened, by what was found.",
        hub=Named.HUBS,
        outcome=values_of(FollowUpOutcome),
    )
    _waiting = gauge(
        "waiting_follow_ups",
        "Looks at phones that are due later, or now: one or two for each page of a notification of a rule with"
        " unless_opened.",
    )
    _overdue = gauge(
        "follow_ups_overdue_seconds",
        "For how long the first look at phones has been due, 0 where none is.",
    )

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self.takes: Takes = {PushesFollowedUp: self._followed_up, FollowUpsMeasured: self._measured}

    def _followed_up(self, fact: PushesFollowedUp) -> None:
        for (hub, outcome), count in fact.followed.counts.items():
            self._followed.labels(hub, outcome.value).inc(count)

    def _measured(self, fact: FollowUpsMeasured) -> None:
        self._waiting.set(fact.usage.waiting)
        self._overdue.set(fact.usage.overdue)
