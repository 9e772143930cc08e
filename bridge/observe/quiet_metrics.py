"""What is counted of quiet hours: pushes and whole notifications that they hold, and what became of others in them."""

from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, gauge, values_of
from bridge.observe.telemetry import Takes
from hub.facts import QuietHoursKept
from hub.quiet import Fate
from hub.store.contracts.outbox import QuietUsage

_PUSH, _NOTIFICATION = "push", "notification"


class QuietMetrics(MetricTable):
    """By hub. `kind` tells pushes from notifications that are held whole, whose audience is not known yet."""

    _waiting = gauge(
        "quiet_hours_messages",
        "What waits for the end of quiet hours, in the queues of this process.",
        hub=Named.HUBS,
        kind=(_PUSH, _NOTIFICATION),
    )
    _kept = counter(
        "quiet_hours",
        "What quiet hours did with pushes, and with notifications as a whole.",
        hub=Named.HUBS,
        outcome=values_of(Fate),
        kind=(_PUSH, _NOTIFICATION),
    )

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self._holding: set[tuple[str, str]] = set()
        self._released: dict[tuple[str, str], int] = {}
        self.takes: Takes = {QuietHoursKept: self._quiet_hours_kept}

    def set_usage(self, usage: QuietUsage) -> None:
        """What waits now."""
        waiting = _by_kind(usage)
        for hub, kind in self._holding - waiting.keys():
            self._waiting.labels(hub, kind).set(0)
        for (hub, kind), count in waiting.items():
            self._waiting.labels(hub, kind).set(count)
        self._holding = set(waiting)

    def set_released(self, released: QuietUsage) -> None:
        """What went on since the process began."""
        for (hub, kind), count in _by_kind(released).items():
            self._kept.labels(hub, Fate.RELEASED.value, kind).inc(count - self._released.get((hub, kind), 0))
            self._released[hub, kind] = count

    def _quiet_hours_kept(self, fact: QuietHoursKept) -> None:
        hub, fate = fact.notification.hub, fact.fate.value
        if fact.count is None:
            self._kept.labels(hub, fate, _NOTIFICATION).inc()
        else:
            self._kept.labels(hub, fate, _PUSH).inc(fact.count)


def _by_kind(usage: QuietUsage) -> dict[tuple[str, str], int]:
    """By hub and kind."""
    pushes = {(hub, _PUSH): count for hub, count in usage.pushes.items()}
    return pushes | {(hub, _NOTIFICATION): count for hub, count in usage.notifications.items()}
