"""What is counted of notifications, phones and pushes."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from bridge.observe.facts import REMOTE
from bridge.observe.metric_set import (
    REQUEST_SECONDS,
    MetricSet,
    MetricTable,
    Named,
    counter,
    gauge,
    histogram,
    values_of,
)
from bridge.observe.telemetry import Takes
from hub.facts import (
    AudienceFound,
    AudiencesFound,
    JobEnded,
    NotificationHeld,
    NotificationsEnded,
    NotificationUnreached,
    PageAnswered,
    PropertiesMissing,
    PushesDelivered,
    PushesEnded,
    PushesRetried,
    RemoteAnswered,
    TextFellBack,
)
from hub.fallback import Fallback
from hub.notification import Everyone, Notification, Platform
from hub.outcome import DELIVERY_LABELS, OutcomeName, State, Unreached
from hub.platforms.table import services

ENDED = {
    State.COMPLETED: "completed",
    State.NO_TARGET_FOUND: "no_target",
    State.ABANDONED: "expired",
    State.CANCELLED: "cancelled",
}
"""The label `outcome` of `pushbridge_notifications_total`, by a notification's state."""

_PLATFORMS = tuple(each.platform.value for each in services() if not each.is_rare)
_KNOWN = tuple(platform.value for platform in Platform.known())
"""With those that few hubs have, or that have no push service. The series of pushes to them begin with the first: six
platforms would triple what every scrape holds."""
_DELIVERIES = sorted({*DELIVERY_LABELS.values(), "timeout"})
MAX_PROPERTIES = 50
"""Properties of templates that have series of their own, of each hub; the others share `_other`."""
_MAX_NAME = 64
"""Characters of such a property's name."""
_OTHER = "_other"
_AUDIENCE = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7)
_END_TO_END = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class Breaker(Protocol):
    """What is read of the bulkhead before a push service or a remote hub."""

    in_flight: int
    throttled_until: float

    @property
    def is_open(self) -> bool: ...

    @property
    def is_braked(self) -> bool: ...

    @property
    def quota_per_minute(self) -> float: ...


class DeliveryMetrics(MetricTable):
    """By hub and platform, the remote hubs included."""

    _devices = gauge(
        "devices",
        "Live registrations; an installation has one for native payloads and one for each of its templates.",
        hub=Named.HUBS,
        platform=_KNOWN,
    )
    _audience = histogram(
        "audience_devices",
        "Registrations a notification reached.",
        _AUDIENCE,
        kind=("broadcast", "expression"),
    )
    _notifications = counter("notifications", "Notifications that ended.", hub=Named.HUBS, outcome=ENDED.values())
    _jobs = counter(
        "jobs",
        "Import and export jobs of registrations that ended.",
        hub=Named.HUBS,
        outcome=("completed", "failed"),
    )
    _unreached = counter(
        "notifications_unreached",
        "Notifications that ended and that no phone got, by cause.",
        hub=Named.HUBS,
        reason=values_of(Unreached),
    )
    _held = gauge(
        "held_messages",
        "Notifications that wait for an approval, because they are for many registrations.",
        hub=Named.HUBS,
    )
    _holds = counter("holds", "Notifications that were held until an approval.", hub=Named.HUBS)
    _properties_missing = counter(
        "template_properties_missing",
        "Notifications that lacked a property of a template, once for each template.",
        hub=Named.HUBS,
        platform=_PLATFORMS,
    )
    _text_fallbacks = counter(
        "content_fallbacks",
        "Pushes of a text held here that is not in the language of their phones, each try by itself.",
        hub=Named.HUBS,
        reason=values_of(Fallback),
    )
    _property_missing = counter(
        "template_property_missing",
        "Notifications that lacked a property of a template, by its name.",
        hub=Named.HUBS,
        property=(_OTHER,),
    )
    _deliveries = counter(
        "pns_deliveries",
        "Pushes answered, every try counted.",
        hub=Named.HUBS,
        platform=_PLATFORMS,
        outcome=_DELIVERIES,
    )
    _request_seconds = histogram(
        "pns_request_duration_seconds",
        "From handing a batch of pushes to the sender to its last answer.",
        REQUEST_SECONDS,
        platform=_PLATFORMS,
    )
    _in_flight = gauge("pns_requests_in_flight", "Pushes under way.", platform=_PLATFORMS)
    _retries = counter("pns_retries", "Pushes to be tried again.", platform=(*_PLATFORMS, REMOTE), reason=_DELIVERIES)
    _throttled_until = gauge(
        "pns_throttled_until_timestamp_seconds",
        "Until when the service asked all senders to wait.",
        platform=_PLATFORMS,
        credential=Named.HUBS,
    )
    _quota = gauge(
        "pns_quota_messages",
        "Pushes a minute that the service takes, as its refusals taught, for all processes; 0 while none is known.",
        platform=_PLATFORMS,
        credential=Named.HUBS,
    )
    _circuit = gauge(
        "pns_circuit_open",
        "1 while the breaker is open: pushes are deferred.",
        platform=_PLATFORMS,
        credential=Named.HUBS,
    )
    _braked = gauge(
        "device_removal_braked",
        "1 while no phone is removed, as the service calls too many of them gone.",
        platform=_PLATFORMS,
        credential=Named.HUBS,
    )
    _expiry = gauge(
        "pns_credential_expiry_timestamp_seconds",
        "When the credential ends, such as a certificate of APNs; 0 for one that does not say.",
        platform=_PLATFORMS,
        credential=Named.HUBS,
    )
    _end_to_end = histogram(
        "end_to_end_seconds",
        "From when a push was due (at acceptance, or at its own time if later) to the service's answer, successes only.",
        _END_TO_END,
        platform=_PLATFORMS,
    )
    _handovers = counter(
        "remote_sends",
        "Notifications handed over to a remote hub, every try counted.",
        hub=Named.REMOTES,
        outcome=_DELIVERIES,
    )
    _remote_circuit = gauge(
        "remote_circuit_open",
        "1 while the breaker of a remote hub is open: notifications wait.",
        hub=Named.REMOTES,
    )

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self._inhabited: set[tuple[str, Platform]] = set()
        self._holding: set[str] = set()
        self._guarded: set[tuple[str, Platform]] = set()
        self._expiring: set[tuple[str, Platform]] = set()
        self._properties: dict[str, set[str]] = {}  # by hub
        self.takes: Takes = {
            AudienceFound: self._audience_found,
            AudiencesFound: self._audiences_found,
            PropertiesMissing: self._properties_missing_in,
            TextFellBack: self._text_fell_back,
            PageAnswered: self._page_answered,
            PushesEnded: self._pushes_ended,
            PushesDelivered: self._pushes_delivered,
            PushesRetried: self._pushes_retried,
            RemoteAnswered: self._remote_answered,
            NotificationUnreached: self._notification_unreached,
            NotificationHeld: self._notification_held,
            NotificationsEnded: self._notifications_ended,
            JobEnded: self._job_ended,
        }

    def set_held(self, counts: Mapping[str, int]) -> None:
        for hub in self._holding - counts.keys():
            self._held.labels(hub).set(0)
        for hub, count in counts.items():
            self._held.labels(hub).set(count)
        self._holding = set(counts)

    def set_devices(self, counts: Mapping[tuple[str, Platform], int]) -> None:
        for hub, platform in self._inhabited - counts.keys():  # the last phone is gone
            self._devices.labels(hub, platform.value).set(0)
        for (hub, platform), count in counts.items():
            self._devices.labels(hub, platform.value).set(count)
        self._inhabited = set(counts)

    def set_bulkheads(self, bulkheads: Mapping[tuple[str, Platform], Breaker]) -> None:
        in_flight = dict.fromkeys((each.platform for each in services() if not each.is_rare), 0)
        for (hub, platform), bulkhead in bulkheads.items():
            in_flight[platform] = in_flight.get(platform, 0) + bulkhead.in_flight
            self._circuit.labels(platform.value, hub).set(bulkhead.is_open)
            self._throttled_until.labels(platform.value, hub).set(bulkhead.throttled_until)
            self._braked.labels(platform.value, hub).set(bulkhead.is_braked)
            self._quota.labels(platform.value, hub).set(bulkhead.quota_per_minute)
        for hub, platform in self._guarded - bulkheads.keys():  # what no configuration names any more
            if platform.value not in _PLATFORMS:
                for each in (self._circuit, self._throttled_until, self._braked, self._quota):
                    each.remove(platform.value, hub)
        self._guarded = set(bulkheads)
        for platform, count in in_flight.items():
            self._in_flight.labels(platform.value).set(count)

    def set_expiries(self, expires_at: Mapping[tuple[str, Platform], float]) -> None:
        """Of the credentials that say when they end, in seconds since 1970 UTC."""
        for hub, platform in self._expiring - expires_at.keys():
            self._expiry.labels(platform.value, hub).set(0)
        for (hub, platform), moment in expires_at.items():
            self._expiry.labels(platform.value, hub).set(moment)
        self._expiring = set(expires_at)

    def set_remotes(self, remotes: Mapping[str, Breaker]) -> None:
        for hub, bulkhead in remotes.items():
            self._remote_circuit.labels(hub).set(bulkhead.is_open)

    def _audience_found(self, fact: AudienceFound) -> None:
        self._audience.observe((_kind_of(fact.notification),), sum(fact.counts.values()))

    def _audiences_found(self, fact: AudiencesFound) -> None:
        alike = Counter([(_kind_of(notification), sum(counts.values())) for notification, counts in fact.found])
        for (kind, size), count in alike.items():
            self._audience.observe((kind,), size, count)

    def _properties_missing_in(self, fact: PropertiesMissing) -> None:
        hub = fact.notification.hub
        self._properties_missing.labels(hub, fact.platform.value).inc()
        for name in fact.names:
            self._property_missing.labels(hub, self._property(hub, name)).inc()

    def _text_fell_back(self, fact: TextFellBack) -> None:
        self._text_fallbacks.labels(fact.notification.hub, fact.reason.value).inc(fact.count)

    def _property(self, hub: str, name: str) -> str:
        """The name, of the first few of a hub: templates are the phones' own, and could name any number of properties."""
        known = self._properties.setdefault(hub, set())
        if name not in known and (len(known) >= MAX_PROPERTIES or len(name) > _MAX_NAME or not name.isprintable()):
            return _OTHER
        known.add(name)
        return name

    def _page_answered(self, fact: PageAnswered) -> None:
        """Deadlines that passed are `timeout` here; the wire contract knows them as unreachable."""
        platform = fact.platform.value
        counts: dict[str, int] = {}
        for outcome, count in fact.outcomes.items():
            label = DELIVERY_LABELS[outcome]
            counts[label] = counts.get(label, 0) + count
        if fact.timed_out:
            counts["timeout"] = fact.timed_out
            counts["unreachable"] -= fact.timed_out
        for label, count in counts.items():
            self._deliveries.labels(fact.hub, platform, label).inc(count)
        self._request_seconds.observe((platform,), fact.seconds, sum(fact.outcomes.values()))

    def _pushes_ended(self, fact: PushesEnded) -> None:
        succeeded = fact.outcomes.get(OutcomeName.SUCCESS)
        if succeeded:
            self._end_to_end.observe((fact.platform.value,), fact.seconds, succeeded)

    def _pushes_delivered(self, fact: PushesDelivered) -> None:
        self._end_to_end.observe_each((fact.platform.value,), [seconds for _, seconds in fact.pushes])

    def _pushes_retried(self, fact: PushesRetried) -> None:
        for outcome, count in fact.outcomes.items():
            self._retries.labels(fact.platform.value, DELIVERY_LABELS[outcome]).inc(count)

    def _remote_answered(self, fact: RemoteAnswered) -> None:
        outcome = DELIVERY_LABELS[fact.outcome]
        self._handovers.labels(fact.notification.hub, outcome).inc()
        if fact.due_at is not None:
            self._retries.labels(REMOTE, outcome).inc()

    def _notification_unreached(self, fact: NotificationUnreached) -> None:
        self._unreached.labels(fact.notification.hub, fact.why.value).inc()

    def _notification_held(self, fact: NotificationHeld) -> None:
        self._holds.labels(fact.notification.hub).inc()

    def _job_ended(self, fact: JobEnded) -> None:
        self._jobs.labels(fact.job.hub, fact.job.status.value.lower()).inc()

    def _notifications_ended(self, fact: NotificationsEnded) -> None:
        for (hub, state), count in fact.counts.items():
            self._notifications.labels(hub, ENDED[state]).inc(count)


def _kind_of(notification: Notification) -> str:
    return "broadcast" if isinstance(notification.audience, Everyone) else "expression"
