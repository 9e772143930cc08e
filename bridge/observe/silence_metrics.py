"""What is counted of silences: those in force, and what they hold and drop."""

from collections.abc import Mapping, Sequence

from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, gauge, values_of
from bridge.observe.telemetry import Takes
from hub.facts import NotificationsSilenced, SilencesReleased
from hub.silence import Silence, SilenceAction, SilenceUse


class SilenceMetrics(MetricTable):
    """All processes of a store show the same gauges, for silences are of the store; counters are of each process."""

    _in_force = gauge("silences", "Silences in force.", action=values_of(SilenceAction))
    _since = gauge(
        "silence_oldest_timestamp_seconds",
        "Since when the oldest silence in force has been in force, 0 while none is.",
        action=values_of(SilenceAction),
    )
    _held = gauge("silence_held_messages", "Notifications that wait for the end of a silence, in the whole store.")
    _silenced = counter(
        "silenced_notifications",
        "Notifications that a silence held or dropped.",
        hub=Named.HUBS,
        action=values_of(SilenceAction),
    )
    _released = counter("silence_released_notifications", "Notifications that an ended silence held, and that went on.")

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self.takes: Takes = {
            NotificationsSilenced: self._notifications_silenced,
            SilencesReleased: self._silences_released,
        }

    def set_silences(self, in_force: Sequence[Silence], usage: Mapping[str, SilenceUse]) -> None:
        """Before a scrape; times of `in_force` are in seconds since 1970 UTC."""
        for action in SilenceAction:
            begun = [silence.at for silence in in_force if silence.action is action]
            self._in_force.labels(action.value).set(len(begun))
            self._since.labels(action.value).set(min(begun, default=0))
        self._held.set(sum(use.held for use in usage.values()))

    def _notifications_silenced(self, fact: NotificationsSilenced) -> None:
        for notification, silence in fact.silenced:
            self._silenced.labels(notification.hub, silence.action.value).inc()

    def _silences_released(self, fact: SilencesReleased) -> None:
        self._released.inc(fact.count)
