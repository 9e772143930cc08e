"""What is known of notifications, for operators and for the wire API, and who changed what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from hub.acceptance import NO_CONFIGURATION, AuditEntry, ConfigurationVersion
from hub.follow_up import KeptFollowUp
from hub.notification import Notification, Platform
from hub.outcome import DeviceAnswer, NotificationDetails, State, Unreached
from hub.phone_report import KeptReport
from hub.store.contracts.listing import ListPage
from hub.tags import TagExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHold:
    """What quiet hours hold of a notification: so many `pushes`, or all of it, whose audience is not looked for yet (None).

    The first of them go out at `first_end`, the last at `last_end`, in seconds since 1970: nights end by each zone's clock.
    """

    window: str
    pushes: int | None
    first_end: float
    last_end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotification:
    """A notification without its content, of which `size` says the bytes. `audience` None is everyone; `format` is
    `template` or a platform; `failures` are (outcome, reason, count), most first, and `reports` how many phones said
    what, by platform and event; `follow_ups` are looks at phones that may not have opened it. All three are known where
    one is asked for.

    `unreached` says why it ended and no phone got it, `unreached_count` of how many registrations; of one that is held
    it is for so many. `trace` is a W3C traceparent, empty for none. `has_content` is false once its content is cleared.
    `cancelled_by` names the rule and the event that withdrew it, empty where none did. `silence` is the id of the silence
    that decided about it last, empty for none. `quiet_hold` is what quiet hours hold of it now."""

    id: str
    hub: str
    source: str
    event_id: str
    rule: str
    audience: str | None
    format: str
    priority: str
    size: int
    state: State
    accepted_at: float
    schedule_at: float | None
    expires_at: float | None
    started_at: float | None
    ended_at: float | None
    counts: Mapping[str, Mapping[str, int]]
    failures: Sequence[tuple[str, str, int]] = ()
    reports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    follow_ups: Sequence[KeptFollowUp] = ()
    unreached: Unreached | None = None
    unreached_count: int = 0
    configuration: ConfigurationVersion = NO_CONFIGURATION
    trace: str = ""
    has_content: bool = True
    cancelled_by: str = ""
    silence: str = ""
    quiet_hold: QuietHold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAudit:
    """A change in its place."""

    id: int
    at: float
    entry: AuditEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRegistration:
    """What became of one registration of a device. `template` is None for the native one.

    `outcome` and `reason` are of a push that ended badly, at `at`; `due_at` is when a push that waits is tried, at its
    `attempt`. `unmet` is the part of the audience that its tags do not match. `reports` are what the device said of it.
    """

    template: str | None
    platform: Platform
    answer: DeviceAnswer
    outcome: str = ""
    reason: str = ""
    at: float | None = None
    due_at: float | None = None
    attempt: int = 0
    unmet: str = ""
    reports: Sequence[KeptReport] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedPush:
    """A push that was for one registration of a phone. `template` is the name of its template, None for the native one;
    `template_id` the one that it had then, for `Store.templates`. Without `has_content` what it said is cleared."""

    notification: Notification
    at: float
    answer: DeviceAnswer
    outcome: str
    reason: str
    template: str | None
    template_id: int | None
    platform: Platform
    reports: Sequence[KeptReport]
    """What the phone said of the notification, in order of time."""
    variables: frozenset[str]
    """Names, in lower case, of the push variables that the phone has now."""
    has_content: bool = True
    locale: str = ""
    time_zone: str = ""
    """What the phone says of itself now; empty where it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedPushes:
    """The newest first. Without `is_whole` older ones may be kept that were not looked at."""

    pushes: Sequence[ReceivedPush]
    is_whole: bool


class TallyKind(Enum):
    """What is counted by the hour."""

    PUSH = "push"  # pushes that ended, by outcome
    NOTIFICATION = "notification"  # notifications that ended, by state
    OPERATION = "operation"  # changes of the registry, by what was asked
    REPORT = "report"  # what phones reported of pushes, by event
    REPORT_BY_TAG = "report_by_tag"  # the same by event and the value of the hub's configured tag
    MIRROR = "mirror"  # sends of a mirrored hub that were compared, by what came of it
    DEVICES = "devices"  # live registrations, as they were last in the hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often something happened in an hour, in hours since 1970 UTC. `platform` and `name` are empty where the kind has
    none."""

    kind: TallyKind
    hour: int
    hub: str
    platform: str
    name: str
    count: int


class Telemetry(Protocol):
    """Every method may raise StoreError."""

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        """What is known of a notification, by its 32 hex digits. Raises: NotFoundError."""

    async def notifications(
        self,
        *,
        hub: str | None = None,
        state: State | None = None,
        event_id: str | None = None,
        after: str = "",
        limit: int,
    ) -> ListPage[KeptNotification]:
        """Newest first."""

    async def notification(self, notification_id: str) -> KeptNotification:
        """By its 32 hex digits, of any hub, with its failures. Raises: NotFoundError."""

    async def sent(self, notification_id: str) -> Notification:
        """A notification whole, by its 32 hex digits. Raises: NotFoundError."""

    async def trace(
        self, notification_id: str, installation_id: str, *, only_to: TagExpression | None = None
    ) -> Sequence[TracedRegistration]:
        """What became of a notification for each registration of a device that is kept; none: the hub has no such device.

        `only_to` is what the audiences of the hub are joined with.

        Raises: NotFoundError: there is no such notification.
        """

    async def received(self, hub: str, installation_id: str, *, most: int) -> ReceivedPushes:
        """The last pushes of a device, of `most` notifications that are kept. Raises: NotFoundError: no such device."""

    async def tally(self, operations: Mapping[tuple[str, str], int]) -> bool:
        """Add to the sums of each hour what ended in this process's queues, a slice of it, and how often the registry of
        each hub was asked for what; whether more is left."""

    async def tallies(self, kind: TallyKind, *, first: int, last: int) -> Sequence[Tally]:
        """The sums of these hours, both included."""

    async def add_audit(self, entry: AuditEntry) -> None:
        """Write down what an operator did that no other transaction of the store has written down."""

    async def audit(self, *, after: str = "", limit: int) -> ListPage[KeptAudit]:
        """What operators changed, newest first."""

    async def clear_ended(self, *, kept: float) -> bool:
        """Clear the content of a slice of notifications that ended `kept` seconds ago; whether more is left."""

    async def forget_ended(self, *, kept: float) -> bool:
        """Drop a slice of notifications that ended `kept` seconds ago, with pages and failures, and of what operators did
        more than 400 days ago; whether more is left."""
